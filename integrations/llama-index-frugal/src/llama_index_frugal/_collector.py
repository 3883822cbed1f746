"""Work that must not be done while the garbage collector runs.

A stream that is dropped inside a reference cycle is closed by the collector, which may run in the
middle of any statement: also of one that holds a lock of the ledger, in the same thread. Booking
the stream there would wait for that lock for ever.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

_collecting: set[int] = set()


def _watch(phase: str, info: Any) -> None:
    change = _collecting.add if phase == "start" else _collecting.discard
    change(threading.get_ident())


class Deferred:
    """Runs work at once, or, when called by the collector, at the next `catch_up`."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[Callable[[], object]] = SimpleQueue()  # its put is reentrant
        if _watch not in gc.callbacks:
            gc.callbacks.append(_watch)

    def run(self, work: Callable[[], object]) -> None:
        if _collecting and threading.get_ident() in _collecting:
            self._waiting.put(work)
        else:
            self.catch_up()
            work()

    def catch_up(self) -> None:
        """Do what waits."""
        while not self._waiting.empty():
            self._waiting.get()()
