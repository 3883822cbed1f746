"""The learned validator: it learns, it explains itself, it keeps, and it refuses bad logs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.errors import CalibrationError
from frugal_chains.routing.cascade import (
    ALWAYS,
    AnswerFacts,
    AnswerRow,
    Format,
    LearnedValidator,
    ValidatorFit,
    fit_validator,
    limit_for_quality,
    limit_for_share,
    limit_for_spend,
)
from frugal_chains.routing.cascade._forest import grow
from tests.core.routing.requests import request

TREES = 20


def rows(count: int = 120, seed: int = 0, *, stronger: bool = True) -> list[AnswerRow]:
    """Products, some wrong: most of those are stated wrongly, some end without a number."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        one, other = (int(n) for n in rng.integers(2, 40, 2))
        wrong = rng.random() < 0.4
        shown = one * other + (int(rng.integers(1, 9)) if wrong and rng.random() < 0.8 else 0)
        text = f"There are {one} * {other} = {shown} pens." if rng.random() < 0.9 else "Many."
        made.append(
            AnswerRow(
                request=request(f"How many pens are in {one} boxes of {other} pens each?"),
                answer=AnswerFacts(text=text),
                right=0.0 if wrong or text == "Many." else 1.0,
                stronger_right=float(rng.random() < 0.95) if stronger else None,
            )
        )
    return made


@pytest.fixture(scope="module")
def fitted() -> ValidatorFit:
    return fit_validator(rows(), trees=TREES)


def test_it_tells_wrong_answers_from_right_ones(fitted: ValidatorFit) -> None:
    unseen = rows(200, seed=1)
    verdicts = [fitted.validator(row.request, row.answer) for row in unseen]
    wrong = np.array([row.right == 0 for row in unseen])
    p = np.array([verdict.p_wrong for verdict in verdicts], dtype=float)
    assert p[wrong].mean() > p[~wrong].mean() + 0.3
    assert all(verdict.ok for verdict in verdicts)  # the limit is the plan's
    assert abs(p.mean() - wrong.mean()) < 0.1


def test_it_says_what_speaks_against_an_answer(fitted: ValidatorFit) -> None:
    bad = AnswerFacts(text="There are 3 * 4 = 13 pens.")
    asked = request("How many pens are in 3 boxes of 4 pens each?")
    why = fitted.validator.explain(asked, bad)
    assert why[0].startswith("+")
    assert any("wrong" in line or "check" in line or "step" in line for line in why)
    detail = fitted.validator(asked, bad).detail
    assert detail.startswith("a probability of 0.")
    assert "(+" in detail


def test_without_stronger_answers_the_risk_is_the_probability() -> None:
    fit = fit_validator(rows(stronger=False), trees=TREES)
    verdict = fit.validator(request("2 * 2?"), AnswerFacts(text="2 * 2 = 5"))
    assert verdict.gain is None
    assert verdict.risk == verdict.p_wrong


def test_a_stronger_model_that_is_no_better_leaves_little_gain() -> None:
    same = [
        AnswerRow(request=r.request, answer=r.answer, right=r.right, stronger_right=r.right)
        for r in rows()
    ]
    fit = fit_validator(same, trees=TREES)
    verdict = fit.validator(request("2 * 2?"), AnswerFacts(text="2 * 2 = 5"))
    assert verdict.gain == pytest.approx(0.0, abs=0.05)


def test_the_same_rows_and_seed_give_the_same_validator(fitted: ValidatorFit) -> None:
    again = fit_validator(rows(), trees=TREES)
    assert again.validator.to_json() == fitted.validator.to_json()
    assert again.risks == fitted.risks
    assert fit_validator(rows(), trees=TREES, seed=1).risks != fitted.risks


def test_it_is_kept_as_json_to_the_last_bit(fitted: ValidatorFit) -> None:
    again = LearnedValidator.from_json(fitted.validator.to_json())
    for row in rows(30, seed=2):
        assert again(row.request, row.answer) == fitted.validator(row.request, row.answer)


def test_one_answer_and_many_are_read_alike(fitted: ValidatorFit) -> None:
    some = [(row.request, row.answer) for row in rows(10, seed=3)]
    each = [fitted.validator(*pair).risk for pair in some]
    assert fitted.validator.risks(some) == pytest.approx(each)
    assert fitted.validator.risks([]) == []


def test_a_check_of_the_application_is_weighed() -> None:
    check = Format("pens")
    fit = fit_validator(rows(), checks=(check,), trees=TREES)
    assert fit.validator.names[-1] == "check 1"
    again = LearnedValidator.from_json(fit.validator.to_json(), checks=(check,))
    assert again.names == fit.validator.names
    with pytest.raises(CalibrationError, match="checks it was fitted with"):
        LearnedValidator.from_json(fit.validator.to_json())


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"format": "x", "names": [], "rows": 1}']
)
def test_what_is_no_validator_is_refused(text: str) -> None:
    with pytest.raises(CalibrationError, match="fit it again"):
        LearnedValidator.from_json(text)


def row(**more: Any) -> AnswerRow:
    plain = {"request": request("a"), "answer": AnswerFacts(text="b"), "right": 1.0}
    return AnswerRow(**{**plain, **more})


BAD: list[tuple[list[AnswerRow], str]] = [
    ([], "0 rows are too few"),
    (rows(10), "10 rows are too few to learn from; give at least 40"),
    ([row()] * 60, "only 0 of 60 answers are wrong: there is nothing to tell apart"),
    ([row(right=0.0)] * 60, "only 0 of 60 answers are right"),
    ([row(right=0.5)] * 60, "all 60 answers score 0.5: there is nothing to tell apart"),
    ([*rows(50), row(right=float("nan"))], "row 51: right is nan; scores are 0 to 1"),
    ([*rows(50), row(right=7.0)], "row 51: right is 7.0"),
    ([*rows(50), row(stronger_right=-1.0)], "row 51: stronger_right is -1.0"),
]


@pytest.mark.parametrize(("log", "says"), BAD)
def test_a_log_that_nothing_can_be_learned_from_is_refused(log: list[AnswerRow], says: str) -> None:
    with pytest.raises(CalibrationError, match=says):
        fit_validator(log)


def test_contradictory_labels_are_learned_as_not_knowing() -> None:
    one = [row(right=float(i % 2)) for i in range(60)]
    verdict = fit_validator(one, trees=TREES).validator(request("a"), AnswerFacts(text="b"))
    assert verdict.p_wrong == pytest.approx(0.5, abs=0.1)


# -- the forest --------------------------------------------------------------------------------

ROOMS = st.integers(0, 10_000)


@given(ROOMS, st.integers(1, 60), st.integers(1, 6))
def test_a_prediction_is_its_parts_and_within_the_targets(seed: int, count: int, wide: int) -> None:
    rng = np.random.default_rng(seed)
    table, targets = rng.normal(size=(count, wide)).round(1), rng.random((count, 2))
    forest = grow(table, targets, seed=seed, trees=3)
    unseen = rng.normal(size=(4, wide))
    predicted = forest.predict(unseen)
    assert (predicted >= targets.min(axis=0) - 1e-5).all()
    assert (predicted <= targets.max(axis=0) + 1e-5).all()
    for line, expected in zip(unseen, predicted, strict=True):
        base, added = forest.explain(line)
        assert base + added.sum(axis=0) == pytest.approx(expected, abs=1e-5)


def test_a_forest_finds_what_two_flags_say_together() -> None:
    rng = np.random.default_rng(0)
    table = rng.integers(0, 2, (400, 8)).astype(float)
    both = np.logical_xor(table[:, 0], table[:, 1]).astype(float)[:, None]
    forest = grow(table[:300], both[:300], seed=0, trees=50)
    right = (forest.predict(table[300:]) > 0.5) == both[300:]
    assert right.mean() > 0.9


# -- limits ------------------------------------------------------------------------------------

RISKS = st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.5, 0.9, 1.0]), min_size=1, max_size=40)


@given(RISKS, st.floats(0, 1))
def test_a_share_is_not_passed(risks: list[float], share: float) -> None:
    limit = limit_for_share(risks, share)
    escalated = [risk for risk in risks if risk > limit.max_p_wrong]
    assert len(escalated) / len(risks) <= share + 1e-9 or share == 1
    assert limit.share == pytest.approx(len(escalated) / len(risks))


def test_everything_or_nothing() -> None:
    assert limit_for_share([0.1, 0.9], 1.0).max_p_wrong == ALWAYS
    assert limit_for_share([0.1, 0.9], 0.0).share == 0


def test_everything_is_escalated_where_the_gain_is_surely_negative_too() -> None:
    risks = [-1.1, -1.0, 0.5]
    assert min(risks) > limit_for_share(risks, 1.0).max_p_wrong
    limit = limit_for_quality(risks, [0.0, 0.0, 0.0], [1.0, 1.0, 1.0], of_gap=1.0, confidence=0.5)
    assert all(risk > limit.max_p_wrong for risk in risks)
    assert (limit.share, limit.quality) == (1.0, 1.0)


@pytest.mark.parametrize("risks", [[], [math.nan], [0.2, math.inf]])
def test_what_is_no_risk_is_refused(risks: list[float]) -> None:
    with pytest.raises(CalibrationError, match="have to be numbers"):
        limit_for_share(risks, 0.5)


@given(
    st.integers(0, 1000),
    st.sampled_from([0.2, 0.5, 0.8, 1.0]),
    st.sampled_from([0, 1, 2]),  # digits of a risk: few make many of them equal
)
def test_a_limit_for_quality_reaches_it_on_its_own_rows(
    seed: int, of_gap: float, digits: int
) -> None:
    rng = np.random.default_rng(seed)
    right = (rng.random(200) < 0.6).astype(float)
    stronger = (rng.random(200) < 0.9).astype(float)
    risks = (1 - right + rng.normal(0, 0.3, 200)).round(digits)
    limit = limit_for_quality(list(risks), list(right), list(stronger), of_gap=of_gap)
    up = risks > limit.max_p_wrong
    gain = stronger - right
    assert gain[up].sum() >= of_gap * gain.sum() - 1e-9
    assert limit.quality == pytest.approx(np.where(up, stronger, right).mean())
    assert up.mean() == pytest.approx(limit.share)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.5, 0.9, 1.0]),
            st.integers(0, 5),
            st.integers(0, 90),
        ),
        min_size=1,
        max_size=30,
    ),
    st.integers(0, 100),
)
def test_a_spend_is_not_passed_and_no_more_would_fit(
    rows: list[tuple[float, int, int]], limit_cents: int
) -> None:
    """Money in whole cents, so that the sums here are exact; the drafts are always paid."""
    risks = [risk for risk, _, _ in rows]
    spent = [draft / 100 for _, draft, _ in rows], [stronger / 100 for _, _, stronger in rows]
    drafts = sum(draft for _, draft, _ in rows)
    if drafts > limit_cents * len(rows):
        with pytest.raises(CalibrationError, match="the drafts alone cost"):
            limit_for_spend(risks, *spent, limit_cents / 100)
        return
    limit = limit_for_spend(risks, *spent, limit_cents / 100)

    def cents(least: float) -> int:
        """Of all rows, when those of this risk and above are escalated."""
        return drafts + sum(stronger for risk, _, stronger in rows if risk >= least)

    up = [risk for risk in risks if risk > limit.max_p_wrong]
    whole = cents(min(up)) if up else drafts
    assert whole <= limit_cents * len(rows)
    assert limit.share == pytest.approx(len(up) / len(rows))
    assert limit.usd_per_request == pytest.approx(whole / len(rows) / 100)
    kept = [risk for risk in risks if risk <= limit.max_p_wrong]
    assert not kept or cents(max(kept)) > limit_cents * len(rows)


def test_drafts_that_pass_a_spend_alone_are_told_with_both_numbers() -> None:
    says = (
        r"\$0\.003 a request.*the limit of \$0\.002.*above \$0\.003, or draft with a cheaper model"
    )
    with pytest.raises(CalibrationError, match=says):
        limit_for_spend([0.1, 0.2], [0.002, 0.004], [1.0, 1.0], 0.002)


def test_a_limit_is_met_by_what_costs_just_as_much() -> None:
    """Three times $0.10 is $0.30000000000000004 in floats."""
    assert limit_for_spend([0.1, 0.2, 0.3], [0.1] * 3, [0.0] * 3, 0.1).share == 1
    assert limit_for_spend([0.1, 0.2, 0.3], [0.1] * 3, [0.1] * 3, 0.1).share == 0


def test_more_confidence_escalates_more() -> None:
    rng = np.random.default_rng(0)
    right = (rng.random(300) < 0.6).astype(float)
    risks = list(1 - right + rng.normal(0, 0.5, 300))
    shares = [
        limit_for_quality(risks, list(right), [0.95] * 300, of_gap=0.5, confidence=c).share
        for c in (0.5, 0.8, 0.95)
    ]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: limit_for_share([0.1], 2.0),
        lambda: limit_for_share([], 0.5),
        lambda: limit_for_share([float("nan")], 0.5),
        lambda: limit_for_spend([0.1], [0.1, 0.1], [0.1], 1.0),
        lambda: limit_for_spend([0.1], [0.1], [-0.1], 1.0),
        lambda: limit_for_spend([0.1], [float("nan")], [0.1], 1.0),
        lambda: limit_for_spend([0.1], [0.1], [0.1], float("nan")),
        lambda: limit_for_quality([0.1], [1.0], [1.0], of_gap=0.5),
        lambda: limit_for_quality([0.1], [0.0], [1.0], of_gap=1.5),
        lambda: limit_for_quality([0.1], [0.0], [1.0], of_gap=0.5, confidence=1.0),
    ],
)
def test_a_limit_that_cannot_be_is_refused(call: Any) -> None:
    with pytest.raises(CalibrationError):
        call()


def test_what_a_check_alone_can_tell_is_learned_from_it() -> None:
    letters = [
        AnswerRow(
            request=request("which?"),
            answer=AnswerFacts(text=f"It is {'A' if at % 2 else 'B'}."),
            right=float(at % 2),
        )
        for at in range(100)
    ]
    alone = fit_validator(letters, trees=TREES).validator
    told = fit_validator(letters, checks=(Format("A"),), trees=TREES).validator
    for validator, apart in ((alone, False), (told, True)):
        a, b = (validator(letters[at].request, letters[at].answer).p_wrong or 0 for at in (1, 0))
        assert (b - a > 0.5) is apart


def test_a_check_that_raises_has_not_spoken_while_it_is_learned_from() -> None:
    def broken(_request: Any, _answer: Any) -> Any:
        raise RuntimeError("oh")

    validator = fit_validator(rows(), checks=(broken,), trees=TREES).validator
    assert validator(request("2 * 2?"), AnswerFacts(text="2 * 2 = 5")).p_wrong is not None


def test_a_validator_of_another_version_is_refused(fitted: ValidatorFit) -> None:
    old = fitted.validator.to_json().replace("frugal-validator-1", "frugal-validator-0")
    with pytest.raises(CalibrationError, match="another version"):
        LearnedValidator.from_json(old)


def test_a_lead_that_may_be_luck_is_said_not_to_be_reached() -> None:
    """Six answers are won and five lost by the stronger model, in turns: nothing is sure."""
    right = [float(at % 2) for at in range(11)]
    risks = [1 - at / 11 for at in range(11)]
    limit = limit_for_quality(risks, right, [1 - each for each in right], of_gap=0.5)
    assert (limit.reached, limit.share, limit.max_p_wrong) == (False, 1.0, ALWAYS)
