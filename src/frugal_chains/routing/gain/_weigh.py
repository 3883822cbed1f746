"""How far each predictor is heard: weights found on rows that it had not seen, and never negative,
so that mere noise gets none, and with little data the blend is little more than a mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

_WEIGHT_PENALTY: Final = 1e-3
"""Draws weights of predictors that say the same together, as part of their own sum of squares."""
_PRIOR_SPREAD: Final = 0.5
"""How far from the equal weight one may be before rows have said anything; weights are 0 to 1."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Of each predictor, in the order of `TEXT` or `BOTH`."""

    level: Doubles
    contrast: Doubles


def mixed_by(parts: Doubles, weights: Weights) -> Doubles:
    level = parts.mean(axis=-1, keepdims=True)
    mixed: Doubles = (
        weights.level[:, None, None] * level + weights.contrast[:, None, None] * (parts - level)
    ).sum(axis=0)
    return mixed


def weigh(parts: Doubles, wanted: Doubles) -> Weights:
    """Find the weights whose mix is nearest to what was wanted; NaN is not known."""
    known = ~np.isnan(wanted)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    target = np.where(known, wanted, 0.0)
    level = target.sum(axis=1, keepdims=True) / count
    inside = np.where(known, parts, 0.0)
    levels = inside.sum(axis=-1, keepdims=True) / count
    contrasts = np.where(known, parts - levels, 0.0)
    differing = np.where(known, wanted - level, 0.0)
    return Weights(
        level=_steady(levels.reshape(len(parts), -1).T, level.ravel()),
        contrast=_steady(contrasts.reshape(len(parts), -1).T, differing.ravel()),
    )


def _steady(features: Doubles, target: Doubles) -> Doubles:
    """Weights that data have to earn: between equal ones and the best ones of these rows.

    The best weights of a few rows are noise; equal ones for all predictors that have any are hard
    to beat (Bates and Granger 1969, and many after them), until there is much to learn from. So
    each weight has a normal prior around the equal one, and the rows' noise says how far to go.
    """
    best = non_negative(features, target)
    together = features @ (best > 0)
    energy = float(together @ together)
    equal = max(0.0, float(together @ target)) / energy if energy else 0.0
    noise = float(np.mean((target - features @ best) ** 2))
    pull = noise / _PRIOR_SPREAD**2
    toward: Doubles = np.where(best > 0, equal, 0.0)
    return non_negative(features, target, pull=pull, toward=toward)


def non_negative(
    features: Doubles, target: Doubles, *, pull: float = 0.0, toward: Doubles | None = None
) -> Doubles:
    """Least squares with weights that are not negative, by coordinate descent.

    `pull` is the strength of a ridge penalty on the distance from `toward`.
    """
    count = features.shape[1]
    square = features.T @ features + pull * np.eye(count)
    diagonal = np.diag(square) * (1 + _WEIGHT_PENALTY)
    right = features.T @ target + pull * (np.zeros(count) if toward is None else toward)
    weights = np.zeros(count)
    for _ in range(500):
        before = weights.copy()
        for at in np.flatnonzero(diagonal > 1e-12):
            rest = right[at] - square[at] @ weights + square[at, at] * weights[at]
            weights[at] = max(0.0, rest / diagonal[at])
        if np.abs(weights - before).max() < 1e-9:
            break
    return weights
