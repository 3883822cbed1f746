"""`decide_idle`: whether to compact while nobody asks, before the cache expires."""

from __future__ import annotations

from dataclasses import replace

from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory._case import Case
from frugal_chains.memory._plan import ConversationFacts, Decision, Reason
from frugal_chains.memory._policy import CompactionPolicy
from frugal_chains.memory._state import MemoryState
from frugal_chains.memory._terms import MemoryTerms


def decide_idle(
    facts: ConversationFacts,
    state: MemoryState,
    terms: MemoryTerms,
    policy: CompactionPolicy,
    *,
    now_s: float,
    return_share: float = 0.5,
) -> Decision:
    """Whether to compact now, without a call, so that the next one finds a short prompt.

    After a long pause everything is written to the cache anew, old messages too. A summary that is
    made while the cache still has them reads them for a tenth.

    Args:
        facts: Of the conversation as it stands, without a new question.
        state: From the last call.
        terms: Of the model that answers.
        policy: The user's.
        now_s: Seconds since the epoch, before the cache expires.
        return_share: How often people come back after so long, 0 to 1: if never, nothing is gained.

    Raises:
        MemoryPlanError: a share below 0 or above 1.
    """
    if not 0 <= return_share <= 1:
        raise MemoryPlanError(f"return_share is {return_share}: expected 0 to 1")
    warm = Case.of(facts, state, terms, policy, now_s=now_s)
    cold = Case.of(facts, state, terms, policy, now_s=now_s + terms.ttl_s + 1)
    later_nanos = min(cold.bill.keep_nanos, cold.bill.now_nanos)
    short_nanos = cold.bill.now_nanos - cold.bill.summary_nanos
    gain_nanos = return_share * (later_nanos - short_nanos) - warm.bill.summary_nanos
    if not warm.cut.dropped:
        return warm.untouched("nothing_to_drop")
    if warm.cut.dropped_tokens < policy.least_dropped_tokens:
        return warm.untouched("little_to_drop")
    reason: Reason = "idle" if gain_nanos > 0 else "too_early"
    state = warm.state  # without segments that are no longer true
    if warm.sizes.unmanaged < state.quiet_until_tokens:
        reason = "undone"
    if reason != "idle":
        return warm.untouched(reason)
    spent = state.account.spent_nanos + warm.bill.summary_nanos
    account = replace(
        state.account,
        spent_nanos=spent,
        rent_nanos=0.0,
        sent_tokens=warm.shared_tokens,  # of what is sent next, the cache has no more than this
        ends=(),
    )
    return warm.carried_out(reason, kept=state.account, compacted=account)
