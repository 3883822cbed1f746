"""Why prompts were not read from the provider's cache, told from the books of LlamaIndex alone:
real clients against a provider whose cache is simulated, tokens and costs as it has billed them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from llama_index.core.base.llms.types import CacheControl, CachePoint, ChatMessage, TextBlock
from llama_index.core.tools import FunctionTool

from frugal_chains.report import CacheMiss, cache_misses
from llama_index_frugal import track_cost
from tests.missing import Missing, missing, words
from tests.servers import Reply

__all__ = ["missing"]
SONNET = "claude-sonnet-4-5"
SECRET = "the password is swordfish"
Send = Callable[..., Any]


def weather(city: str) -> str:
    """Tells the weather of a city that is far away."""
    return "sunny"


def clock(zone: str) -> str:
    """Tells the time in a zone."""
    return "noon"


def search(query: str) -> str:
    """Searches the handbook of the company."""
    return "nothing"


WEATHER, CLOCK, SEARCH = (
    FunctionTool.from_defaults(fn, name=fn.__name__) for fn in (weather, clock, search)
)


def message(role: str, text: str, *, mark: bool = False) -> ChatMessage:
    blocks: list[Any] = [TextBlock(text=text)]
    if mark:
        blocks.append(CachePoint(cache_control=CacheControl(type="ephemeral", ttl="5m")))
    return ChatMessage(role=role, blocks=blocks)


def history(turns: int, about: str = "turn") -> list[ChatMessage]:
    messages: list[ChatMessage] = []
    for turn in range(turns - 1):
        messages.append(message("user", words(f"{about} {turn} {SECRET}", 300)))
        messages.append(message("assistant", words(f"answer {about} {turn}", 300)))
    return [*messages, message("user", words(f"{about} {turns - 1} {SECRET}", 300), mark=True)]


LONG = message("system", words("You work for a company.", 2_000), mark=True)


@pytest.fixture
def send(missing: Missing, anthropic_llm: Callable[..., Any]) -> Send:
    llms: dict[str, Any] = {}

    def one(
        messages: Sequence[ChatMessage], tools: Sequence[Any] = (), *, name: str = SONNET
    ) -> Any:
        llm = llms.setdefault(name, anthropic_llm(name))
        with track_cost(missing.ledger, fingerprints=True):
            if tools:
                answer = llm.chat_with_tools(list(tools), chat_history=list(messages))
            else:
                answer = llm.chat(list(messages))
        missing.wait()
        return answer

    return one


def only_miss(missing: Missing) -> CacheMiss:
    (miss,) = cache_misses(missing.ledger).misses
    return miss


def test_a_tool_in_the_middle(missing: Missing, send: Send) -> None:
    for turns in (1, 2):
        send([LONG, *history(turns)], [WEATHER, CLOCK])
    for turns in (3, 4):
        send([LONG, *history(turns)], [WEATHER, SEARCH, CLOCK])
    found = cache_misses(missing.ledger)
    assert (found.answers, found.fingerprinted, found.judged, found.hits) == (4, 4, 3, 2)
    (miss,) = found.misses
    assert (miss.cause, miss.block, miss.first_index, miss.requests) == ("tool-added", "tool", 1, 1)
    assert miss.missed_tokens == missing.lost(2) > 2_000
    assert miss.cost_nanos == missing.dearer(2, missing.lost(2))


def test_a_time_in_the_system_prompt(missing: Missing, send: Send) -> None:
    for turns in range(1, 4):
        timed = message("system", f"It is {turns} o'clock. {LONG.content}", mark=True)
        send([timed, *history(turns)])
    miss = only_miss(missing)
    assert (miss.cause, miss.first_index, miss.requests) == ("system-changed", 0, 2)
    assert miss.missed_tokens == missing.lost(1) + missing.lost(2)
    assert miss.cost_nanos == sum(missing.dearer(n, missing.lost(n)) for n in (1, 2))


def test_an_earlier_message_that_changed(missing: Missing, send: Send) -> None:
    for turns in (1, 2, 3):
        send([LONG, *history(turns)])
    changed = history(4)
    changed[2] = message("user", words("something else", 300))
    send([LONG, *changed])
    miss = only_miss(missing)
    assert (miss.cause, miss.first_index, miss.last_index) == ("message-changed", 2, 2)
    assert miss.missed_tokens == missing.lost(3) > 0
    assert miss.cost_nanos == missing.dearer(3, missing.lost(3))


def test_a_switch_of_models(missing: Missing, send: Send) -> None:
    send([LONG, *history(1)])
    send([LONG, *history(2)], name="claude-sonnet-4-6")
    send([LONG, *history(3)])
    miss = only_miss(missing)
    assert (miss.cause, miss.name, miss.model) == ("model-changed", SONNET, "claude-sonnet-4-6")
    assert miss.missed_tokens == missing.lost(1)


def test_a_pause_longer_than_the_time_to_live(missing: Missing, send: Send) -> None:
    send([LONG, *history(1)])
    missing.wait(301)
    send([LONG, *history(2)])
    miss = only_miss(missing)
    assert (miss.cause, miss.block) == ("expired", "")
    assert miss.missed_tokens == missing.lost(1) > 2_000
    assert miss.cost_nanos == missing.dearer(1, missing.lost(1))


def test_prompts_below_the_minimum_lose_nothing(missing: Missing, send: Send) -> None:
    for turns in (1, 2):
        send([message("system", "Be short.", mark=True), *history(turns)])
    miss = only_miss(missing)
    assert (miss.cause, miss.missed_tokens, miss.cost_nanos) == ("below-minimum", 0, 0)


def test_openai_by_its_longest_prefix(missing: Missing, openai_llm: Callable[..., Any]) -> None:
    missing.of_openai()
    llm = openai_llm("gpt-4o")
    for turns, hour in ((1, 1), (2, 1), (3, 2)):
        texts = [message(m.role.value, m.content or "") for m in history(turns)]
        with track_cost(missing.ledger, fingerprints=True):
            llm.chat([message("system", f"{LONG.content} It is {hour}"), *texts])
        missing.wait()
    miss = only_miss(missing)
    assert (miss.cause, miss.first_index, miss.requests) == ("system-changed", 0, 1)
    kept = missing.billed(1).input // 128 * 128
    assert miss.missed_tokens == kept - missing.billed(2).cache_read > 0
    assert miss.cost_nanos == miss.missed_tokens * (2500 - 1250)


def test_openais_own_reason_is_kept_beside(
    missing: Missing, openai_llm: Callable[..., Any]
) -> None:
    missing.of_openai()
    llm = openai_llm("gpt-4o")
    reason = {
        "type": "cache_miss",
        "reason": "input_changed",
        "cache_missed_tokens": 9,
        "x": SECRET,
    }
    for hour, turns in ((1, 1), (2, 2)):
        said = [message(m.role.value, m.content or "") for m in history(turns)]
        missing.scripted.script(Reply("fine", beside={"prompt_cache_diagnostics": reason}))
        with track_cost(missing.ledger, fingerprints=True):
            llm.chat([message("system", f"{hour} {LONG.content}"), *said])
        missing.wait()
    miss = only_miss(missing)
    assert (miss.cause, miss.theirs) == ("system-changed", (("input_changed", 1),))
    *_, row = missing.ledger.attempts()
    assert row.prints is not None
    assert row.prints["r"] == {
        "prompt_cache_diagnostics": {
            "type": "cache_miss", "reason": "input_changed", "cache_missed_tokens": 9,
        }
    }  # fmt: skip


def test_no_text_is_ever_in_the_ledger(missing: Missing, send: Send) -> None:
    send([LONG, *history(2)], [WEATHER])
    send([LONG, *history(3)], [WEATHER, SEARCH])
    on_disk = missing.bytes_of_the_ledger()
    missing.ledger.close()
    on_disk += missing.bytes_of_the_ledger()
    for text in ("swordfish", "company", "weather", "Searches the handbook", "answer turn"):
        assert text.encode() not in on_disk, text
    assert b'"v":1' in on_disk
