"""`CompactionPlan` and `Decision`: what to do before a call, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory._facts import HeldMessage
from frugal_chains.memory._state import MemoryState, Segment
from frugal_chains.memory._terms import SummaryWay

Reason = Literal[
    "limit",
    "cheaper_now",
    "rent",
    "water_mark",
    "idle",
    "nothing_to_drop",
    "little_to_drop",
    "too_early",
    "regret",
    "no_pay_back",
    "undone",
]
"""Why a conversation is compacted (the first five), or is not."""

COMPACTING: Final[frozenset[Reason]] = frozenset(
    ("limit", "cheaper_now", "rent", "water_mark", "idle")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationFacts:
    """A conversation before a call, the new question or tool results included."""

    messages: Sequence[HeldMessage]
    head_tokens: int = 0
    """Of what stands in front of the messages: tools and system prompt."""
    head: str = ""
    """Names the model and what stands in front: after a change the cache has nothing of it."""
    tail_tokens: int = 0
    """Of what stands behind the question for as long as it is being answered: recalled text."""
    tail_is_new: bool = True
    """It was not there at the last call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionPlan:
    """What to do. Positions in the history; never the messages themselves."""

    id: str
    """Of the compaction: the same history and plan have the same id in every process."""
    end: int
    """Messages before it leave the view, but for `kept`."""
    summarize: tuple[int, ...]
    """Positions of those the new segment is about, all of them."""
    kept: tuple[int, ...]
    """Positions of those before `end` that are sent in front of the new segment."""
    merge: bool
    """The new segment takes the place of all earlier ones, and holds what they say."""
    way: SummaryWay
    repeats_to: int
    """Position of the first message that an aligned request does not repeat: `end`, or one behind
    it, up to which the cache has everything."""
    summary_tokens: int
    """Of what is said of `summarize`, at most."""
    segment_tokens: int
    """Of the whole new segment, at most: with what it takes over from merged ones."""
    digest: str
    """For the new segment."""
    before_tokens: int
    """Of the request as it would be."""
    after_tokens: int
    """Expected."""
    summary_nanos: float
    """Expected price of the summary."""
    extra_nanos: float
    """What this call and the summary cost more than this call without; below 0: less."""
    saves_nanos: float
    """What each further call costs less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do before a call, and the state for each outcome."""

    plan: CompactionPlan | None
    """None: nothing."""
    reason: Reason
    state: MemoryState
    """For after the call, if nothing is done."""
    compacted: MemoryState | None = None
    """For after the call, if the plan is carried out: `with_segment` puts its segment in."""
    broken: frozenset[int] = frozenset()
    """Positions that no provider takes: left out of every view."""


def with_segment(decision: Decision, text: str, tokens: int) -> MemoryState:
    """The state after a plan was carried out.

    Args:
        decision: With a plan.
        text: Of the new segment.
        tokens: Of it, as a message.

    Raises:
        MemoryPlanError: the decision has no plan.
    """
    plan, state = decision.plan, decision.compacted
    if plan is None or state is None:
        raise MemoryPlanError(f"there is no plan to carry out: {decision.reason}")
    segment = Segment(
        id=plan.id, text=text, tokens=tokens, end=plan.end, kept=plan.kept, digest=plan.digest
    )
    sent = state.account.sent_tokens + tokens - plan.segment_tokens
    return replace(
        state,
        segments=(segment,) if plan.merge else (*state.segments, segment),
        account=replace(state.account, sent_tokens=max(0, sent)),
    )
