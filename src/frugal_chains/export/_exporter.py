"""`OtelExporter`: a ledger's attempts as OpenTelemetry metrics and, if asked for, spans."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from importlib import import_module
from queue import SimpleQueue
from typing import Any, Final, NamedTuple, Self

from frugal_chains.errors import ExportError, wordless
from frugal_chains.export._observe import observe
from frugal_chains.export._otel import INSTRUMENTS, Measurement, corrections, measurements
from frugal_chains.export._spans import span_attributes, span_name
from frugal_chains.ledger import Attempt, Ledger

logger = logging.getLogger("frugal_chains.export")

MOST_WAITING: Final = 10_000
"""Attempts that may wait; more are dropped and counted, as nothing may wait for an exporter."""
REMEMBER_GIVEN_UP: Final = 1024
_SCOPE: Final = "frugal_chains"
_WAY_OUT: Final = "pip install 'frugal-chains[otel]' brings opentelemetry-api"


class _Waiting(NamedTuple):
    attempt: Attempt
    context: Any
    """The caller's, for the parent of a span."""


class OtelExporter:
    """Counts the attempts of a ledger with OpenTelemetry.

        exporter = OtelExporter().attach(ledger)

    Off until attached. Needs `opentelemetry-api` alone; without an SDK it does nothing. A call only
    puts its attempt into a queue: a thread of the exporter does the rest, and nothing it meets
    reaches the call.

    Args:
        tags: Tags that become attributes. None by default: each value is a time series of its own,
            and users or tenants are nobody's business until you say so.
        spans: Also make a span of each attempt, below the span that was current when it ended.
            Leave it off where another instrumentation makes spans of the same calls.
        openinference: Give spans the attributes of OpenInference too.
        estimated: Count estimated tokens, as the ledger does; the conventions leave them out.
        meter_provider: None: the global one.
        tracer_provider: None: the global one.

    Raises:
        ExportError: `opentelemetry-api` is not installed.
    """

    def __init__(
        self,
        *,
        tags: Sequence[str] = (),
        spans: bool = False,
        openinference: bool = False,
        estimated: bool = False,
        meter_provider: Any = None,
        tracer_provider: Any = None,
    ) -> None:
        try:
            metrics = import_module("opentelemetry.metrics")
            self._trace = import_module("opentelemetry.trace")
            self._current: Callable[[], Any] = import_module("opentelemetry.context").get_current
        except ImportError as error:
            raise ExportError(f"OpenTelemetry is not installed: {_WAY_OUT}") from error
        self.tags = tuple(tags)
        self.spans = spans
        self.openinference = openinference
        self.estimated = estimated
        self.dropped = 0
        """Attempts that found the queue full, or failed in the SDK."""
        meter = (meter_provider or metrics.get_meter_provider()).get_meter(_SCOPE)
        self._add = {name: _adder(meter, name) for name in INSTRUMENTS}
        traces = tracer_provider or self._trace.get_tracer_provider()
        self._tracer = traces.get_tracer(_SCOPE) if spans else None
        self._given_up: OrderedDict[str, list[Measurement]] = OrderedDict()
        self._ends: list[Callable[[], None]] = []
        self._begin()
        atexit.register(_flush_at_exit, weakref.ref(self))

    def attach(self, ledger: Ledger) -> Self:
        """Count every attempt that is recorded in `ledger` from now on, and what waits before it
        is closed."""
        self._ends.append(observe(ledger, self.see))
        ledger.close_first(self)
        return self

    def detach(self) -> None:
        """Count no more, of any ledger."""
        while self._ends:
            self._ends.pop()()

    def see(self, attempt: Attempt) -> None:
        """Take note of an attempt; returns at once."""
        if self._pid != os.getpid():  # a forked child: what waits is its parent's to count
            self._begin()
        if self._queue.qsize() >= MOST_WAITING:
            self.dropped += 1
            return
        self._queue.put(_Waiting(attempt, self._current()))
        if not self._started:
            self._start()

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until what has been seen is counted; False when that takes longer."""
        if not self._started or self._pid != os.getpid():
            return True
        done = threading.Event()
        self._queue.put(done)
        return done.wait(timeout_s)

    def close(self) -> None:
        """Count what waits. The providers are the application's, and stay open."""
        self.flush()

    def _begin(self) -> None:
        self._pid = os.getpid()
        # Finalizers see attempts too, in the middle of anything: `put` of this queue is reentrant.
        self._queue = SimpleQueue[_Waiting | threading.Event]()
        self._started = False
        self._starting = threading.Lock()

    def _start(self) -> None:
        if not self._starting.acquire(blocking=False):
            return
        try:
            if not self._started:
                queue = self._queue
                # Its last item lets the thread see that its owner is gone.
                owner = weakref.ref(self, lambda _: queue.put(threading.Event()))
                run = threading.Thread(target=_run, args=(owner, queue))
                run.name, run.daemon = "frugal-otel", True
                run.start()
                self._started = True
        except RuntimeError:  # no thread to be had, or the interpreter is going down
            self.dropped += self._queue.qsize()
        finally:
            self._starting.release()

    def _count(self, waiting: _Waiting) -> None:
        attempt = waiting.attempt
        found = measurements(attempt, tags=self.tags, estimated=self.estimated)
        before = self._given_up.pop(attempt.id, None)
        if attempt.status == "aborted" and before is None:
            self._given_up[attempt.id] = found
            if len(self._given_up) > REMEMBER_GIVEN_UP:
                self._given_up.popitem(last=False)
        for name, value, attributes in found if before is None else corrections(before, found):
            self._add[name](value, attributes)
        if self._tracer is not None and before is None:
            self._span(waiting)

    def _span(self, waiting: _Waiting) -> None:
        attempt = waiting.attempt
        assert self._tracer is not None
        span = self._tracer.start_span(
            span_name(attempt),
            context=waiting.context,
            kind=self._trace.SpanKind.CLIENT,
            attributes=span_attributes(attempt, tags=self.tags, openinference=self.openinference),
            start_time=attempt.at_us * 1000,
        )
        if attempt.status == "error":
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))
        span.end(attempt.at_us * 1000 + round((attempt.latency_s or 0) * 1e9))


def _adder(meter: Any, name: str) -> Callable[[float, Any], None]:
    counter, unit, about = INSTRUMENTS[name]
    make = meter.create_counter if counter else meter.create_histogram
    instrument = make(name, unit=unit, description=about)
    add: Callable[[float, Any], None] = instrument.add if counter else instrument.record
    return add


def _run(owner: weakref.ref[OtelExporter], queue: SimpleQueue[_Waiting | threading.Event]) -> None:
    """Count what comes, as long as the exporter lives."""
    while True:
        waiting = queue.get()
        exporter = owner()
        if isinstance(waiting, threading.Event):
            waiting.set()
        elif exporter is not None:
            try:
                exporter._count(waiting)
            except Exception as error:
                if not exporter.dropped:
                    logger.error("an attempt could not be exported", exc_info=wordless(error))
                exporter.dropped += 1
        if exporter is None:
            return
        del exporter, waiting  # the thread must not keep its owner alive


def _flush_at_exit(owner: weakref.ref[OtelExporter]) -> None:
    exporter = owner()
    if exporter is not None:
        exporter.flush(timeout_s=2.0)
