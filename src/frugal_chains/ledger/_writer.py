"""The writer: a thread of each open ledger that takes its inbox into the file, a moment later."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import Final, Protocol

logger = logging.getLogger("frugal_chains.ledger")

GATHER_S: Final = 0.02
"""How long arrivals are gathered before they are written: many attempts share one commit."""
TRY_AGAIN_S: Final = 0.25
"""How long to leave a ledger file alone that could not be written."""


class Flushes(Protocol):
    """Something whose arrivals wait to be written."""

    def flush(self) -> bool:
        """Write what waits. False when that was not possible now."""


class Writer:
    """Calls `flush` soon after `wake`, on a daemon thread that starts when first needed and ends
    with its owner."""

    def __init__(self, owner: Flushes) -> None:
        self._arrived = arrived = threading.Event()
        self._owner: Callable[[], Flushes | None] = weakref.ref(owner, lambda _: arrived.set())
        self._started = False
        self._awake = False

    def wake(self) -> None:
        """Something has arrived."""
        if self._awake:  # a look at a field: asking the event is a call, at every attempt
            return
        self._awake = True
        self._arrived.set()
        if not self._started:
            self._started = True
            thread = threading.Thread(target=self._run, name="frugal-ledger", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is going down: write now or never
                owner = self._owner()
                if owner is not None:
                    owner.flush()

    def stop(self) -> None:
        """Let the thread end; what waits is left to the caller."""
        self._owner = _gone
        self._arrived.set()

    def _run(self) -> None:
        pause = threading.Event()  # waiting on it lets a process that ends go at once
        while self._arrived.wait():
            pause.wait(GATHER_S)
            self._arrived.clear()
            self._awake = False  # before the flush: what comes from now on wakes it again
            owner = self._owner()
            if owner is None:
                return
            try:
                written = owner.flush()
            except Exception:
                logger.exception("what has arrived could not be written to the ledger")
                written = False
            del owner  # the thread must not keep its owner alive
            if not written:
                pause.wait(TRY_AGAIN_S)
                self._arrived.set()


def _gone() -> None:
    return None
