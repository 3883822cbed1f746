"""`Recorder`: LlamaIndex's events and spans in, calls of trackers out. Leaf attempts, once each."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from llama_index_instrumentation.dispatcher import active_instrument_tags

from frugal_chains.errors import wordless
from frugal_chains.tracking import CallEnd, CallStart, Tracker
from llama_index_frugal import _gate
from llama_index_frugal._booked_answers import BookedAnswers
from llama_index_frugal._calls import Call, Calls, needs_no_model
from llama_index_frugal._embedding_events import EmbeddingEvents
from llama_index_frugal._request import llm_start
from llama_index_frugal._response import Answer, finished
from llama_index_frugal._spans import Span, SpanTree
from llama_index_frugal._streams import Origin, Streams, is_stream

logger = logging.getLogger("llama_index_frugal")

Route = Callable[[Span], Sequence[Tracker]]


class Recorder:
    """Follows the model calls that a dispatcher announces.

    A wrapper announces a call of its own and then makes the real one inside it (`CustomLLM`,
    `Anthropic.complete`, `StructuredLLM`): the outer call is withdrawn when the inner one starts.

    Args:
        route: The trackers that the calls of a span are reported to.
    """

    def __init__(self, route: Route) -> None:
        self.spans = SpanTree()
        self.calls = Calls()
        self._streams = Streams()
        self._booked = BookedAnswers()
        self._embeddings = EmbeddingEvents(self.calls)
        self._route = route
        self._asking = threading.Lock()
        self._warned = False
        _gate.register(self)

    # -- spans ---------------------------------------------------------------------------------

    def enter_span(
        self, id_: str, parent_id: str | None, instance: Any, arguments: Mapping[str, Any]
    ) -> None:
        """Take the start of a span. Never raises, as `handle`."""
        try:
            self._entered(id_, parent_id, instance, arguments)
        except Exception as error:
            logger.error(
                "calls in %s may not be booked, and its budgets not held",
                id_,
                exc_info=wordless(error),
            )

    def leave_span(self, id_: str, result: Any = None) -> None:
        """Take the end of a span. Never raises, as `handle`."""
        try:
            self._left(id_, result)
        except Exception as error:
            logger.error("the end of %s was not noticed", id_, exc_info=wordless(error))

    def _entered(
        self, id_: str, parent_id: str | None, instance: Any, arguments: Mapping[str, Any]
    ) -> None:
        span = self.spans.enter(id_, parent_id, instance, arguments)
        if _gate.can_stand_at(instance) and any(t.guard.budgets for t in self._trackers_of(span)):
            _gate.put_up(instance)
            span.gated = True

    def _left(self, id_: str, result: Any) -> None:
        span = self.spans.leave(id_)
        if span is not None and span.gated:
            _gate.take_down(span.instance)
        if span is None or not is_stream(result):
            for call in self.calls.in_span(id_):
                self.calls.leave_behind(call)
            return
        trackers = self._trackers_of(span)
        if trackers:
            for call in self.calls.in_span(id_):
                call.streamed = True
            tags = {**span.origin_tags, **active_instrument_tags.get()}
            origin = Origin(span_id=id_, root_id=span.root_id, trackers=trackers, tags=tags)
            self._streams.follow(result, origin, self._stream_gone)

    def admit(self, span_id: str) -> None:
        """Hold the worst case of the call that runs in a span.

        Raises:
            BudgetExceeded: there is no room. The span is dropped with it, and the call withdrawn.
        """
        waiting = self._embeddings.open_in(span_id) or self.calls.in_span(span_id)
        with self._asking:
            call = next((call for call in waiting if not call.asked), None)
            if call is None:
                return
            call.asked = True
        self.calls.admit(call)

    # -- events --------------------------------------------------------------------------------

    def handle(self, event: Any) -> None:
        """Take one event. Never raises: LlamaIndex would drop it without a word."""
        act = _ACTIONS.get(event.class_name())
        if act is None:
            return
        try:
            act(self, event)
        except Exception as error:
            logger.error(
                "a call may not have been booked: %s failed",
                event.class_name(),
                exc_info=wordless(error),
            )

    def _llm_started(self, event: Any) -> None:
        span, trackers = self._place_of(event)
        if not trackers:
            return
        beside = self.calls.in_span(event.span_id)
        if any(call.event.id_ == event.id_ for call in beside):
            return  # a handler that was installed twice
        around = (*(above.id for above in span.above()), *(o.span_id for o in span.origins))
        for outer in map(self.calls.in_span, around):
            for call in (*outer,):
                self.calls.withdraw(call)
        start = llm_start(event, span)
        if beside:
            start = start._replace(key=event.id_)
        self.calls.begin(Call(start, trackers, span.instance, event))

    def _llm_progressed(self, event: Any) -> None:
        call = self.calls.of(event)
        if call is None:
            return
        if not call.answer.chunks:
            for tracker in call.trackers:
                tracker.first_token(call.key)
        call.answer.add(event.response)

    def _llm_ended(self, event: Any) -> None:
        call = self.calls.of(event)
        if call is None:
            return
        answer, start = call.answer, call.start
        if needs_no_model(call.instance):
            self.calls.end(call, lambda: CallEnd(status="cached"))
            return
        streamed = bool(answer.chunks) or call.streamed
        if not answer.chunks and event.response is not None:
            answer.add(event.response)
        self.calls.end(call, lambda: self._finished(answer, start, streamed=streamed))

    def _finished(self, answer: Answer, start: CallStart, *, streamed: bool) -> CallEnd:
        end = finished(
            answer,
            provider=start.provider,
            streamed=streamed,
            caches=lambda: bool(start.request().cache_ttl),
        )
        return self._booked.judge(end, answer.chunks[-1]) if answer.chunks else end

    def _embedding_started(self, event: Any) -> None:
        span, trackers = self._place_of(event)
        if trackers and event.span_id is not None:
            self._embeddings.started(event, span, trackers)

    def _embedding_ended(self, event: Any) -> None:
        self._embeddings.ended(event)

    def _stream_failed(self, event: Any) -> None:
        calls = self.calls.in_span(event.span_id)
        if calls:
            read = next((call for call in calls if call.answer.chunks), calls[0])
            self.calls.fail(read, event.exception)

    def _span_dropped(self, event: Any) -> None:
        # The event has the error's text alone, but it is dispatched while the error is handled.
        span_id, error = event.span_id, sys.exception()
        if self._embeddings.open_in(span_id):
            self._embeddings.failed(span_id, error)
        for number, call in enumerate((*self.calls.in_span(span_id),)):
            if number == 0:
                self.calls.fail(call, error)
            else:  # nobody waits for the end of those beside it
                self.calls.end(call, lambda: CallEnd(status="aborted", error_kind="lost"))

    def _stream_gone(self, span_id: str) -> None:
        """Book a stream that nobody holds any more: it was never read, or never closed."""
        try:
            for call in (*self.calls.in_span(span_id),):
                self.calls.fail(call, None)
        except Exception as error:
            logger.error("a dropped stream may not have been booked", exc_info=wordless(error))

    def _place_of(self, event: Any) -> tuple[Span, Sequence[Tracker]]:
        """The span an event belongs to, and the trackers to report to."""
        span = self.spans.get(event.span_id) if event.span_id is not None else None
        if span is None:
            span = Span(event.span_id or event.id_)
            self._warn("no CostSpanHandler saw the span of %s %s: calls made by wrappers will be "
                       "counted twice, budgets do not hold, and a failure outside any span is "
                       "booked when the ledger closes",
                       event.class_name(), event.span_id)  # fmt: skip
        return span, self._trackers_of(span)

    def _trackers_of(self, span: Span) -> Sequence[Tracker]:
        """Where a span's calls go: to the block in which the stream that runs it was made, else to
        the block it runs in."""
        if span.trackers is None:
            span.origins = tuple(self._streams.around())
            if span.origins:
                span.root_id = span.origins[0].root_id
            span.trackers = self._route(span)
        return span.trackers

    def _warn(self, message: str, *arguments: str) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(message, *arguments)


_ACTIONS: Final[Mapping[str, Callable[[Recorder, Any], None]]] = {
    "LLMChatStartEvent": Recorder._llm_started,
    "LLMCompletionStartEvent": Recorder._llm_started,
    "LLMChatInProgressEvent": Recorder._llm_progressed,
    "LLMCompletionInProgressEvent": Recorder._llm_progressed,
    "LLMChatEndEvent": Recorder._llm_ended,
    "LLMCompletionEndEvent": Recorder._llm_ended,
    "EmbeddingStartEvent": Recorder._embedding_started,
    "EmbeddingEndEvent": Recorder._embedding_ended,
    "ExceptionEvent": Recorder._stream_failed,
    "SpanDropEvent": Recorder._span_dropped,
}
"""By `class_name()`: the event classes themselves live in `llama_index.core`."""
