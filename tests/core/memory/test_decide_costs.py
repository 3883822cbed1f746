"""What a conversation costs with the memory: by a provider's own books, and in plain arithmetic."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.memory import (
    ConversationFacts,
    HeldMessage,
    MemoryState,
    RentEqualsBuy,
    WaterMark,
    decide,
)
from tests.core.memory.conversations import (
    DEEPSEEK,
    GPT_4O,
    GPT_5,
    GPT_6,
    HAIKU,
    HALF_SONNET,
    MODELS,
    PLAIN,
    SONNET,
    TRAFFIC,
    UNCACHED,
    MarkedProvider,
    Model,
    Turn,
    blocks,
    constant,
    fixed_mark,
    played,
    said,
    short_with_pauses,
)
from tests.core.memory.deciding import by_name


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


MARKED = (SONNET, HALF_SONNET, HAIKU, GPT_6)


@pytest.mark.parametrize("model", MARKED, ids=lambda model: model.name)
@pytest.mark.parametrize("kinds", [("aligned", "flat"), ("aligned",), ("digest",)], ids="-".join)
@pytest.mark.parametrize("traffic", [*TRAFFIC, short_with_pauses], ids=lambda made: made.__name__)
def test_a_cache_that_keeps_marked_ends_bills_what_the_account_says(
    model: Model, kinds: tuple[str, ...], traffic: Callable[..., list[Turn]]
) -> None:
    """What is summarised ends in the middle of what was sent: only an entry there that is alive
    makes the request cheap, and which are the account must know."""
    terms = replace(model.terms(*kinds), keeps_ends=True)
    for head in (300, 2_000):
        outcome = played(model, traffic(140), head=head, terms=terms, provider=MarkedProvider)
        account = outcome.state.account
        assert account.unmanaged_nanos == pytest.approx(outcome.whole[-1])
        assert account.spent_nanos == pytest.approx(outcome.paid[-1])
        assert max(outcome.ratios) <= 1.0801
        assert outcome.compacted
        assert len(account.ends) <= 32


@pytest.mark.parametrize(("gap_s", "goes_on"), [(10.0, False), (299.0, True)])
def test_a_summary_is_asked_for_where_the_cache_has_an_entry(gap_s: float, goes_on: bool) -> None:
    """Of quick turns the ends of many are alive; of slow ones only the last two are, which have
    more than what is summarised: reading that is cheaper than sending anything anew."""
    terms = replace(SONNET.terms("aligned", "flat"), keeps_ends=True)
    provider, state, now_s = MarkedProvider(SONNET), MemoryState(), 0.0
    messages: list[HeldMessage] = []
    for number in range(30):
        now_s += gap_s
        messages.append(said("user", 300, f"u{number}"))
        facts = ConversationFacts(messages=messages, head_tokens=2_000, head="h")
        decision = decide(facts, state, terms, PLAIN, now_s=now_s)
        plan = decision.plan
        if plan is not None:
            break
        state = decision.state
        provider.bill(blocks(state, messages, 2_000), now_s)
        messages.append(said("assistant", 400, f"a{number}"))
    assert plan is not None
    assert plan.way.kind == "aligned"
    assert (plan.repeats_to > plan.end) == goes_on
    told = 50 + (24 if goes_on else 0)
    cheapest = min(
        provider.summary(blocks(state, messages, 2_000, upto=upto), told, 100, now_s)
        for upto in range(plan.end, len(messages))
    )
    assert plan.summary_nanos == pytest.approx(cheapest)


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
    for seed in (1,) if traffic is constant else (1, 2):
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


def test_the_closed_form_does_not_depend_on_what_stands_in_front() -> None:
    closed, terms = replace(PLAIN, trigger=WaterMark()), SONNET.terms("digest")
    short, long = (
        played(SONNET, constant(80), head=head, policy=closed, terms=terms).compacted
        for head in (2_000, 50_000)
    )
    assert len(short) > 3
    assert short == long


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
