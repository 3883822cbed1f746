"""Turns that were decided a moment ago: a call that is made again finds its own."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeAlias

from frugal_chains.dispatch.memory import History, Turn
from frugal_chains.memory import MemoryState

_REMEMBERED: Final = 128
AGAIN_S: Final = 600.0
"""For so long a call with the same history and the same state is the same one, made again: retries
wait for seconds or minutes."""

_Key: TypeAlias = tuple[str, str, str, int, int, MemoryState]


class RecentTurns:
    """By thread, history and state, and by who answers: a model that is asked in the place of
    another may have a smaller window. Safe for threads.

    Args:
        clock: Seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._turns: OrderedDict[_Key, tuple[float, Turn]] = OrderedDict()

    def get(self, thread: str, history: History, state: MemoryState) -> Turn | None:
        """The turn of this very call, if it was made before."""
        with self._lock:
            at_s, turn = self._turns.get(_key(thread, history, state), (0.0, None))
        return turn if turn is not None and self._clock() - at_s <= AGAIN_S else None

    def keep(self, thread: str, history: History, state: MemoryState, turn: Turn) -> None:
        """Remember a turn."""
        with self._lock:
            self._turns[_key(thread, history, state)] = (self._clock(), turn)
            if len(self._turns) > _REMEMBERED:
                self._turns.popitem(last=False)


def _key(thread: str, history: History, state: MemoryState) -> _Key:
    keys = tuple(history.keys)
    return (thread, history.provider, history.model, len(keys), hash(keys), state)
