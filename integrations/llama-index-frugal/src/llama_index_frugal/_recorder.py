"""`Recorder`: LlamaIndex's events and spans in, calls of trackers out. Leaf attempts, once each."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from frugal_chains.tracking import Tracker
from llama_index_frugal import _gate
from llama_index_frugal._calls import Call, Calls
from llama_index_frugal._embedding_events import EmbeddingEvents
from llama_index_frugal._request import llm_start
from llama_index_frugal._response import finished
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
        self._embeddings = EmbeddingEvents(self.calls)
        self._route = route
        self._warned = False
        _gate.register(self)

    # -- spans ---------------------------------------------------------------------------------

    def enter_span(
        self, id_: str, parent_id: str | None, instance: Any, arguments: Mapping[str, Any]
    ) -> None:
        """Take the start of a span. Never raises, as `handle`."""
        try:
            self._entered(id_, parent_id, instance, arguments)
        except Exception:
            logger.exception("calls in %s may not be booked, and its budgets not held", id_)

    def leave_span(self, id_: str, result: Any = None) -> None:
        """Take the end of a span. Never raises, as `handle`."""
        try:
            self._left(id_, result)
        except Exception:
            logger.exception("the end of %s was not noticed", id_)

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
            return
        trackers = self._trackers_of(span)
        if trackers:
            if (call := self.calls.get(id_)) is not None:
                call.streamed = True
            origin = Origin(span_id=id_, root_id=span.root_id, trackers=trackers)
            self._streams.follow(result, origin, self._stream_gone)

    def admit(self, span_id: str) -> None:
        """Hold the worst case of the call that runs in a span.

        Raises:
            BudgetExceeded: there is no room. The span is dropped with it, and the call withdrawn.
        """
        alone = self.calls.get(span_id)
        waiting = self._embeddings.open_in(span_id) or ([alone] if alone is not None else [])
        for call in waiting:
            if not call.admitted:
                self.calls.admit(call)
                return

    # -- events --------------------------------------------------------------------------------

    def handle(self, event: Any) -> None:
        """Take one event. Never raises: LlamaIndex would drop it without a word."""
        act = _ACTIONS.get(event.class_name())
        if act is None:
            return
        try:
            act(self, event)
        except Exception:
            logger.exception("a call may not have been booked: %s failed", event.class_name())

    def _llm_started(self, event: Any) -> None:
        span, trackers = self._place_of(event)
        if span is None or self.calls.get(span.id) is not None:
            return
        around = (*(above.id for above in span.above()), *(o.span_id for o in span.origins))
        for outer in map(self.calls.get, around):
            if outer is not None:
                self.calls.withdraw(outer)
        self.calls.begin(Call(llm_start(event, span), trackers, span.instance))

    def _llm_progressed(self, event: Any) -> None:
        call = self.calls.get(event.span_id)
        if call is None:
            return
        if not call.answer.chunks:
            for tracker in call.trackers:
                tracker.first_token(call.key)
        call.answer.add(event.response)

    def _llm_ended(self, event: Any) -> None:
        call = self.calls.get(event.span_id)
        if call is None:
            return
        answer, start = call.answer, call.start
        streamed = bool(answer.chunks) or call.streamed
        if not answer.chunks and event.response is not None:
            answer.add(event.response)
        self.calls.end(
            call,
            lambda: finished(
                answer,
                provider=start.provider,
                streamed=streamed,
                caches=lambda: bool(start.request().cache_ttl),
            ),
        )

    def _embedding_started(self, event: Any) -> None:
        span, trackers = self._place_of(event)
        if span is not None:
            self._embeddings.started(event, span, trackers)

    def _embedding_ended(self, event: Any) -> None:
        self._embeddings.ended(event)

    def _stream_failed(self, event: Any) -> None:
        call = self.calls.get(event.span_id)
        if call is not None:
            self.calls.fail(call, event.exception)

    def _span_dropped(self, event: Any) -> None:
        # The event has the error's text alone, but it is dispatched while the error is handled.
        span_id, error = event.span_id, sys.exception()
        if self._embeddings.open_in(span_id):
            self._embeddings.failed(span_id, error)
        elif (call := self.calls.get(span_id)) is not None:
            self.calls.fail(call, error)

    def _stream_gone(self, span_id: str) -> None:
        """Book a stream that nobody holds any more: it was never read, or never closed."""
        try:
            if (call := self.calls.get(span_id)) is not None:
                self.calls.fail(call, None)
        except Exception:
            logger.exception("a dropped stream may not have been booked")

    def _place_of(self, event: Any) -> tuple[Span | None, Sequence[Tracker]]:
        """The span an event belongs to, and the trackers to report to; None without either."""
        if event.span_id is None:
            self._warn("%s has no span: it cannot be paired with its end", event.class_name())
            return None, ()
        span = self.spans.get(event.span_id)
        if span is None:
            span = Span(event.span_id)
            self._warn("no CostSpanHandler saw the span of %s: calls made by wrappers will be "
                       "counted twice", event.span_id)  # fmt: skip
        trackers = self._trackers_of(span)
        return (span if trackers else None), trackers

    def _trackers_of(self, span: Span) -> Sequence[Tracker]:
        """Where a span's calls go: to the block in which the stream that runs it was made, else to
        the block it runs in."""
        if span.trackers is None:
            span.origins = tuple(self._streams.around())
            if span.origins:
                span.root_id = span.origins[0].root_id
                span.trackers = span.origins[0].trackers
            else:
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
