"""When a conversation is compacted: what it costs, what stays, and what it takes to decide."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import (
    COMPACTING,
    Account,
    CompactionPolicy,
    ConversationFacts,
    Decision,
    Front,
    HeldMessage,
    MemoryState,
    MemoryTerms,
    RentEqualsBuy,
    SummaryWay,
    WaterMark,
    decide,
    group_messages,
    view,
    with_segment,
)
from frugal_chains.memory._keep import Split, merged, split
from frugal_chains.pricing import CacheTerms, TokenPrices
from tests.core.memory.conversations import (
    DEEPSEEK,
    GPT_4O,
    GPT_5,
    HAIKU,
    MODELS,
    PLAIN,
    SONNET,
    TRAFFIC,
    UNCACHED,
    Model,
    Turn,
    answers,
    asks,
    constant,
    fixed_mark,
    played,
    refused,
    said,
    tool_run,
)
from tests.own_time import own_seconds

by_name = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
EAGER = replace(PLAIN, trigger=WaterMark(high_tokens=1), keep_tokens=500)
"""Compacts whenever there is something to drop."""


def decided(
    messages: list[HeldMessage],
    state: MemoryState | None = None,
    policy: CompactionPolicy = EAGER,
    *,
    model: Model = UNCACHED,
    head: str = "h",
    head_tokens: int = 100,
    tail: int = 0,
    now_s: float = 0.0,
    expected: float | None = None,
    terms: MemoryTerms | None = None,
) -> Decision:
    facts = ConversationFacts(
        messages=messages, head_tokens=head_tokens, head=head, tail_tokens=tail
    )
    return decide(
        facts,
        state or MemoryState(),
        terms or model.terms("digest"),
        policy,
        now_s=now_s,
        expected_calls=expected,
    )


def gone_on(
    messages: list[HeldMessage], state: MemoryState | None = None, **given: object
) -> MemoryState:
    """The state after a decision, carried out if there is a plan."""
    decision = decided(messages, state, **given)  # type: ignore[arg-type]
    if decision.plan is None:
        return decision.state
    return with_segment(decision, f"text {len(messages)}", decision.plan.segment_tokens)


def shown(state: MemoryState, messages: list[HeldMessage]) -> list[str]:
    return [
        messages[one.position].key if one.position is not None else "segment"
        for one in view(state, len(messages))
    ]


# -- what it costs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "at_100", "worst", "below_from"),
    [
        (SONNET, 0.42, 1.12, 25),
        (GPT_5, 0.40, 1.15, 25),
        (GPT_4O, 0.23, 1.12, 25),
        (DEEPSEEK, 0.70, 1.25, 45),
        (UNCACHED, 0.19, 1.25, 25),
        (HAIKU, 0.70, 1.12, 45),
    ],
    ids=lambda value: value.name if isinstance(value, Model) else None,
)
def test_what_a_conversation_costs(
    model: Model, at_100: float, worst: float, below_from: int
) -> None:
    outcome = played(model, constant(400))
    assert outcome.ratios[99] <= at_100
    assert max(outcome.ratios) <= worst
    assert outcome.below_from <= below_from


@by_name
def test_no_price_model_makes_it_much_dearer_at_any_length(model: Model) -> None:
    for kinds in (("aligned", "flat"), ("digest",)):
        outcome = played(model, constant(150), terms=model.terms(*kinds))
        assert max(outcome.ratios) <= 1.0801
        assert outcome.ratios[-1] < 0.6


@by_name
@pytest.mark.parametrize("traffic", TRAFFIC, ids=lambda traffic: traffic.__name__)
def test_the_account_is_what_the_provider_bills(
    model: Model, traffic: Callable[..., list[Turn]]
) -> None:
    outcome = played(model, traffic(120))
    assert outcome.state.account.spent_nanos == pytest.approx(outcome.paid[-1])
    assert outcome.state.account.unmanaged_nanos == pytest.approx(outcome.whole[-1])
    assert outcome.state.account.sent_tokens == outcome.requests[-1]
    assert outcome.state.account.calls == 120


@pytest.mark.parametrize("summary", [0.0, 0.6, 1.0])
@pytest.mark.parametrize(("size", "calls"), [(50, 140), (350, 45)])
def test_a_compacted_request_does_not_fall_out_of_the_cache(
    size: int, calls: int, summary: float
) -> None:
    turns = [Turn(size, size)] * calls
    outcome = played(HAIKU, turns, summary=lambda most: int(most * summary))
    first = next(n for n, tokens in enumerate(outcome.requests) if tokens >= HAIKU.least)
    assert min(outcome.requests[first:]) >= HAIKU.least
    assert outcome.compacted


@by_name
@pytest.mark.parametrize("traffic", TRAFFIC, ids=lambda traffic: traffic.__name__)
def test_as_good_as_the_best_fixed_mark_in_hindsight(
    model: Model, traffic: Callable[..., list[Turn]]
) -> None:
    marks = (*range(2_300, 9_000, 500), *range(9_000, 21_000, 2_000))
    shares = []
    for seed in (1, 2):
        turns = traffic(200, seed)
        best = min(fixed_mark(model, turns, high) for high in marks)
        shares.append(played(model, turns, idle_share=0.5).paid[-1] / best)
    assert statistics.mean(shares) <= 1.08


def test_the_closed_form_of_the_water_mark_is_as_good_for_steady_growth() -> None:
    closed = replace(PLAIN, trigger=WaterMark())
    for model in MODELS:
        turns = constant(200)
        best = min(fixed_mark(model, turns, high) for high in range(2_300, 24_000, 1_000))
        assert played(model, turns, policy=closed).paid[-1] <= 1.05 * best


def rent_or_buy(model: Model, calls: int) -> list[int]:
    """At which calls of 300 and 400 tokens rent = buy compacts, in plain arithmetic.

    The first time at one and a half times the price; later what the next call pays counts as paid.
    """
    history, segments, cached, cost, whole, rent = list[int](), 0, 0, 0.0, 0.0, 0.0
    compacted, last_whole = list[int](), 0

    def bill(tokens: int, shared: int) -> float:
        return _bill(model, tokens, shared)

    for number in range(calls):
        history.append(300)
        every = 2_000 + 700 * number + 300
        whole += bill(every, last_whole)
        last_whole = every
        merge = segments + 100 > 800
        after = 400 if merge else segments + 100
        stays, kept = len(history), 0
        while stays and kept < max(2_000, model.least - 2_000 - after):
            stays -= 1
            kept += history[stays]
        full, short = 2_000 + segments + sum(history), 2_000 + after + kept
        dropped = sum(history) - kept
        prompt = 2_000 + segments + dropped
        read = min(prompt, cached) if min(prompt, cached) >= model.least else 0
        summary = read * model.read + prompt - read + 50 + 100 * model.output
        keep = bill(full, min(cached, full))
        now = summary + bill(short, min(cached, 2_000 if merge else 2_000 + segments))
        growth = min(full - cached, short)
        steady = (short - growth) * model.read + growth * model.write
        due = max(0.0, keep - steady) if dropped else 0.0
        rent += due
        price = now - steady
        enough = rent + due >= price if compacted else rent >= 1.5 * price
        bought = enough and cost + now <= 1.08 * whole
        if dropped >= 400 and (now <= keep or bought):
            cost, cached, segments, history, rent = cost + now, short, after, history[stays:], 0.0
            compacted.append(number)
        else:
            cost, cached = cost + keep, full
        history.append(400)
    return compacted


def _bill(model: Model, tokens: int, shared: int) -> float:
    if tokens < model.least:
        return float(tokens)
    read = shared if shared >= model.least else 0
    return read * model.read + (tokens - read) * model.write


@by_name
def test_it_compacts_when_the_rent_reaches_the_price(model: Model) -> None:
    trigger = RentEqualsBuy(regret=0.08, first=1.5, cached_share=1e-9)
    outcome = played(model, constant(200), policy=replace(PLAIN, trigger=trigger))
    assert outcome.compacted == rent_or_buy(model, 200)


def test_the_cache_is_read_for_a_while_before_it_is_thrown_away() -> None:
    def times(model: Model, share: float) -> int:
        policy = replace(PLAIN, trigger=RentEqualsBuy(cached_share=share))
        return len(played(model, constant(120), policy=policy).compacted)

    assert times(GPT_4O, 1e-9) > times(GPT_4O, 0.9) > times(GPT_4O, 0.96)
    assert times(UNCACHED, 1e-9) == times(UNCACHED, 1.0)  # it has nothing to lose


SOME_TURNS = st.lists(
    st.builds(
        Turn,
        user=st.sampled_from((1, 300, 3_000)) | st.integers(1, 50_000),
        assistant=st.sampled_from((1, 400, 4_000)) | st.integers(1, 50_000),
        gap_s=st.sampled_from((10.0, 10.0, 10.0, 1_000.0)),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=150)
@given(
    turns=SOME_TURNS,
    model=st.sampled_from(MODELS),
    kinds=st.sampled_from((("aligned",), ("digest",), ("flat",))),
    regret=st.sampled_from((0.01, 0.08, 0.3)),
)
def test_at_no_moment_is_it_dearer_than_the_bound(
    turns: list[Turn], model: Model, kinds: tuple[str, ...], regret: float
) -> None:
    policy = replace(PLAIN, trigger=RentEqualsBuy(regret=regret, first=0.5), keep_tokens=300)
    outcome = played(model, turns, policy=policy, terms=model.terms(*kinds))
    assert max(outcome.ratios) <= (1 + regret) * (1 + 1e-9)


# -- what stays ----------------------------------------------------------------------------------


def test_a_system_message_inside_the_history_stays_where_it_is() -> None:
    messages = [said("user", 300, "u0"), said("system", 90, "rule"), said("assistant", 400, "a0")]
    state = MemoryState()
    for n in range(1, 40):
        messages += [said("user", 300, f"u{n}")]
        state = gone_on(messages, state)
        assert "rule" in shown(state, messages)
        messages += [said("assistant", 400, f"a{n}")]
    assert len(state.segments) >= 1
    assert shown(state, messages)[0] == "rule"


def test_a_question_stays_however_many_tools_are_called() -> None:
    everything, state = tool_run(200), MemoryState()
    merges, largest = 0, 0
    for n in range(200):
        messages = everything[: 3 + 2 * n]
        decision = decided(messages, state)
        merges += decision.plan is not None and decision.plan.merge
        state = gone_on(messages, state)
        sent = [
            messages[one.position] for one in view(state, len(messages)) if one.position is not None
        ]
        assert refused(sent) == ""
        assert sent[0].key == "q"
        largest = max(largest, state.account.sent_tokens)
    assert merges > 5
    assert largest < 100 + 300 + 800 + 500 + 600  # head, question, segments, newest and dropped


def test_a_question_that_is_answered_leaves_when_segments_are_merged() -> None:
    state, messages = MemoryState(), tool_run(20)
    for n in range(4, len(messages) + 1, 2):
        state = gone_on(messages[: n - 1], state)
    assert "q" in shown(state, messages)
    messages.append(said("user", 300, "next"))
    for n in range(60):
        messages += [said("assistant", 400, f"a{n}"), said("user", 300, f"u{n}")]
        state = gone_on(messages, state)
    assert "q" not in shown(state, messages)
    assert "next" not in shown(state, messages)


@pytest.mark.parametrize("which", [0, 1])
def test_what_is_pinned_stays_with_its_whole_group(which: int) -> None:
    group = [asks(50, "c", "a", "b"), answers(60, "r1", "a"), answers(70, "r2", "b")]
    group[which] = replace(group[which], pinned=True)
    messages, state = [said("user", 300, "q"), *group], MemoryState()
    for n in range(80):
        messages += [said("assistant", 400, f"a{n}"), said("user", 300, f"u{n}")]
        state = gone_on(messages, state)
        assert {"c", "r1", "r2"} <= set(shown(state, messages))
        sent = [
            messages[one.position] for one in view(state, len(messages)) if one.position is not None
        ]
        assert refused(sent) == ""
    assert shown(state, messages)[:3] == ["c", "r1", "r2"]  # they have been merged over


LIMITED = replace(EAGER, limit_tokens=3_000)


def fits(messages: list[HeldMessage], state: MemoryState, *, head: int = 100) -> bool:
    cut = dict(state.shortened)
    sizes = [
        one.segment.tokens
        if one.segment is not None
        else min(
            messages[one.position or 0].tokens, cut.get(messages[one.position or 0].key, 10**9)
        )
        for one in view(state, len(messages))
    ]
    return head + sum(sizes) <= LIMITED.limit_tokens  # type: ignore[operator]


def test_a_question_that_is_larger_than_the_window_is_cut() -> None:
    messages = [said("user", 50_000, "q")]
    decision = decided(messages, policy=LIMITED)
    assert decision.plan is None
    assert decision.state.shortened == (("q", 2_900),)
    assert decision.state.account.sent_tokens == 3_000


def test_a_result_that_is_larger_than_the_window_is_cut_and_the_question_is_not() -> None:
    messages = [said("user", 400, "q"), asks(40, "c", "a"), answers(50_000, "r", "a")]
    decision = decided(messages, policy=LIMITED)
    assert decision.state.shortened == (("r", 3_000 - 100 - 440),)
    both = [
        *messages[:1],
        asks(40, "c", "a", "b"),
        answers(5_000, "r", "a"),
        answers(9_000, "s", "b"),
    ]
    cut = dict(decided(both, policy=LIMITED).state.shortened)
    assert cut == {"r": 3_000 - 100 - 440 - 64, "s": 64}  # the largest first, to what it must keep


def test_results_are_cut_before_what_a_person_has_said() -> None:
    messages = [said("user", 2_500, "q"), asks(40, "c", "a"), answers(1_500, "r", "a")]
    assert decided(messages, policy=LIMITED).state.shortened == (("r", 3_000 - 100 - 2_540),)


def test_where_a_summary_would_be_longer_than_what_it_is_of_messages_are_cut() -> None:
    messages = [said("user", 10, "u0"), said("user", 2_950, "u1")]
    decision = decided(messages, policy=LIMITED)
    assert (decision.plan, decision.reason) == (None, "little_to_drop")
    assert decision.state.shortened == (("u1", 2_890),)


def test_a_message_in_the_middle_that_is_larger_than_the_window_leaves_it() -> None:
    messages = [said("user", 300, "u0"), said("assistant", 50_000, "huge"), said("user", 300, "u1")]
    state = gone_on(messages, policy=LIMITED)
    assert shown(state, messages) == ["segment", "u1"]
    assert state.shortened == ()
    assert fits(messages, state)


def test_a_pinned_message_is_never_cut() -> None:
    messages = [said("user", 50_000, "p", pinned=True), said("user", 1_000, "q")]
    decision = decided(messages, policy=LIMITED)
    assert decision.state.shortened == (("q", 64),)
    assert not fits(messages, decision.state)


def test_an_old_question_makes_room_for_a_new_one() -> None:
    state, messages = MemoryState(), [said("user", 2_000, "old")]
    for n in range(6):
        messages += [asks(40, f"c{n}", "a"), answers(600, f"r{n}", "a")]
        state = gone_on(messages, state, policy=LIMITED)
        assert fits(messages, state)
    assert shown(state, messages)[0] == "old"
    messages += [said("assistant", 300, "done"), said("user", 2_000, "new")]
    state = gone_on(messages, state, policy=LIMITED)
    assert fits(messages, state)
    assert "old" not in shown(state, messages)
    assert "new" not in dict(state.shortened)


def test_what_is_cut_is_remembered_as_long_as_it_is_sent() -> None:
    state, messages = MemoryState(), [said("user", 300, "q")]
    for n in range(60):
        messages += [asks(40, f"c{n}", "a"), answers(9_000, f"r{n}", "a")]
        state = gone_on(messages, state, policy=LIMITED)
        assert fits(messages, state)
        cut = [key for key, _ in state.shortened]
        assert set(cut) <= set(shown(state, messages))
    assert len(state.shortened) == 1


def test_what_is_pinned_takes_its_part_of_the_window() -> None:
    messages = [
        said("user", 300, "u0"), said("assistant", 1_500, "p", pinned=True),
        said("user", 600, "u1"), said("assistant", 600, "a1"), said("user", 600, "u2"),
        said("assistant", 600, "a2"), said("user", 300, "u3"),
    ]  # fmt: skip
    state = gone_on(messages, policy=replace(LIMITED, keep_tokens=2_000))
    assert shown(state, messages) == ["p", "segment", "a2", "u3"]
    assert state.shortened == ()  # older ones leave before the newest are cut
    assert fits(messages, state)


@pytest.mark.parametrize(
    ("question", "limit", "merge"),
    [(600, None, False), (600, 3_000, True), (300, 3_000, False), (600, 9_000, False)],
)
def test_an_old_question_leaves_early_only_where_that_makes_room(
    question: int, limit: int | None, merge: bool
) -> None:
    """A merged segment may have 400 tokens: what is freed has to be more."""
    messages = tool_run(8, question=question)
    state = gone_on(messages)
    assert shown(state, messages)[:2] == ["q", "segment"]
    for n in range(4):
        messages += [said("assistant", 400, f"a{n}"), said("user", 300, f"u{n}")]
    plan = decided(messages, state, replace(EAGER, limit_tokens=limit)).plan
    assert plan is not None
    assert plan.merge == merge
    assert (0 in plan.summarize) == merge


def test_what_stays_is_as_much_as_the_window_has_room_for() -> None:
    """Whole groups: of the next older one there would be too much."""
    messages = tool_run(8, question=600)
    state = gone_on(messages)
    for n in range(6):
        messages += [said("assistant", 350, f"a{n}"), said("user", 250, f"u{n}")]
    policy = replace(EAGER, limit_tokens=3_000, keep_tokens=9_000)
    for tail in (0, 50, 260, 500, 900):
        for before in (MemoryState(), state):
            decision = decided(messages, before, policy, tail=tail)
            plan = decision.plan
            assert plan is not None
            assert plan.merge == bool(before.segments)
            next_older = messages[plan.end - 1].tokens
            assert plan.after_tokens + tail <= 3_000 < plan.after_tokens + tail + next_older
            assert decision.compacted is not None
            assert decision.compacted.shortened == ()


def test_what_merged_segments_have_kept_stays_or_leaves_with_the_rest() -> None:
    messages = [said("user", tokens, f"m{tokens}") for tokens in (1, 20, 300, 4_000, 50_000)]
    cut = Split(
        end=4, kept=(2,), dropped=(3,), kept_tokens=300, dropped_tokens=4_000, newest_tokens=50_000
    )
    assert merged(messages, cut, stays=(1,), leaves=(0,)) == replace(
        cut, kept=(1, 2), dropped=(0, 3), kept_tokens=320, dropped_tokens=4_001
    )


@pytest.mark.parametrize(("room", "end"), [(300, 2), (299, 3), (99, 4)])
def test_as_much_stays_as_there_is_room_for(room: int, end: int) -> None:
    messages = [said("user", 100, f"u{n}") for n in range(5)]
    groups = group_messages(messages)
    cut = split(messages, groups, start=0, keep_tokens=10_000, room_tokens=room)
    assert (cut.end, cut.newest_tokens) == (end, 500 - 100 * end)


def test_recalled_text_counts_for_the_window() -> None:
    messages = [said("user", 1_000, "u0"), said("assistant", 1_000, "a0"), said("user", 500, "u1")]
    policy = replace(LIMITED, trigger=RentEqualsBuy())
    assert decided(messages, policy=policy, tail=400).reason != "limit"
    assert decided(messages, policy=policy, tail=401).reason == "limit"


def test_the_state_stays_small_and_the_pinned_message_where_it_is() -> None:
    messages, state, merges = [said("user", 300, "p", pinned=True)], MemoryState(), 0
    for n in range(1_000):
        messages += [said("assistant", 400, f"a{n}"), said("user", 300, f"u{n}")]
        decision = decided(messages, state)
        plan = decision.plan
        merges += plan is not None and plan.merge
        state = gone_on(messages, state)
        assert shown(state, messages)[0] == "p"
        assert sum(one.tokens for one in state.segments) <= 800
    assert merges > 50
    assert len(str(state.to_json())) < 4_000


# -- when ----------------------------------------------------------------------------------------


def history(turns: int) -> list[HeldMessage]:
    """Ends with a question."""
    messages = [said("user", 300, "u0")]
    for n in range(1, turns):
        messages += [said("assistant", 400, f"a{n - 1}"), said("user", 300, f"u{n}")]
    return messages


def warm_state(model: Model, turns: int, **given: object) -> MemoryState:
    """After the call with so many questions, a conversation that has not been compacted."""
    state, messages = MemoryState(), history(turns)
    never = replace(PLAIN, trigger=WaterMark(high_tokens=10**9))
    for n in range(1, turns + 1):
        state = decided(
            messages[: 2 * n - 1],
            state,
            never,
            model=model,
            now_s=10.0 * n,
            **given,  # type: ignore[arg-type]
        ).state
    return state


DEFAULT = PLAIN


def test_nothing_leaves_a_short_conversation() -> None:
    decision = decided(history(3), policy=DEFAULT)
    assert (decision.plan, decision.reason) == (None, "nothing_to_drop")
    assert decided([]).reason == "nothing_to_drop"


def test_little_is_not_worth_it() -> None:
    messages = [said("user", 299, "u0"), said("user", 2_000, "u1")]
    assert decided(messages, policy=DEFAULT).reason == "little_to_drop"
    messages[0] = said("user", 300, "u0")
    assert decided(messages, policy=DEFAULT).reason == "cheaper_now"


def test_an_expired_cache_is_the_time_to_compact() -> None:
    state, messages = warm_state(SONNET, 9, terms=SONNET.terms("digest")), history(10)
    for pause, reason in ((300.0, "too_early"), (300.1, "cheaper_now"), (-5_000.0, "too_early")):
        decision = decided(
            messages, state, DEFAULT, now_s=90.0 + pause, terms=SONNET.terms("digest")
        )
        assert decision.reason == reason


def test_another_model_finds_no_cache() -> None:
    terms = SONNET.terms("digest")
    state, messages = warm_state(SONNET, 9, terms=terms), history(10)
    same = decided(messages, state, DEFAULT, now_s=100.0, terms=terms)
    other = decided(messages, state, DEFAULT, now_s=100.0, terms=terms, head="other")
    assert (same.reason, other.reason) == ("too_early", "cheaper_now")
    assert other.plan is not None
    paid = other.state.account.spent_nanos - state.account.spent_nanos
    assert paid == pytest.approx(1.25 * (100 + sum(one.tokens for one in messages)))
    assert other.state.account.head == "other"


def test_what_would_not_be_paid_back_is_not_done() -> None:
    state, messages = warm_state(SONNET, 30), history(31)
    plan = decided(messages, state, DEFAULT, model=SONNET, terms=SONNET.terms(), now_s=310.0).plan
    assert plan is not None
    calls = plan.extra_nanos / plan.saves_nanos
    assert calls > 1
    for expected, reason in ((calls * 0.99, "no_pay_back"), (calls * 1.01, "rent")):
        decision = decided(
            messages, state, DEFAULT, terms=SONNET.terms(), now_s=310.0, expected=expected
        )
        assert decision.reason == reason


def test_the_bound_on_regret_waits_until_it_holds() -> None:
    state, messages = warm_state(SONNET, 30), history(31)
    strict = replace(DEFAULT, trigger=RentEqualsBuy(regret=0.001))
    assert decided(messages, state, strict, terms=SONNET.terms(), now_s=310.0).reason == "regret"


def test_a_water_mark_of_the_users() -> None:
    messages = history(8)  # 8 * 300 + 7 * 400 tokens
    for high, reason in ((5_200, "water_mark"), (5_201, "too_early")):
        policy = replace(PLAIN, trigger=WaterMark(high_tokens=high))
        assert decided(messages, policy=policy, model=SONNET).reason == reason


def test_where_nothing_costs_anything_nothing_is_done_but_for_the_window() -> None:
    free = MemoryTerms(
        cache=CacheTerms(prices=TokenPrices(fresh=0, cache_read=0, cache_write=0)), ttl_s=300
    )
    for policy in (DEFAULT, EAGER, replace(DEFAULT, trigger=WaterMark())):
        assert decided(history(100), policy=policy, terms=free).reason == "too_early"
    limited = replace(DEFAULT, limit_tokens=5_000)
    assert decided(history(100), policy=limited, terms=free).reason == "limit"


def test_a_compacted_request_would_be_too_short_for_the_cache() -> None:
    terms = replace(SONNET.terms("digest"), floor_tokens=6_000)
    state = gone_on(history(30), policy=EAGER, terms=terms)
    assert state.segments
    assert 6_000 <= state.account.sent_tokens < 6_700


def test_where_the_newest_is_pinned_it_does_not_fall_out_of_the_cache_either() -> None:
    messages = [*history(30), said("user", 3_000, "p", pinned=True)]
    terms = replace(SONNET.terms("digest"), floor_tokens=6_000)
    decision = decided(messages, terms=terms)
    assert (decision.plan, decision.reason) == (None, "too_early")
    assert decided(messages, terms=replace(terms, floor_tokens=3_000)).reason == "water_mark"


def test_clocks_that_jump_do_no_harm() -> None:
    state, messages = MemoryState(), history(60)
    times = (0.0, 1e12, -1e12, 5.0, float("inf"), 5.0, float("nan"), 7.0)
    for n in range(1, 60):
        now_s = times[n % len(times)]
        state = gone_on(messages[: 2 * n - 1], state, policy=DEFAULT, now_s=now_s)
    assert state.segments


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
            messages, state, DEFAULT, terms=replace(SONNET.terms(), ways=ways), now_s=310.0
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
        front = Front(cache, 1_200, cached)
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
    plain = decided(messages, policy=DEFAULT, model=SONNET).state.account
    recalled = decided(messages, policy=DEFAULT, model=SONNET, tail=500).state.account
    assert recalled == replace(plain, spent_nanos=plain.spent_nanos + 500)


def test_recalled_text_costs_fresh_once_and_then_as_read() -> None:
    prices = TokenPrices(fresh=3.0, cache_read=0.5, cache_write=4.0)
    terms = MemoryTerms(cache=CacheTerms(prices=prices), ttl_s=300)
    facts = ConversationFacts(messages=history(12), head_tokens=100, head="h")

    def spent(facts: ConversationFacts) -> float:
        return decide(facts, MemoryState(), terms, DEFAULT, now_s=0.0).state.account.spent_nanos

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
    policy = replace(DEFAULT, trigger=WaterMark(high_tokens=1))
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
        plan = decide(facts, warm, terms, DEFAULT, now_s=310.0).plan
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
        facts, state, SONNET.terms("digest"), replace(DEFAULT, trigger=trigger), now_s=310.0
    ).plan
    assert plan is not None
    assert plan.kept == (pinned,)
    now = read * 0.1 + (plan.after_tokens - read) * 1.25
    assert plan.extra_nanos == pytest.approx(now - (sent * 0.1 + 700 * 1.25))


def test_a_segment_needs_a_plan() -> None:
    with pytest.raises(MemoryPlanError, match="nothing_to_drop"):
        with_segment(decided([]), "text", 1)


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
        assert (0 in decision.broken) == (len(decision.state.segments) == 0)
        messages += [said("assistant", 400, f"b{n}"), said("user", 300, f"v{n}")]
    assert state.segments


@pytest.mark.parametrize("name", ["keep_tokens", "summary_tokens", "least_dropped_tokens"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True])
def test_numbers_of_a_policy_are_above_zero(name: str, value: float) -> None:
    with pytest.raises(MemoryPlanError, match=name):
        CompactionPolicy(**{name: value})  # type: ignore[arg-type]


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


# -- how long it takes ---------------------------------------------------------------------------


def seconds(messages: list[HeldMessage], state: MemoryState, policy: CompactionPolicy) -> float:
    """The best of several: another's work on the same core only adds to it."""
    return min(own_seconds(lambda: decided(messages, state, policy, now_s=1.0)) for _ in range(15))


KINDS: dict[str, Callable[[int], list[HeldMessage]]] = {
    "turns": lambda count: history(count // 2),
    "tools": lambda count: tool_run(count // 2),
    "pinned": lambda count: [
        replace(one, pinned=at % 10 == 0) for at, one in enumerate(history(count // 2))
    ],
}


ACTS = replace(EAGER, limit_tokens=9_000)


def compacted_before(messages: list[HeldMessage]) -> MemoryState:
    """After a compaction, all but the newest tenth of the messages ago."""
    return gone_on(messages[: len(messages) * 9 // 10 // 2 * 2 + 1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", [DEFAULT, EAGER, ACTS], ids=("waits", "acts", "limit"))
def test_a_decision_takes_less_than_a_millisecond(kind: str, policy: CompactionPolicy) -> None:
    messages = KINDS[kind](1_000)
    state = compacted_before(messages)
    assert state.segments
    assert seconds(messages, state, policy) <= 0.001
    if policy.limit_tokens is None:
        assert seconds(messages, MemoryState(), policy) <= 0.001


@pytest.mark.parametrize("kind", KINDS)
def test_time_grows_with_the_messages_and_no_faster(kind: str) -> None:
    short, long = KINDS[kind](1_000), KINDS[kind](10_000)
    for made in (lambda _: MemoryState(), compacted_before):
        once, tenfold = (seconds(one, made(one), ACTS) for one in (short, long))
        assert tenfold <= 20 * once
    assert tenfold <= 0.010
