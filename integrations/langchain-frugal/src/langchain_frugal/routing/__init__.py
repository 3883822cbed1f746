"""Routing: one chat model in front of several, with a reason for each choice."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from langchain_frugal.routing._model import RoutingChatModel

if TYPE_CHECKING:
    from langchain_frugal.routing._by_task import TaskRoutingMiddleware
    from langchain_frugal.routing._decisions import RoutingDecisionModel
    from langchain_frugal.routing._middleware import RoutingMiddleware

__all__ = ["RoutingChatModel", "RoutingMiddleware", "TaskRoutingMiddleware"]

if find_spec("langchain_core.decisions") is not None:  # langchain-core 1.8 or newer
    __all__ += ["RoutingDecisionModel"]


def __getattr__(name: str) -> Any:
    # Agents live in `langchain`, which is optional; decision models in langchain-core from 1.8 on.
    if name == "RoutingMiddleware":
        from langchain_frugal.routing._middleware import RoutingMiddleware

        return RoutingMiddleware
    if name == "TaskRoutingMiddleware":
        from langchain_frugal.routing._by_task import TaskRoutingMiddleware

        return TaskRoutingMiddleware
    if name == "RoutingDecisionModel" and name in __all__:
        from langchain_frugal.routing._decisions import RoutingDecisionModel

        return RoutingDecisionModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
