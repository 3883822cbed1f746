"""`decide`: whether a conversation is compacted before its next call, and how.

By the bill. Carrying old messages costs rent at every call: what they cost as cached input. Taking
them out costs once: a summary, and writing anew what stands behind it in the provider's cache.
"""

from __future__ import annotations

import math
from dataclasses import replace

from frugal_chains.memory._bill import with_call
from frugal_chains.memory._case import Case
from frugal_chains.memory._plan import COMPACTING, ConversationFacts, Decision, Reason
from frugal_chains.memory._policy import CompactionPolicy, RentEqualsBuy, WaterMark
from frugal_chains.memory._state import Account, MemoryState
from frugal_chains.memory._terms import MemoryTerms


def decide(
    facts: ConversationFacts,
    state: MemoryState,
    terms: MemoryTerms,
    policy: CompactionPolicy,
    *,
    now_s: float,
    expected_calls: float | None = None,
) -> Decision:
    """Whether to compact before this call.

    Args:
        facts: Of the conversation.
        state: From the last call; segments whose messages have changed are forgotten.
        terms: Of the model that will answer.
        policy: The user's.
        now_s: Seconds since the epoch.
        expected_calls: How many more calls such conversations have, if known: a compaction that
            they would not pay back is not made.
    """
    case = Case.of(facts, state, terms, policy, now_s=now_s)
    after = with_call(case.state.account, case.sizes, facts, terms, now_s)
    reason = _reason(case, after, expected_calls)
    bill = case.bill
    kept = replace(
        after,
        spent_nanos=after.spent_nanos + bill.keep_nanos,
        rent_nanos=after.rent_nanos + (bill.rent_nanos if case.cut.dropped else 0.0),
        period_tokens=after.period_tokens + case.sizes.view - _new_tokens(case, case.sizes.view),
        period_read_tokens=after.period_read_tokens + bill.keep_read_tokens,
    )
    if reason not in COMPACTING:
        return case.left_alone(reason, kept)
    compacted = replace(
        after,
        spent_nanos=after.spent_nanos + bill.now_nanos,
        rent_nanos=0.0,
        period_tokens=bill.short_tokens - _new_tokens(case, bill.short_tokens),
        period_read_tokens=bill.now_read_tokens,
        sent_tokens=bill.short_tokens,
        ends=after.ends[-1:],
    )
    return case.carried_out(reason, kept=kept, compacted=compacted)


def _reason(case: Case, after: Account, expected_calls: float | None) -> Reason:
    bill, cut, sizes, policy = case.bill, case.cut, case.sizes, case.policy
    if not cut.dropped:
        return "nothing_to_drop"
    limit = policy.limit_tokens
    over = limit is not None and sizes.view + case.facts.tail_tokens > limit
    if over and bill.short_tokens < sizes.view:
        return "limit"
    if cut.dropped_tokens < policy.least_dropped_tokens:
        return "little_to_drop"
    if sizes.unmanaged < case.state.quiet_until_tokens:
        return "undone"
    if bill.short_tokens < case.terms.least_tokens or not bill.rent_nanos:
        return "too_early"  # it would fall out of the cache, or nothing would be saved
    if expected_calls is not None and bill.rent_nanos * expected_calls < bill.extra_nanos:
        return "no_pay_back"
    if isinstance(policy.trigger, WaterMark):
        held = sizes.head + case.held_tokens
        due = sizes.view - held >= _water_mark(policy.trigger, case, after, held)
        return "water_mark" if due else "too_early"
    return _rent_or_buy(policy.trigger, case, after)


def _rent_or_buy(trigger: RentEqualsBuy, case: Case, after: Account) -> Reason:
    bill = case.bill
    rent, price = after.rent_nanos + bill.rent_nanos, bill.price_nanos
    with_summary = price + max(0.0, bill.own_summary_nanos - bill.summary_nanos)
    if rent < trigger.patience * with_summary and _reads_too_little(trigger, case, after):
        return "too_early"
    if bill.extra_nanos <= 0:
        return "cheaper_now"
    if case.state.segments:
        rent += bill.rent_nanos  # the next call's, at least, in a conversation that goes on
    else:
        price *= trigger.first
    if rent < price:
        return "too_early"
    spent = after.spent_nanos + bill.now_nanos
    return "rent" if spent <= (1 + trigger.regret) * after.unmanaged_nanos else "regret"


def _new_tokens(case: Case, tokens: int) -> int:
    """Of a request of so many tokens, what no cache can have: what was said since the last call."""
    sizes = case.sizes
    return max(0, min(sizes.view - sizes.cached, tokens)) if sizes.cached else 0


def _reads_too_little(trigger: RentEqualsBuy, case: Case, after: Account) -> bool:
    """Whether too little has come from the cache since the last compaction: the next would come too
    soon. Not where the cache has nothing to lose."""
    prices = case.terms.cache.prices
    if not case.bill.keep_read_tokens or prices.cache_read >= prices.fresh:
        return False
    return after.period_read_tokens < trigger.cached_share * after.period_tokens


def _water_mark(trigger: WaterMark, case: Case, after: Account, held_tokens: int) -> float:
    """Tokens of history at which to compact, without what never leaves."""
    if trigger.high_tokens is not None:
        return trigger.high_tokens
    growth = (case.sizes.unmanaged - case.sizes.head) / after.calls
    slope = growth * case.terms.cache.prices.cache_read
    if slope <= 0:
        return math.inf
    low = max(0, case.bill.short_tokens - held_tokens)
    return low + growth * math.sqrt(2 * max(0.0, case.bill.price_nanos) / slope)
