"""`Patience`: code that is not ours gets so much time, and no more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Final, TypeVar

T = TypeVar("T")

_MOST_HANGING: Final = 4
"""Threads of one kind of work that may hang at a time; with so many it is not begun any more."""


class GaveUp(TimeoutError):
    """The work was not waited for; the message says why, for a person to read."""


class Patience:
    """Waits for work only so long. Safe for threads.

    Each piece of work has a thread of its own, the only way to give up waiting for it. What hangs
    for good goes on hanging there; it does not keep the process from ending.
    """

    def __init__(self, name: str, limit_s: float) -> None:
        self._name, self.limit_s = name, limit_s
        self._hanging: list[threading.Thread] = []
        self._lock = threading.Lock()

    def wait_for(self, work: Callable[[], T]) -> T:
        """Do it, in the context of this thread.

        Raises:
            GaveUp: it took longer, or too many earlier pieces of it still hang.
            Exception: what the work has raised; a `RuntimeError` where that would end the process.
        """
        with self._lock:
            self._hanging = [thread for thread in self._hanging if thread.is_alive()]
            hanging = len(self._hanging)
        if hanging >= _MOST_HANGING:
            raise GaveUp(f"{hanging} earlier calls of it still hang")
        done: Future[T] = Future()
        context = copy_context()

        def run() -> None:
            try:
                done.set_result(context.run(work))
            except Exception as error:
                done.set_exception(error)
            except BaseException as error:  # SystemExit: this thread is its end
                done.set_exception(RuntimeError(type(error).__name__))

        thread = threading.Thread(target=run, name=self._name, daemon=True)
        thread.start()
        try:
            return done.result(self.limit_s)
        except TimeoutError:
            if done.done():  # then the work itself has raised it
                raise
            with self._lock:
                self._hanging.append(thread)
            raise GaveUp(f"no answer within {self.limit_s:g} s") from None

    async def await_for(self, work: Awaitable[T]) -> T:
        """As `wait_for`, of what is awaited; it is cancelled when its time is over."""
        try:
            async with asyncio.timeout(self.limit_s) as limit:
                return await work
        except TimeoutError:
            if not limit.expired():  # then the work itself has raised it
                raise
            raise GaveUp(f"no answer within {self.limit_s:g} s") from None
