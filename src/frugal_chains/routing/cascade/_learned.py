"""A validator that has learned from logs which answers of a model turn out wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from frugal_chains.errors import CalibrationError
from frugal_chains.facts import RequestFacts
from frugal_chains.routing.cascade._answer import AnswerFacts, Validator, Verdict
from frugal_chains.routing.cascade._features import FEATURES, features
from frugal_chains.routing.cascade._forest import TREES, Floats, Forest, grow

_FORMAT: Final = "frugal-validator-1"
_FOLDS: Final = 5
_MIN_ROWS: Final = 40
"""Fewer say nothing about five dozen features."""
_MIN_OF_A_KIND: Final = 8
"""Right and wrong answers each: every fold has to meet both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    """One answer of a log, and whether it was right."""

    request: RequestFacts
    answer: AnswerFacts
    right: float
    """Its score, 0 to 1."""
    stronger_right: float | None = None
    """The score of a stronger model's answer to the same request, where the log has it."""
    usd: float | None = None
    """What the answer cost, where the log has it."""
    stronger_usd: float | None = None
    """What the stronger answer cost, where the log has it."""


@dataclass(frozen=True, slots=True, eq=False)
class LearnedValidator:
    """The probability that an answer is wrong, from a few dozen facts about it and its question.

    It names no limit: the plan that holds it does (`max_p_wrong`, or what an escalation costs).
    """

    forest: Forest
    slope: float
    """Of Platt's calibration, on answers that the forest had not seen."""
    intercept: float
    gain_weights: tuple[float, float, float] | None
    """Of the two parts of a gain, and a constant; None: the log held no stronger answers."""
    names: tuple[str, ...]
    checks: tuple[Validator, ...] = ()
    """Further checks, of the application's own; each speaks with a feature of its own."""
    rows: int = 0
    """It has learned from so many."""

    def __call__(self, request: RequestFacts, answer: AnswerFacts, /) -> Verdict:
        p_wrong, gain = self._read(self.forest.predict(self._row(request, answer)[None, :])[0])
        return Verdict(p_wrong=p_wrong, gain=gain, detail=self._detail(request, answer, p_wrong))

    def risks(self, rows: Sequence[tuple[RequestFacts, AnswerFacts]]) -> list[float]:
        """The risk of keeping each of many answers, as `Verdict.risk` has it."""
        if not rows:
            return []
        table = np.array([self._row(request, answer) for request, answer in rows])
        return [self.risk_of(raw) for raw in self.forest.predict(table)]

    def risk_of(self, raw: Floats) -> float:
        """What the forest says of one answer, as a risk."""
        p_wrong, gain = self._read(raw)
        return p_wrong if gain is None else gain

    def explain(self, request: RequestFacts, answer: AnswerFacts, *, most: int = 5) -> list[str]:
        """What speaks most for and against an answer: `+0.21 wrong arithmetic = 1`."""
        row = self._row(request, answer)
        _, added = self.forest.explain(row)
        order = np.argsort(-np.abs(added[:, 0]), kind="stable")[:most]
        return [
            f"{added[i, 0]:+.2f} {self.names[i]} = {row[i]:.3g}" for i in order if added[i, 0] != 0
        ]

    def to_json(self) -> str:
        """All but `checks`, which are code of the application."""
        return json.dumps(
            {
                "format": _FORMAT,
                "names": self.names,
                "rows": self.rows,
                "slope": self.slope,
                "intercept": self.intercept,
                "gain_weights": self.gain_weights,
                "forest": self.forest.to_json(),
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str, *, checks: Sequence[Validator] = ()) -> LearnedValidator:
        """Read what `to_json` wrote, with the checks it was fitted with.

        Raises:
            CalibrationError: it is no validator, or was fitted with other features or checks.
        """
        try:
            plain: dict[str, Any] = json.loads(text)
            found = cls(
                forest=Forest.from_json(plain["forest"]),
                slope=float(plain["slope"]),
                intercept=float(plain["intercept"]),
                gain_weights=_three(plain["gain_weights"]),
                names=tuple(plain["names"]),
                checks=tuple(checks),
                rows=int(plain["rows"]),
            )
            known = plain["format"] == _FORMAT
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CalibrationError(
                f"this is no stored validator: {error!r}; fit it again"
            ) from error
        if not known or found.names != _names(checks):
            raise CalibrationError(
                "this validator was fitted by another version or with other checks; give the "
                "checks it was fitted with, in their order, or fit it again"
            )
        return found

    def _row(self, request: RequestFacts, answer: AnswerFacts) -> Floats:
        return _row(request, answer, self.checks)

    def _read(self, raw: Floats) -> tuple[float, float | None]:
        p_wrong = float(_platt(_logit(raw[0]), self.slope, self.intercept))
        if self.gain_weights is None:
            return p_wrong, None
        return p_wrong, float(_gain_parts(raw) @ np.array(self.gain_weights))

    def _detail(self, request: RequestFacts, answer: AnswerFacts, p_wrong: float) -> str:
        against = [why for why in self.explain(request, answer, most=3) if why.startswith("+")]
        because = f" ({'; '.join(against)})" if against else ""
        return f"a probability of {p_wrong:.2f} that it is wrong{because}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValidatorFit:
    """A validator, and what its log says about where to set the limit."""

    validator: LearnedValidator
    risks: tuple[float, ...]
    """Of each row, by a forest that had not seen it: a validator is too sure about rows it has
    learned, so limits are chosen on these."""


def fit_validator(
    rows: Sequence[AnswerRow],
    *,
    checks: Sequence[Validator] = (),
    seed: int = 0,
    trees: int = TREES,
) -> ValidatorFit:
    """Learn from answers of one model which ones turn out wrong.

    Args:
        rows: Answers with their scores. With `stronger_right` on every row the expected *gain* of
            a stronger answer is learned too, and escalations go where they help.
        checks: Checks of the application's own (a `Format`, a `dispatch.UserCheck`), to learn the
            weight of.
        seed: Of the forest; the same rows and seed give the same validator.
        trees: Of the forest.

    Raises:
        CalibrationError: too few rows, scores that are none, or only right or only wrong answers.
    """
    wrong = _checked(rows)
    targets = [wrong]
    stronger = [row.stronger_right for row in rows if row.stronger_right is not None]
    if len(stronger) == len(rows):
        targets.append(np.array(stronger, dtype=np.float64) - (1 - wrong))
    table = np.array([_row(row.request, row.answer, checks) for row in rows])
    both = np.stack(targets, axis=1)
    unseen = _out_of_fold(table, both, seed=seed, trees=trees)
    slope, intercept = _fit_platt(_logit(unseen[:, 0]), wrong)
    validator = LearnedValidator(
        forest=grow(table, both, seed=seed, trees=trees),
        slope=slope,
        intercept=intercept,
        gain_weights=_fit_gain(unseen, both[:, 1]) if len(targets) > 1 else None,
        names=_names(checks),
        checks=tuple(checks),
        rows=len(rows),
    )
    return ValidatorFit(validator=validator, risks=tuple(map(validator.risk_of, unseen)))


# -- rows --------------------------------------------------------------------------------------


def _checked(rows: Sequence[AnswerRow]) -> Floats:
    """How wrong each answer is, 0 to 1."""
    for place, row in enumerate(rows, start=1):
        for name, score in (("right", row.right), ("stronger_right", row.stronger_right)):
            if score is not None and not 0 <= score <= 1:
                raise CalibrationError(f"row {place}: {name} is {score!r}; scores are 0 to 1")
    wrong = 1 - np.array([row.right for row in rows], dtype=np.float64)
    if len(rows) < _MIN_ROWS:
        raise CalibrationError(
            f"{len(rows)} rows are too few to learn from; give at least {_MIN_ROWS}, better 300"
        )
    fewer = min(float(wrong.sum()), float((1 - wrong).sum()))
    if fewer < _MIN_OF_A_KIND:
        kind = "wrong" if wrong.mean() < 0.5 else "right"
        raise CalibrationError(
            f"only {fewer:g} of {len(rows)} answers are {kind}: there is nothing to tell apart; "
            f"give at least {_MIN_OF_A_KIND} of each kind"
        )
    if (wrong == wrong[0]).all():
        raise CalibrationError(
            f"all {len(rows)} answers score {1 - wrong[0]:g}: there is nothing to tell apart; "
            "score them with a finer measure"
        )
    return wrong


def _names(checks: Sequence[Validator]) -> tuple[str, ...]:
    return (*FEATURES, *(f"check {place}" for place in range(1, len(checks) + 1)))


def _row(request: RequestFacts, answer: AnswerFacts, checks: Sequence[Validator]) -> Floats:
    found = list(features(request, answer).values())
    return np.array(found + [_flag(check, request, answer) for check in checks])


def _flag(check: Validator, request: RequestFacts, answer: AnswerFacts) -> float:
    try:
        return float(not check(request, answer).ok)
    except Exception:  # it has not spoken, as anywhere else in the cascade
        return 0.0


def _three(numbers: Any) -> tuple[float, float, float] | None:
    if numbers is None:
        return None
    one, two, three = map(float, numbers)
    return one, two, three


# -- probabilities -----------------------------------------------------------------------------


def _folds(count: int, seed: int) -> list[Any]:
    return np.array_split(np.random.default_rng(seed).permutation(count), _FOLDS)


def _out_of_fold(table: Floats, targets: Floats, *, seed: int, trees: int) -> Floats:
    unseen = np.empty_like(targets)
    for fold in _folds(len(table), seed):
        rest = np.setdiff1d(np.arange(len(table)), fold)
        forest = grow(table[rest], targets[rest], seed=seed, trees=trees)
        unseen[fold] = forest.predict(table[fold])
    return unseen


def _logit(share: Any) -> Any:
    inside = np.clip(share, 1e-3, 1 - 1e-3)
    return np.log(inside / (1 - inside))


def _platt(logit: Any, slope: float, intercept: float) -> Any:
    return 1 / (1 + np.exp(-(slope * logit + intercept)))


def _fit_platt(logits: Floats, wrong: Floats) -> tuple[float, float]:
    """Logistic regression of one number by Newton's method.

    With Platt's prior (Platt 1999): the targets are drawn in by one answer of each kind, so that
    the slope stays finite where the kinds do not overlap. It never turns the order round.
    """
    count = len(wrong)
    target = (wrong * count + 1) / (count + 2) if count else wrong
    design = np.stack([logits, np.ones(count)], axis=1)
    weights = np.array([1.0, 0.0])
    for _ in range(_NEWTON_STEPS):
        p = _platt(logits, weights[0], weights[1])
        gradient = design.T @ (target - p) - _RIDGE * (weights - (1.0, 0.0))
        curvature = (design * (p * (1 - p))[:, None]).T @ design + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights = weights + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-10:
            break
    return max(float(weights[0]), 0.01), float(weights[1])


_NEWTON_STEPS: Final = 50
_RIDGE: Final = 1.0
"""One row's worth of the belief that the forest is calibrated as it is."""


def _fit_gain(unseen: Floats, gain: Floats) -> tuple[float, float, float]:
    """How far to trust each part of a predicted gain: least squares on rows not seen.

    A gain is the chance that this answer is wrong less the chance that the stronger one is, and the
    second is often the harder to predict. Drawn towards taking both as they are.
    """
    believed = np.array([1.0, 1.0, 0.0])
    design = _gain_parts(unseen)
    prior = np.diag([_GAIN_PRIOR, _GAIN_PRIOR, 0.0])
    weights = np.linalg.solve(design.T @ design + prior, design.T @ gain + prior @ believed)
    return float(weights[0]), float(weights[1]), float(weights[2])


def _gain_parts(raw: Floats) -> Floats:
    """Of targets (wrong, gain): wrong, minus the stronger model's wrong, and 1."""
    return np.stack([raw[..., 0], raw[..., 1] - raw[..., 0], np.ones(raw.shape[:-1])], axis=-1)


_GAIN_PRIOR: Final = 5.0
"""Worth a few dozen rows: a probability's square is about a tenth."""
