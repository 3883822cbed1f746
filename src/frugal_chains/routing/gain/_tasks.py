"""Task prior: how well each candidate answers one kind of request, and which kind a question is.

The mean score of a task is drawn toward the mean of all tasks the more, the fewer rows it has
(empirical Bayes: the weight of the prior is the ratio of the variance inside tasks to that between
them). Calibration rows name their task; a question at decision time does not. Its task is told by
naive Bayes over n-grams and by linear discriminants of its shape and, where there is one, of its
embedding. None of the three is as sure as it says, so what each is trusted with is learned on rows
it has not seen. The prediction is the mean over tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from frugal_chains.routing.gain._encode import BITS, Encoded

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int32]
Index = NDArray[np.intp]

_LEAST_SEEN: Final = 3
"""An n-gram of fewer rows tells nothing of a task that the other n-grams do not."""
_SMOOTHING: Final = 0.01
"""Added to every count of an n-gram in a task: tf-idf weights of one n-gram are about 0.1."""
_SPREAD_PART: Final = 0.05
"""Of the mean variance, added to each: discriminants of few rows stay finite."""
_NEVER: Final = -30.0
"""Log-probability of a task that a part of the rows does not have."""
_EQUAL_TRUST: Final = 0.5
"""In each kind of evidence, before rows have shown what it is worth."""


@dataclass(frozen=True, slots=True)
class Discriminant:
    """Linear discriminant analysis: one spread for all tasks, a mean for each."""

    centre: Floats
    weights: Floats
    """Shape (dimensions, tasks)."""
    constant: Floats

    @classmethod
    def fit(cls, rows: Floats, kinds: Index, count: int) -> Discriminant:
        """From vectors and the task of each."""
        centre = rows.mean(axis=0)
        moved = (rows - centre).astype(np.float64)
        sizes = np.bincount(kinds, minlength=count)
        means = np.zeros((count, moved.shape[1]))
        np.add.at(means, kinds, moved)
        means /= np.maximum(sizes, 1)[:, None]
        rest = moved - means[kinds]
        spread = rest.T @ rest / len(moved)
        spread += _SPREAD_PART * (np.trace(spread) / len(spread) + 1e-9) * np.eye(len(spread))
        weights = np.linalg.solve(spread, means.T)
        constant = -0.5 * (means.T * weights).sum(axis=0)
        return cls(centre, weights.astype(np.float32), constant.astype(np.float32))

    def evidence(self, rows: Floats) -> Floats:
        """Log-probability of each task, up to a constant, shape (rows, tasks)."""
        found = (rows - self.centre) @ self.weights + self.constant
        return np.asarray(found, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Tasks:
    """Means by task, and how to tell tasks."""

    names: tuple[str, ...]
    rows: Doubles
    """How many rows each task has with each candidate's score, shape (tasks, candidates)."""
    sums: Doubles
    """Their sums, the same shape."""
    squares: Doubles
    """The sums of their squares."""
    means: Doubles
    """Mean scores, drawn toward the mean over all rows; the same shape."""
    common: Doubles
    """Logarithm of each task's share of the rows."""
    slots: Ints
    """By bucket: its line in `grams`; line 0 is empty."""
    grams: NDArray[np.float16]
    """Log-probability of each n-gram in each task, less its mean over tasks."""
    shape: Discriminant
    dense: Discriminant | None
    """Of embeddings."""
    trust: Doubles
    """In n-grams and shape;"""
    trust_dense: Doubles
    """in n-grams, shape and embedding."""

    @classmethod
    def fit(
        cls,
        questions: Sequence[Encoded],
        scores: Doubles,
        tasks: Sequence[str],
        dense: Floats | None = None,
    ) -> Tasks | None:
        """Learn from rows that name a task; None where fewer than two tasks are named."""
        names = tuple(sorted({task for task in tasks if task}))
        if len(names) < 2:
            return None
        number = {name: at for at, name in enumerate(names)}
        kinds = np.array([number.get(task, -1) for task in tasks])
        named = np.flatnonzero(kinds >= 0)
        kinds, chosen = kinds[named], [questions[at] for at in named.tolist()]
        slots, grams = _gram_evidence(chosen, kinds, len(names))
        rows = np.zeros((len(names), scores.shape[1]))
        sums, squares = rows.copy(), rows.copy()
        known = ~np.isnan(scores[named])
        filled = np.where(known, scores[named], 0.0)
        np.add.at(rows, kinds, known)
        np.add.at(sums, kinds, filled)
        np.add.at(squares, kinds, filled**2)
        shapes = np.stack([each.shape for each in chosen])
        return cls(
            names=names,
            rows=rows,
            sums=sums,
            squares=squares,
            means=_drawn(rows, sums, squares),
            common=np.log(np.bincount(kinds, minlength=len(names)) / len(kinds)),
            slots=slots,
            grams=grams,
            shape=Discriminant.fit(shapes, kinds, len(names)),
            dense=None if dense is None else Discriminant.fit(dense[named], kinds, len(names)),
            trust=np.full(2, _EQUAL_TRUST),
            trust_dense=np.full(3, _EQUAL_TRUST / 2),
        )

    def evidence(self, questions: Sequence[Encoded], dense: Floats | None = None) -> Doubles:
        """Log-probabilities by n-grams, shape and embedding, shape (kinds, rows, tasks)."""
        lines = [
            each.values @ self.grams[self.slots[each.ids]].astype(np.float32) for each in questions
        ]
        # `np.array` and not `np.stack`: of one question that is half of the time.
        kinds = [np.array(lines), self.shape.evidence(np.array([each.shape for each in questions]))]
        if dense is not None and self.dense is not None:
            kinds.append(self.dense.evidence(dense))
        return np.array(kinds, dtype=np.float64)

    def posterior(self, questions: Sequence[Encoded], dense: Floats | None = None) -> Doubles:
        """Probability of each task, shape (rows, tasks)."""
        found = self.evidence(questions, dense)
        return chances(found, self.trust if len(found) == 2 else self.trust_dense, self.common)

    def predict(self, questions: Sequence[Encoded], dense: Floats | None = None) -> Doubles:
        """Mean score over the tasks that a question may be of, shape (rows, candidates)."""
        found: Doubles = self.posterior(questions, dense) @ self.means
        return found

    def learned(self, questions: Sequence[Encoded], scores: Doubles, tasks: Sequence[str]) -> Tasks:
        """Return the model after some more rows.

        A row that names no task, or one it does not know, counts for each task as far as it seems
        to be of it.
        """
        belongs = self.posterior(questions)
        number = {name: at for at, name in enumerate(self.names)}
        for row, task in enumerate(tasks):
            if task in number:
                belongs[row] = np.eye(len(self.names))[number[task]]
        known = ~np.isnan(scores)
        filled = np.where(known, scores, 0.0)
        rows = self.rows + belongs.T @ known
        sums = self.sums + belongs.T @ filled
        squares = self.squares + belongs.T @ filled**2
        means = _drawn(rows, sums, squares)
        return replace(self, rows=rows, sums=sums, squares=squares, means=means)


def _drawn(rows: Doubles, sums: Doubles, squares: Doubles) -> Doubles:
    """Mean score of each candidate on each task, drawn toward its mean over all rows."""
    count = rows.sum(axis=0)
    overall = sums.sum(axis=0) / np.maximum(count, 1)
    each = np.maximum(rows, 1)
    mean = sums / each
    tasks = (rows > 0).sum(axis=0)
    inside = (squares - sums**2 / each).sum(axis=0) / np.maximum(count - tasks, 1)
    # The spread of task means holds their own sampling noise: what is left is between tasks.
    between = ((mean - overall) ** 2 - inside / each) * (rows > 0)
    prior = inside / np.maximum(between.sum(axis=0) / np.maximum(tasks, 1), 1e-4)
    drawn: Doubles = (sums + prior * overall) / (rows + prior + 1e-12)
    return drawn


def chances(evidence: Doubles, trust: Doubles, common: Doubles) -> Doubles:
    """Return probabilities of tasks from evidence of shape (kinds, rows, tasks)."""
    odds = (trust[:, None, None] * evidence).sum(axis=0) + common
    odds = np.exp(odds - odds.max(axis=1, keepdims=True))
    found: Doubles = odds / odds.sum(axis=1, keepdims=True)
    return found


def spread_over(evidence: Doubles, known: Sequence[str], names: Sequence[str]) -> Doubles:
    """Bring evidence on some tasks to all tasks; the others are all but impossible."""
    out = np.full((*evidence.shape[:2], len(names)), _NEVER)
    column = {name: at for at, name in enumerate(names)}
    out[:, :, [column[name] for name in known]] = evidence
    return out


def learn_trust(evidence: Doubles, kinds: Index, common: Doubles) -> Doubles:
    """Find the trust in each kind of evidence that makes the true tasks of unseen rows likeliest.

    Newton's method on a concave function of two or three numbers; never below zero.
    """
    count, rows = evidence.shape[0], np.arange(len(kinds))
    trust = np.full(count, _EQUAL_TRUST)
    for _ in range(30):
        chance = chances(evidence, trust, common)
        mean = (evidence * chance).sum(axis=2)
        slope = (evidence[:, rows, kinds] - mean).sum(axis=1)
        bend = np.einsum("art,brt,rt->ab", evidence, evidence, chance) - mean @ mean.T
        bend += 1e-3 * (np.trace(bend) / count + 1e-9) * np.eye(count)
        step = np.linalg.solve(bend, slope)
        trust = np.clip(trust + np.clip(step, -0.5, 0.5), 0.0, 5.0)
        if np.abs(step).max() < 1e-4:
            break
    return trust


def _gram_evidence(
    questions: Sequence[Encoded], kinds: Index, count: int
) -> tuple[Ints, NDArray[np.float16]]:
    ids = np.concatenate([question.ids for question in questions])
    values = np.concatenate([question.values for question in questions])
    owner = np.repeat(kinds, [len(question.ids) for question in questions])
    seen = np.bincount(ids, minlength=1 << BITS)
    kept = np.flatnonzero(seen >= _LEAST_SEEN)
    slots = np.zeros(1 << BITS, dtype=np.int32)
    slots[kept] = np.arange(1, len(kept) + 1, dtype=np.int32)
    size = (len(kept) + 1) * count
    weights = np.bincount(slots[ids] * count + owner, weights=values, minlength=size)
    table = weights.reshape(len(kept) + 1, count) + _SMOOTHING
    table[0] = 1.0
    if len(kept):
        table[1:] /= table[1:].sum(axis=0)
    table = np.log(table)
    table -= table.mean(axis=1, keepdims=True)
    return slots, table.astype(np.float16)
