"""The one pair of handlers that `track_cost` keeps on the root dispatcher while it is needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from llama_index_instrumentation import root_dispatcher

from frugal_chains.tracking import Tracker, current_tracker
from llama_index_frugal._gate import limiter_tracker
from llama_index_frugal._handlers import CostSpanHandler, RecorderEvents
from llama_index_frugal._recorder import Recorder
from llama_index_frugal._spans import Span


def _route(span: Span) -> Sequence[Tracker]:
    """The current block's tracker, and that of the model's own `BudgetRateLimiter`."""
    current = current_tracker()
    own = limiter_tracker(span.instance, current)
    return tuple(dict.fromkeys(tracker for tracker in (current, own) if tracker is not None))


class _Installation:
    """Counts who needs the handlers. They stay while any call is open, such as a stream that is
    read after its block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._installed = False
        self.recorder = Recorder(_route, on_idle=self._remove_unused)
        self._events = RecorderEvents(self.recorder)
        self._spans = CostSpanHandler(self._events)

    def add_user(self) -> None:
        with self._lock:
            self._users += 1
            if not self._installed:
                self._installed = True
                root_dispatcher.add_event_handler(self._events)
                root_dispatcher.add_span_handler(self._spans)

    def remove_user(self) -> None:
        with self._lock:
            self._users -= 1
        self._remove_unused()

    def _remove_unused(self) -> None:
        if self._users or len(self.recorder.calls):
            return
        with self._lock:
            if self._users or not self._installed:
                return
            self._installed = False
            # Handlers are pydantic models, equal when their fields are: find ours by identity.
            # New lists, because a dispatcher may be walking the old ones.
            root_dispatcher.event_handlers = [
                h for h in root_dispatcher.event_handlers if h is not self._events
            ]
            root_dispatcher.span_handlers = [
                h for h in root_dispatcher.span_handlers if h is not self._spans
            ]
            self.recorder.spans.clear()


_installation = _Installation()


@contextmanager
def handlers() -> Iterator[Recorder]:
    """Have the handlers installed for the code in the block."""
    _installation.add_user()
    try:
        yield _installation.recorder
    finally:
        _installation.recorder.calls.deferred.catch_up()
        _installation.remove_user()


def keep() -> None:
    """Have the handlers installed from now on."""
    _installation.add_user()


def enclosing_span(span_id: str | None) -> Span | None:
    """The open span of that id, where the handlers have seen it."""
    return _installation.recorder.spans.get(span_id) if span_id else None
