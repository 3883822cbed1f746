"""Dispatch: levers at work, for both adapters: routing, context, prompts and tools.

Here are the clock, the memory between calls, time limits and the effects in the ledger; what is
decided is decided by the pure rooms below.
"""

from frugal_chains.dispatch._prefix import PrefixFacts
from frugal_chains.dispatch.context import (
    FETCH_DESCRIPTION,
    FETCH_ORIGINAL,
    Compressed,
    ContextCompressor,
    Likeness,
    PayloadCompressor,
    Prefix,
    cosines,
    kept_in,
)
from frugal_chains.dispatch.memory import (
    Compaction,
    Compactor,
    Flow,
    History,
    MemoryStates,
    Summarizer,
    SummaryRequest,
    Turn,
    memory_terms,
    message_key,
    whole,
)
from frugal_chains.dispatch.prompt import (
    Asked,
    Brevity,
    ExampleChooser,
    PromptPolicy,
    ShortPrompt,
    SystemPrompts,
    learned_output_cap,
    mean_output_tokens,
)
from frugal_chains.dispatch.prompt_cache import CacheKeeper, PromptBlock
from frugal_chains.dispatch.routing import (
    Course,
    Embedded,
    EmbeddingModel,
    QuestionEmbedder,
    Route,
    Router,
    UserCheck,
    load_policy,
    read_rows,
    save_calibration,
    with_ledger,
)
from frugal_chains.dispatch.tools import TextVectors, ToolChoice, ToolChooser

__all__ = [
    "FETCH_DESCRIPTION",
    "FETCH_ORIGINAL",
    "Asked",
    "Brevity",
    "CacheKeeper",
    "Compaction",
    "Compactor",
    "Compressed",
    "ContextCompressor",
    "Course",
    "Embedded",
    "EmbeddingModel",
    "ExampleChooser",
    "Flow",
    "History",
    "Likeness",
    "MemoryStates",
    "PayloadCompressor",
    "Prefix",
    "PrefixFacts",
    "PromptBlock",
    "PromptPolicy",
    "QuestionEmbedder",
    "Route",
    "Router",
    "ShortPrompt",
    "Summarizer",
    "SummaryRequest",
    "SystemPrompts",
    "TextVectors",
    "ToolChoice",
    "ToolChooser",
    "Turn",
    "UserCheck",
    "cosines",
    "kept_in",
    "learned_output_cap",
    "load_policy",
    "mean_output_tokens",
    "memory_terms",
    "message_key",
    "read_rows",
    "save_calibration",
    "whole",
    "with_ledger",
]
