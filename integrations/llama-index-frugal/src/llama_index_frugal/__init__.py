"""llama_index_frugal: cost tracking, budgets and cost levers for LlamaIndex."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llama_index_frugal._handlers import CostEventHandler, CostSpanHandler
from llama_index_frugal._limiter import BudgetRateLimiter
from llama_index_frugal._track import track_cost

if TYPE_CHECKING:
    from llama_index_frugal._embedding import TrackedEmbedding
    from llama_index_frugal._levers import Levers, levers
    from llama_index_frugal.compression import (
        FewShotExamples,
        NodeCompressor,
        SystemPromptCompressor,
        ToolChoiceRetriever,
        compressed_tool,
        compressed_tools,
        fetch_original_tool,
    )
    from llama_index_frugal.memory import (
        SummarizingMemory,
        SummaryMemoryBlock,
        compacting_llm,
        pinned,
    )
    from llama_index_frugal.prompt_cache import cached_llm
    from llama_index_frugal.routing import RoutingEvent, RoutingLLM, text_embedder

__version__ = "0.1.0"

__all__ = [
    "BudgetRateLimiter",
    "CostEventHandler",
    "CostSpanHandler",
    "FewShotExamples",
    "Levers",
    "NodeCompressor",
    "RoutingEvent",
    "RoutingLLM",
    "SummarizingMemory",
    "SummaryMemoryBlock",
    "SystemPromptCompressor",
    "ToolChoiceRetriever",
    "TrackedEmbedding",
    "__version__",
    "cached_llm",
    "compacting_llm",
    "compressed_tool",
    "compressed_tools",
    "fetch_original_tool",
    "levers",
    "pinned",
    "text_embedder",
    "track_cost",
]


_LATER = {
    "FewShotExamples": "llama_index_frugal.compression",
    "Levers": "llama_index_frugal._levers",
    "NodeCompressor": "llama_index_frugal.compression",
    "RoutingEvent": "llama_index_frugal.routing",
    "RoutingLLM": "llama_index_frugal.routing",
    "SummarizingMemory": "llama_index_frugal.memory",
    "SummaryMemoryBlock": "llama_index_frugal.memory",
    "SystemPromptCompressor": "llama_index_frugal.compression",
    "ToolChoiceRetriever": "llama_index_frugal.compression",
    "TrackedEmbedding": "llama_index_frugal._embedding",
    "cached_llm": "llama_index_frugal.prompt_cache",
    "compacting_llm": "llama_index_frugal.memory",
    "compressed_tool": "llama_index_frugal.compression",
    "compressed_tools": "llama_index_frugal.compression",
    "fetch_original_tool": "llama_index_frugal.compression",
    "levers": "llama_index_frugal._levers",
    "pinned": "llama_index_frugal.memory",
    "text_embedder": "llama_index_frugal.routing",
}
"""They build on classes of `llama_index.core`, which takes seconds to import."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
