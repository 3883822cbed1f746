"""Memory: long conversations whose bill stays flat, in agents, chains and chat histories."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from frugal_chains.dispatch.memory import Compaction, MemoryStates
from frugal_chains.memory import CompactionPolicy, RentEqualsBuy, WaterMark
from langchain_frugal.memory._chat_history import SummarizingChatHistory
from langchain_frugal.memory._messages import pinned
from langchain_frugal.memory._runnable import MessageCompactor, compact_messages
from langchain_frugal.memory._stock import FaithfulSummarizer

if TYPE_CHECKING:
    from langchain_frugal.memory._classic import SummarizingMemory
    from langchain_frugal.memory._middleware import CompactionMiddleware

__all__ = [
    "Compaction",
    "CompactionMiddleware",
    "CompactionPolicy",
    "FaithfulSummarizer",
    "MemoryStates",
    "MessageCompactor",
    "RentEqualsBuy",
    "SummarizingChatHistory",
    "SummarizingMemory",
    "WaterMark",
    "compact_messages",
    "pinned",
]

_OPTIONAL = {
    "CompactionMiddleware": "langchain_frugal.memory._middleware",
    "SummarizingMemory": "langchain_frugal.memory._classic",
}
"""Agents live in `langchain`, classic memories in `langchain-classic`; both are optional."""


def __getattr__(name: str) -> Any:
    if name in _OPTIONAL:
        return getattr(import_module(_OPTIONAL[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
