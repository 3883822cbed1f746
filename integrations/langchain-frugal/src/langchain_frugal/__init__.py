"""langchain_frugal: cost tracking, budgets and cost levers for LangChain."""

from typing import TYPE_CHECKING, Any

from langchain_frugal._embeddings import TrackedEmbeddings
from langchain_frugal._errors import BudgetExceeded
from langchain_frugal._handler import CostCallbackHandler
from langchain_frugal._track import track_cost

if TYPE_CHECKING:
    from langchain_frugal._middleware import BudgetMiddleware

__version__ = "0.1.0"

__all__ = [
    "BudgetExceeded",
    "BudgetMiddleware",
    "CostCallbackHandler",
    "TrackedEmbeddings",
    "__version__",
    "track_cost",
]


def __getattr__(name: str) -> Any:
    # Agents live in `langchain`, which takes seconds to import and is optional.
    if name == "BudgetMiddleware":
        from langchain_frugal._middleware import BudgetMiddleware

        return BudgetMiddleware
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
