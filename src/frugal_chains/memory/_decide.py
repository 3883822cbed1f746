"""`decide`: whether a conversation is compacted before its next call, and how.

By the bill. Carrying old messages costs rent at every call: what they cost as cached input. Taking
them out costs once: a summary, and writing anew what stands behind it in the provider's cache.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from frugal_chains.memory._bill import Bill, Sizes, bill_of, sizes_of, with_call
from frugal_chains.memory._facts import HeldMessage
from frugal_chains.memory._groups import Groups, group_messages
from frugal_chains.memory._keep import Split, last_question, merged, shortened_to_fit, split
from frugal_chains.memory._plan import (
    COMPACTING,
    CompactionPlan,
    ConversationFacts,
    Decision,
    Reason,
)
from frugal_chains.memory._policy import CompactionPolicy, RentEqualsBuy, WaterMark
from frugal_chains.memory._state import Account, MemoryState, digests_before, still_true
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
    state = still_true(state, facts.messages)
    messages = _shortened(facts.messages, state)
    groups = group_messages(messages, state.end)
    sizes = sizes_of(facts, messages, groups, state, terms.ttl_s, now_s)
    cut, merge = _cut(messages, groups, state, sizes, facts, terms, policy)
    shared = _shared_tokens(messages, cut, state, sizes, merge=merge)
    bill = bill_of(sizes, cut, shared, merge=merge, terms=terms, policy=policy)
    after = with_call(state.account, sizes, facts, terms, now_s)
    reason = _reason(bill, cut, sizes, facts, after, policy, terms, expected_calls)
    if reason in COMPACTING - {"limit"} and sizes.unmanaged < state.quiet_until_tokens:
        reason = "undone"
    kept_on = replace(
        after,
        spent_nanos=after.spent_nanos + bill.keep_nanos,
        rent_nanos=after.rent_nanos + (bill.rent_nanos if cut.dropped else 0.0),
    )
    room = _Room(messages, groups, facts, policy, state)
    if reason not in COMPACTING:
        return Decision(
            plan=None,
            reason=reason,
            state=room.fitted(kept_on, state.end, sizes.view),
            broken=groups.broken,
        )
    compacted = replace(
        after,
        spent_nanos=after.spent_nanos + bill.now_nanos,
        rent_nanos=0.0,
        sent_tokens=bill.short_tokens,
    )
    return Decision(
        plan=_plan(facts.messages, state, cut, bill, sizes, merge=merge),
        reason=reason,
        state=room.fitted(kept_on, state.end, sizes.view),
        compacted=room.fitted(compacted, cut.end, bill.short_tokens),
        broken=groups.broken,
    )


def _cut(
    messages: Sequence[HeldMessage],
    groups: Groups,
    state: MemoryState,
    sizes: Sizes,
    facts: ConversationFacts,
    terms: MemoryTerms,
    policy: CompactionPolicy,
) -> tuple[Split, bool]:
    """What would stay and leave, and whether the segments would be merged."""
    merge = sizes.segments + policy.summary_tokens > policy.segments_tokens and sizes.segments > 0
    segments = policy.segments_tokens // 2 if merge else sizes.segments + policy.summary_tokens
    front = sizes.head + segments + (0 if merge else sizes.kept)
    limit = policy.limit_tokens
    cut = split(
        messages,
        groups,
        start=state.end,
        keep_tokens=max(policy.keep_tokens, terms.least_tokens - front),
        room_tokens=None if limit is None else limit - front - facts.tail_tokens,
    )
    if not merge:
        return cut, False
    covered = [at for segment in state.segments for at in segment.kept]
    return merged(messages, cut, covered), True


def _shared_tokens(
    messages: Sequence[HeldMessage],
    cut: Split,
    state: MemoryState,
    sizes: Sizes,
    *,
    merge: bool,
) -> int:
    """With how many tokens the compacted request begins as the last one did."""
    start = 0 if merge else state.end
    shared = sizes.head if merge else sizes.head + sizes.segments + sizes.kept
    for number, at in enumerate(cut.kept):
        if at != start + number:
            break
        shared += messages[at].tokens
    return shared


def _reason(
    bill: Bill,
    cut: Split,
    sizes: Sizes,
    facts: ConversationFacts,
    after: Account,
    policy: CompactionPolicy,
    terms: MemoryTerms,
    expected_calls: float | None,
) -> Reason:
    if not cut.dropped:
        return "nothing_to_drop"
    limit = policy.limit_tokens
    if limit is not None and sizes.view + facts.tail_tokens > limit:
        return "limit"
    if cut.dropped_tokens < policy.least_dropped_tokens:
        return "little_to_drop"
    if bill.short_tokens < terms.least_tokens or not bill.rent_nanos:
        return "too_early"  # it would fall out of the cache, or nothing would be saved
    if expected_calls is not None and bill.rent_nanos * expected_calls < bill.extra_nanos:
        return "no_pay_back"
    if isinstance(policy.trigger, WaterMark):
        history = sizes.view - sizes.head
        due = history >= _water_mark(policy.trigger, bill, sizes, after, terms)
        return "water_mark" if due else "too_early"
    return _rent_or_buy(policy.trigger, bill, after, first=not sizes.segments)


def _rent_or_buy(trigger: RentEqualsBuy, bill: Bill, after: Account, *, first: bool) -> Reason:
    if bill.extra_nanos <= 0:
        return "cheaper_now"
    factor = trigger.first if first else 1.0
    if after.rent_nanos + bill.rent_nanos < factor * bill.price_nanos:
        return "too_early"
    spent = after.spent_nanos + bill.now_nanos
    return "rent" if spent <= (1 + trigger.regret) * after.unmanaged_nanos else "regret"


def _water_mark(
    trigger: WaterMark, bill: Bill, sizes: Sizes, after: Account, terms: MemoryTerms
) -> float:
    """Tokens of history at which to compact; the closed form of docs/notes/memory.md."""
    if trigger.high_tokens is not None:
        return trigger.high_tokens
    growth = (sizes.unmanaged - sizes.head) / after.calls
    low = bill.short_tokens - sizes.head
    slope = growth * terms.cache.prices.cache_read
    if slope <= 0:
        return math.inf
    return low + growth * math.sqrt(2 * max(0.0, bill.price_nanos) / slope)


def _plan(
    messages: Sequence[HeldMessage],
    state: MemoryState,
    cut: Split,
    bill: Bill,
    sizes: Sizes,
    *,
    merge: bool,
) -> CompactionPlan:
    (digest,) = digests_before(messages, [cut.end])
    name = hashlib.blake2b(
        f"{digest}:{cut.end}:{merge}:{len(state.segments)}".encode(), digest_size=10
    )
    return CompactionPlan(
        id=f"cmp-{name.hexdigest()}",
        end=cut.end,
        summarize=cut.dropped,
        kept=cut.kept,
        merge=merge,
        way=bill.way,
        summary_tokens=bill.summary_tokens,
        segment_tokens=bill.segment_tokens,
        digest=digest,
        before_tokens=sizes.view,
        after_tokens=bill.short_tokens,
        summary_nanos=bill.summary_nanos,
        extra_nanos=bill.extra_nanos,
        saves_nanos=bill.rent_nanos,
    )


@dataclass(frozen=True, slots=True)
class _Room:
    """Cuts single messages where nothing else brings a request into the window."""

    messages: Sequence[HeldMessage]
    groups: Groups
    facts: ConversationFacts
    policy: CompactionPolicy
    state: MemoryState

    def fitted(self, account: Account, end: int, tokens: int) -> MemoryState:
        """The state with this account, and with messages cut if `tokens` are too many."""
        limit = self.policy.limit_tokens
        over = 0 if limit is None else tokens + self.facts.tail_tokens - limit
        if over <= 0:
            return replace(self.state, account=account)
        sent = [at for at in range(end, len(self.messages)) if at not in self.groups.broken]
        question = last_question(self.messages)
        if question is not None and question < end:
            sent.append(question)
        cut = shortened_to_fit(self.messages, sent, over)
        fewer = sum(self.messages[at].tokens - to for at, to in cut)
        shortened = dict(self.state.shortened) | {self.messages[at].key: to for at, to in cut}
        return replace(
            self.state,
            account=replace(account, sent_tokens=account.sent_tokens - fewer),
            shortened=tuple(sorted(shortened.items())),
        )


def _shortened(messages: Sequence[HeldMessage], state: MemoryState) -> Sequence[HeldMessage]:
    """With the sizes that messages have as they are sent."""
    if not state.shortened:
        return messages
    to = dict(state.shortened)
    return [
        replace(message, tokens=min(message.tokens, to[message.key]))
        if message.key in to
        else message
        for message in messages
    ]
