"""`MemoryStates`: states of conversations, where the framework keeps none."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from frugal_chains.memory import MemoryState

_REMEMBERED: Final = 4096
"""Conversations, the least recently used go first: such a one is compacted anew when it goes on."""


class MemoryStates:
    """By conversation, in this process. Safe for threads.

    Two turns of one conversation at the same time cannot undo each other: the one that comes later
    finds what the other has left, or is told that it has lost.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: OrderedDict[str, MemoryState] = OrderedDict()
        self._compacting: set[str] = set()

    def get(self, conversation: str) -> MemoryState:
        """The state of a conversation; an empty one for a new conversation."""
        with self._lock:
            found = self._states.get(conversation)
            if found is None:
                return MemoryState()
            self._states.move_to_end(conversation)
            return found

    def put(self, conversation: str, before: MemoryState, after: MemoryState) -> bool:
        """Replace `before`, as `get` has returned it; False: another turn was faster, and what it
        has left stays."""
        with self._lock:
            if self._states.get(conversation, MemoryState()) != before:
                return False
            self._states[conversation] = after
            self._states.move_to_end(conversation)
            if len(self._states) > _REMEMBERED:
                self._states.popitem(last=False)
            return True

    def forget(self, conversation: str) -> None:
        """Begin anew."""
        with self._lock:
            self._states.pop(conversation, None)

    @contextmanager
    def turn(self, conversation: str) -> Iterator[bool]:
        """Whether this turn may compact: one at a time does, others send what there is."""
        with self._lock:
            free = conversation not in self._compacting
            self._compacting.add(conversation)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._compacting.discard(conversation)
