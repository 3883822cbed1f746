"""The decision as an event, so that traces show it beside the calls that follow."""

from __future__ import annotations

from typing import Any

from llama_index_instrumentation.base import BaseEvent


class RoutingEvent(BaseEvent):
    """A `RoutingLLM` has decided who answers; dispatched in the span of the method it was asked by.

    It quotes rules and reasons, but no request.
    """

    decision: dict[str, Any]
    """`RoutingDecision.to_json()`."""

    @classmethod
    def class_name(cls) -> str:
        return "RoutingEvent"
