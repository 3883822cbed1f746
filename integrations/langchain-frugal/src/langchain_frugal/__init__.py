"""langchain_frugal: cost tracking, budgets and cost levers for LangChain."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from langchain_frugal._embeddings import TrackedEmbeddings
from langchain_frugal._errors import BudgetExceeded, RequestRefused
from langchain_frugal._handler import CostCallbackHandler
from langchain_frugal._track import track_cost

if TYPE_CHECKING:
    from langchain_frugal._levers import levers
    from langchain_frugal._middleware import BudgetMiddleware
    from langchain_frugal.compression import (
        BudgetExampleSelector,
        DocumentCompressor,
        PromptCompressor,
        SystemPromptCompressor,
        SystemPromptMiddleware,
        ToolChoiceMiddleware,
        ToolOutputMiddleware,
        fetch_original_tool,
    )
    from langchain_frugal.memory import (
        CompactionMiddleware,
        FaithfulSummarizer,
        SummarizingChatHistory,
        SummarizingMemory,
        compact_messages,
        pinned,
    )
    from langchain_frugal.prompt_cache import PromptCacheMiddleware, cached
    from langchain_frugal.routing import (
        RoutingChatModel,
        RoutingDecisionModel,
        RoutingMiddleware,
    )

__version__ = "0.1.0"

__all__ = [
    "BudgetExampleSelector",
    "BudgetExceeded",
    "BudgetMiddleware",
    "CompactionMiddleware",
    "CostCallbackHandler",
    "DocumentCompressor",
    "FaithfulSummarizer",
    "PromptCacheMiddleware",
    "PromptCompressor",
    "RequestRefused",
    "RoutingChatModel",
    "RoutingMiddleware",
    "SummarizingChatHistory",
    "SummarizingMemory",
    "SystemPromptCompressor",
    "SystemPromptMiddleware",
    "ToolChoiceMiddleware",
    "ToolOutputMiddleware",
    "TrackedEmbeddings",
    "__version__",
    "cached",
    "compact_messages",
    "fetch_original_tool",
    "levers",
    "pinned",
    "track_cost",
]

_COMPRESSION = (
    "BudgetExampleSelector",
    "DocumentCompressor",
    "PromptCompressor",
    "SystemPromptCompressor",
    "SystemPromptMiddleware",
    "ToolChoiceMiddleware",
    "ToolOutputMiddleware",
    "fetch_original_tool",
)
_MEMORY = (
    "CompactionMiddleware",
    "FaithfulSummarizer",
    "SummarizingChatHistory",
    "SummarizingMemory",
    "compact_messages",
    "pinned",
)

_PROMPT_CACHE = ("PromptCacheMiddleware", "cached")

if find_spec("langchain_core.decisions") is not None:  # langchain-core 1.8 or newer
    __all__ += ["RoutingDecisionModel"]


def __getattr__(name: str) -> Any:
    # Agents live in `langchain`, which takes seconds to import and is optional.
    if name == "BudgetMiddleware":
        from langchain_frugal._middleware import BudgetMiddleware

        return BudgetMiddleware
    if name == "levers":
        from langchain_frugal._levers import levers

        return levers
    # Whoever only counts costs needs nothing of compression, memory or routing, which bring numpy.
    if name in _COMPRESSION:
        from langchain_frugal import compression

        return getattr(compression, name)
    if name in _MEMORY:
        from langchain_frugal import memory

        return getattr(memory, name)
    if name in _PROMPT_CACHE:
        from langchain_frugal import prompt_cache

        return getattr(prompt_cache, name)
    if name.startswith("Routing"):
        from langchain_frugal import routing

        return getattr(routing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
