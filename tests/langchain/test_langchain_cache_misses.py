"""Why prompts were not read from the provider's cache, told from the books alone: real clients
against a provider whose cache is simulated, tokens and costs as it has billed them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool

from frugal_chains.report import CacheMiss, cache_misses
from frugal_chains.tracking import decided
from langchain_frugal import CostCallbackHandler, track_cost
from tests.missing import Missing, missing, words
from tests.servers import Reply

__all__ = ["missing"]
SONNET = "claude-sonnet-4-5"
MARK = {"type": "ephemeral"}
SECRET = "the password is swordfish"


@tool
def weather(city: str) -> str:
    """Tells the weather of a city that is far away."""
    return "sunny"


@tool
def clock(zone: str) -> str:
    """Tells the time in a zone."""
    return "noon"


@tool
def search(query: str) -> str:
    """Searches the handbook of the company."""
    return "nothing"


def system(text: str) -> SystemMessage:
    return SystemMessage([{"type": "text", "text": text, "cache_control": MARK}])


def marked(text: str) -> HumanMessage:
    return HumanMessage([{"type": "text", "text": text, "cache_control": MARK}])


def history(turns: int, about: str = "turn") -> list[BaseMessage]:
    """A conversation of questions and answers, marked where the last question ends."""
    messages: list[BaseMessage] = []
    for turn in range(turns - 1):
        messages.append(HumanMessage(words(f"{about} {turn} {SECRET}", 300)))
        messages.append(AIMessage(words(f"answer {about} {turn}", 300)))
    return [*messages, marked(words(f"{about} {turns - 1} {SECRET}", 300))]


Send = Callable[..., Any]


@pytest.fixture
def send(missing: Missing, chat_anthropic: Callable[..., Any]) -> Send:
    """One request of a conversation."""
    model = chat_anthropic(SONNET)

    def one(
        messages: Sequence[BaseMessage],
        tools: Sequence[Any] = (),
        *,
        thread: str = "t1",
        name: str = SONNET,
        **options: Any,
    ) -> Any:
        asked = model if name == SONNET else chat_anthropic(name)
        bound = asked.bind_tools(list(tools), **options) if tools else asked
        metadata = {"thread_id": thread} if thread else {}
        handler = CostCallbackHandler(missing.ledger, fingerprints=True)
        answer = bound.invoke(messages, {"callbacks": [handler], "metadata": metadata})
        missing.wait()
        return answer

    return one


def only_miss(missing: Missing, **options: Any) -> CacheMiss:
    found = cache_misses(missing.ledger, **options)
    (miss,) = found.misses
    return miss


LONG = system(words("You work for a company.", 2_000))


def test_a_tool_in_the_middle(missing: Missing, send: Send) -> None:
    for turns in (1, 2):
        send([LONG, *history(turns)], [weather, clock])
    for turns in (3, 4):
        send([LONG, *history(turns)], [weather, search, clock])
    found = cache_misses(missing.ledger)
    assert (found.answers, found.fingerprinted, found.judged, found.hits) == (4, 4, 3, 2)
    (miss,) = found.misses
    assert (miss.cause, miss.block, miss.first_index, miss.requests) == ("tool-added", "tool", 1, 1)
    assert (miss.provider, miss.model) == ("anthropic", SONNET)
    assert miss.missed_tokens == missing.lost(2) > 2_000
    assert miss.cost_nanos == missing.dearer(2, missing.lost(2))
    assert miss.since.isoformat() == "2026-11-22T12:00:40+00:00"


def test_a_time_in_the_system_prompt(missing: Missing, send: Send) -> None:
    for turns in range(1, 5):
        send([system(f"It is {turns} o'clock. " + LONG.content[0]["text"]), *history(turns)])  # type: ignore[index]
    miss = only_miss(missing)
    assert (miss.cause, miss.block, miss.first_index) == ("system-changed", "system", 0)
    assert (miss.requests, miss.conversations) == (3, 1)
    assert miss.missed_tokens == sum(missing.lost(n) for n in (1, 2, 3))
    assert miss.cost_nanos == sum(missing.dearer(n, missing.lost(n)) for n in (1, 2, 3))


def test_the_block_of_the_system_prompt_that_changed_is_named(missing: Missing, send: Send) -> None:
    for turns in range(1, 4):
        late = {"type": "text", "text": f"It is {turns} o'clock.", "cache_control": MARK}
        send([SystemMessage([*LONG.content, late]), *history(turns)])
    miss = only_miss(missing)
    assert (miss.cause, miss.first_index, miss.requests) == ("system-changed", 1, 2)
    # What stands in front of it was read.
    assert missing.billed(1).cache_read > 2_000
    assert miss.missed_tokens == sum(missing.lost(n) for n in (1, 2))


def test_an_earlier_message_that_changed(missing: Missing, send: Send) -> None:
    for turns in (1, 2, 3):
        send([LONG, *history(turns)])
    changed = history(4)
    changed[2] = HumanMessage(words("something else", 300))
    send([LONG, *changed])
    miss = only_miss(missing)
    assert (miss.cause, miss.block) == ("message-changed", "message")
    assert (miss.first_index, miss.last_index) == (2, 2)
    assert miss.missed_tokens == missing.lost(3) > 0
    assert miss.cost_nanos == missing.dearer(3, missing.lost(3))


def test_a_switch_of_models_is_named_and_its_way_back_reads(missing: Missing, send: Send) -> None:
    send([LONG, *history(1)])
    send([LONG, *history(2)], name="claude-sonnet-4-6")
    send([LONG, *history(3)])
    found = cache_misses(missing.ledger)
    (miss,) = found.misses
    assert (miss.cause, miss.block, miss.name) == ("model-changed", "model", SONNET)
    assert (miss.model, miss.requests) == ("claude-sonnet-4-6", 1)
    assert miss.missed_tokens == missing.lost(1)
    assert found.hits == 1  # the first model still had what it had written
    assert missing.billed(2).cache_read > 0
    assert not cache_misses(missing.ledger, model=SONNET).misses


def test_a_pause_longer_than_the_time_to_live(missing: Missing, send: Send) -> None:
    send([LONG, *history(1)])
    missing.wait(301)
    send([LONG, *history(2)])
    miss = only_miss(missing)
    assert (miss.cause, miss.block, miss.first_index) == ("expired", "", None)
    assert miss.missed_tokens == missing.lost(1) > 2_000
    assert miss.cost_nanos == missing.dearer(1, missing.lost(1))


def test_prompts_below_the_minimum_lose_nothing(missing: Missing, send: Send) -> None:
    for turns in (1, 2):
        send([system("Be short."), *history(turns)])
    miss = only_miss(missing)
    assert (miss.cause, miss.requests, miss.missed_tokens, miss.cost_nanos) == (
        "below-minimum", 1, 0, 0,
    )  # fmt: skip
    assert [missing.billed(n).cache_read + missing.billed(n).cache_write for n in (0, 1)] == [0, 0]


def test_nothing_marked(missing: Missing, send: Send) -> None:
    for turns in (1, 2):
        plain = [HumanMessage(words("a question", 1_500)) for _ in range(turns)]
        send([SystemMessage("Be short."), *plain])
    assert only_miss(missing).cause == "unmarked"


def test_a_setting_that_changed(missing: Missing, send: Send) -> None:
    # Tools and system prompt stay; the simulator leaves the setting out, so the bill is scripted.
    send([LONG, *history(1)], [weather], tool_choice="auto")
    send([LONG, *history(2)], [weather], tool_choice="auto")
    wrote = missing.billed(1)
    usage = {
        "input_tokens": 0,
        "output_tokens": 5,
        "cache_read_input_tokens": 2_100,
        "cache_creation_input_tokens": wrote.input + 600 - 2_100,
    }
    missing.scripted.script(Reply("fine", usage=usage))
    send([LONG, *history(3)], [weather], tool_choice="any")
    miss = only_miss(missing)
    assert (miss.cause, miss.block, miss.name) == ("setting-changed", "setting", "tool_choice")
    assert miss.missed_tokens == wrote.cache_read + wrote.cache_write - 2_100


def test_requests_at_the_same_time_are_no_misses(missing: Missing, send: Send) -> None:
    gate = threading.Barrier(2)

    def together(_: Any) -> Reply:
        gate.wait(10)
        return Reply("both")

    missing.scripted.script(together, together)
    messages = [LONG, *history(2)]
    threads = [threading.Thread(target=send, args=(messages,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = cache_misses(missing.ledger)
    assert (found.misses, found.parallel, found.judged) == ((), 1, 0)
    assert [tokens.cache_read for tokens in missing.cache.billed].count(0) == 1


def test_drafts_summaries_and_other_agents_of_a_thread_are_no_misses(
    missing: Missing, send: Send
) -> None:
    other = system(words("You check what others write.", 1_500))
    for turns in (1, 2, 3):
        send([LONG, *history(turns)], [weather])
        send([other, *history(turns, "checked")])
        with decided({}, purpose="draft"):
            send([LONG, *history(turns)], [weather, clock])
        with decided({}, purpose="summary"):
            send([HumanMessage(words("summarise", 400 * turns))])
        send([HumanMessage(f"one question of a tool: {turns}")])
    found = cache_misses(missing.ledger)
    assert found.misses == ()
    assert found.hits == 4  # two agents, three turns each


def test_failed_requests_and_retries_are_no_misses(missing: Missing, send: Send) -> None:
    send([LONG, *history(1)])
    missing.scripted.script(Reply(status=529), Reply(status=500))
    for _ in range(2):
        with pytest.raises(Exception, match=r"529|500|verload"):
            send([LONG, *history(2)], [weather])
    missing.wait(10)
    send([LONG, *history(2)])
    found = cache_misses(missing.ledger)
    assert (found.misses, found.hits) == ((), 1)


def test_conversations_without_a_thread_are_known_by_how_they_begin(
    missing: Missing, send: Send
) -> None:
    for turns in (1, 2):
        send([LONG, *history(turns, "mine")], [weather], thread="")
        send([LONG, *history(turns, "yours")], [weather], thread="")
    send([LONG, *history(3, "mine")], [weather, clock], thread="")
    found = cache_misses(missing.ledger)
    (miss,) = found.misses
    assert (miss.cause, miss.first_index, miss.conversations) == ("tool-added", 1, 1)
    assert miss.missed_tokens == missing.lost(4, before=2)
    assert found.hits == 2


def test_one_thread_one_model_one_period(missing: Missing, send: Send) -> None:
    for thread in ("t1", "t2"):
        own = system(words(f"You work for {thread}.", 2_000))
        send([own, *history(1)], [weather], thread=thread)
        send([own, *history(2)], [weather, clock], thread=thread)
    assert only_miss(missing).conversations == 2
    assert only_miss(missing, thread_id="t2").requests == 1
    first = cache_misses(missing.ledger).misses[0].last
    late = cache_misses(missing.ledger, since=first)
    assert (late.answers, late.judged) == (1, 1)  # with what came before the period
    assert not cache_misses(missing.ledger, model="gpt-4o").misses


def test_openai_by_its_longest_prefix(missing: Missing, chat_openai: Callable[..., Any]) -> None:
    missing.of_openai()
    handler = CostCallbackHandler(missing.ledger, fingerprints=True)
    config: Any = {"callbacks": [handler], "metadata": {"thread_id": "o"}}
    model, plain = chat_openai("gpt-4o"), words("You work for a company.", 2_000)
    for turns, hour in ((1, 1), (2, 1), (3, 2)):
        text = [HumanMessage(str(m.text)) for m in history(turns)]
        model.invoke([SystemMessage(f"{plain} It is {hour}"), *text], config)
        missing.wait()
    miss = only_miss(missing)
    assert (miss.cause, miss.first_index, miss.requests) == ("system-changed", 0, 1)
    kept = missing.billed(1).input // 128 * 128
    assert miss.missed_tokens == kept - missing.billed(2).cache_read > 0
    # 2.50 and 1.25 USD per million tokens.
    assert miss.cost_nanos == miss.missed_tokens * (2500 - 1250)


def test_the_providers_own_reason_is_kept_beside_without_its_text(
    missing: Missing, send: Send
) -> None:
    send([LONG, *history(1)], [weather])
    reason = {
        "cache_miss_reason": {
            "type": "tools_changed", "cache_missed_input_tokens": 2_222, "note": SECRET,
        }
    }  # fmt: skip
    told = Reply("fine", beside={"diagnostics": reason})
    missing.scripted.script(told)
    send([LONG, *history(2)], [weather, clock])
    miss = only_miss(missing)
    assert (miss.cause, miss.theirs, miss.disagreed) == ("tool-added", (("tools_changed", 1),), 0)
    *_, row = missing.ledger.attempts()
    assert row.prints is not None
    assert row.prints["r"] == {
        "diagnostics": {
            "cache_miss_reason": {"type": "tools_changed", "cache_missed_input_tokens": 2_222}
        }
    }


def test_no_text_is_ever_in_the_ledger(missing: Missing, send: Send) -> None:
    send([LONG, *history(2)], [weather])
    send([system(f"{SECRET} {words('x', 2_000)}"), *history(3)], [weather, search])
    on_disk = missing.bytes_of_the_ledger()
    missing.ledger.close()
    on_disk += missing.bytes_of_the_ledger()
    for text in ("swordfish", "company", "weather", "Searches the handbook", "answer turn"):
        assert text.encode() not in on_disk, text
    assert b'"v":1' in on_disk  # there they are


def test_off_by_default_and_blocks_inside_inherit_it(
    missing: Missing, chat_anthropic: Callable[..., Any]
) -> None:
    model = chat_anthropic(SONNET)
    with track_cost(missing.ledger):
        model.invoke([LONG, *history(1)])
    found = cache_misses(missing.ledger)
    assert (found.answers, found.fingerprinted) == (1, 0)
    with track_cost(missing.ledger, fingerprints=True), track_cost(missing.ledger):
        model.invoke([LONG, *history(1)])
    with track_cost(missing.ledger):
        model.invoke([LONG, *history(1)])
    assert cache_misses(missing.ledger).fingerprinted == 1
