"""Logistic regression on n-grams and shape, one for each candidate: would its answer be right?

Fitted by Newton's method; each step solves its linear system by conjugate gradients, so that no
matrix of features by features is ever made. A score between 0 and 1 counts as that part of a right
answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from frugal_chains.routing.gain._encode import BITS, Encoded
from frugal_chains.routing.gain._sparse import Sparse

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_NEWTON_STEPS: Final = 12
_SOLVER_STEPS: Final = 40
_SOLVED: Final = 0.05
"""Part of the gradient that a step may leave: the next one starts from there."""
_CONVERGED: Final = 2e-3
"""Part of the first gradient at which fitting ends: far below what the noise of scores shows."""
_SHAPE_WEIGHT: Final = 1.0
"""Length of a typical shape beside the n-grams of a question, which have length 1."""


@dataclass(frozen=True, slots=True)
class Design:
    """The calibration questions as two matrices."""

    grams: Sparse | None
    """None: shapes alone."""
    shapes: Floats

    @classmethod
    def of(cls, questions: Sequence[Encoded], *, grams: bool = True) -> Design:
        """From the encoded questions."""
        sparse = Sparse.of([(each.ids, each.values) for each in questions]) if grams else None
        return cls(sparse, scaled(np.stack([each.shape for each in questions])))

    @property
    def width(self) -> int:
        """How many weights a model has: n-grams, shape, and the constant."""
        grams = len(self.grams.ids) if self.grams else 0
        return grams + int(self.shapes.shape[1]) + 1

    def dot(self, weights: Floats) -> Floats:
        """The product with one weight for each feature, shape (rows,)."""
        split = self.width - self.shapes.shape[1] - 1
        dense: Floats = self.shapes @ weights[split:-1] + weights[-1]
        return dense + self.grams.dot(weights[:split]) if self.grams else dense

    def transposed_dot(self, values: Floats) -> Floats:
        """The product of the transposed matrix with one value for each row, shape (width,)."""
        dense = np.append(values @ self.shapes, values.sum(dtype=np.float64)).astype(np.float32)
        return np.append(self.grams.transposed_dot(values), dense) if self.grams else dense


@dataclass(frozen=True, slots=True)
class Logistic:
    """The fitted weights of all candidates."""

    grams: Floats
    """Shape (buckets, candidates); no buckets for a model of shapes alone."""
    shape: Floats
    """Shape (len(SHAPE), candidates)."""
    constant: Floats
    certainty: Floats
    """By bucket: how much evidence holds its weight, for learning from single rows later."""

    def logits(self, question: Encoded) -> Floats:
        """Log-odds of a right answer, shape (candidates,)."""
        dense: Floats = scaled(question.shape) @ self.shape + self.constant
        return dense + question.values @ self.grams[question.ids] if len(self.grams) else dense

    def predict(self, question: Encoded) -> Floats:
        """Probability of a right answer, shape (candidates,)."""
        return sigmoid(self.logits(question))

    def predict_many(self, questions: Sequence[Encoded]) -> Doubles:
        """The same of several questions, shape (questions, candidates)."""
        return np.array([self.predict(each) for each in questions], dtype=np.float64)

    def learned(self, questions: Sequence[Encoded], scores: Doubles) -> Logistic:
        """Return the model after some more rows; NaN in `scores` is a candidate not asked.

        An online Newton step for each row, with the diagonal in place of the whole matrix of second
        derivatives: a weight that much evidence holds moves little.
        """
        if not len(self.grams):
            return self
        grams, constant = self.grams.copy(), self.constant.copy()
        certainty = self.certainty.copy()
        for question, row in zip(questions, scores, strict=True):
            step = question.values / certainty[question.ids]
            fixed = scaled(question.shape) @ self.shape
            chance = sigmoid(fixed + constant + question.values @ grams[question.ids])
            curvature = chance * (1 - chance)
            error = np.where(np.isnan(row), 0.0, row - chance)
            scale = error / (1 + curvature * float(step @ question.values))
            grams[question.ids] += np.outer(step, scale).astype(np.float32)
            certainty[question.ids] += question.values**2 * float(curvature.mean())
        return replace(self, grams=grams, constant=constant, certainty=certainty)


def fit(
    design: Design, scores: Doubles, penalty: float, start: Doubles | None = None
) -> tuple[Doubles, Floats]:
    """Fit every candidate's weights.

    Args:
        design: The questions.
        scores: Shape (rows, candidates); NaN where a candidate was not asked.
        penalty: Of the squared weights, the constant excepted, beside the sum of log losses.
        start: Weights to start from, of another penalty.

    Returns:
        The weights, shape (width, candidates), and the curvature of each row's loss at them.
    """
    weights = np.zeros((design.width, scores.shape[1])) if start is None else start.copy()
    curvature = np.zeros(len(scores), dtype=np.float32)
    for column, target in enumerate(scores.T):
        weights[:, column], bend = _fit_one(design, target, penalty, weights[:, column])
        curvature += bend / scores.shape[1]
    return weights, curvature


def pack(design: Design, weights: Doubles, curvature: Floats, penalty: float) -> Logistic:
    """Spread fitted weights over the buckets."""
    grams = design.grams
    split = len(grams.ids) if grams else 0
    size = 1 << BITS if grams else 0
    spread = np.zeros((size, weights.shape[1]), dtype=np.float32)
    certainty = np.full(size, penalty, dtype=np.float32)
    if grams:
        spread[grams.ids] = weights[:split]
        certainty[grams.ids] += grams.column_energy(curvature)
    return Logistic(
        grams=spread,
        shape=weights[split:-1].astype(np.float32),
        constant=weights[-1].astype(np.float32),
        certainty=certainty,
    )


def scaled(shapes: Floats) -> Floats:
    """Bring standardised shapes to the length of a question's n-grams."""
    beside: Floats = shapes * np.float32(_SHAPE_WEIGHT / np.sqrt(shapes.shape[-1]))
    return beside


def sigmoid(logits: Floats) -> Floats:
    """Return probabilities of log-odds; stable at both ends."""
    chances: Floats = 0.5 * (1 + np.tanh(0.5 * logits))
    return chances


def _fit_one(
    design: Design, target: Doubles, penalty: float, start: Doubles
) -> tuple[Doubles, Floats]:
    known = ~np.isnan(target)
    wanted = np.where(known, target, 0.0)
    ridge = np.full(design.width, penalty, dtype=np.float32)
    # The constant is free; a trace of a penalty keeps scores that are all 0 or 1 finite.
    ridge[-1] = 1e-3
    weights = start.astype(np.float32)
    first = 0.0
    for step in range(_NEWTON_STEPS):
        chance = sigmoid(design.dot(weights))
        slope = np.where(known, chance - wanted, 0.0).astype(np.float32)
        bend = np.where(known, chance * (1 - chance), 0.0).astype(np.float32)
        gradient = design.transposed_dot(slope) + ridge * weights
        size = float(np.linalg.norm(gradient))
        first = first or size
        if step and size <= _CONVERGED * first:
            break

        def curve(direction: Floats, bend: Floats = bend) -> Floats:
            return design.transposed_dot(bend * design.dot(direction)) + ridge * direction

        weights = weights - solve(curve, gradient, _SOLVED, _SOLVER_STEPS)
    return weights.astype(np.float64), bend


def solve(
    product: Callable[[Floats], Floats], right: Floats, tolerance: float, most_steps: int
) -> Floats:
    """Solve `product(x) = right` by conjugate gradients, for a positive definite product.

    Args:
        product: The matrix, as what it does to a vector.
        right: The right-hand side.
        tolerance: The residual that is small enough, beside the right-hand side.
        most_steps: After so many the best solution so far is returned.
    """
    found = np.zeros_like(right)
    residual, direction = right.copy(), right.copy()
    energy = float(residual @ residual)
    enough = tolerance * tolerance * energy
    for _ in range(most_steps):
        if energy <= enough:
            break
        moved = product(direction)
        step = energy / float(direction @ moved)
        found = found + np.float32(step) * direction
        residual = residual - np.float32(step) * moved
        energy, before = float(residual @ residual), energy
        direction = residual + np.float32(energy / before) * direction
    return found
