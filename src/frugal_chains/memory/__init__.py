"""Memory: when a conversation is compacted, what stays, how the rest is summarised and recalled.

Pure: decisions are functions of sizes, prices and time. The full history is never rewritten: a
decision says which of its messages are sent, and what stands for the others.
"""

from frugal_chains.memory._bill import tail_nanos
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
from frugal_chains.memory._recall import RecallPlan, RecallPolicy, RecallReason, recall
from frugal_chains.memory._recall_index import RecallIndex
from frugal_chains.memory._recall_render import HEADING as RECALL_HEADING
from frugal_chains.memory._request import (
    ALIGNED_TOKENS,
    BEYOND_TOKENS,
    FLAT_TOKENS,
    aligned_instruction,
    flat_prompt,
)
from frugal_chains.memory._request import LEAST_TOKENS as LEAST_SUMMARY_TOKENS
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
from frugal_chains.memory._transcript import chunk_transcript
from frugal_chains.memory._usable import Usable, usable

__all__ = [
    "ALIGNED_TOKENS",
    "BEYOND_TOKENS",
    "COMPACTING",
    "FLAT_TOKENS",
    "LEAST_SUMMARY_TOKENS",
    "RECALL_HEADING",
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
    "RecallIndex",
    "RecallPlan",
    "RecallPolicy",
    "RecallReason",
    "Recalled",
    "RentEqualsBuy",
    "Segment",
    "Shown",
    "Summary",
    "SummaryKind",
    "SummaryWay",
    "Usable",
    "WaterMark",
    "aligned_instruction",
    "chunk_transcript",
    "decide",
    "decide_idle",
    "digest",
    "digests_before",
    "flat_prompt",
    "group_messages",
    "last_question",
    "merge_summaries",
    "parse_summary",
    "recall",
    "still_true",
    "tail_nanos",
    "usable",
    "view",
    "with_segment",
]
