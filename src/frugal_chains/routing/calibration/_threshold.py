"""From predictions for rows that were not seen, the threshold that keeps a promise."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from frugal_chains.routing.calibration._choice import Frontier, frontier, taken
from frugal_chains.routing.calibration._target import QualityFloor, SpendLimit, Target

Doubles = NDArray[np.float64]
Index = NDArray[np.intp]

_DIGITS: Final = 6
"""Of a predicted score. Beyond them machines differ, as the order in which they add up does: the
same log would end at another threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What choices are judged by: every model's score and cost on every row."""

    scores: Doubles
    """Shape (rows, models)."""
    costs: Doubles
    """The same shape: what each answer really cost."""
    price: Doubles
    """Mean cost of each model, by which it is chosen."""

    @property
    def cheapest(self) -> int:
        """The model with the lowest mean cost; of equal ones the better."""
        return int(np.lexsort((-self.scores.mean(axis=0), self.price))[0])

    @property
    def best(self) -> int:
        """The model with the highest mean score; of equal ones the cheaper."""
        return int(np.lexsort((self.price, -self.scores.mean(axis=0)))[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A point of the frontier."""

    exchange: float
    """For `choose`."""
    picks: Index
    """What it chooses for the calibration rows, each predicted without having been seen."""
    reached: bool
    """Whether the target is met at the confidence that was asked for."""


def threshold(predicted: Doubles, rows: Rows, target: Target) -> Threshold:
    """Choose the threshold for a target.

    Args:
        predicted: Out-of-fold scores, shape (rows, models): with those of rows that were learned
            from, every threshold would be too hopeful.
        rows: What really happened.
        target: What is wanted.
    """
    line = frontier(np.round(predicted, _DIGITS), rows.price)
    at, reached = _point(line, rows, target)
    return Threshold(exchange=float(line.exchanges[at]), picks=line.picks[at], reached=reached)


def _point(line: Frontier, rows: Rows, target: Target) -> tuple[int, bool]:
    if isinstance(target, QualityFloor):
        slack = _slack(taken(rows.scores, line.picks), rows, target)
        return _last_before_first_failure(slack >= 0)
    if isinstance(target, SpendLimit):
        use, limit = taken(rows.costs, line.picks).mean(axis=1), target.per_request
    else:
        use, limit = (line.picks == rows.best).mean(axis=1), target.share
    return _first_success(use <= limit + 1e-12)


def _slack(scores: Doubles, rows: Rows, floor: QualityFloor) -> Doubles:
    """Return how far each threshold is above the floor, less what chance may have given it.

    The floor moves with the rows, as the best model's mean does, so the noise is that of the
    difference row by row: far less than that of the mean score.
    """
    over = scores - floor.per_row(rows.scores, rows.cheapest, rows.best)
    error = over.std(axis=1, ddof=1) / np.sqrt(over.shape[1])
    slack: Doubles = over.mean(axis=1) - NormalDist().inv_cdf(floor.confidence) * error
    return slack


def _last_before_first_failure(holds: NDArray[np.bool_]) -> tuple[int, bool]:
    """From the dearest choices on: a later point that holds again is luck."""
    failures = np.flatnonzero(~holds)
    if not len(failures):
        return len(holds) - 1, True
    return max(0, int(failures[0]) - 1), bool(failures[0])


def _first_success(holds: NDArray[np.bool_]) -> tuple[int, bool]:
    """From the dearest choices on: the dearest that is allowed."""
    successes = np.flatnonzero(holds)
    return (int(successes[0]), True) if len(successes) else (len(holds) - 1, False)
