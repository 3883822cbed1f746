"""What stands around a lever at work: whether it is wanted, for whom, and whose books."""

from __future__ import annotations

from typing import Final, NamedTuple

from llama_index_instrumentation import root_dispatcher
from llama_index_instrumentation.dispatcher import active_instrument_tags
from llama_index_instrumentation.span import active_span_id

from frugal_chains.tracking import Tracker
from llama_index_frugal._handlers import CostEventHandler
from llama_index_frugal._installed import enclosing_span

SWITCH: Final = "compress"
"""A tag of `instrument_tags`: False leaves everything inside the block as it is."""
ROUTE: Final = "route"
"""A tag: who will answer, as `RoutingLLM` takes it; a tier has a budget of its own."""


class Around(NamedTuple):
    """The place where something is decided."""

    wanted: bool = True
    tier: str = ""
    operation_id: str = ""
    trackers: tuple[Tracker, ...] = ()


def around() -> Around:
    """Read off the tags and the open spans around this code."""
    tags, span_id = active_instrument_tags.get(), active_span_id.get()
    handlers = [h for h in (*root_dispatcher.event_handlers,) if isinstance(h, CostEventHandler)]
    # The calls of one operation share the outermost of their open spans.
    seen_by = (handler.recorder.spans.get(span_id or "") for handler in handlers)
    span = enclosing_span(span_id) or next(filter(None, seen_by), None)
    return Around(
        wanted=tags.get(SWITCH) is not False,
        tier=str(tags.get(ROUTE) or ""),
        operation_id=span.root_id if span else "",
        trackers=tuple(handler._tracker for handler in handlers),
    )
