"""What of a conversation's requests changes from call to call: the time in a system prompt, tools
that are chosen anew, a window that slides. What keeps changing is not worth a marker."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

_CONVERSATIONS: Final = 1_024
_BYTES: Final = 6
"""Of a block's hash: it is compared with one other."""
_LATEST: Final = 3
"""Pairs of requests that are looked at: most of them have to agree."""

Kind = Literal["tools", "system", "message"]
KINDS: Final[tuple[Kind, ...]] = ("tools", "system", "message")


class Part(NamedTuple):
    """The blocks of one kind, in the order in which they were given."""

    hashes: bytes = b""
    stable: int = 0
    """So many at the beginning that nobody has called volatile."""

    @property
    def size(self) -> int:
        return len(self.hashes) // _BYTES

    def at(self, place: int) -> bytes:
        return self.hashes[place * _BYTES : (place + 1) * _BYTES]

    def begins(self, other: Part) -> bool:
        """Whether another one goes on where this one ends."""
        return other.size > self.size and other.hashes.startswith(self.hashes)


@dataclass(slots=True)
class _Habit:
    parts: dict[Kind, Part]
    changed: deque[dict[Kind, frozenset[int]]] = field(
        default_factory=lambda: deque(maxlen=_LATEST)
    )


def part_of(hashes: Sequence[bytes], volatile: Sequence[bool]) -> Part:
    """Of blocks of one kind: the hash of each, and whether it was called volatile."""
    stable = next((at for at, is_volatile in enumerate(volatile) if is_volatile), len(hashes))
    return Part(b"".join(each[:_BYTES] for each in hashes), stable)


class Habits:
    """Of the latest conversations. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Habit] = OrderedDict()

    def changing(
        self, conversation: str, parts: dict[Kind, Part], *, named: bool, remember: bool = True
    ) -> dict[Kind, frozenset[int]]:
        """By kind: places among its like of blocks that keep changing.

        Args:
            conversation: By which its requests are told from others'.
            parts: Of this request, all three kinds.
            named: The caller has given the name. Else two conversations may begin alike: only a
                request that goes on where the one before ended says anything, and nothing of
                messages.
            remember: This request is one of the conversation.
        """
        with self._lock:
            if not remember:
                known = self._known.get(conversation)
                return {kind: _mostly(known.changed if known else (), kind) for kind in KINDS}
            habit = self._known.setdefault(conversation, _Habit(parts))
            self._known.move_to_end(conversation)
            if len(self._known) > _CONVERSATIONS:
                self._known.popitem(last=False)
            before, habit.parts = habit.parts, parts
            if before is not parts and (named or before["message"].begins(parts["message"])):
                habit.changed.append({kind: _changed(kind, before, parts) for kind in KINDS})
            return {kind: _mostly(habit.changed, kind) for kind in KINDS}


def _changed(kind: Kind, before: dict[Kind, Part], after: dict[Kind, Part]) -> frozenset[int]:
    """Places at which a request differs from the one before. Of tools and messages the first is
    told: what stands behind it is not read either. Messages that are only more differ nowhere."""
    one, other = before[kind], after[kind]
    if kind == "system" and one.size == other.size:
        return frozenset(at for at in range(one.size) if one.at(at) != other.at(at))
    length = one.stable if kind == "message" else max(one.size, other.size)
    first = next((at for at in range(length) if one.at(at) != other.at(at)), None)
    return frozenset() if first is None else frozenset((first,))


def _mostly(changed: Sequence[dict[Kind, frozenset[int]]], kind: Kind) -> frozenset[int]:
    found = [each[kind] for each in changed if each[kind]]
    return frozenset().union(*found) if 2 * len(found) > len(changed) else frozenset()
