"""The current tracker: how code that was handed nothing finds the books.

A context variable carries it through calls, tasks and `asyncio.to_thread`. Threads start with an
empty context (before Python 3.14), so while any block is open the threads started and the work
submitted to thread pools inside it take their tracker along.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frugal_chains.tracking._tracker import Tracker

_current: ContextVar[Tracker | None] = ContextVar("frugal_tracker", default=None)
_submitting: ContextVar[bool] = ContextVar("frugal_submitting", default=False)
_ATTRIBUTE = "_frugal_tracker"


def current_tracker() -> Tracker | None:
    """The tracker of the innermost open block around this code, if any."""
    found = _current.get()
    if found is None:
        found = getattr(threading.current_thread(), _ATTRIBUTE, None)
    return found


@contextmanager
def use_tracker(tracker: Tracker) -> Iterator[None]:
    """Make `tracker` current for the code in the block, and for the threads it starts."""
    _carriers.install()
    token = _current.set(tracker)
    try:
        yield
    finally:
        _current.reset(token)
        _carriers.uninstall()


class _ThreadCarriers:
    """Wraps `Thread.start` and `ThreadPoolExecutor.submit` while blocks are open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.users = 0
        self._start: Callable[[threading.Thread], None] = threading.Thread.start
        self._submit: Callable[..., Future[Any]] = ThreadPoolExecutor.submit

    def install(self) -> None:
        with self._lock:
            self.users += 1
            if self.users > 1:
                return
            self._start, self._submit = threading.Thread.start, ThreadPoolExecutor.submit
            self._wrapped_start = _wrap_start(self._start)
            self._wrapped_submit = _wrap_submit(self._submit)
            threading.Thread.start = self._wrapped_start  # type: ignore[method-assign, assignment]
            ThreadPoolExecutor.submit = self._wrapped_submit  # type: ignore[method-assign]

    def uninstall(self) -> None:
        with self._lock:
            self.users -= 1
            if self.users:
                return
            # Somebody who wrapped us meanwhile keeps their wrapper; ours then does nothing.
            if threading.Thread.start is self._wrapped_start:
                threading.Thread.start = self._start  # type: ignore[method-assign, assignment]
            if ThreadPoolExecutor.submit is self._wrapped_submit:
                ThreadPoolExecutor.submit = self._submit  # type: ignore[method-assign]


def _wrap_start(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    @functools.wraps(start)
    def start_with_tracker(thread: threading.Thread) -> None:
        # A pool's workers outlive the block that made them: their work brings its own tracker.
        tracker = None if _submitting.get() else current_tracker()
        if tracker is not None:
            setattr(thread, _ATTRIBUTE, tracker)
        start(thread)

    return start_with_tracker


def _wrap_submit(submit: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    @functools.wraps(submit)
    def submit_with_tracker(
        pool: ThreadPoolExecutor, work: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        tracker = current_tracker()
        token = _submitting.set(True)
        try:
            if tracker is None:
                return submit(pool, work, *args, **kwargs)
            return submit(pool, _run_with, tracker, work, *args, **kwargs)
        finally:
            _submitting.reset(token)

    return submit_with_tracker


def _run_with(tracker: Tracker, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    token = _current.set(tracker)
    try:
        return work(*args, **kwargs)
    finally:
        _current.reset(token)


_carriers = _ThreadCarriers()
