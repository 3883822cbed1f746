"""A conversation that goes on through a `Compactor`, and what a provider would say to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from frugal_chains.dispatch import Compactor, History, Summarizer, SummaryRequest, Turn, message_key
from frugal_chains.facts import MessageFacts, ToolCallFacts
from frugal_chains.memory import CompactionPolicy, HeldMessage, MemoryState, WaterMark
from frugal_chains.tracking import Tracker
from tests.core.memory.conversations import refused
from tests.servers import ManualClock

SONNET = {"model": "claude-sonnet-4-5", "provider": "anthropic"}
GPT = {"model": "gpt-4o", "provider": "openai"}
SAME = Summarizer(model=SONNET["model"], provider=SONNET["provider"], answers=True)
OTHER = Summarizer(model="gpt-4o-mini", provider="openai")
START_S = 1_760_000_000.0
SUMMARY = "Facts:\nThe number of the order is 4711."
MARK = CompactionPolicy(
    trigger=WaterMark(high_tokens=1_500), keep_tokens=300, least_dropped_tokens=100
)
"""Compacts every few turns, whatever the bill."""
EAGER = CompactionPolicy(keep_tokens=200, least_dropped_tokens=50, limit_tokens=1_500)
"""Compacts when the window forces it."""

Ask = Callable[[SummaryRequest], str | BaseException]


def user(text: str) -> MessageFacts:
    return MessageFacts(role="user", text=text)


def assistant(text: str) -> MessageFacts:
    return MessageFacts(role="assistant", text=text)


def said(number: int, words: int = 60) -> str:
    return f"Point {number}. " + "parcel " * words


def talk(turns: int, *, first: int = 0, words: int = 60) -> list[MessageFacts]:
    """Questions and answers; the last question has no answer."""
    found: list[MessageFacts] = []
    for number in range(first, first + turns):
        found += [user(said(number, words)), assistant(f"Answer {said(number, words)}")]
    return found[:-1]


def tool_round(number: int, words: int = 60) -> list[MessageFacts]:
    """A call of two tools, with both results."""
    ids = (f"c{number}a", f"c{number}b")
    calls = tuple(ToolCallFacts(id=id, name="look", arguments="{}") for id in ids)
    results = [
        MessageFacts(role="tool", text=said(number, words), tool_call_id=id, name="look")
        for id in ids
    ]
    return [MessageFacts(role="assistant", tool_calls=calls), *results]


def history_of(messages: Sequence[MessageFacts], **options: Any) -> History:
    given = {**SONNET, **options}
    keys = [message_key(message, str(at)) for at, message in enumerate(messages)]
    return History(keys=keys, message=messages.__getitem__, **given)


def drive(flow: Any, ask: Ask | None = None) -> Turn:
    """To the end; without `ask` no summary may be asked for."""
    try:
        request = next(flow)
        while True:
            assert ask is not None, "a model was asked"
            request = flow.send(ask(request))
    except StopIteration as end:
        turn: Turn = end.value
        return turn


def fails(request: SummaryRequest) -> BaseException:
    return ConnectionError("sk-secret is not welcome")


def compactor(clock: ManualClock | None = None, **options: Any) -> Compactor:
    given = {"policy": MARK, "cache_ttl": "5m", "clock": clock or ManualClock(START_S)}
    return Compactor(**{**given, **options})


class Talk:
    """Turn by turn; each is looked at as a provider would."""

    def __init__(
        self, made: Compactor, ask: Ask | None = None, trackers: Sequence[Tracker] = ()
    ) -> None:
        self.made, self.ask, self.trackers = made, ask, trackers
        self.messages: list[MessageFacts] = []
        self.state = MemoryState()
        self.turns: list[Turn] = []
        self.model: dict[str, str] = dict(SONNET)

    def say(self, *messages: MessageFacts) -> Turn:
        """What is sent after these messages."""
        self.messages += messages
        history = history_of(self.messages, **self.model)
        flow = self.made.turn(history, self.state, trackers=self.trackers)
        turn = drive(flow, self.ask)
        self.state = turn.state
        self.turns.append(turn)
        check_view(self.messages, turn)
        return turn

    def turn(self, number: int, words: int = 60) -> Turn:
        """A question, answered afterwards."""
        turn = self.say(user(said(number, words)))
        self.messages.append(assistant(f"Answer {said(number, words)}"))
        return turn


def check_view(messages: Sequence[MessageFacts], turn: Turn) -> None:
    """Each message is sent or stands for in a segment, and no provider refuses the rest."""
    places = [one.position for one in turn.view if one.position is not None]
    assert places == sorted(set(places))
    segments = [one.segment for one in turn.view if one.segment is not None]
    end = segments[-1].end if segments else 0
    assert set(places) | set(range(end)) == set(range(len(messages)))
    held = [HeldMessage(role="user", tokens=0) if one.position is None else
            _held(messages[one.position]) for one in turn.view]  # fmt: skip
    assert refused(held) == ""


def _held(message: MessageFacts) -> HeldMessage:
    return HeldMessage(
        role=message.role, tokens=0, answers=message.tool_call_id,
        calls=tuple(call.id for call in message.tool_calls),
    )  # fmt: skip


def texts(messages: Sequence[MessageFacts], turn: Turn) -> list[str]:
    """What is sent, without recalled text."""
    cut = dict(turn.shortened)
    return [
        one.segment.text if one.segment is not None
        else cut.get(one.position or 0, messages[one.position or 0].text)
        for one in turn.view
    ]  # fmt: skip
