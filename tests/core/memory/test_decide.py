"""When a conversation is compacted, and what a policy may say about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import (
    COMPACTING,
    CompactionPolicy,
    MemoryState,
    MemoryTerms,
    RentEqualsBuy,
    WaterMark,
    with_segment,
)
from frugal_chains.pricing import CacheTerms, TokenPrices
from tests.core.memory.conversations import (
    PLAIN,
    SONNET,
    said,
)
from tests.core.memory.deciding import EAGER, decided, gone_on, history, warm_state


def test_nothing_leaves_a_short_conversation() -> None:
    decision = decided(history(3), policy=PLAIN)
    assert (decision.plan, decision.reason) == (None, "nothing_to_drop")
    assert decided([]).reason == "nothing_to_drop"


def test_little_is_not_worth_it() -> None:
    messages = [said("user", 299, "u0"), said("user", 2_000, "u1")]
    assert decided(messages, policy=PLAIN).reason == "little_to_drop"
    messages[0] = said("user", 300, "u0")
    assert decided(messages, policy=PLAIN).reason == "cheaper_now"


def test_an_expired_cache_is_the_time_to_compact() -> None:
    state, messages = warm_state(SONNET, 9, terms=SONNET.terms("digest")), history(10)
    for pause, reason in ((300.0, "too_early"), (300.1, "cheaper_now"), (-5_000.0, "too_early")):
        decision = decided(messages, state, PLAIN, now_s=90.0 + pause, terms=SONNET.terms("digest"))
        assert decision.reason == reason


def test_another_model_finds_no_cache() -> None:
    terms = SONNET.terms("digest")
    state, messages = warm_state(SONNET, 9, terms=terms), history(10)
    same = decided(messages, state, PLAIN, now_s=100.0, terms=terms)
    other = decided(messages, state, PLAIN, now_s=100.0, terms=terms, head="other")
    assert (same.reason, other.reason) == ("too_early", "cheaper_now")
    assert other.plan is not None
    paid = other.state.account.spent_nanos - state.account.spent_nanos
    assert paid == pytest.approx(1.25 * (100 + sum(one.tokens for one in messages)))
    assert other.state.account.head == "other"


def test_what_would_not_be_paid_back_is_not_done() -> None:
    state, messages = warm_state(SONNET, 30), history(31)
    plan = decided(messages, state, PLAIN, model=SONNET, terms=SONNET.terms(), now_s=310.0).plan
    assert plan is not None
    calls = plan.extra_nanos / plan.saves_nanos
    assert calls > 1
    for expected, reason in ((calls * 0.99, "no_pay_back"), (calls * 1.01, "rent")):
        decision = decided(
            messages, state, PLAIN, terms=SONNET.terms(), now_s=310.0, expected=expected
        )
        assert decision.reason == reason


def test_the_bound_on_regret_waits_until_it_holds() -> None:
    state, messages = warm_state(SONNET, 30), history(31)
    strict = replace(PLAIN, trigger=RentEqualsBuy(regret=0.001))
    assert decided(messages, state, strict, terms=SONNET.terms(), now_s=310.0).reason == "regret"


def test_a_water_mark_of_the_users() -> None:
    messages = history(8)  # 8 * 300 + 7 * 400 tokens
    for high, reason in ((5_200, "water_mark"), (5_201, "too_early")):
        policy = replace(PLAIN, trigger=WaterMark(high_tokens=high))
        assert decided(messages, policy=policy, model=SONNET).reason == reason


@pytest.mark.parametrize("pinned", [False, True])
def test_a_water_mark_counts_what_may_leave(pinned: bool) -> None:
    """Else a long system message among the messages would be a reason to compact at every call."""
    rules = said("user" if pinned else "system", 3_000, "rules", pinned=pinned)
    messages = [rules, *history(8)]
    for high, reason in ((5_200, "water_mark"), (5_201, "too_early")):
        policy = replace(PLAIN, trigger=WaterMark(high_tokens=high))
        assert decided(messages, policy=policy, model=SONNET).reason == reason


def test_where_nothing_costs_anything_nothing_is_done_but_for_the_window() -> None:
    free = MemoryTerms(
        cache=CacheTerms(prices=TokenPrices(fresh=0, cache_read=0, cache_write=0)), ttl_s=300
    )
    for policy in (PLAIN, EAGER, replace(PLAIN, trigger=WaterMark())):
        assert decided(history(100), policy=policy, terms=free).reason == "too_early"
    limited = replace(PLAIN, limit_tokens=5_000)
    assert decided(history(100), policy=limited, terms=free).reason == "limit"


def test_where_reading_costs_nothing_no_mark_is_reached() -> None:
    prices = TokenPrices(fresh=1, cache_read=0, cache_write=1)
    terms = MemoryTerms(cache=CacheTerms(prices=prices), ttl_s=300)
    closed = replace(PLAIN, trigger=WaterMark())
    assert decided(history(100), policy=closed, terms=terms).reason == "too_early"


def test_a_compacted_request_would_be_too_short_for_the_cache() -> None:
    terms = replace(SONNET.terms("digest"), floor_tokens=6_000)
    state = gone_on(history(30), policy=EAGER, terms=terms)
    assert state.segments
    assert 6_000 <= state.account.sent_tokens < 6_700


def test_what_is_pinned_counts_for_the_least_that_is_cached() -> None:
    terms = replace(SONNET.terms("digest"), floor_tokens=6_000)
    messages, state, plans = [said("user", 2_000, "p", pinned=True)], MemoryState(), 0
    for n in range(60):
        messages += [said("assistant", 400, f"a{n}"), said("user", 300, f"u{n}")]
        decision = decided(messages, state, terms=terms)
        state = decision.state
        if decision.plan is not None:
            # Without the summary there are enough, and of the next older message too many.
            least = decision.plan.after_tokens - decision.plan.segment_tokens
            assert 6_000 <= least < 6_400
            state, plans = with_segment(decision, f"text {n}", 0), plans + 1
    assert plans > 3


def test_where_the_newest_is_pinned_it_does_not_fall_out_of_the_cache_either() -> None:
    messages = [*history(30), said("user", 3_000, "p", pinned=True)]
    terms = replace(SONNET.terms("digest"), floor_tokens=6_000)
    decision = decided(messages, terms=terms)
    assert (decision.plan, decision.reason) == (None, "too_early")
    for floor, reason in ((3_200, "water_mark"), (3_201, "too_early")):  # head, summary, pinned
        assert decided(messages, terms=replace(terms, floor_tokens=floor)).reason == reason


def test_clocks_that_jump_do_no_harm() -> None:
    state, messages = MemoryState(), history(60)
    times = (0.0, 1e12, -1e12, 5.0, float("inf"), 5.0, float("nan"), 7.0)
    for n in range(1, 60):
        now_s = times[n % len(times)]
        state = gone_on(messages[: 2 * n - 1], state, policy=PLAIN, now_s=now_s)
    assert state.segments


def test_a_segment_needs_a_plan() -> None:
    with pytest.raises(MemoryPlanError, match="nothing_to_drop"):
        with_segment(decided([]), "text", 1)


@pytest.mark.parametrize("name", ["keep_tokens", "summary_tokens", "least_dropped_tokens"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True])
def test_numbers_of_a_policy_are_above_zero(name: str, value: float) -> None:
    with pytest.raises(MemoryPlanError, match=name):
        CompactionPolicy(**{name: value})  # type: ignore[arg-type]


def test_a_policy_is_kept_within_the_window_unless_it_has_a_limit_of_its_own() -> None:
    assert PLAIN.within(200_000) == replace(PLAIN, limit_tokens=150_000)
    for unknown in (None, 0, -1):
        assert PLAIN.within(unknown) is PLAIN
    own = replace(PLAIN, limit_tokens=9_000)
    assert own.within(200_000) is own


def test_policies_that_leave_no_room() -> None:
    assert CompactionPolicy(segments_tokens=200, summary_tokens=100).segments_tokens == 200
    for numbers in (
        {"segments_tokens": 199, "summary_tokens": 100},
        {"limit_tokens": 0},
        {"segments_tokens": 0},
    ):
        with pytest.raises(MemoryPlanError):
            CompactionPolicy(**numbers)  # type: ignore[arg-type]
    for name in ("regret", "first"):
        with pytest.raises(MemoryPlanError, match=name):
            RentEqualsBuy(**{name: 0})
    with pytest.raises(MemoryPlanError, match="high_tokens"):
        WaterMark(high_tokens=0)


def test_reasons_that_compact() -> None:
    assert {"limit", "cheaper_now", "rent", "water_mark", "idle"} == COMPACTING
