"""What a chooser of tools remembers: what conversations were offered, and which blocks are warm."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, TypeVar

from frugal_chains.compression.tools import Offered
from frugal_chains.facts import MessageFacts, RequestFacts

_REQUESTS: Final = 4_096
_BLOCKS: Final = 256
"""The oldest are forgotten beyond these: a forgotten conversation begins anew."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request as it was sent."""

    offered: Offered
    block_key: str
    block_tokens: int
    left_key: str
    """The block that all tools as they are would have been."""
    after_tokens: int
    """Of its messages."""
    head: int
    """A mark of its instructions, which other conversations may share; 0: it has none."""
    head_tokens: int
    asker: str
    """Whose cache has it: the model that was asked."""
    nanos: float
    """Of its input, expected."""
    at_s: float


@dataclass(frozen=True, slots=True)
class Recalled:
    """What is known of the conversation of a request."""

    sent: Sent
    messages: int
    """How many of the request's messages were sent then; 0: it is only known by its id."""


class ToolMemory:
    """Safe for threads. Times are seconds of one monotonic clock.

    A conversation is known by its messages: the last request that this one goes on from. Two that
    begin alike are one until they part, and one that is taken up at an earlier point goes on from
    there. Where messages were rewritten (a summary) its id leads to its last request.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: OrderedDict[tuple[str, int], Sent] = OrderedDict()
        self._blocks: OrderedDict[tuple[str, str], Sent] = OrderedDict()

    def recall(self, conversation: str, marks: Sequence[int], *, begun: bool) -> Recalled | None:
        """The request that this one goes on from.

        Args:
            conversation: Its id; empty: none.
            marks: `marks_of` its messages.
            begun: Whether an assistant has spoken in it: one that begins is no older one.
        """
        with self._lock:
            for count in range(len(marks), 0, -1):
                if sent := self._requests.get((conversation, marks[count - 1])):
                    return Recalled(sent, count)
            if conversation and begun and (sent := self._requests.get((conversation, 0))):
                return Recalled(sent, 0)
        return None

    def keep(self, conversation: str, marks: Sequence[int], sent: Sent) -> None:
        """A request goes out."""
        with self._lock:
            if marks:
                _put(self._requests, (conversation, marks[-1]), sent, _REQUESTS)
            if conversation:
                _put(self._requests, (conversation, 0), sent, _REQUESTS)
            _put(self._blocks, (sent.asker, sent.block_key), sent, _BLOCKS)

    def blocks(self, asker: str, *, since_s: float) -> list[Sent]:
        """The last request of each block of tools that a model was sent since then."""
        with self._lock:
            found = [sent for (whose, _), sent in self._blocks.items() if whose == asker]
        return [sent for sent in found if sent.at_s > since_s]


def marks_of(messages: Sequence[MessageFacts]) -> list[int]:
    """For each message a number that stands for it and all before it, in this process.

    Ids of tool calls are left out: another provider's model is shown others.
    """
    said = (
        hash((m.role, m.text, m.name, *((c.name, c.arguments) for c in m.tool_calls)))
        for m in messages
    )
    return list(accumulate(said, lambda before, this: hash((before, this)) or 1))


def has_begun(request: RequestFacts) -> bool:
    """Whether an assistant has spoken."""
    return any(each.role == "assistant" for each in request.messages)


def _put(kept: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
