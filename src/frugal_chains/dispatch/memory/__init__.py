"""Memory at work: what is sent of a conversation, for both adapters."""

from frugal_chains.dispatch.memory._bills import Summarizer, memory_terms
from frugal_chains.dispatch.memory._compactor import Compactor, whole
from frugal_chains.dispatch.memory._history import History, head_key, message_key
from frugal_chains.dispatch.memory._states import MemoryStates
from frugal_chains.dispatch.memory._summaries import summarized
from frugal_chains.dispatch.memory._turn import Compaction, Flow, SummaryRequest, Turn

__all__ = [
    "Compaction",
    "Compactor",
    "Flow",
    "History",
    "MemoryStates",
    "Summarizer",
    "SummaryRequest",
    "Turn",
    "head_key",
    "memory_terms",
    "message_key",
    "summarized",
    "whole",
]
