"""Memory: when a conversation is compacted, what stays, how the rest is summarised and recalled.

Pure: decisions are functions of sizes, prices and time. The full history is never rewritten: a
decision says which of its messages are sent, and what stands for the others.
"""

from frugal_chains.memory._decide import decide
from frugal_chains.memory._digest import digest
from frugal_chains.memory._facts import HeldMessage
from frugal_chains.memory._groups import Groups, group_messages
from frugal_chains.memory._idle import decide_idle
from frugal_chains.memory._keep import last_question
from frugal_chains.memory._lengths import Lengths
from frugal_chains.memory._merge import merge_summaries
from frugal_chains.memory._plan import (
    COMPACTING,
    CompactionPlan,
    ConversationFacts,
    Decision,
    Reason,
    with_segment,
)
from frugal_chains.memory._policy import CompactionPolicy, RentEqualsBuy, WaterMark
from frugal_chains.memory._state import (
    Account,
    MemoryState,
    Recalled,
    Segment,
    Shown,
    digests_before,
    still_true,
    view,
)
from frugal_chains.memory._summary import Summary, parse_summary
from frugal_chains.memory._terms import Front, MemoryTerms, SummaryKind, SummaryWay

__all__ = [
    "COMPACTING",
    "Account",
    "CompactionPlan",
    "CompactionPolicy",
    "ConversationFacts",
    "Decision",
    "Front",
    "Groups",
    "HeldMessage",
    "Lengths",
    "MemoryState",
    "MemoryTerms",
    "Reason",
    "Recalled",
    "RentEqualsBuy",
    "Segment",
    "Shown",
    "Summary",
    "SummaryKind",
    "SummaryWay",
    "WaterMark",
    "decide",
    "decide_idle",
    "digest",
    "digests_before",
    "group_messages",
    "last_question",
    "merge_summaries",
    "parse_summary",
    "still_true",
    "view",
    "with_segment",
]
