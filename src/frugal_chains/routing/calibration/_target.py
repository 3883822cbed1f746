"""What a threshold is chosen for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frugal_chains.errors import CalibrationError

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityFloor:
    """The mean score must not fall below a floor; the spend is then as low as can be.

    Exactly one of three: `score`, a mean score from 0 to 1; `of_best`, a part of the best single
    model's mean; `of_gap`, a part of the way from the cheapest model's mean to the best one's.
    """

    score: float | None = None
    of_best: float | None = None
    of_gap: float | None = None
    confidence: float = 0.9
    """Probability that traffic like the calibration rows reaches the floor."""

    def __post_init__(self) -> None:
        given = [each for each in (self.score, self.of_best, self.of_gap) if each is not None]
        if len(given) != 1 or not 0 < given[0] <= 1:
            raise CalibrationError(
                "a quality floor is one of score, of_best and of_gap, above 0 and at most 1: "
                "QualityFloor(of_best=0.98)"
            )
        if not 0.5 <= self.confidence < 1:
            raise CalibrationError(
                f"confidence is {self.confidence}; it has to be from 0.5 (half of the time) to "
                "below 1, usually 0.9"
            )

    def per_row(self, scores: Doubles, cheapest: int, best: int) -> Doubles:
        """Return what each row contributes to the floor: its mean is the floor."""
        if self.score is not None:
            return np.full(len(scores), self.score)
        if self.of_best is not None:
            return self.of_best * scores[:, best]
        part = self.of_gap or 0.0
        floor: Doubles = scores[:, cheapest] + part * (scores[:, best] - scores[:, cheapest])
        return floor

    def __str__(self) -> str:
        if self.score is not None:
            return f"a mean score of {self.score:.3f}"
        if self.of_best is not None:
            return f"{self.of_best:.0%} of the best single model's quality"
        return f"{self.of_gap:.0%} of the gap between the cheapest and the best model"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendLimit:
    """The mean cost of a request must not pass a limit; quality is then as high as can be."""

    per_request: float
    """In the unit of the costs: USD where the log has `cost_usd`."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.per_request) and self.per_request >= 0):
            raise CalibrationError("a spend limit is a cost for each request, 0 or more")

    def __str__(self) -> str:
        return f"a spend of at most {self.per_request:g} a request"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrongShare:
    """The best model gets no more than this share of the requests."""

    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise CalibrationError("a share of strong calls is from 0 to 1")

    def __str__(self) -> str:
        return f"at most {self.share:.0%} of calls to the best model"


Target = QualityFloor | SpendLimit | StrongShare
