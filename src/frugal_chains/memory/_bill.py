"""What a call costs with old messages and without them, and what it costs to take them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from frugal_chains.memory._ends import Ends, living, with_end
from frugal_chains.memory._facts import HeldMessage
from frugal_chains.memory._groups import Groups, group_messages
from frugal_chains.memory._keep import Split, last_question
from frugal_chains.memory._plan import ConversationFacts
from frugal_chains.memory._policy import CompactionPolicy
from frugal_chains.memory._state import Account, MemoryState
from frugal_chains.memory._terms import Front, MemoryTerms, SummaryWay

LEAST_SUMMARY_TOKENS = 24
"""A shorter summary says nothing."""
_DROPPED_PER_SUMMARY = 4
"""A summary has at most a quarter of what it is of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Tokens of one request before anything is done."""

    head: int
    segments: int
    """Texts of all segments."""
    kept: int
    """Messages that are sent in front of them."""
    newest: int
    """Messages that no segment covers."""
    unmanaged: int
    """The request as it would be without a memory."""
    cached: int
    """What the provider's cache still has of the last request,"""
    unmanaged_cached: int
    """and would have of that without a memory."""
    ends: Ends
    """Of requests, that the cache still has."""

    @property
    def view(self) -> int:
        return self.head + self.segments + self.kept + self.newest


def sizes_of(
    facts: ConversationFacts,
    messages: Sequence[HeldMessage],
    groups: Groups,
    state: MemoryState,
    ttl_s: float,
    now_s: float,
) -> Sizes:
    """Of a conversation before a call, at a time."""
    account = state.account
    warm = account.head == facts.head and (
        account.at_s is not None and now_s - account.at_s <= ttl_s
    )
    kept = [at for segment in state.segments for at in segment.kept]
    refused = sum(messages[at].tokens for at in groups.broken)
    covered = sum([message.tokens for message in messages[: state.end]])
    every = covered + sum([message.tokens for message in messages[state.end :]])
    before = group_messages(messages).broken if state.end else groups.broken
    never = sum(messages[at].tokens for at in before)  # refused without a memory as well
    return Sizes(
        head=facts.head_tokens,
        segments=sum(segment.tokens for segment in state.segments),
        kept=sum(messages[at].tokens for at in kept),
        newest=every - covered - refused,
        unmanaged=facts.head_tokens + every - never,
        cached=account.sent_tokens if warm else 0,
        unmanaged_cached=account.unmanaged_tokens if warm else 0,
        ends=living(account.ends, ttl_s, now_s) if warm else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Of this call: kept as it is, compacted now, and had it been compacted before. Nanos."""

    keep_nanos: float
    keep_read_tokens: int
    """Of the request as it is, what the cache has;"""
    now_read_tokens: int
    """of the compacted one."""
    now_nanos: float
    """With the summary."""
    steady_nanos: float
    summary_nanos: float
    own_summary_nanos: float
    """Of a summary by the model that answers, whoever makes this one: for a digest and for another
    model's, from a transcript."""
    short_tokens: int
    """Of the compacted request."""
    segment_tokens: int
    """Of the new segment."""
    summary_tokens: int
    way: SummaryWay

    @property
    def price_nanos(self) -> float:
        """Of a compaction: what it costs more than to have compacted before."""
        return self.now_nanos - self.steady_nanos

    @property
    def rent_nanos(self) -> float:
        """Of this call: what it costs more than had it been compacted before."""
        return max(0.0, self.keep_nanos - self.steady_nanos)

    @property
    def extra_nanos(self) -> float:
        """What compacting costs more at once."""
        return self.now_nanos - self.keep_nanos


def bill_of(
    sizes: Sizes,
    cut: Split,
    *,
    shared_tokens: int,
    front: Front,
    merge: bool,
    terms: MemoryTerms,
    policy: CompactionPolicy,
) -> Bill:
    """Of one way to compact.

    Args:
        sizes: Of the request.
        cut: What stays and leaves.
        shared_tokens: With which the compacted request begins as the last one did.
        front: Of an aligned request for the summary.
        merge: The new segment replaces all earlier ones.
        terms: Prices.
        policy: Sizes of summaries.
    """
    cache, warm = terms.cache, sizes.cached > 0
    summary = summary_tokens(cut.dropped_tokens, policy)
    segment = policy.segments_tokens // 2 if merge else summary
    old = 0 if merge else sizes.segments
    kept = cut.kept_tokens + (0 if merge else sizes.kept)
    short = sizes.head + old + kept + segment + cut.newest_tokens
    way, summary_nanos = terms.cheapest(cut.dropped_tokens, front, summary)
    own = way if way.kind == "aligned" else SummaryWay(kind="flat", prices=cache.prices)
    shared = min(shared_tokens, sizes.cached) if terms.reads_parts else 0
    growth = max(0, min(sizes.view - sizes.cached, short)) if warm else short
    return Bill(
        keep_nanos=cache.call_nanos(sizes.view, sizes.cached),
        keep_read_tokens=cache.read_tokens(sizes.view, sizes.cached),
        now_read_tokens=cache.read_tokens(short, shared),
        now_nanos=summary_nanos + cache.call_nanos(short, shared),
        steady_nanos=_steady_nanos(short, growth, terms),
        summary_nanos=summary_nanos,
        own_summary_nanos=own.nanos(cut.dropped_tokens, front, summary),
        short_tokens=short,
        segment_tokens=segment,
        summary_tokens=summary,
        way=way,
    )


def summary_tokens(dropped_tokens: int, policy: CompactionPolicy) -> int:
    """How long a summary of so much may be."""
    most = max(LEAST_SUMMARY_TOKENS, dropped_tokens // _DROPPED_PER_SUMMARY)
    return min(policy.summary_tokens, most)


def unmanaged_nanos(sizes: Sizes, terms: MemoryTerms) -> float:
    """Of this call without a memory."""
    return terms.cache.call_nanos(sizes.unmanaged, sizes.unmanaged_cached)


def _steady_nanos(tokens: int, growth_tokens: int, terms: MemoryTerms) -> float:
    """Of a compacted call that has grown by so much since the last; as `call_nanos`, but one that
    is long enough is taken to follow one that was."""
    cache = terms.cache
    if tokens < cache.min_tokens:
        return tokens * cache.prices.fresh
    read = tokens - growth_tokens
    return read * cache.prices.cache_read + growth_tokens * cache.prices.cache_write


def with_call(
    account: Account, sizes: Sizes, facts: ConversationFacts, terms: MemoryTerms, now_s: float
) -> Account:
    """The account after this call, but for what the request itself costs."""
    recalled = tail_nanos(facts, terms)
    end = _last_read(facts)
    return Account(
        calls=account.calls + 1,
        spent_nanos=account.spent_nanos + recalled,
        unmanaged_nanos=account.unmanaged_nanos + unmanaged_nanos(sizes, terms),
        rent_nanos=account.rent_nanos,
        period_tokens=account.period_tokens,
        period_read_tokens=account.period_read_tokens,
        sent_tokens=sizes.view,
        unmanaged_tokens=sizes.unmanaged,
        head=facts.head,
        at_s=now_s,
        ends=with_end(sizes.ends, end, now_s) if terms.keeps_ends else (),
    )


def _last_read(facts: ConversationFacts) -> int:
    """Up to where the next question's request begins as this one: recalled text stands behind the
    question, for this question alone."""
    question = last_question(facts.messages) if facts.tail_tokens else None
    return len(facts.messages) if question is None else question + 1


def tail_nanos(facts: ConversationFacts, terms: MemoryTerms) -> float:
    """What recalled text costs in this call: while one question is answered, only once as fresh."""
    prices = terms.cache.prices
    return facts.tail_tokens * (prices.fresh if facts.tail_is_new else prices.cache_read)
