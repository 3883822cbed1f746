"""The writer: a thread of each open ledger that takes its inbox into the file, a moment later."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from contextvars import Context
from queue import SimpleQueue
from typing import Final, Protocol

from frugal_chains.errors import wordless

logger = logging.getLogger("frugal_chains.ledger")

GATHER_S: Final = 0.25
"""How long arrivals are gathered before they are written: many attempts share one commit, and a
thread that is busy is disturbed four times a second, not fifty."""
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
        # Finalizers wake the writer, in the writer's own thread too: `put` is reentrant, which
        # an event is not (docs.python.org/3/library/queue.html, SimpleQueue.put).
        self._wakes = wakes = SimpleQueue[None]()
        self._owner: Callable[[], Flushes | None] = weakref.ref(owner, lambda _: wakes.put(None))
        self._started = False
        self._awake = False

    def wake(self) -> None:
        """Something has arrived."""
        if self._awake:  # a look at a field: the queue is asked once for many attempts
            return
        self._awake = True
        self._wakes.put(None)
        if not self._started:
            self._start()

    def _start(self) -> None:
        self._started = True
        thread = threading.Thread(target=self._run, name="frugal-ledger", daemon=True)
        try:
            # In an empty context: one of the caller's block would keep the block with the thread.
            Context().run(thread.start)
        except RuntimeError:  # no thread to be had, or the interpreter is going down: write now
            self._started = self._awake = False
            owner = self._owner()
            if owner is not None:
                owner.flush()

    def stop(self) -> None:
        """Let the thread end; what waits is left to the caller."""
        self._owner = _gone
        self._wakes.put(None)

    def _run(self) -> None:
        pause = threading.Event()  # waiting on it lets a process that ends go at once
        while True:
            self._wakes.get()
            pause.wait(GATHER_S)
            self._awake = False  # before the flush: what comes from now on wakes it again
            owner = self._owner()
            if owner is None:
                return
            try:
                written = owner.flush()
            except Exception as error:
                logger.error(
                    "what has arrived could not be written to the ledger", exc_info=wordless(error)
                )
                written = False
            del owner  # the thread must not keep its owner alive
            if not written:
                pause.wait(TRY_AGAIN_S)
                self._wakes.put(None)


def _gone() -> None:
    return None
