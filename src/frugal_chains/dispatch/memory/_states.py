"""`MemoryStates`: states of conversations, where the framework keeps none."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from frugal_chains.memory import Account, MemoryState

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

    def settle(self, conversation: str, before: MemoryState, after: MemoryState) -> bool:
        """As `put`, for a turn that cost something: where other turns have only counted their
        calls meanwhile, both are kept. False: another one has compacted; what it has left stays,
        and this turn's call is counted.

        Args:
            conversation: Its name.
            before: What the turn began with.
            after: What it ends with.
        """
        with self._lock:
            now = self._states.get(conversation, MemoryState())
            same = (now.segments, now.quiet_until_tokens) == (
                before.segments,
                before.quiet_until_tokens,
            )
            account = _joined(before.account, now.account, after.account, rent=not same)
            kept = replace(after if same else now, account=account)
            self._states[conversation] = after if now == before else kept
            self._states.move_to_end(conversation)
            if len(self._states) > _REMEMBERED:
                self._states.popitem(last=False)
            return same

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


def _joined(before: Account, now: Account, after: Account, *, rent: bool) -> Account:
    """The account when two turns that began with `before` have ended.

    Args:
        before: Of both.
        now: With the one that ended first.
        after: With the one that ends now, alone.
        rent: Whether the rent is the first one's: it has compacted.
    """
    return replace(
        now if rent else after,
        calls=now.calls + after.calls - before.calls,
        spent_nanos=now.spent_nanos + after.spent_nanos - before.spent_nanos,
        unmanaged_nanos=now.unmanaged_nanos + after.unmanaged_nanos - before.unmanaged_nanos,
    )
