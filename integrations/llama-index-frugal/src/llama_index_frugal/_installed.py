"""The one pair of handlers that `track_cost` keeps on the root dispatcher while it is needed."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence

from llama_index_instrumentation import root_dispatcher

from frugal_chains.tracking import Tracker, current_tracker
from llama_index_frugal._gate import limiter_tracker
from llama_index_frugal._handlers import CostSpanHandler, RecorderEvents
from llama_index_frugal._recorder import Recorder
from llama_index_frugal._spans import Span


def _route(span: Span) -> Sequence[Tracker]:
    """The tracker of the block, and those of the `BudgetRateLimiter`s around the call: of the model
    itself, and of the wrappers that run it."""
    # What a wrapper's stream runs is reported where that stream is, its limiters included.
    origin = span.origins[0].trackers if span.origins else ()
    current = origin[0] if origin else current_tracker()
    found = dict.fromkeys(origin or ([current] if current is not None else ()))
    limiter = limiter_tracker(span.instance, current)
    if limiter is not None:
        found[limiter] = None
    for above in span.above():
        limiter = limiter_tracker(above.instance, current)
        if limiter is not None:
            found[limiter] = None
    return tuple(found)


class _Installation:
    """Keeps the handlers on the dispatcher while anyone needs them: a block's tracker is needed
    as long as the block, its tasks, threads and streams live."""

    def __init__(self) -> None:
        # Users may be collected anywhere, also in here: the lock is reentrant, the steps atomic.
        self._lock = threading.RLock()
        self._users: set[int] = set()
        self.recorder = Recorder(_route)
        self._events = RecorderEvents(self.recorder)
        self._spans = CostSpanHandler(self._events)

    def add_user(self, user: object) -> None:
        with self._lock:
            self._users.add(id(user))
            # By identity: handlers are pydantic models, equal when their fields are.
            if not any(h is self._events for h in root_dispatcher.event_handlers):
                root_dispatcher.add_event_handler(self._events)
            if not any(h is self._spans for h in root_dispatcher.span_handlers):
                root_dispatcher.add_span_handler(self._spans)
        weakref.finalize(user, self._remove_user, id(user)).atexit = False

    def _remove_user(self, user_id: int) -> None:
        with self._lock:
            self._users.discard(user_id)
            if self._users:
                return
            # New lists, because the dispatcher may be walking the old ones.
            root_dispatcher.event_handlers = [
                h for h in root_dispatcher.event_handlers if h is not self._events
            ]
            root_dispatcher.span_handlers = [
                h for h in root_dispatcher.span_handlers if h is not self._spans
            ]
            self.recorder.spans.clear()


_installation = _Installation()


def install_for(user: object) -> None:
    """Have the handlers installed as long as `user` lives."""
    _installation.add_user(user)


def enclosing_span(span_id: str | None) -> Span | None:
    """The open span of that id, where the handlers have seen it."""
    return _installation.recorder.spans.get(span_id) if span_id else None
