"""The open calls of a recorder, and what may happen to each: begin, admit, end, fail, withdraw."""

from __future__ import annotations

import inspect
import logging
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Final

from frugal_chains.tracking import CallEnd, CallStart, Tracker
from llama_index_frugal._collector import Deferred
from llama_index_frugal._refusal import refused_before_sending
from llama_index_frugal._response import failed

logger = logging.getLogger("llama_index_frugal")

LAST_CHUNKS: Final = 4
"""Chunks of a stream that are kept for its end: usage may come before the last of them."""
_NOT_HELD: Final = "budget not held: the model did not ask its rate_limiter"
_UNREADABLE: Final = "the response could not be read: see the log"


class Call:
    """One open call, reported to one or more trackers."""

    __slots__ = (
        "admitted", "cached", "chunks", "frame_id", "start", "stream", "texts", "trackers"
    )  # fmt: skip

    def __init__(self, start: CallStart, trackers: Sequence[Tracker]) -> None:
        self.start = start
        self.trackers = trackers
        self.chunks: deque[Any] = deque(maxlen=LAST_CHUNKS)
        self.texts: Sequence[str] = ()
        """Of an embedding: what is embedded."""
        self.cached: frozenset[str] | None = frozenset()
        """Those of `texts` that the embedding's cache had; None when that is not known."""
        self.admitted = False
        self.stream: weakref.ref[Any] | None = None
        self.frame_id = 0

    @property
    def key(self) -> str:
        return self.start.key

    @property
    def has_budgets(self) -> bool:
        return any(tracker.guard.budgets for tracker in self.trackers)


class Calls:
    """Open calls by key. `on_idle` is called whenever none is left."""

    def __init__(self, on_idle: Callable[[], object]) -> None:
        self._open: dict[str, Call] = {}
        self._streams: dict[int, Call] = {}
        self._on_idle = on_idle
        self._warned: set[str] = set()
        self.deferred = Deferred()

    def get(self, key: str) -> Call | None:
        return self._open.get(key)

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, call: Call) -> None:
        self._open[call.key] = call
        for tracker in call.trackers:
            tracker.begin(call.start, reserve=False)

    def admit(self, call: Call) -> None:
        """Hold the worst case of a call in its budgets, at its first asking.

        Raises:
            BudgetExceeded: there is no room. The call is still to be withdrawn.
        """
        if call.admitted:
            return
        call.admitted = True
        # Trackers of one ledger share the call, and the first of them holds for all.
        asking = {t.ledger: t for t in reversed(call.trackers) if t.guard.budgets}
        for tracker in asking.values():
            tracker.reserve(call.key)

    def end(self, call: Call, read: Callable[[], CallEnd]) -> None:
        """Book a call with what `read` finds."""
        self._forget(call)
        try:
            end = read()
        except Exception:
            logger.exception("a response could not be read; its usage is estimated")
            end = CallEnd(note=_UNREADABLE)
        if end.status == "ok" and call.has_budgets and not call.admitted:
            self._warn_not_held(call.start.model)
            end = replace(end, note="; ".join(filter(None, [end.note, _NOT_HELD])))
        for tracker in call.trackers:
            tracker.end(call.key, end)

    def fail(self, call: Call, error: BaseException | None) -> None:
        """Book a call that failed or was given up; forget one that was refused before it was sent.

        Without an error the stream of the call was dropped.
        """
        if error is not None and refused_before_sending(error):
            self.withdraw(call)
        else:
            self.end(call, lambda: failed(error, call.chunks, provider=call.start.provider))

    def withdraw(self, call: Call) -> None:
        """Forget a call that was never sent by itself."""
        self._forget(call)
        for tracker in call.trackers:
            tracker.withdraw(call.key)

    # -- streams -------------------------------------------------------------------------------

    def follow(
        self, call: Call, stream: GeneratorType[Any, Any, Any] | AsyncGeneratorType[Any, Any]
    ) -> None:
        """Book a call as given up when nobody holds its stream any more."""
        key = call.key
        call.stream = weakref.ref(stream, lambda _: self._stream_gone(key))
        frame = stream.gi_frame if isinstance(stream, GeneratorType) else stream.ag_frame
        call.frame_id = id(frame)
        self._streams[call.frame_id] = call

    def streams_around(self) -> Iterator[Call]:
        """The calls out of whose stream this code is being run.

        A wrapper may make the real call only when its stream is first read, from within its
        generator (`CustomLLM.astream_chat`, `StructuredLLM.stream_chat`); its span is over by then.
        """
        if not self._streams:
            return
        frame = inspect.currentframe()
        while frame is not None:
            call = self._streams.get(id(frame))
            if call is not None:
                yield call
            frame = frame.f_back

    def _warn_not_held(self, model: str) -> None:
        if model not in self._warned:
            self._warned.add(model)
            logger.warning("%s: %s", model, _NOT_HELD)

    def _stream_gone(self, key: str) -> None:
        def give_up() -> None:
            call = self._open.get(key)
            if call is not None:
                self.fail(call, None)

        self.deferred.run(give_up)

    def _forget(self, call: Call) -> None:
        self._open.pop(call.key, None)
        self._streams.pop(call.frame_id, None)
        if not self._open:
            self._on_idle()
