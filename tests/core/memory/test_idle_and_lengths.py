"""Compaction while nobody asks, and what past conversations say of the next one."""

from __future__ import annotations

import random
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import (
    Account,
    CompactionPolicy,
    ConversationFacts,
    Decision,
    HeldMessage,
    Lengths,
    MemoryState,
    RentEqualsBuy,
    decide,
    decide_idle,
    with_segment,
)
from tests.core.memory.conversations import (
    DEEPSEEK,
    GPT_5,
    HAIKU,
    HALF_SONNET,
    MODELS,
    PLAIN,
    SONNET,
    UNCACHED,
    Model,
    Turn,
    constant,
    idle_gaps,
    played,
    said,
)

by_name = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
HEAD, NEVER = 2_000, replace(PLAIN, trigger=RentEqualsBuy(first=1e9, regret=1e-9))


def talked(turns: int) -> list[HeldMessage]:
    """Ends with an answer."""
    return [
        said(role, tokens, f"{role[0]}{n}")
        for n in range(turns)
        for role, tokens in (("user", 300), ("assistant", 400))
    ]


def after_calls(model: Model, turns: int) -> MemoryState:
    """Of a conversation that has not been compacted; the last call was at 0 seconds."""
    state, messages = MemoryState(), talked(turns)
    for n in range(turns):
        facts = ConversationFacts(messages=messages[: 2 * n + 1], head_tokens=HEAD, head="h")
        now_s = 10.0 * (n + 1 - turns)
        state = decide(facts, state, model.terms(), NEVER, now_s=now_s).state
    return state


def idle(
    model: Model,
    turns: int,
    *,
    share: float = 0.5,
    now_s: float = 270.0,
    policy: CompactionPolicy = NEVER,
    state: MemoryState | None = None,
    kind: str = "aligned",
) -> tuple[Decision, MemoryState]:
    """The decision, and the state before it."""
    state = state or after_calls(model, turns)
    facts = ConversationFacts(messages=talked(turns), head_tokens=HEAD, head="h")
    decision = decide_idle(facts, state, model.terms(kind), policy, now_s=now_s, return_share=share)
    return decision, state


def kept_of(turns: int, least: int = 2_000) -> int:
    """Of the newest messages, in tokens."""
    kept = 0
    for message in reversed(talked(turns)):
        if kept >= least:
            break
        kept += message.tokens
    return kept


def gain(model: Model, turns: int, share: float) -> float:
    """What compacting before the cache expires saves, in plain arithmetic."""
    history, sent = 700 * turns, HEAD + 700 * turns - 400
    floor = max(2_000, model.least - HEAD - 100)
    kept = kept_of(turns, floor)
    dropped = history - kept
    short, full = HEAD + 100 + kept, HEAD + history

    def cold(tokens: int) -> float:
        return tokens * (model.write if tokens >= model.least else 1.0)

    read = min(HEAD + dropped, sent)
    summary_now = read * model.read + (HEAD + dropped - read) + 50 + 100 * model.output
    summary_later = HEAD + dropped + 50 + 100 * model.output
    later = min(cold(full), cold(short) + summary_later)
    return share * (later - cold(short)) - summary_now


@by_name
@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.5, 1.0])
def test_it_compacts_where_that_is_cheaper_on_average(model: Model, share: float) -> None:
    for turns in (6, 10, 20, 60):
        decision, state = idle(model, turns, share=share)
        expected = gain(model, turns, share)
        assert decision.reason == ("idle" if expected > 0 else "too_early")
        assert (decision.plan is None) == (decision.reason != "idle")
        if decision.plan is None:
            assert decision.state == state


def test_both_outcomes_are_among_these_cases() -> None:
    gains = [gain(model, turns, 0.2) > 0 for model in MODELS for turns in (6, 10, 20, 60)]
    assert {True, False} == set(gains)


@pytest.mark.parametrize(
    "model", [SONNET, HALF_SONNET, HAIKU, GPT_5, DEEPSEEK], ids=lambda m: m.name
)
def test_the_account_after_an_idle_compaction(model: Model) -> None:
    decision, state = idle(model, 40, share=1.0)
    assert decision.plan is not None
    assert decision.compacted is not None
    before, after = state.account, decision.compacted.account
    assert after.spent_nanos - before.spent_nanos == pytest.approx(decision.plan.summary_nanos)
    assert after.rent_nanos == 0.0
    assert after.sent_tokens == HEAD  # of what is sent next the cache has only that
    assert (after.calls, after.at_s, after.unmanaged_tokens) == (
        before.calls,
        before.at_s,
        before.unmanaged_tokens,
    )
    assert decision.state.account == before  # if it fails, nothing has happened


@by_name
def test_pauses_cost_less_with_it(model: Model) -> None:
    turns = idle_gaps(150)
    with_it, without = (played(model, turns, idle_share=share) for share in (0.5, None))
    assert with_it.paid[-1] <= 1.01 * without.paid[-1]
    if model in (SONNET, HALF_SONNET, HAIKU, GPT_5, DEEPSEEK):
        assert with_it.paid[-1] <= 0.95 * without.paid[-1]
    assert with_it.state.account.spent_nanos == pytest.approx(with_it.paid[-1])


def test_nobody_who_comes_back_is_no_gain() -> None:
    assert idle(SONNET, 60, share=0.0)[0].reason == "too_early"


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan")])
def test_a_share_is_between_none_and_all(share: float) -> None:
    with pytest.raises(MemoryPlanError, match="expected 0 to 1"):
        idle(SONNET, 3, share=share)


def test_there_must_be_something_to_drop() -> None:
    assert idle(SONNET, 2)[0].reason == "nothing_to_drop"
    dropped = 700 * 9 - kept_of(9)
    for least, reason in ((dropped, "idle"), (dropped + 1, "little_to_drop")):
        policy = replace(NEVER, least_dropped_tokens=least)
        assert idle(SONNET, 9, share=1.0, policy=policy)[0].reason == reason


def test_it_does_not_matter_how_early_before_the_cache_expires() -> None:
    for now_s in (0.0, 1.0, 299.0, 300.0):
        assert idle(SONNET, 60, now_s=now_s)[0].reason == "idle"


def test_after_an_undo_it_is_quiet() -> None:
    decision, _ = idle(SONNET, 60, share=1.0)
    state = with_segment(decision, "text", 100)
    undone = state.without(state.segments[0].id)
    again, _ = idle(SONNET, 60, share=1.0, state=undone)
    assert again.reason == "undone"
    assert again.state == undone


def test_the_window_is_left_to_the_next_call() -> None:
    policy = replace(NEVER, limit_tokens=2_300)
    for turns, reason in ((1, "nothing_to_drop"), (2, "too_early"), (60, "idle")):
        decision, state = idle(SONNET, turns, share=1.0, policy=policy)
        assert decision.reason == reason
        if decision.plan is None:
            assert decision.state == state
        else:
            assert with_segment(decision, "text", 100).account.sent_tokens >= 0


def test_the_cache_never_holds_less_than_nothing() -> None:
    messages = [said("user", 5_000, "u0"), said("assistant", 5_000, "a0")]
    messages += [said("user", 3_000, "u1"), said("assistant", 3_000, "a1")]
    state = MemoryState(
        account=Account(calls=2, sent_tokens=13_000, unmanaged_tokens=13_000, head="h", at_s=0.0)
    )
    decision = decide_idle(
        ConversationFacts(messages=messages, head="h"), state, SONNET.terms(),
        replace(NEVER, limit_tokens=2_000), now_s=270.0, return_share=1.0,
    )  # fmt: skip
    assert decision.compacted is not None
    assert decision.compacted.shortened  # what stays does not fit, and nothing of it is cached
    assert decision.compacted.account.sent_tokens == 0
    assert with_segment(decision, "text", 0).account.sent_tokens == 0


def test_segments_of_edited_messages_are_forgotten_here_too() -> None:
    decision, _ = idle(SONNET, 60, share=1.0)
    state = with_segment(decision, "text", 100)
    messages = [said("user", 300, "edited"), *talked(60)[1:]]
    facts = ConversationFacts(messages=messages, head_tokens=HEAD, head="h")
    again = decide_idle(facts, state, SONNET.terms(), NEVER, now_s=270.0, return_share=0.0)
    assert again.state.segments == ()
    assert again.state.account.sent_tokens == 0


# -- lengths -------------------------------------------------------------------------------------

CALLS = st.lists(st.integers(1, 60), max_size=80)


@given(CALLS, st.integers(0, 70))
def test_expected_is_the_mean_of_those_that_came_so_far(calls: list[int], so_far: int) -> None:
    longer = [length - so_far for length in calls if length >= so_far]
    expected = Lengths.of(calls).expected_more(so_far)
    if len(longer) < 20:
        assert expected is None
    else:
        assert expected == pytest.approx(statistics.mean(longer))


def test_twenty_must_be_known() -> None:
    assert Lengths.of([9] * 19).expected_more(5) is None
    assert Lengths.of([9] * 20).expected_more(5) == 4
    assert Lengths.of([9] * 20).expected_more(9) == 0
    assert Lengths.of([9] * 20).expected_more(10) is None
    assert Lengths().expected_more(1) is None


def test_a_conversation_has_a_call() -> None:
    with pytest.raises(MemoryPlanError, match="of 0 calls"):
        Lengths.of([3, 0])


@by_name
def test_all_in_all_short_conversations_cost_no_more(model: Model) -> None:
    rng = random.Random(11)
    lengths = Lengths.of(rng.randint(4, 24) for _ in range(400))
    played_out = [played(model, constant(rng.randint(4, 24)), lengths=lengths) for _ in range(25)]
    paid, whole = (sum(getattr(one, name)[-1] for one in played_out) for name in ("paid", "whole"))
    assert paid <= 1.005 * whole


def test_knowing_that_conversations_are_long_costs_nothing() -> None:
    lengths = Lengths.of(random.Random(3).randint(150, 400) for _ in range(200))
    for model in MODELS:
        known = played(model, constant(100), lengths=lengths)
        assert known.paid[-1] == played(model, constant(100)).paid[-1]


def test_of_one_size_only_the_last_calls_matter() -> None:
    """A conversation of 20 calls, as all are: nothing is bought that cannot be paid back."""
    lengths = Lengths.of([20] * 50)
    for model in (SONNET, DEEPSEEK, UNCACHED):
        outcome = played(model, [Turn()] * 20, lengths=lengths)
        assert outcome.paid[-1] <= outcome.whole[-1]
        assert 19 not in outcome.compacted or model is UNCACHED
