"""States of conversations that have no name: found by what they begin with."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from frugal_chains.dispatch.memory import Turn
from frugal_chains.memory import MemoryState

_REMEMBERED: Final = 1024
"""Turns of all conversations."""
_BACK: Final = 64
"""So many messages at most lie between two calls of a model: an agent's tool results and what the
person says."""


class Snapshots:
    """The last turn of each conversation, by a hash of all its messages. Safe for threads.

    A conversation goes on from the longest history that it begins with, and so do its forks: they
    do not disturb each other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: OrderedDict[str, Turn] = OrderedDict()

    def before(self, keys: Sequence[str]) -> MemoryState:
        """The state to go on from."""
        with self._lock:
            for name in _names(keys)[1:]:
                found = self._turns.get(name)
                if found is not None:
                    return found.state
        return MemoryState()

    def same(self, keys: Sequence[str]) -> Turn | None:
        """The turn of this very history, if there was one."""
        with self._lock:
            return self._turns.get(_names(keys)[0])

    def keep(self, keys: Sequence[str], turn: Turn) -> None:
        """Remember a turn."""
        with self._lock:
            self._turns[_names(keys)[0]] = turn
            if len(self._turns) > _REMEMBERED:
                self._turns.popitem(last=False)


def _names(keys: Sequence[str]) -> list[str]:
    """Of the history, and of what it was one message ago, two, and so on."""
    early = max(0, len(keys) - _BACK)
    running = hashlib.blake2b(_joined(keys[:early]), digest_size=16)
    names = [running.hexdigest()]
    for key in keys[early:]:
        running.update(_joined([key]))
        names.append(running.hexdigest())
    return names[::-1]


def _joined(keys: Sequence[str]) -> bytes:
    return "".join(f"{len(key)}:{key}" for key in keys).encode("utf-8", "surrogatepass")
