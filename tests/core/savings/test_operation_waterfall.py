"""One operation from baseline to bill, against amounts reckoned by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from frugal_chains.pricing import Free, PriceBook
from frugal_chains.savings import Baseline, Step, Waterfall, operation_waterfall, summed
from frugal_chains.usage import Usage
from tests.core.savings.samples import (
    BIG_NANOS,
    SMALL_NANOS,
    attempt,
    book,
    effect,
    routed,
)

BOTH = Baseline(candidates={"cheap": ("acme", "small"), "dear": ("acme", "big")})


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> PriceBook:
    return book(tmp_path_factory.mktemp("prices"))


def steps_of(waterfall: Waterfall) -> dict[str, int | None]:
    return {step.name: step.nanos for step in waterfall.steps}


def test_nothing_is_a_waterfall_of_nothing():
    nothing = operation_waterfall([])
    assert nothing == Waterfall() == summed([])
    assert (nothing.baseline_nanos, nothing.bill_usd) == (0, Decimal(0))
    assert (nothing.modelled_share, nothing.covered_share) == (None, None)


def test_without_levers_the_baseline_is_the_bill():
    found = operation_waterfall([attempt(nanos=3), attempt(1, nanos=4)])
    assert (found.baseline_nanos, found.bill_nanos, found.steps) == (7, 7, ())
    assert (found.operations, found.covered_operations, found.attempts) == (1, 0, 2)


def test_every_lever_has_its_step_in_the_fixed_order_and_a_loss_is_one():
    effects = [
        effect("batch", 1),
        effect("prompt_cache.mark", -70),
        effect("own.lever", 3),
        effect("compression.extract", 500, kind="measured"),
        effect("compression.payload", -200),
        effect("memory.recall", -30),
        effect("memory.compact", 400),
    ]
    found = operation_waterfall([attempt(nanos=1_000)], effects)
    assert list(steps_of(found).items()) == [
        ("memory", 370), ("compression", 300), ("prompt_cache", -70), ("batch", 1), ("other", 3),
    ]  # fmt: skip
    assert (found.bill_nanos, found.baseline_nanos, found.saved_nanos) == (1_000, 1_604, 604)
    # Modelled: 370 + 200 + 70 + 1 + 3; measured: 500.
    assert found.moved_nanos == (644, 1_144)
    assert found.saved_usd == Decimal("0.000000604")
    assert (found.covered_operations, found.covered_nanos) == (1, 1_000)


def test_a_waterfall_may_lose_money_as_a_whole():
    found = operation_waterfall([attempt(nanos=100)], [effect("memory.compact", -250)])
    assert (found.baseline_nanos, found.saved_nanos) == (-150, -250)


def test_what_a_summary_costs_counts_once():
    """The memory says it saved 900 net of a summary it reckoned at about 100; the bill has 130."""
    attempts = [attempt(nanos=1_000), attempt(1, nanos=130, purpose="summary")]
    found = operation_waterfall(attempts, [effect("memory.compact", 900)])
    assert steps_of(found) == {"memory": 1_030, "summaries": -130}
    # Not 2,160: what would have been paid is the 1,000, and what the memory says.
    assert (found.bill_nanos, found.saved_nanos, found.baseline_nanos) == (1_130, 900, 2_030)
    assert found.step("memory").modelled_nanos == 1_030
    assert found.step("summaries").measured_nanos == -130


def test_classifiers_and_judges_are_no_part_of_the_baseline():
    attempts = [
        attempt(nanos=1_000),
        attempt(1, nanos=40, purpose="classify"),
        attempt(2, nanos=2, purpose="judge"),
        attempt(3, nanos=5, purpose="embed"),
    ]
    found = operation_waterfall(attempts)
    assert steps_of(found) == {"classifiers": -40, "judges": -2}
    assert (found.bill_nanos, found.baseline_nanos) == (1_047, 1_005)


# -- routing -----------------------------------------------------------------------------------


def test_a_routed_answer_is_priced_at_the_dearest_candidate(prices):
    found = operation_waterfall([routed()], book=prices, baseline=BOTH)
    assert steps_of(found) == {"routing": BIG_NANOS - SMALL_NANOS}
    assert (found.baseline_nanos, found.bill_nanos) == (BIG_NANOS, SMALL_NANOS)
    assert found.modelled_share == 1.0
    assert (found.covered_operations, found.covered_nanos) == (1, SMALL_NANOS)


def test_the_dearest_candidate_saves_nothing_and_needs_no_price():
    found = operation_waterfall([routed(chosen="dear")])
    assert steps_of(found) == {"routing": 0}


def test_a_named_baseline_goes_before_the_decisions(prices):
    to_small = Baseline(model="small", provider="acme")
    found = operation_waterfall(
        [routed(), routed(1, chosen="dear")], book=prices, baseline=to_small
    )
    # The small one's own answer is worth its own cost; the big one's would have been a tenth.
    assert steps_of(found) == {"routing": SMALL_NANOS - BIG_NANOS}


def test_a_cache_read_is_taken_over_at_the_baselines_own_rate(prices):
    usage = Usage(input_tokens=1_000, cache_read_tokens=1_000)
    found = operation_waterfall([routed(usage=usage, nanos=100_000)], book=prices, baseline=BOTH)
    assert found.baseline_nanos == 1_000_000  # 1,000 tokens at $1, not at $10


def test_the_models_of_candidates_are_told_by_attempts(prices):
    found = operation_waterfall([routed(), routed(1, chosen="dear")], book=prices)
    assert steps_of(found) == {"routing": BIG_NANOS - SMALL_NANOS}


@pytest.mark.parametrize(
    "case",
    [
        {"baseline": Baseline(candidates={"dear": ("acme", "nobody knows")})},
        {"baseline": Baseline(model="nobody knows", provider="acme")},
        {"baseline": Baseline()},  # which model is `dear`?
        {"book": None},
        {"nanos": None},
        {"routing": {"expected_nanos": {}}},
        {"routing": {"expected_nanos": "junk", "excluded": 7}},
        {"routing": {"action": "answer"}, "status": "cached", "price": Free()},
    ],
)
def test_what_routing_saved_may_be_unknown_and_is_not_zero(prices, case):
    arguments = {"book": prices, "baseline": BOTH} | case
    asked = {name: arguments.pop(name) for name in ("book", "baseline")}
    found = operation_waterfall([routed(**arguments)], **asked)
    step = found.step("routing")
    assert (step.nanos, step.usd, step.attempts, step.unknown_attempts) == (None, None, 1, 1)
    assert found.baseline_nanos == found.bill_nanos
    assert found.unknown_attempts == 1


def test_an_excluded_candidate_would_not_have_answered(prices):
    weighed = {"expected_nanos": {"cheap": 1, "dear": 2}, "excluded": {"dear": "too small"}}
    found = operation_waterfall([routed(routing=weighed)], book=prices, baseline=BOTH)
    assert steps_of(found) == {"routing": 0}


def test_a_decision_says_itself_which_model_the_dearest_is(prices):
    """That never answered, here or anywhere; what attempts would tell is not asked."""
    says = {"dearest": ["acme", "big"]}
    says_otherwise = Baseline(candidates={"dear": ("acme", "small")})
    for baseline in (None, Baseline(), says_otherwise):
        found = operation_waterfall([routed(routing=says)], book=prices, baseline=baseline)
        assert steps_of(found) == {"routing": BIG_NANOS - SMALL_NANOS}


def test_a_model_without_a_provider_is_looked_up_by_its_name_alone(prices):
    found = operation_waterfall([routed(routing={"dearest": ["", "acme/big"]})], book=prices)
    assert steps_of(found) == {"routing": BIG_NANOS - SMALL_NANOS}


@pytest.mark.parametrize(
    "said",
    [None, 3, [], {}, "acme/big", ["acme"], ["acme", "big", "x"], [1, "big"], ["acme", None]],
)
def test_a_decision_of_an_earlier_version_or_anybodys_leaves_it_to_the_attempts(prices, said):
    says = {"dearest": said} if said is not None else {}
    alone = operation_waterfall([routed(routing=says)], book=prices)
    assert (alone.step("routing").nanos, alone.unknown_attempts) == (None, 1)
    both = [routed(routing=says), routed(1, chosen="dear", routing=says)]
    found = operation_waterfall(both, book=prices)
    assert steps_of(found) == {"routing": BIG_NANOS - SMALL_NANOS}


def test_of_two_equally_dear_the_first_by_name_would_have_answered(prices):
    """In whatever order the decision has them: a ledger keeps them by name."""
    for bills in ({"b": 9, "a": 9, "c": 1}, {"a": 9, "c": 1, "b": 9}):
        says = {"expected_nanos": bills}
        for chosen, known in (("a", True), ("b", False)):
            found = operation_waterfall([routed(chosen=chosen, routing=says)], book=prices)
            assert found.step("routing").known == known


def test_a_name_that_has_been_two_models_is_not_guessed(prices):
    attempts = [routed(), routed(1, chosen="dear"), routed(2, chosen="dear", model="other")]
    found = operation_waterfall(attempts, book=prices)
    assert (
        found.step("routing").unknown_attempts == 1
    )  # the small one; the dear two are the dearest


@pytest.mark.parametrize("status", ["error", "cached"])
def test_who_has_not_answered_has_saved_nothing_by_routing(prices, status):
    found = operation_waterfall([routed(status=status)], book=prices, baseline=BOTH)
    assert (found.steps, found.baseline_nanos) == ((), SMALL_NANOS)


def test_deciding_is_an_overhead_once_for_each_request(prices):
    deciding = {"deciding_nanos": 90}
    attempts = [
        routed(step="cascade", purpose="draft", routing=deciding),
        routed(1, step="escalation: length", to="dear", routing=deciding),
    ]
    found = operation_waterfall(attempts, book=prices, baseline=BOTH)
    assert found.step("classifiers") == Step(name="classifiers", modelled_nanos=-90, attempts=1)


# -- drafts and retries ------------------------------------------------------------------------


def test_a_draft_that_is_kept_is_an_answer(prices):
    drafts = [routed(step="cascade", purpose="draft")]
    found = operation_waterfall(drafts, book=prices, baseline=BOTH)
    assert steps_of(found) == {"routing": BIG_NANOS - SMALL_NANOS}


def test_a_draft_that_is_given_up_is_an_overhead(prices):
    attempts = [
        routed(step="cascade", purpose="draft"),
        routed(1, step="escalation: too short", to="dear"),
    ]
    found = operation_waterfall(attempts, book=prices, baseline=BOTH)
    assert steps_of(found) == {"routing": 0, "drafts": -SMALL_NANOS}
    assert (found.bill_nanos, found.baseline_nanos) == (BIG_NANOS + SMALL_NANOS, BIG_NANOS)


def test_a_second_sample_is_an_overhead_though_the_first_is_kept(prices):
    attempts = [
        routed(step="cascade", purpose="draft"),
        routed(1, step="agreement", purpose="draft", nanos=SMALL_NANOS + 1),
    ]
    found = operation_waterfall(attempts, book=prices, baseline=BOTH)
    assert steps_of(found) == {"routing": BIG_NANOS - SMALL_NANOS, "drafts": -SMALL_NANOS - 1}


def test_of_two_like_requests_each_draft_is_given_up_once(prices):
    attempts = [
        routed(step="cascade", purpose="draft"),
        routed(1, step="cascade", purpose="draft"),
        routed(2, step="escalation: too short", to="dear"),
    ]
    found = operation_waterfall(attempts, book=prices, baseline=BOTH)
    assert steps_of(found) == {"routing": BIG_NANOS - SMALL_NANOS, "drafts": -SMALL_NANOS}
    assert found.baseline_nanos == 2 * BIG_NANOS


def test_an_answer_that_failed_leaves_the_draft_as_the_answer(prices):
    attempts = [
        routed(step="cascade", purpose="draft"),
        routed(1, step="escalation: too short", to="dear", status="error", nanos=10),
    ]
    found = operation_waterfall(attempts, book=prices, baseline=BOTH)
    assert steps_of(found) == {"routing": BIG_NANOS - SMALL_NANOS, "retries": -10}


def test_a_fallback_answers_for_the_one_that_failed(prices):
    attempts = [
        routed(status="error", nanos=10),
        routed(1, step="fallback: timeout of cheap", to="dear"),
    ]
    found = operation_waterfall(attempts, book=prices, baseline=BOTH)
    assert steps_of(found) == {"routing": 0, "retries": -10}
    assert found.baseline_nanos == BIG_NANOS


def test_a_retry_that_answers_is_the_answer_and_what_failed_the_overhead():
    attempts = [
        attempt(nanos=30, status="error", parent_id="p"),
        attempt(1, nanos=31, status="error", parent_id="p", purpose="retry"),
        attempt(2, nanos=500, parent_id="p", purpose="retry"),
    ]
    found = operation_waterfall(attempts)
    assert steps_of(found) == {"retries": -61}
    assert (found.bill_nanos, found.baseline_nanos) == (561, 500)


def test_a_failure_that_nobody_made_again_would_have_been_paid_too():
    attempts = [
        attempt(nanos=30, status="error", parent_id="a"),
        attempt(1, nanos=40, status="aborted", parent_id="b"),
        attempt(2, nanos=50, purpose="retry", parent_id="b"),
    ]
    found = operation_waterfall(attempts)
    assert steps_of(found) == {"retries": -40}
    assert found.baseline_nanos == 80


def test_a_retry_of_what_had_not_failed_is_itself_the_overhead():
    found = operation_waterfall([attempt(nanos=30), attempt(1, nanos=33, purpose="retry")])
    assert steps_of(found) == {"retries": -33}


def test_the_retry_of_a_draft_is_a_draft(prices):
    attempts = [
        routed(step="cascade", purpose="draft", status="error", nanos=5),
        routed(1, step="cascade", purpose="retry"),
        routed(2, step="escalation: too short", to="dear"),
    ]
    found = operation_waterfall(attempts, book=prices, baseline=BOTH)
    # Neither is in the baseline: the request is answered by the big one.
    assert found.baseline_nanos == BIG_NANOS
    assert steps_of(found) == {"routing": 0, "drafts": -5, "retries": -SMALL_NANOS}


def test_a_draft_of_no_known_decision_is_an_overhead():
    found = operation_waterfall([attempt(nanos=30, purpose="draft"), attempt(1, nanos=70)])
    assert steps_of(found) == {"drafts": -30}


def test_a_summary_that_was_routed_is_an_overhead_and_no_answer(prices):
    found = operation_waterfall([routed(purpose="summary")], book=prices, baseline=BOTH)
    assert steps_of(found) == {"memory": SMALL_NANOS, "summaries": -SMALL_NANOS}


# -- what is not known -------------------------------------------------------------------------


def test_effects_without_a_saving_are_counted_and_not_zero():
    found = operation_waterfall(
        [attempt(nanos=10)],
        [effect("compression.extract", None), effect("prompt_cache.mark", None),
         effect("prompt_cache.mark", 4)],
    )  # fmt: skip
    assert steps_of(found) == {"compression": None, "prompt_cache": 4}
    assert found.step("prompt_cache").unknown_effects == 1
    assert (found.unknown_effects, found.baseline_nanos) == (2, 14)


def test_a_saving_of_nothing_is_known():
    found = operation_waterfall([attempt(nanos=10)], [effect("compression.extract", 0)])
    assert steps_of(found) == {"compression": 0}


def test_unpriced_attempts_are_missing_from_both_ends():
    attempts = [attempt(nanos=10), attempt(1, nanos=None), attempt(2, nanos=None, purpose="judge")]
    found = operation_waterfall(attempts)
    assert (found.bill_nanos, found.unpriced, found.attempts) == (10, 2, 3)
    assert found.step("judges").nanos is None
    assert found.bill_usd == Decimal("1E-8")


def test_a_bill_without_any_price_is_unknown():
    found = operation_waterfall([attempt(nanos=None)])
    assert (found.bill_usd, found.baseline_usd) == (None, None)


def test_effects_without_an_operation_or_its_attempts_are_loose():
    alone = operation_waterfall([], [effect("memory.compact", -9)])
    assert (alone.loose_effects, alone.operations, alone.covered_operations) == (1, 0, 0)
    nameless = effect("memory.compact", 5, operation_id="")
    found = operation_waterfall([attempt(operation="")], [nameless])
    assert (found.loose_effects, found.operations, found.covered_operations) == (1, 1, 0)
    assert found.saved_nanos == 5


def test_anybodys_decision_is_read_without_fear(prices):
    for decision in ({"routing": 3}, {"routing": {"step": "x"}}, {"own": {}}, {}):
        found = operation_waterfall([attempt(decision=decision)], book=prices, baseline=BOTH)
        assert found.baseline_nanos == found.bill_nanos
        assert found.covered_operations == 1


def test_the_time_of_the_attempt_sets_the_price(tmp_path):
    path = tmp_path / "prices.toml"
    lines = '[[price]]\nprovider = "acme"\nmodel = "big"\n'
    path.write_text(
        f"{lines}until = 2026-10-31\ninput = 1\noutput = 1\n{lines}from = 2026-11-01\n"
        "input = 7\noutput = 1\n",
        encoding="utf-8",
    )
    usage = Usage(input_tokens=1_000)
    for day, nanos in (
        (datetime(2026, 10, 31, tzinfo=UTC), 10**6),
        (datetime(2026, 11, 1, tzinfo=UTC), 7 * 10**6),
    ):
        at_us = int(day.timestamp()) * 10**6
        found = operation_waterfall(
            [routed(at_us=at_us, usage=usage, nanos=1)],
            book=PriceBook.load(path),
            baseline=BOTH,
        )
        assert found.baseline_nanos == nanos
