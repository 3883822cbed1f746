"""What a plan and an account say that a compaction costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from frugal_chains.memory import (
    Account,
    ConversationFacts,
    Front,
    MemoryState,
    MemoryTerms,
    SummaryWay,
    WaterMark,
    decide,
    with_segment,
)
from frugal_chains.pricing import CacheTerms, TokenPrices
from tests.core.memory.conversations import (
    PLAIN,
    SONNET,
    answers,
    said,
)
from tests.core.memory.deciding import EAGER, decided, gone_on, history, warm_state


def test_the_cheapest_way_is_taken() -> None:
    cheap = TokenPrices(fresh=0.02, cache_read=0.02, cache_write=0.02, output=0.1)
    flat = SummaryWay(kind="flat", instruction_tokens=50, prices=cheap)
    (aligned,) = SONNET.terms().ways
    state, messages = warm_state(SONNET, 30), history(31)
    for ways, kind in (
        ((aligned, flat), "flat"),
        ((aligned, SONNET.terms("flat").ways[0]), "aligned"),
    ):
        plan = decided(
            messages, state, PLAIN, terms=replace(SONNET.terms(), ways=ways), now_s=310.0
        ).plan
        assert plan is not None
        assert plan.way.kind == kind
        dropped = sum(messages[at].tokens for at in plan.summarize)
        expected = {
            "flat": (dropped + 50) * 0.02 + 100 * 0.1,
            "aligned": (100 + dropped) * 0.1 + 50 + 100 * 5,
        }
        assert plan.summary_nanos == pytest.approx(expected[kind])


def test_what_a_way_costs() -> None:
    prices = TokenPrices(fresh=3.0, cache_read=0.5, cache_write=4.0, output=7.0)
    cache = CacheTerms(prices=prices, min_tokens=1_024)
    for cached, paid in (
        (1_500, 1_500 * 0.5 + 520 * 3),  # of 2,000 tokens in front and dropped, and 20 asked
        (9_000, 2_000 * 0.5 + 20 * 3),
        (1_023, 2_020 * 3),  # too short to be found
    ):
        aligned = SummaryWay(kind="aligned", instruction_tokens=20, prices=prices)
        front = Front(cache, 2_000, cached)
        assert aligned.nanos(800, front, 60) == paid + 60 * 7
    flat = SummaryWay(kind="flat", instruction_tokens=20, prices=prices)
    assert flat.nanos(800, front, 60) == 820 * 3 + 60 * 7
    digest = SummaryWay(kind="digest", instruction_tokens=20)
    assert digest.nanos(800, front, 60) == 0
    ways = (flat, digest, SummaryWay(kind="digest"))  # of equals the first
    assert MemoryTerms(cache=cache, ttl_s=300, ways=ways).cheapest(800, front, 60) == (digest, 0)


def test_a_plan_says_what_it_does() -> None:
    messages = history(8)
    decision = decided(messages, policy=replace(PLAIN, trigger=WaterMark(high_tokens=1)))
    plan = decision.plan
    assert plan is not None
    assert plan.end == 9  # 2,100 tokens: three questions and three answers
    assert plan.summarize == tuple(range(9))
    assert (plan.kept, plan.merge) == ((), False)
    assert (plan.summary_tokens, plan.segment_tokens) == (100, 100)
    assert plan.before_tokens == 100 + 5_200
    assert plan.after_tokens == 100 + 100 + 2_100
    assert plan.extra_nanos == plan.after_tokens - plan.before_tokens  # no cache, no model
    assert plan.saves_nanos == plan.before_tokens - plan.after_tokens
    assert decision.compacted is not None
    assert decision.compacted.account.sent_tokens == plan.after_tokens
    assert with_segment(decision, "x", 60).account.sent_tokens == plan.after_tokens - 40
    again = decided(messages, policy=replace(PLAIN, trigger=WaterMark(high_tokens=1)))
    assert again.plan == plan


def test_a_summary_is_at_most_a_quarter_of_what_it_is_of() -> None:
    for tokens, most in ((300, 75), (1, 24), (96, 24), (399, 99), (400, 100), (50_000, 100)):
        messages = [said("assistant", tokens, "a"), said("user", 600, "u")]
        plan = decided(
            messages, policy=replace(EAGER, limit_tokens=610, least_dropped_tokens=1)
        ).plan
        assert plan is None or plan.summary_tokens == most


def test_recalled_text_is_paid_and_not_cached() -> None:
    messages = history(12)
    plain = decided(messages, policy=PLAIN, model=SONNET).state.account
    recalled = decided(messages, policy=PLAIN, model=SONNET, tail=500).state.account
    assert recalled == replace(plain, spent_nanos=plain.spent_nanos + 500)


def test_recalled_text_costs_fresh_once_and_then_as_read() -> None:
    prices = TokenPrices(fresh=3.0, cache_read=0.5, cache_write=4.0)
    terms = MemoryTerms(cache=CacheTerms(prices=prices), ttl_s=300)
    facts = ConversationFacts(messages=history(12), head_tokens=100, head="h")

    def spent(facts: ConversationFacts) -> float:
        return decide(facts, MemoryState(), terms, PLAIN, now_s=0.0).state.account.spent_nanos

    for new, price in ((True, 3.0), (False, 0.5)):
        recalled = replace(facts, tail_tokens=500, tail_is_new=new)
        assert spent(recalled) - spent(facts) == pytest.approx(500 * price)


def test_what_a_period_should_have_read_and_has() -> None:
    never = replace(PLAIN, trigger=WaterMark(high_tokens=10**9))
    state, sent, should, has = MemoryState(), 0, 0, 0
    for turns, now_s in ((1, 0.0), (2, 10.0), (3, 20.0), (4, 30.0), (5, 900.0), (6, 910.0)):
        messages = history(turns)
        state = decided(messages, state, never, model=SONNET, now_s=now_s).state
        # Where the cache has nothing any more, all of a request should have been read.
        warm, whole = now_s not in (0.0, 900.0), 100 + sum(one.tokens for one in messages)
        should += sent if warm else whole
        has += sent if warm and sent >= SONNET.least else 0
        sent = whole
        assert (state.account.period_tokens, state.account.period_read_tokens) == (should, has)
    decision = decided(messages, state, model=SONNET, now_s=2_000.0)
    assert decision.compacted is not None
    assert decision.plan is not None
    after = decision.compacted.account
    assert (after.period_tokens, after.period_read_tokens) == (decision.plan.after_tokens, 0)
    assert decision.state.account.period_tokens == should + sent  # if no summary comes


def test_where_the_last_request_was_longer_nothing_is_new() -> None:
    messages = history(31)
    whole = 3_000 + sum(one.tokens for one in messages)
    state = MemoryState(account=Account(calls=30, sent_tokens=whole + 500, head="h", at_s=300.0))
    facts = ConversationFacts(messages=messages, head_tokens=3_000, head="h")
    policy = replace(PLAIN, trigger=WaterMark(high_tokens=1))
    decision = decide(facts, state, SONNET.terms("digest"), policy, now_s=310.0)
    plan = decision.plan
    assert plan is not None
    assert decision.state.account.period_tokens == whole
    # All of both requests is read: the one as it is, and the next after a compaction.
    assert plan.saves_nanos == pytest.approx((whole - plan.after_tokens) * 0.1)


def test_a_cache_that_finds_only_whole_requests() -> None:
    state, messages = warm_state(SONNET, 30), history(31)
    parts = SONNET.terms("digest")
    head = 3_000  # long enough to be found, where parts are
    for terms in (parts, replace(parts, reads_parts=False)):
        facts = ConversationFacts(messages=messages, head_tokens=head, head="h")
        warm = replace(state, account=replace(state.account, sent_tokens=20_600))
        plan = decide(facts, warm, terms, PLAIN, now_s=310.0).plan
        assert plan is not None
        read = head if terms.reads_parts else 0
        now = read * 0.1 + (plan.after_tokens - read) * 1.25
        keep = 20_600 * 0.1 + (plan.before_tokens - 20_600) * 1.25
        assert plan.extra_nanos == pytest.approx(now - keep)


@pytest.mark.parametrize(("pinned", "read"), [(0, 3_300), (1, 3_000)])
def test_what_is_kept_is_read_where_nothing_leaves_before_it(pinned: int, read: int) -> None:
    messages = history(31)
    messages[pinned] = replace(messages[pinned], pinned=True)
    sent = 3_000 + sum(one.tokens for one in messages[:-2])
    state = MemoryState(account=Account(calls=30, sent_tokens=sent, head="h", at_s=300.0))
    facts = ConversationFacts(messages=messages, head_tokens=3_000, head="h")
    trigger = WaterMark(high_tokens=1)
    plan = decide(
        facts, state, SONNET.terms("digest"), replace(PLAIN, trigger=trigger), now_s=310.0
    ).plan
    assert plan is not None
    assert plan.kept == (pinned,)
    now = read * 0.1 + (plan.after_tokens - read) * 1.25
    assert plan.extra_nanos == pytest.approx(now - (sent * 0.1 + 700 * 1.25))


def test_broken_messages_cost_nothing_with_a_memory_or_without() -> None:
    state, messages = MemoryState(), [answers(40_000, "orphan", "nobody"), *history(1)]
    plain, every = 0.0, 0
    for n in range(1, 30):
        decision = decided(messages, state)
        state = gone_on(messages, state)
        every = 100 + sum(one.tokens for one in messages[1:])
        plain += every
        assert state.account.unmanaged_nanos == plain
        assert state.account.unmanaged_tokens == every
        if not state.segments:
            assert state.account.sent_tokens == every
        assert (0 in decision.broken) == (len(decision.state.segments) == 0)
        messages += [said("assistant", 400, f"b{n}"), said("user", 300, f"v{n}")]
    assert state.segments
