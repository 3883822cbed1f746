"""`ToolChooser`: what stays, what is found, what it costs; and that it never stands in the way."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains import Ledger
from frugal_chains.compression.tools import FIND_TOOL, Forecast, Offered, ToolPolicy
from frugal_chains.dispatch import TextVectors, ToolChoice, ToolChooser
from frugal_chains.dispatch.tools import _memory
from frugal_chains.facts import MessageFacts, RequestFacts, ToolCallFacts, ToolFacts
from frugal_chains.tracking import Tracker
from tests.core.dispatch.many_tools import LONG, NAMES, THINGS, TOOLS
from tests.own_time import own_seconds

MODEL = "gpt-4.1-mini"
"""Its list price, in nanos per token: 400 for input, 100 for cached input."""

Choose = Callable[..., ToolChoice]


def said(*texts: str, system: str = "") -> tuple[MessageFacts, ...]:
    """User and assistant in turn."""
    head = (MessageFacts(role="system", text=system),) if system else ()
    roles = ("user", "assistant")
    return head + tuple(MessageFacts(role=roles[n % 2], text=text) for n, text in enumerate(texts))


def asked_for(task: str, answer: str, id_: str = "c1") -> tuple[MessageFacts, ...]:
    """A call of `find_tool` and its answer."""
    call = ToolCallFacts(name=FIND_TOOL.name, arguments=json.dumps({"task": task}), id=id_)
    return (
        MessageFacts(role="assistant", tool_calls=(call,)),
        MessageFacts(role="tool", text=answer, tool_call_id=id_, name=FIND_TOOL.name),
    )


def request(
    *texts: str, more: Sequence[MessageFacts] = (), tools: Sequence[ToolFacts] = TOOLS,
    system: str = "", ttl: Any = "",
) -> RequestFacts:  # fmt: skip
    messages = (*said(*texts, system=system), *more)
    return RequestFacts(messages=messages, tools=tuple(tools), cache_ttl=ttl)


def names(choice: ToolChoice) -> list[str]:
    return [text.name for text in choice.texts]


@pytest.fixture(params=["sync", "async"])
def choose(request: pytest.FixtureRequest) -> Choose:
    def of(chooser: ToolChooser, facts: RequestFacts, **options: Any) -> ToolChoice:
        if request.param == "sync":
            return chooser.choose(facts, **options)
        return asyncio.run(chooser.achoose(facts, **options))

    return of


@pytest.fixture
def tracker() -> Any:
    with Ledger.open("memory://") as ledger:
        yield Tracker(ledger)


# -- what is sent --------------------------------------------------------------------------------


def test_the_tools_of_a_question_in_fewer_words(choose: Choose) -> None:
    choice = choose(ToolChooser(), request("What will the weather be?"))
    assert "search_weather" in names(choice)
    assert len(choice.kept) < 11
    assert names(choice) == [NAMES[number] for number in choice.kept]
    assert choice.find_tool == FIND_TOOL
    assert choice.slim
    assert all(len(text.parameters) < len(TOOLS[0].parameters) for text in choice.texts)
    assert choice.offered == Offered(
        action="prune", names=tuple(names(choice)), slim=True, find_tool=True
    )


def test_without_tools_there_is_nothing_to_do(choose: Choose, tracker: Tracker) -> None:
    choice = choose(ToolChooser(), request("Hi", tools=()), trackers=[tracker])
    assert (choice.kept, choice.texts, choice.find_tool) == ((), (), None)
    assert choice.reason == "no_tools"
    assert [*tracker.ledger.effects()] == []


def test_what_could_not_be_found_again_is_not_left_out(choose: Choose) -> None:
    chooser = ToolChooser()
    before = choose(chooser, request("What will the weather be?"))
    for offered in (None, before.offered):
        choice = choose(
            chooser, request("The weather?", "Fine.", "And flights?"), can_find=False,
            offered=offered,
        )  # fmt: skip
        assert names(choice) == NAMES
        assert choice.find_tool is None
    alone = ToolChooser(ToolPolicy(find_tool=False))  # the user has said so
    assert len(choose(alone, request("What weather?"), can_find=False).kept) < 11


def test_forced_tools_and_those_that_were_called_are_there(choose: Choose) -> None:
    used = MessageFacts(
        role="assistant", tool_calls=(ToolCallFacts(name="rate_lawns", arguments="{}", id="c"),)
    )
    done = MessageFacts(role="tool", text="done", tool_call_id="c", name="rate_lawns")
    facts = request("What will the weather be?", more=(used, done))
    assert {"rate_lawns", "rate_stocks"} <= {
        *names(choose(ToolChooser(), facts, forced=["rate_stocks", "nobody"]))
    }


# -- what stays ----------------------------------------------------------------------------------


def test_a_conversation_is_known_by_its_messages(choose: Choose) -> None:
    chooser = ToolChooser()
    first = choose(chooser, request("The weather?"))
    second = choose(chooser, request("The weather?", "Fine.", "And songs?"))
    again = choose(chooser, request("The weather?", "Fine.", "And songs?"))
    other = choose(chooser, request("The weather?", "Fine.", "And films?"))
    for later in (second, other):
        assert later.texts[: len(first.texts)] == first.texts
    assert again == second
    assert "search_songs" in names(second)
    assert "search_songs" not in names(other)


def test_a_conversation_with_rewritten_messages_is_known_by_its_id(choose: Choose) -> None:
    chooser = ToolChooser()
    first = choose(chooser, request("The weather?"), conversation="a")
    rewritten = request("They spoke of rain.", "Yes.", "And songs?")
    kept = choose(chooser, rewritten, conversation="a")
    assert kept.texts[: len(first.texts)] == first.texts
    for conversation in ("", "b"):
        new = choose(chooser, rewritten, conversation=conversation)
        assert "search_weather" not in names(new)
    # One that only begins is no older one, whatever it is called.
    assert "search_weather" not in names(choose(chooser, request("Songs?"), conversation="a"))


def test_what_the_adapter_has_kept_goes_before_what_is_remembered(choose: Choose) -> None:
    chooser = ToolChooser()
    choose(chooser, request("The weather?"))
    kept = Offered(action="prune", names=("rate_lawns",), slim=True, find_tool=True)
    choice = choose(chooser, request("The weather?", "Fine.", "And songs?"), offered=kept)
    assert names(choice)[0] == "rate_lawns"
    gone = Offered(action="prune", names=("nobody",), slim=True, find_tool=True)
    assert "search_songs" in names(choose(chooser, request("And songs?"), offered=gone))


def test_a_conversation_that_was_left_stays_left(choose: Choose) -> None:
    chooser = ToolChooser(ToolPolicy(prune=False, slim=False))
    first = choose(chooser, request("The weather?"))
    assert (names(first), first.slim, first.reason) == (NAMES, False, "switched_off")
    assert first.texts == TOOLS
    other = ToolChooser()
    later = choose(other, request("The weather?", "Fine.", "Songs?"), offered=first.offered)
    assert later.texts == TOOLS


@settings(max_examples=60, deadline=None)
@given(
    turns=st.lists(
        st.tuples(st.sampled_from(THINGS), st.sampled_from(["ask", "find", "call"])),
        min_size=1, max_size=6,
    ),
    system=st.sampled_from(["", LONG]),
    ttl=st.sampled_from(["", "5m"]),
    by=st.sampled_from(["messages", "id", "adapter"]),
)  # fmt: skip
def test_tools_are_only_appended_and_nothing_needed_is_missing(
    turns: Sequence[tuple[str, str]], system: str, ttl: Any, by: str
) -> None:
    chooser = ToolChooser(model=MODEL, counter=None)
    messages, last, called = said(system=system), None, set[str]()
    for number, (thing, way) in enumerate(turns):
        messages += (MessageFacts(role="user", text=f"Tell me about {thing}."),)
        facts = RequestFacts(messages=messages, tools=TOOLS, cache_ttl=ttl)
        choice = chooser.choose(
            facts,
            conversation="c" if by == "id" else "",
            offered=last.offered if last and by == "adapter" else None,
        )
        if last is not None:
            assert choice.texts[: len(last.texts)] == last.texts
            assert choice.find_tool == last.find_tool
        assert {f"search_{thing}", *called} <= {*names(choice)}
        assert len({*choice.kept}) == len(choice.kept)
        last, id_ = choice, f"c{number}"
        if way == "find":
            messages += asked_for(f"rate_{thing}", chooser.find(f"rate_{thing}", choice), id_)
            called.add(f"rate_{thing}")
        elif way == "call":
            call = ToolCallFacts(name=f"cancel_{thing}", arguments="{}", id=id_)
            messages += (
                MessageFacts(role="assistant", tool_calls=(call,)),
                MessageFacts(role="tool", text="done", tool_call_id=id_, name=call.name),
            )
            called.add(call.name)
        messages += (MessageFacts(role="assistant", text="There."),)


def test_every_process_sends_the_same_bytes() -> None:
    facts = [request("The weather?"), request("The weather?", "Fine.", "And songs?")]
    code = (
        "import sys, pickle; from frugal_chains.dispatch import ToolChooser; "
        f"chooser = ToolChooser(model={MODEL!r}); facts = pickle.load(sys.stdin.buffer); "
        "sys.stdout.buffer.write(pickle.dumps([chooser.choose(f).texts for f in facts]))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(facts), capture_output=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    chooser = ToolChooser(model=MODEL)
    assert pickle.loads(other.stdout) == [chooser.choose(each).texts for each in facts]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "_REQUESTS", 40)
    monkeypatch.setattr(_memory, "_BLOCKS", 3)
    chooser = ToolChooser()
    for number in range(60):
        chooser.choose(request(f"{number} {THINGS[number % 16]}"), conversation=f"{number}")
    memory = chooser._decider._memory
    assert (len(memory._requests), len(memory._blocks)) == (40, 3)


# -- what is found -------------------------------------------------------------------------------


def find(chooser: ToolChooser, task: str, choice: ToolChoice | None, sync: bool) -> str:
    return chooser.find(task, choice) if sync else asyncio.run(chooser.afind(task, choice))


BOTH = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])


@BOTH
def test_every_tool_that_was_left_out_can_be_reached(sync: bool) -> None:
    chooser = ToolChooser()
    choice = chooser.choose(request("What will the weather be?"))
    for name in {*NAMES} - {*names(choice)}:
        answer = find(chooser, name, choice, sync)
        assert answer.startswith(f"Now available: {name}")
        more = asked_for(name, answer)
        assert name in names(chooser.choose(request("What will the weather be?", more=more)))


@BOTH
def test_a_search_without_the_tools_is_made_up_for_by_the_next_request(sync: bool) -> None:
    chooser = ToolChooser()
    chooser.choose(request("What will the weather be?"))
    answer = find(chooser, "rate some glaciers", None, sync)
    assert "glaciers" not in answer
    more = asked_for("rate some glaciers", answer)
    choice = chooser.choose(request("What will the weather be?", more=more))
    assert "rate_glaciers" in names(choice)


def test_only_answers_of_the_search_count() -> None:
    fake = "Now available: rate_glaciers"
    call = ToolCallFacts(name="search_weather", arguments="{}", id="c1")
    more = (
        MessageFacts(role="assistant", tool_calls=(call,)),
        MessageFacts(role="tool", text=fake, tool_call_id="c1", name="search_weather"),
    )
    choice = ToolChooser().choose(request("What will the weather be?", more=more))
    assert "rate_glaciers" not in names(choice)


@BOTH
def test_a_search_that_fails_is_left_to_the_next_request(
    sync: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    chooser = ToolChooser()
    choice = chooser.choose(request("What will the weather be?"))
    monkeypatch.setattr("frugal_chains.dispatch.tools._choice.find_tools", _raises)
    answer = find(chooser, "rate some glaciers", choice, sync)
    monkeypatch.undo()
    more = asked_for("rate some glaciers", answer)
    found = chooser.choose(request("What will the weather be?", more=more))
    assert "rate_glaciers" in names(found)
    assert "left to the next request" in caplog.text


# -- what goes wrong -----------------------------------------------------------------------------


def _raises(*_: object, **__: object) -> Any:
    raise RuntimeError("broken")


@pytest.mark.parametrize("where", ["_index.ToolIndex", "_planning.plan_tools"])
def test_if_it_fails_all_tools_are_sent_as_they_were(
    where: str, choose: Choose, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(f"frugal_chains.dispatch.tools.{where}", _raises)
    with caplog.at_level(logging.WARNING):
        choice = choose(ToolChooser(), request("My secret question"))
    assert choice == ToolChoice(kept=tuple(range(48)), texts=TOOLS, reason="failed")
    assert "all tools are sent as they were" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "odd",
    [
        ToolFacts(name="", description="", parameters=""),
        ToolFacts(name="weather\ud800", description="\x00" * 99, parameters="{not json"),
        ToolFacts(name="weather_deep", parameters='{"a":' * 3000 + "1" + "}" * 3000),
        ToolFacts(name="weather_long", description="weather " * 100_000, parameters="[1]"),
        ToolFacts(name="weather_nan", parameters='{"default": NaN}'),
    ],
    ids=["empty", "surrogates", "deep", "long", "nan"],
)
def test_odd_tools_and_texts(odd: ToolFacts, choose: Choose) -> None:
    def choose_all() -> None:
        for text in ("", "weather\ud800", "weather " * 20_000):
            choice = choose(ToolChooser(), request(text, tools=(*TOOLS, odd, *TOOLS[:3])))
            assert choice.offered is not None
            assert len({*choice.kept}) == len(choice.kept) > 0

    assert own_seconds(choose_all) < 3


# -- embedders -----------------------------------------------------------------------------------


def meaning(texts: Sequence[str]) -> list[list[float]]:
    """Knows what `chansons` are, and nothing of anything else."""
    return [[float("songs" in text or "chansons" in text), 0.1] for text in texts]


class Counting:
    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        self.calls.append(len(texts))
        return meaning(texts)


def test_meaning_finds_what_shares_no_word(choose: Choose) -> None:
    question = request("Quelles chansons?")
    assert "search_songs" in names(choose(ToolChooser(vectors=TextVectors.of(meaning)), question))
    embedded = Counting()
    chooser = ToolChooser(vectors=TextVectors.of(embedded))
    first, second = choose(chooser, question), choose(chooser, question)
    assert first.texts == second.texts
    assert first.warnings == second.warnings == ()
    assert embedded.calls == [len(TOOLS), 1]  # tools once, the question once
    task = "rate les chansons"
    without = Offered(action="prune", names=("search_weather",), slim=True, find_tool=True)
    other = choose(chooser, request("The weather?"), offered=without)
    assert "rate_songs" in chooser.find(task, other)


def test_few_tools_need_no_embedder(choose: Choose) -> None:
    embedded = Counting()
    choose(ToolChooser(vectors=TextVectors.of(embedded)), request("Songs?", tools=TOOLS[:5]))
    assert embedded.calls == []


def test_a_slow_embedder_is_not_waited_for(choose: Choose) -> None:
    release = threading.Event()

    def slow(texts: Sequence[str]) -> list[list[float]]:
        release.wait(20)
        return meaning(texts)

    chooser = ToolChooser(vectors=TextVectors.of(slow), vectors_timeout_s=0.05)
    # An event loop that ends waits for its threads: they are let go when the choice is made.
    threading.Timer(0.5, release.set).start()
    choice = choose(chooser, request("What will the weather be?"))
    assert "search_weather" in names(choice)
    assert choice.warnings == ("chosen without the embedder: no answer within 0.05 s",)


@pytest.mark.parametrize(
    "embed",
    [_raises, lambda texts: [[1.0]], lambda texts: [[float("nan")] for _ in texts]],
    ids=["raises", "too few", "nan"],
)
def test_a_broken_embedder_is_done_without(embed: Any, choose: Choose) -> None:
    chooser = ToolChooser(vectors=TextVectors.of(embed))
    choices = [choose(chooser, request(f"What will the weather be? {n}")) for n in range(8)]
    assert all("search_weather" in names(choice) for choice in choices)
    assert all(choice.warnings for choice in choices)
    assert choices[-1].warnings == ("chosen without the embedder: it keeps failing",)


def test_a_question_without_a_vector_is_answered_by_words(choose: Choose) -> None:
    def picky(texts: Sequence[str]) -> list[list[float]]:
        return meaning(texts) if len(texts) > 1 else _raises()

    choice = choose(ToolChooser(vectors=TextVectors.of(picky)), request("What weather?"))
    assert "search_weather" in names(choice)
    assert choice.warnings == ("chosen without the embedder: RuntimeError",)


# -- the books -----------------------------------------------------------------------------------


def effects(tracker: Tracker) -> list[Any]:
    return [*tracker.ledger.effects(lever="compression.tools")]


def test_the_effect_of_a_request(choose: Choose, tracker: Tracker) -> None:
    chooser = ToolChooser(model=MODEL)
    choice = choose(chooser, request("The weather?"), operation_id="op", trackers=[tracker])
    (effect,) = effects(tracker)
    assert effect.operation_id == "op"
    assert (effect.model, effect.exact) == (MODEL, False)
    assert effect.tokens_before > 5 * effect.tokens_after
    assert effect.detail == {
        "action": "prune", "reason": "cheapest", "tools": 48, "kept": len(choice.kept),
        "added": 0, "find_tool": True,
    }  # fmt: skip
    # Nothing was in a cache, and writing is free: input at the list price, on both sides.
    assert effect.net_nanos == 400 * (effect.tokens_before - effect.tokens_after)


def test_net_of_what_the_cache_would_have_held(choose: Choose, tracker: Tracker) -> None:
    """The same prompt grows; the beginning is read at 100 nanos a token, with or without us."""
    chooser = ToolChooser(model=MODEL)
    turns = ["The weather?"]
    for _ in range(2):
        choose(chooser, request(*turns, system=LONG), trackers=[tracker])
        turns += ["It rains.", "And the weather tomorrow?"]
    choose(chooser, request("The weather, please?", system=LONG), trackers=[tracker])
    first, second, other = effects(tracker)
    saved = first.tokens_before - first.tokens_after
    assert second.tokens_after == first.tokens_after == other.tokens_after
    assert first.net_nanos == 400 * saved
    # What is read is a whole number of 128 tokens; the rest of each prompt costs 400 nanos a token.
    steps = 2 * 128 * (400 - 100)
    assert second.net_nanos == pytest.approx(100 * saved, abs=steps)
    # Another conversation finds the block and the instructions in the cache, as all tools would be.
    assert other.net_nanos == pytest.approx(100 * saved, abs=steps)


def test_what_a_conversation_itself_has_sent_is_warm(choose: Choose, tracker: Tracker) -> None:
    chooser = ToolChooser(model=MODEL)
    turns = [f"{LONG} The weather?"]
    for _ in range(2):
        choose(chooser, request(*turns), trackers=[tracker])
        turns += ["It rains.", "And the weather tomorrow?"]
    first, second = effects(tracker)
    saved = first.tokens_before - first.tokens_after
    assert second.net_nanos == pytest.approx(100 * saved, abs=2 * 128 * (400 - 100))


def test_added_tools_break_the_prefix_and_the_books_say_so(
    choose: Choose, tracker: Tracker
) -> None:
    chooser = ToolChooser(model=MODEL)
    choose(chooser, request("The weather?", system=LONG), trackers=[tracker])
    choose(chooser, request("The weather?", "Fine.", "Songs?", system=LONG), trackers=[tracker])
    _, second = effects(tracker)
    assert second.detail["added"] > 0
    assert second.net_nanos < 100 * (second.tokens_before - second.tokens_after)


def test_a_call_that_only_asked_for_a_tool_is_paid_by_the_lever(
    choose: Choose, tracker: Tracker
) -> None:
    found = asked_for("rate_glaciers", "Now available: rate_glaciers")
    call = ToolCallFacts(name="rate_glaciers", arguments='{"task": "rate_glaciers"}', id="c1")
    called = (
        MessageFacts(role="assistant", tool_calls=(call,)),
        MessageFacts(
            role="tool", text="Now available: rate_glaciers", tool_call_id="c1", name=call.name
        ),
    )
    for more in (found, called):
        chooser = ToolChooser(model=MODEL)
        for tail in ((), more):
            choose(chooser, request("The weather?", more=tail, system=LONG), trackers=[tracker])
    asked_first, asked, _, ran = effects(tracker)
    assert asked.tokens_after == ran.tokens_after
    first_call_tokens = asked_first.tokens_after + 1_500
    assert ran.net_nanos - asked.net_nanos > 400 * first_call_tokens


def test_without_a_price_there_is_no_net(choose: Choose, tracker: Tracker) -> None:
    choose(ToolChooser(), request("The weather?"), trackers=[tracker])
    choose(ToolChooser(model=MODEL), request("The weather?"), model="nobody-1", trackers=[tracker])
    one, two = effects(tracker)
    assert (one.net_nanos, two.net_nanos, two.model) == (None, None, "nobody-1")
    assert one.tokens_after < one.tokens_before


def test_a_block_that_is_warm_is_left(choose: Choose) -> None:
    """Anthropic's prices, many tools to be added: what others keep warm is not thrown away."""
    policy = ToolPolicy(slim=False)
    forecast = Forecast(calls=3, growth_tokens=100, additions=1)
    chooser = ToolChooser(policy, model="claude-sonnet-4-5", forecast=forecast)
    facts = request("The weather?", system=LONG, ttl="5m")
    cold = choose(ToolChooser(policy, model="claude-sonnet-4-5", forecast=forecast), facts)
    assert cold.offered is not None
    assert cold.offered.action == "prune"
    left = Offered(action="leave", names=tuple(NAMES))
    choose(chooser, request("Other?", system=LONG, ttl="5m"), offered=left)
    warm = choose(chooser, facts)
    assert warm.offered is not None
    assert warm.offered.action == "leave"


# -- many at a time ------------------------------------------------------------------------------


def test_threads_do_not_mix() -> None:
    chooser = ToolChooser(model=MODEL)
    things = THINGS * 4

    def talk(number: int) -> bool:
        thing, turns = things[number], [f"{number}: tell me about {things[number]}."]
        first = chooser.choose(request(*turns))
        second = chooser.choose(request(*turns, "So.", "And parcels?"))
        return (
            second.texts[: len(first.texts)] == first.texts
            and f"search_{thing}" in names(first)
            and not {f"search_{other}" for other in THINGS if other != thing} & {*names(first)}
            and "search_parcels" in names(second)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(talk, range(len(things))))
