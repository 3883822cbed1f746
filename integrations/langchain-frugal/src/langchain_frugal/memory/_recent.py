"""Turns that were decided a moment ago: a call that is made again finds its own."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from frugal_chains.dispatch.memory import Turn
from frugal_chains.memory import MemoryState

_REMEMBERED: Final = 128
AGAIN_S: Final = 600.0
"""For so long a call with the same history and the same state is the same one, made again: retries
wait for seconds or minutes."""

_Key: TypeAlias = tuple[str, int, int, MemoryState]


class RecentTurns:
    """By thread, history and state. Safe for threads.

    Args:
        clock: Seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._turns: OrderedDict[_Key, tuple[float, Turn]] = OrderedDict()

    def get(self, thread: str, keys: Sequence[str], state: MemoryState) -> Turn | None:
        """The turn of this very call, if it was made before."""
        with self._lock:
            at_s, turn = self._turns.get(_key(thread, keys, state), (0.0, None))
        return turn if turn is not None and self._clock() - at_s <= AGAIN_S else None

    def keep(self, thread: str, keys: Sequence[str], state: MemoryState, turn: Turn) -> None:
        """Remember a turn."""
        with self._lock:
            self._turns[_key(thread, keys, state)] = (self._clock(), turn)
            if len(self._turns) > _REMEMBERED:
                self._turns.popitem(last=False)


def _key(thread: str, keys: Sequence[str], state: MemoryState) -> _Key:
    return (thread, len(keys), hash(tuple(keys)), state)
