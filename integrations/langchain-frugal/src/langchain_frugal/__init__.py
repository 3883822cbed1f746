"""langchain_frugal: cost tracking, budgets and cost levers for LangChain."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from langchain_frugal._embeddings import TrackedEmbeddings
from langchain_frugal._errors import BudgetExceeded, RequestRefused
from langchain_frugal._handler import CostCallbackHandler
from langchain_frugal._track import track_cost

if TYPE_CHECKING:
    from langchain_frugal._middleware import BudgetMiddleware
    from langchain_frugal.routing import (
        RoutingChatModel,
        RoutingDecisionModel,
        RoutingMiddleware,
    )

__version__ = "0.1.0"

__all__ = [
    "BudgetExceeded",
    "BudgetMiddleware",
    "CostCallbackHandler",
    "RequestRefused",
    "RoutingChatModel",
    "RoutingMiddleware",
    "TrackedEmbeddings",
    "__version__",
    "track_cost",
]

if find_spec("langchain_core.decisions") is not None:  # langchain-core 1.8 or newer
    __all__ += ["RoutingDecisionModel"]


def __getattr__(name: str) -> Any:
    # Agents live in `langchain`, which takes seconds to import and is optional.
    if name == "BudgetMiddleware":
        from langchain_frugal._middleware import BudgetMiddleware

        return BudgetMiddleware
    # Whoever only counts costs needs nothing of routing, which brings numpy.
    if name.startswith("Routing"):
        from langchain_frugal import routing

        return getattr(routing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
