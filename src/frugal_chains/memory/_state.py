"""`MemoryState`: what a memory remembers of a conversation between its calls. Small, and JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any, Self

from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory._ends import Ends
from frugal_chains.memory._facts import HeldMessage
from frugal_chains.memory._plain import from_plain

VERSION = 1
"""Of the JSON form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What stands in the view for one run of messages that have left it."""

    id: str
    """Of the compaction that made it."""
    text: str
    tokens: int
    """As a message."""
    end: int
    """Position of the first message that is not covered, by this segment or one before it."""
    kept: tuple[int, ...] = ()
    """Positions of covered messages that are still sent, in front of the text: pinned ones."""
    digest: str
    """Of the keys of all messages before `end`: whether they are still the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a conversation has cost so far, by the arithmetic of the provider's cache; nanos.

    Input and summaries only: answers cost the same with and without a memory.
    """

    calls: int = 0
    spent_nanos: float = 0.0
    unmanaged_nanos: float = 0.0
    """What it would have cost without any memory."""
    rent_nanos: float = 0.0
    """Paid since the last compaction for carrying what the next one would take out."""
    period_tokens: int = 0
    """Of all requests since the last compaction, the first one after it included, without what was
    new in each,"""
    period_read_tokens: int = 0
    """and how many of them the provider's cache should have had."""
    sent_tokens: int = 0
    """Of the last request, without what was recalled: what the provider's cache holds."""
    unmanaged_tokens: int = 0
    """Of the last request, had there been no memory."""
    head: str = ""
    """Names model, tools and system prompt of the last call: others share no cache with it."""
    at_s: float | None = None
    """Of the last call, seconds since the epoch."""
    ends: Ends = ()
    """Where requests since the last compaction have ended that the cache may still have; only where
    it has entries at ends alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """Earlier messages, shown behind one question for as long as it is being answered."""

    question: str
    """The key of the question's message."""
    text: str
    """Empty: nothing was needed."""
    tokens: int = 0
    stable_tokens: int = 0
    """Of the request up to the question: what the cache holds when the next one comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryState:
    """Between two calls. The messages themselves are elsewhere, all of them."""

    segments: tuple[Segment, ...] = ()
    account: Account = field(default_factory=Account)
    shortened: tuple[tuple[str, int], ...] = ()
    """Key and tokens of messages that did not fit the window whole; they are sent cut like this."""
    quiet_until_tokens: int = 0
    """After an undo: until the whole history has so many tokens, only the window can make it
    compact again."""
    failures: int = 0
    """Of the summariser, in a row."""
    waits_until_call: int = 0
    """Number of the call until which no model is asked for a summary, after failures."""
    recalled: Recalled | None = None
    """What was recalled for the question that is being answered."""

    @property
    def end(self) -> int:
        """Position of the first message that no segment covers."""
        return self.segments[-1].end if self.segments else 0

    def to_json(self) -> dict[str, Any]:
        """Plain data for `from_json`."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """From `to_json`, or what JSON makes of it.

        Raises:
            MemoryPlanError: of another version, or no state.
        """
        if not isinstance(data, Mapping) or data.get("version") != VERSION:
            raise MemoryPlanError(
                f"no state of a memory of version {VERSION}: start with MemoryState(), the history "
                "itself is not lost"
            )
        try:
            parts = dict(data)
            del parts["version"]
            parts["segments"] = tuple(_segment(one) for one in data["segments"])
            parts["account"] = _account(data["account"])
            parts["shortened"] = tuple((key, to) for key, to in data["shortened"])
            if data["recalled"] is not None:
                parts["recalled"] = from_plain(Recalled, data["recalled"])
            state = from_plain(cls, parts)
            _check_order(state.segments)
        except (KeyError, TypeError, ValueError) as error:
            raise MemoryPlanError(
                f"a state of a memory that is damaged ({error}): start with MemoryState(), the "
                "history itself is not lost"
            ) from None
        return state

    def without(self, compaction_id: str) -> Self:
        """With that compaction undone, and those after it, which stand on it.

        What comes back stays: the conversation has to grow by as much before it is compacted
        again, unless the window forces it.

        Raises:
            MemoryPlanError: no segment of the state came of it.
        """
        ids = [segment.id for segment in self.segments]
        if compaction_id not in ids:
            raise MemoryPlanError(
                f"no compaction {compaction_id!r} here: there are {', '.join(ids) or 'none'}"
            )
        whole = self.account.unmanaged_tokens
        return replace(
            self,
            segments=self.segments[: ids.index(compaction_id)],
            account=replace(self.account, rent_nanos=0.0, sent_tokens=0, ends=()),
            quiet_until_tokens=max(0, 2 * whole - self.account.sent_tokens),
        )


def _segment(data: Mapping[str, Any]) -> Segment:
    return from_plain(Segment, {**data, "kept": tuple(data["kept"])})


def _account(data: Mapping[str, Any]) -> Account:
    return from_plain(Account, {**data, "ends": tuple((at, used) for at, used in data["ends"])})


def _check_order(segments: Sequence[Segment]) -> None:
    covered = 0
    for segment in segments:
        places = (covered - 1, *segment.kept, segment.end)
        if segment.end <= covered or any(one >= other for one, other in pairwise(places)):
            raise ValueError("positions are not in order")
        covered = segment.end


def still_true(state: MemoryState, messages: Sequence[HeldMessage]) -> MemoryState:
    """The state without segments whose messages were edited, removed or replaced since.

    What the cache still has after that is not known, with a memory or without: nothing, by the
    account.
    """
    if not state.segments:
        return state
    digests = digests_before(messages, [segment.end for segment in state.segments])
    for number, (segment, digest) in enumerate(zip(state.segments, digests, strict=True)):
        if segment.digest != digest:
            account = replace(state.account, sent_tokens=0, unmanaged_tokens=0, ends=())
            return replace(state, segments=state.segments[:number], account=account)
    return state


def digests_before(messages: Sequence[HeldMessage], ends: Sequence[int]) -> list[str]:
    """Of the keys of all messages before each of these positions, in ascending order; empty where
    there are not so many messages."""
    running, done, found = hashlib.blake2b(digest_size=12), 0, []
    for end in ends:
        if end > len(messages):
            found.append("")
            continue
        keys = [message.key for message in messages[done:end]]
        told = "".join([f"{len(key)}:{key}" for key in keys])
        running.update(told.encode("utf-8", "replace"))
        done = end
        found.append(running.hexdigest())
    return found


@dataclass(frozen=True, slots=True)
class Shown:
    """One message of a view: a message of the history, or a segment."""

    position: int | None = None
    segment: Segment | None = None


def view(state: MemoryState, count: int, broken: frozenset[int] = frozenset()) -> Iterator[Shown]:
    """What is sent of a history of `count` messages, in order.

    Args:
        state: Whose segments are still true.
        count: Of messages.
        broken: Positions that no provider takes; they are left out.
    """
    for segment in state.segments:
        for position in segment.kept:
            yield Shown(position=position)
        yield Shown(segment=segment)
    for position in range(state.end, count):
        if position not in broken:
            yield Shown(position=position)
