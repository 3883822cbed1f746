"""Calibration: errors that name the row, thresholds that keep their promise, honest verdicts."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.routing.calibration import (
    CalibrationError,
    Interval,
    QualityFloor,
    SpendLimit,
    StrongShare,
    calibrate,
    choose,
    read_log,
)
from frugal_chains.routing.calibration._calibrate import _length_only
from frugal_chains.routing.calibration._choice import frontier
from frugal_chains.routing.calibration._threshold import (
    Rows,
    _last_before_first_failure,
    threshold,
)

Row = dict[str, Any]
HARD = ["integral", "theorem", "proof", "lemma", "matrix"]
EASY = ["colour", "city", "animal", "flower", "river"]


def _log(count: int, *, seed: int = 0, knows: bool = True, task: bool = True) -> list[Row]:
    """The small model fails at hard questions; with `knows=False` words tell nothing of that."""
    rng, rows = random.Random(seed), []
    for number in range(count):
        hard = rng.random() < 0.4
        cut = rng.choices((HARD if hard else EASY) if knows else HARD + EASY, k=4)
        small = float(rng.random() < (0.2 if hard else 0.9))
        prompt = f"{' '.join(cut)} {number}"
        kind = {"task": "maths" if hard else "facts"} if task and knows else {}
        rows.append({"prompt": prompt, "model": "small", "score": small, **kind})
        rows.append(
            {"prompt": prompt, "model": "large", "score": float(rng.random() < 0.9), **kind}
        )
    return rows


# -- bad logs ----------------------------------------------------------------------------------


def _changed(at: int, **change: object) -> list[Row]:
    rows = _log(60)
    rows[at] = {name: value for name, value in {**rows[at], **change}.items() if value is not None}
    return rows


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "no rows.*two models"),
        (_changed(6, score=None), "row 7 has no score: each row needs"),
        (_changed(6, model=None), "row 7 has no model"),
        (_changed(6, prompt=None, score=None), "row 7 has no prompt and no score"),
        ([{"text": "a", "grade": 1}], r"row 1 has no prompt.*it has text, grade"),
        (_changed(3, score=math.nan), "row 4: the score is nan.*0 .wrong. to 1 .right."),
        (_changed(3, score="five"), "row 4: the score is 'five'"),
        (_changed(3, score=87), "row 4: the score is 87.*divide by the best mark"),
        (_changed(3, score=-0.1), "row 4: the score is -0.1"),
        (_changed(3, prompt="  "), "row 4: prompt and model have to be text"),
        (_changed(3, prompt=5), "row 4: prompt and model have to be text"),
        (_changed(3, cost_usd=-1), "row 4: cost_usd is -1"),
        (_changed(3, cost_usd=math.inf), "row 4: cost_usd is inf"),
        (_changed(3, task="other"), "row 4: its prompt is of the task"),
        (
            [*_log(60), {**_log(60)[1], "score": 0.5}],
            r"rows 2 and 121: the same prompt and model \('large'\) scored 1 and 0.5",
        ),
        (_log(10), "10 of 10 prompts have scores of two models.*at least 50"),
        ([row for row in _log(80) if row["model"] == "small"], "only the model 'small'"),
        ([{**row, "score": 1} for row in _log(80)], "every score is 1.*cheapest"),
        (
            [{**row, "score": float(at // 2 % 2)} for at, row in enumerate(_log(80))],
            "all models always score alike",
        ),
    ],
)
def test_a_log_that_cannot_be_used_names_the_row_and_the_fix(rows: list[Row], says: str) -> None:
    with pytest.raises(CalibrationError, match=says):
        read_log(rows)


def test_the_same_row_twice_is_one() -> None:
    assert read_log(_log(60) * 2).scores.shape == (60, 2)


def test_numbers_may_be_text_as_csv_has_them() -> None:
    log = read_log([{**row, "score": str(row["score"]), "cost_usd": "0.01"} for row in _log(60)])
    assert log.costs_usd[0, 0] == 0.01


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda: QualityFloor(), "one of score, of_best and of_gap"),
        (lambda: QualityFloor(score=0.9, of_best=0.9), "one of score"),
        (lambda: QualityFloor(of_best=95), "above 0 and at most 1"),
        (lambda: QualityFloor(of_best=0.9, confidence=1), "confidence is 1"),
        (lambda: SpendLimit(per_request=-1), "0 or more"),
        (lambda: SpendLimit(per_request=math.nan), "0 or more"),
        (lambda: StrongShare(share=30), "from 0 to 1"),
    ],
)
def test_a_target_that_cannot_be_meant_is_refused(bad: Any, says: str) -> None:
    with pytest.raises(CalibrationError, match=says):
        bad()


def test_costs_that_do_not_add_up_are_refused() -> None:
    three = [*_log(60), *({**row, "model": "third"} for row in _log(60) if row["model"] == "large")]
    target = StrongShare(share=0.5)
    with pytest.raises(CalibrationError, match="3 models and no costs"):
        calibrate(three, target)
    with pytest.raises(CalibrationError, match="no cost for third"):
        calibrate(three, target, costs={"small": 1, "large": 2})
    some = [{**row, "cost_usd": 0.1} if row["model"] == "small" else row for row in _log(60)]
    with pytest.raises(CalibrationError, match="no row of large has cost_usd"):
        calibrate(some, target)
    with pytest.raises(CalibrationError, match="3 embeddings for 60 prompts"):
        calibrate(_log(60), target, embeddings=[[1.0]] * 3)
    with pytest.raises(CalibrationError, match="the embedder gave 60 vectors of lengths"):
        calibrate(
            _log(60), target, embedder=lambda texts: [[0.0] * (1 + at % 2) for at in range(60)]
        )


# -- choosing ----------------------------------------------------------------------------------


scores_st = st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1), min_size=1)


@given(scores_st, st.floats(0, 10), st.floats(0, 10))
def test_a_higher_price_of_quality_never_chooses_a_dearer_model(
    scores: dict[str, float], one: float, other: float
) -> None:
    costs = {"a": 0.0, "b": 1.0, "c": 1.0, "d": 5.0}
    low, high = sorted((one, other))
    assert costs[choose(scores, costs, high)] <= costs[choose(scores, costs, low)]


@given(scores_st)
def test_at_no_price_the_best_is_chosen_and_of_equal_ones_the_cheaper(
    scores: dict[str, float],
) -> None:
    costs = {"a": 3.0, "b": 2.0, "c": 1.0, "d": 0.0}
    chosen = choose(scores, costs, 0.0)
    assert scores[chosen] == max(scores.values())
    assert costs[chosen] == min(costs[name] for name in scores if scores[name] == scores[chosen])


def test_a_frontier_goes_from_all_dear_to_all_cheap() -> None:
    rng = np.random.default_rng(0)
    line = frontier(rng.random((50, 2)), np.array([0.0, 1.0]))
    share = (line.picks == 1).mean(axis=1)
    assert share[0] == 1
    assert share[-1] == 0
    assert (np.diff(share) <= 0).all()
    assert (np.diff(line.exchanges) > 0).all()


# -- thresholds --------------------------------------------------------------------------------


def _known_world(rng: np.random.Generator, count: int) -> tuple[Rows, np.ndarray]:
    """Predicted chances that are true, and what chance made of them."""
    weak = rng.random(count)
    truth = np.stack([weak, np.minimum(1, weak + 0.4 * rng.random(count))], axis=1)
    scores = (rng.random((count, 2)) < truth).astype(float)
    price = np.array([0.0, 1.0])
    return Rows(scores=scores, costs=np.tile(price, (count, 1)), price=price), truth


@pytest.mark.parametrize("part", [0.5, 0.8])
def test_a_floor_holds_on_rows_that_were_not_seen(part: float) -> None:
    """With a confidence of 90 %, in nine worlds of ten: judged by the true chances, not by luck."""
    rng = np.random.default_rng(1)
    _, truth = _known_world(rng, 20_000)
    gains = truth[:, 1] - truth[:, 0]
    held = []
    for _ in range(120):
        rows, predicted = _known_world(rng, 800)
        point = threshold(predicted, rows, QualityFloor(of_gap=part))
        held.append(gains[gains > point.exchange].sum() >= part * gains.sum())
        assert point.reached
    assert np.mean(held) >= 0.85


def test_a_floor_that_cannot_be_reached_says_so() -> None:
    rows, predicted = _known_world(np.random.default_rng(2), 500)
    point = threshold(predicted, rows, QualityFloor(score=0.99))
    assert not point.reached
    assert (point.picks == rows.best).mean() > 0.95


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 1.0])
def test_a_share_and_a_spend_are_used_up_and_not_passed(share: float) -> None:
    rows, predicted = _known_world(np.random.default_rng(3), 1000)
    for target in (StrongShare(share=share), SpendLimit(per_request=share)):
        used = (threshold(predicted, rows, target).picks == 1).mean()
        assert share - 0.01 <= used <= share


# -- the whole ---------------------------------------------------------------------------------


def test_a_log_that_tells_hard_from_easy_is_worth_routing() -> None:
    result = calibrate(_log(400), QualityFloor(of_gap=0.7))
    assert result.report.recommended, result.report.text()
    assert result.best == "large"
    assert result.choose("the proof of a theorem, a lemma, an integral") == "large"
    assert result.choose("the colour of a flower by the river") == "small"
    lines = {line.name.split(" (")[0]: line for line in result.report.lines}
    assert set(lines) == {
        "routed",
        "length only, same spend",
        "random mix of two, same spend",
        "cheapest single",
        "best cheap single",
        "best single",
        "oracle, same spend",
    }
    for line in lines.values():
        assert line.quality.low <= line.quality.value <= line.quality.high
    assert lines["oracle, same spend"].quality.value >= lines["routed"].quality.value
    assert "Routing is recommended" in result.report.text()


def test_a_log_that_tells_nothing_is_not_worth_routing() -> None:
    result = calibrate(_log(400, knows=False), QualityFloor(of_gap=0.5))
    assert not result.report.recommended, result.report.text()
    assert "no more than chance" in result.report.text()
    assert "Routing is not recommended" in result.report.text()


def test_a_cheaper_model_that_is_as_good_ends_the_question() -> None:
    flipped = [
        {**row, "cost_usd": 0.001 if row["model"] == "large" else 0.1, "model": row["model"]}
        for row in _log(300)
    ]
    result = calibrate(flipped, QualityFloor(of_best=0.95))
    assert not result.report.recommended
    assert "large alone reaches the floor" in result.report.text()


def test_dollars_of_the_log_are_the_unit() -> None:
    rows = [{**row, "cost_usd": 0.01 if row["model"] == "large" else 0.001} for row in _log(300)]
    result = calibrate(rows, SpendLimit(per_request=0.005))
    assert result.unit == "USD"
    assert result.report.lines[0].spend.value <= 0.005
    # A request that makes the large model dear goes to the small one.
    hard = "the proof of a theorem, a lemma"
    assert result.choose(hard) == "large"
    assert result.choose(hard, costs={"small": 0.001, "large": 100.0}) == "small"


def test_embeddings_are_learned_from() -> None:
    def embedder(texts: Any) -> list[list[float]]:
        return [[float(any(word in text for word in HARD)), 1.0, len(text) / 99] for text in texts]

    result = calibrate(_log(200, task=False), StrongShare(share=0.4), embedder=embedder)
    assert result.model.needs_embedding
    assert result.choose("zzz", [1.0, 1.0, 0.3]) == "large"


def test_a_head_that_all_prompts_share_is_not_embedded() -> None:
    head = "You are a careful assistant of the harbour office and answer in two sentences. "
    rows = [{**row, "prompt": head + row["prompt"]} for row in _log(200)]
    seen: list[str] = []

    def embedder(texts: Any) -> list[list[float]]:
        seen.extend(texts)
        return [[float(any(word in text for word in HARD)), 1.0] for text in texts]

    result = calibrate(rows, StrongShare(share=0.4), embedder=embedder)
    assert len(seen) == 200
    assert not [text for text in seen if "harbour" in text]
    assert result.model.distinct(str(rows[0]["prompt"])) == seen[0]


def test_calibration_is_the_same_each_time() -> None:
    one, other = (calibrate(_log(120), StrongShare(share=0.3), seed=4) for _ in range(2))
    assert one.exchange == other.exchange
    assert one.report == other.report


# -- each part by itself -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("holds", "found"),
    [
        ([True, True, False, True, True], (1, True)),  # what holds again behind it is luck
        ([True, True, True], (2, True)),
        ([False, True, True], (0, False)),
    ],
)
def test_a_floor_is_left_before_it_first_fails(holds: list[bool], found: tuple[int, bool]) -> None:
    assert _last_before_first_failure(np.array(holds)) == found


def test_a_floor_is_a_part_of_what_it_names() -> None:
    scores = np.array([[0.0, 1.0], [0.5, 0.9], [0.1, 0.5]])
    low, high = scores.mean(axis=0)
    for floor, mean in (
        (QualityFloor(score=0.7), 0.7),
        (QualityFloor(of_best=0.9), 0.9 * high),
        (QualityFloor(of_gap=0.9), low + 0.9 * (high - low)),
    ):
        assert floor.per_row(scores, 0, 1).mean() == pytest.approx(mean)


def test_three_models_are_never_chosen_for_being_dear() -> None:
    line = frontier(np.random.default_rng(0).random((50, 3)), np.array([0.0, 1.0, 2.0]))
    assert line.exchanges.min() >= 0


def test_what_no_threshold_reaches_or_no_call_wins_is_not_recommended() -> None:
    high = calibrate(_log(200), QualityFloor(score=0.999)).report
    assert not high.recommended
    assert "no threshold reaches a mean score of 0.999" in high.text()
    none = calibrate(_log(200), StrongShare(share=0)).report
    assert not none.recommended
    assert "it does not beat the best cheap single (small) for sure" in none.text()


def test_intervals_are_those_of_a_mean_and_of_paired_differences() -> None:
    report = calibrate(_log(400), StrongShare(share=0.3)).report
    routed = report.lines[0]
    assert routed.behind == Interval(value=0.0, low=0.0, high=0.0)
    for line in report.lines[-3:-1]:  # single models: 0 or 1 on each row
        error = math.sqrt(line.quality.value * (1 - line.quality.value) / 400)
        assert line.quality.high - line.quality.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_length_alone_is_judged_on_rows_it_has_not_seen() -> None:
    rows = _log(60)
    flipped = [{**row, "score": 1 - row["score"]} if at < 2 else row for at, row in enumerate(rows)]
    one, other = (_length_only(read_log(each), 0) for each in (rows, flipped))
    assert one[0] == pytest.approx(other[0])
    assert not np.allclose(one, other), "the rows of the other folds have learned of it"


def test_costs_may_be_given() -> None:
    costs = {"small": 0.001, "large": 0.01}
    result = calibrate(_log(100), StrongShare(share=0.5), costs=costs)
    assert (result.costs, result.unit) == (costs, "USD")
    spends = {line.name.split(" (")[0]: line.spend.value for line in result.report.lines}
    assert spends["cheapest single"] == pytest.approx(0.001)
    for bad in (-1.0, math.nan):
        with pytest.raises(CalibrationError, match="0 or more"):
            calibrate(_log(100), StrongShare(share=0.5), costs={**costs, "large": bad})


def test_prompts_that_not_all_models_have_answered_are_too_few() -> None:
    """Each prompt by two of three models: none can be compared on one prompt."""
    rows = []
    for at, row in enumerate(_log(90)):
        names = [("a", "b"), ("b", "c"), ("c", "a")][at // 2 % 3]
        rows.append({**row, "model": names[at % 2], "cost_usd": 0.1})
    with pytest.raises(CalibrationError, match="0 prompts were answered by all 3 models"):
        calibrate(rows, StrongShare(share=0.5))
