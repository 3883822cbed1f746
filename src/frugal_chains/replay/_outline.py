"""`Outlines`: what stands in a request of which no text was recorded, by the sizes of its
conversation.

A request that continues another has an answer and a message more: the provider's two counts differ
by just them. So a conversation's sizes are known message by message, from its second request on; of
the first one the whole is taken for what never leaves. With fingerprints, which a ledger may have,
it is known what continues what, and where the system prompt ends; without, a request is taken to
continue the longest one of its conversation that it has room for, with its answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from frugal_chains.errors import CachePlanError
from frugal_chains.prompt_cache import BlockPrint, RequestPrint, from_json
from frugal_chains.replay._prompt import Kind
from frugal_chains.replay._traffic import RecordedCall
from frugal_chains.usage import Usage

HEAD: Final[frozenset[Kind]] = frozenset(("tools", "system"))
"""Kinds of what never leaves a conversation."""
_CONVERSATIONS: Final = 4_096
"""That are remembered, the least recently used go first: such a one begins anew."""
_STRANDS: Final = 8
"""Of one conversation: agents that take turns in it send requests that do not continue one
another."""
_ANSWER_SHARE: Final = 0.9
"""Of an answer, at least so much is in the next request: it is framed in another way there."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a request: its size and its place, never its text."""

    key: int
    """The same for the same bytes."""
    kind: Kind
    tokens: int
    call: int = 0
    """Of an assistant's piece and the tool's that answers it: the same number; 0: none."""
    segment: bool = False
    """It stands for others that a memory has taken out."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A request, in the provider's order."""

    strand: int
    """Requests of one number continue one another."""
    pieces: tuple[Piece, ...]
    marked_tokens: int = 0
    """Up to here its provider has read or written: there a marker stood, if it was marked."""
    long: bool = False
    """It was written for the provider's long time to live."""


@dataclass(slots=True)
class _Strand:
    """Requests of which each continues the one before."""

    number: int
    pieces: tuple[Piece, ...] = ()
    tokens: int = 0
    """Of the last request."""
    said_tokens: int = 0
    """Of the last answer, as the next request shows it."""
    operation: str = ""
    printed: RequestPrint | None = None


_Place: TypeAlias = tuple[object, ...]


class Outlines:
    """Of calls in the order in which they were sent."""

    def __init__(self) -> None:
        self._strands = 0
        self._talks: OrderedDict[_Place, list[_Strand]] = OrderedDict()
        self._ends: OrderedDict[_Place, _Strand] = OrderedDict()

    def of(self, call: RecordedCall) -> Outline | None:
        """What stands in the request; None: texts were recorded, or nothing is known."""
        usage = call.usage
        if call.request is not None or usage is None or not _is_text(usage):
            return None
        printed = _printed(call)
        if printed is None and not call.conversation:
            return None
        head = printed.head if printed is not None else call.task
        place = (call.conversation, call.provider, call.model, head)
        strand = self._continued(call, usage.input_tokens, printed, place)
        if strand.pieces:
            strand.pieces += tuple(_added(call, usage.input_tokens - strand.tokens, strand))
        else:
            strand.pieces = _begun(call, usage, printed, strand.number)
        strand.tokens = usage.input_tokens
        strand.said_tokens = usage.output_tokens - usage.reasoning_tokens
        strand.operation = call.operation
        self._keep(call, strand, printed, place)
        written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
        return Outline(
            strand.number,
            strand.pieces,
            marked_tokens=usage.cache_read_tokens + written,
            long=usage.cache_write_1h_tokens > 0,
        )

    def _continued(
        self, call: RecordedCall, tokens: int, printed: RequestPrint | None, place: _Place
    ) -> _Strand:
        """The strand that the request continues, or a new one."""
        for end in _ends(printed):
            found = self._ends.get((*place, *end))
            if found is not None and found.tokens <= tokens:
                return found
        talk = self._talks.get(place, ()) if call.conversation else ()
        strands = [strand for strand in talk if _continues(strand, tokens, printed)]
        if strands:
            return max(strands, key=lambda strand: strand.tokens)
        self._strands += 1
        return _Strand(self._strands)

    def _keep(
        self, call: RecordedCall, strand: _Strand, printed: RequestPrint | None, place: _Place
    ) -> None:
        for end in _ends(strand.printed)[:1]:
            self._ends.pop((*place, *end), None)
        for end in _ends(printed)[:1]:
            self._ends[*place, *end] = strand
            if len(self._ends) > _CONVERSATIONS:
                self._ends.popitem(last=False)
        strand.printed = printed
        if call.conversation:
            others = [each for each in self._talks.pop(place, ()) if each is not strand]
            self._talks[place] = [*others, strand][-_STRANDS:]
            if len(self._talks) > _CONVERSATIONS:
                self._talks.popitem(last=False)


def _ends(printed: RequestPrint | None) -> list[tuple[int, bytes]]:
    """By which a request can be found again: how many messages, and their hash; the longest
    first."""
    if printed is None:
        return []
    return sorted(printed.messages.rolling.items(), reverse=True)


def _is_text(usage: Usage) -> bool:
    return usage.input_tokens > 0 and not usage.input_audio_tokens


def _printed(call: RecordedCall) -> RequestPrint | None:
    if not call.prints:
        return None
    try:
        return from_json(call.prints)
    except CachePlanError:  # of another version: as if there were none
        return None


def _continues(strand: _Strand, tokens: int, printed: RequestPrint | None) -> bool:
    more = tokens - strand.tokens
    if printed is not None and strand.printed is not None:
        before, now = strand.printed.messages, printed.messages
        if before.count >= now.count or before.count in now.rolling:
            return False  # it would have been found by its hash
    return more == 0 or more >= max(1, _ANSWER_SHARE * strand.said_tokens)


def _added(call: RecordedCall, more: int, strand: _Strand) -> list[Piece]:
    """What a request has more than the one that it continues: an answer, and what was said to it.

    Within one operation of the application that is what a tool has returned.
    """
    if not more:
        return []
    said = min(more, strand.said_tokens)
    step = bool(call.operation) and call.operation == strand.operation
    at = len(strand.pieces)
    number = at if step else 0
    pieces = []
    if said or step:
        key = hash((strand.number, at))
        pieces.append(Piece(key, "assistant", said, call=number))
    if more > said or step:
        kind: Kind = "tool" if step else "user"
        key = hash((strand.number, at + 1))
        pieces.append(Piece(key, kind, more - said, call=number))
    return pieces


def _begun(
    call: RecordedCall, usage: Usage, printed: RequestPrint | None, strand: int
) -> tuple[Piece, ...]:
    """Of the first request of a conversation."""
    if printed is not None and printed.tokens:
        return _by_prints(usage.input_tokens, printed, (call.provider, call.model))
    # What was read at once is the beginning of others' requests, too: of the same task's.
    read = min(usage.cache_read_tokens, usage.input_tokens)
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    own = min(written, usage.input_tokens - read)
    parts = (
        (hash(("head", call.provider, call.model, call.task)), read),
        (hash((strand, "marked")), own),
        (hash((strand, "rest")), usage.input_tokens - read - own),
    )
    return tuple(Piece(key, "system", tokens) for key, tokens in parts if tokens)


def _by_prints(tokens: int, printed: RequestPrint, who: _Place) -> tuple[Piece, ...]:
    """With what is known of tools, system prompt and messages; sizes as the provider counts."""
    known: list[tuple[Kind, int, int]] = []  # kind, key, tokens up to its end
    upto, messages = printed.tools_tokens, printed.messages
    if printed.tools:
        known.append(("tools", _hash(who, "tools", printed.tools), upto))
    upto += printed.system_tokens
    if printed.system:
        blocks = (*printed.tools, *printed.system)
        known.append(("system", _hash(who, "system", blocks), upto))
    known += [
        ("user", hash((who, number, messages.rolling[number])), upto + end)
        for number, end in sorted(messages.ends.items())
    ]
    factor, done, pieces = tokens / printed.tokens, 0, []
    for kind, key, end in known:
        whole = round(end * factor)
        pieces.append(Piece(key, kind, whole - done))
        done = whole
    return tuple(pieces)


def _hash(who: _Place, what: str, blocks: Sequence[BlockPrint]) -> int:
    return hash((who, what, *(block.hash for block in blocks)))
