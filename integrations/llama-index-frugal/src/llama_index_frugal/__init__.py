"""llama_index_frugal: cost tracking, budgets and cost levers for LlamaIndex."""

from typing import TYPE_CHECKING, Any

from llama_index_frugal._handlers import CostEventHandler, CostSpanHandler
from llama_index_frugal._limiter import BudgetRateLimiter
from llama_index_frugal._track import track_cost

if TYPE_CHECKING:
    from llama_index_frugal._embedding import TrackedEmbedding

__version__ = "0.1.0"

__all__ = [
    "BudgetRateLimiter",
    "CostEventHandler",
    "CostSpanHandler",
    "TrackedEmbedding",
    "__version__",
    "track_cost",
]


def __getattr__(name: str) -> Any:
    # It is a BaseEmbedding, and `llama_index.core` takes seconds to import.
    if name == "TrackedEmbedding":
        from llama_index_frugal._embedding import TrackedEmbedding

        return TrackedEmbedding
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
