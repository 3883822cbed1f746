"""The gain model: several simple predictors, each heard as far as it has shown that it knows.

A prediction has two parts, and each predictor has a weight in both. The *level* is the mean over
candidates: how hard the question is. The *contrast* is what one candidate differs from that mean:
the gain. They are weighed apart because a predictor may know one and not the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from frugal_chains.routing.gain import _logistic as logistic
from frugal_chains.routing.gain._encode import SHAPE, Encoded, Encoder
from frugal_chains.routing.gain._logistic import Logistic
from frugal_chains.routing.gain._neighbours import Neighbours
from frugal_chains.routing.gain._scores import Example, Scores, score_table
from frugal_chains.routing.gain._tasks import Tasks
from frugal_chains.routing.gain._weigh import Weights

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

TEXT: Final = ("words", "shape", "tasks")
"""Predictors that need the question alone; `tasks` says nothing where rows named none."""
BOTH: Final = (*TEXT, "neighbours")
"""Predictors where there is an embedding: it tells tasks too."""


@dataclass(frozen=True, slots=True)
class BlendedGain:
    """A `GainModel` made of words, shape, tasks and, where rows had embeddings, neighbours."""

    names: tuple[str, ...]
    encoder: Encoder
    base: Doubles
    """Mean score of each candidate."""
    rows: int
    """How many rows it has learned from."""
    words: Logistic
    shape: Logistic
    tasks: Tasks | None
    neighbours: Neighbours | None
    by_text: Weights
    """Of the predictors of text alone;"""
    by_both: Weights | None
    """and of all of them, where there are embeddings."""

    @property
    def needs_embedding(self) -> bool:
        """Whether it was calibrated with embeddings."""
        return self.neighbours is not None

    def predict(self, question: str, embedding: Sequence[float] | None = None) -> Scores:
        """Predict each candidate's quality; without an embedding from the text alone."""
        encoded = self.encoder.encode(question)
        dense = None
        if self.neighbours is not None and embedding is not None:
            dense = np.asarray(embedding, dtype=np.float32)[None, :]
        row = self._predict([encoded], dense)[0]
        return Scores(dict(zip(self.names, row.tolist(), strict=True)))

    def predict_many(self, questions: Sequence[str], embeddings: Floats | None = None) -> Doubles:
        """Predict many questions at once, shape (questions, candidates)."""
        return self._predict([self.encoder.encode(question) for question in questions], embeddings)

    def distinct(self, question: str) -> str:
        """Return the part of a question that many calibration prompts do not share: embed this."""
        return self.encoder.distinct(question)

    def explain(
        self,
        question: str,
        embedding: Sequence[float] | None = None,
        *,
        stronger: str | None = None,
        cheaper: str | None = None,
    ) -> tuple[str, ...]:
        """Say why one candidate is expected to be better than another at this question.

        Without names: the best of all by its mean, beside the best of the others here.
        """
        scores = self.predict(question, embedding)
        strong = stronger or self.names[int(np.argmax(self.base))]
        others = [name for name in self.names if name != strong]
        cheap = cheaper or max(others, key=scores.__getitem__)
        encoded = self.encoder.encode(question)
        lines = [
            f"{strong} {scores[strong]:.2f}, {cheap} {scores[cheap]:.2f}: "
            f"gain {scores.gain(strong, cheap):+.2f}",
            *self._because_of_words(question, encoded, strong, cheap),
            *self._because_of_tasks(encoded, embedding),
        ]
        if embedding is not None:
            lines += self._because_of_neighbours(embedding, strong, cheap)
        return tuple(lines)

    def learned(self, examples: Sequence[Example]) -> BlendedGain:
        """Return the model after some more rows; the weights of the blend stay.

        Every predictor learns from each row: words by one online Newton step, tasks and the means
        by counting, neighbours by remembering.
        """
        if not examples:
            return self
        scores = score_table(examples, self.names)
        questions = [self.encoder.encode(example.prompt) for example in examples]
        known = ~np.isnan(scores)
        total = self.base * self.rows + np.where(known, scores, self.base).sum(axis=0)
        rows = self.rows + len(examples)
        base = total / rows
        neighbours = self.neighbours
        kept = [at for at, example in enumerate(examples) if example.embedding is not None]
        if neighbours is not None and kept:
            dense = np.array([examples[at].embedding for at in kept], dtype=np.float32)
            filled = np.where(known, scores, base)[kept]
            neighbours = neighbours.learned(dense, filled, [examples[at].prompt for at in kept])
        tasks = self.tasks
        if tasks is not None:
            tasks = tasks.learned(questions, scores, [example.task for example in examples])
        return replace(
            self,
            base=base,
            rows=rows,
            words=self.words.learned(questions, scores),
            tasks=tasks,
            neighbours=neighbours,
        )

    def _predict(self, questions: Sequence[Encoded], dense: Floats | None) -> Doubles:
        weights, asked = self.by_text, None
        if dense is not None and self.by_both is not None:
            weights, asked = self.by_both, dense
        found = np.zeros((len(questions), len(self.names)))
        said = self._said(questions, asked)
        for say, level, contrast in zip(said, weights.level, weights.contrast, strict=True):
            if say is not None and (level > 0 or contrast > 0):
                part = say() - self.base
                mean = np.add.reduce(part, axis=-1, keepdims=True) / len(self.names)
                found += contrast * part + (level - contrast) * mean
        return np.minimum(np.maximum(self.base + found, 0.0), 1.0)

    def _said(
        self, questions: Sequence[Encoded], dense: Floats | None
    ) -> list[Callable[[], Doubles] | None]:
        """How to ask each predictor, in the order of `TEXT` or `BOTH`; None: it knows nothing."""
        tasks, neighbours = self.tasks, self.neighbours
        known: list[Callable[[], Doubles] | None] = [
            lambda: self.words.predict_many(questions),
            lambda: self.shape.predict_many(questions),
            None if tasks is None else lambda: tasks.predict(questions, dense),
        ]
        if dense is not None:
            known.append(None if neighbours is None else lambda: neighbours.predict(dense))
        return known

    def _because_of_words(
        self, question: str, encoded: Encoded, strong: str, cheap: str
    ) -> list[str]:
        one, other = self.names.index(strong), self.names.index(cheap)
        names = self.encoder.gram_names(question)
        difference = self.words.grams[encoded.ids, one] - self.words.grams[encoded.ids, other]
        pushes = list(
            zip((difference * encoded.values).tolist(), encoded.ids.tolist(), strict=True)
        )
        shape = logistic.scaled(encoded.shape) * (
            self.words.shape[:, one] - self.words.shape[:, other]
        )
        named = [(push, repr(names[at])) for push, at in pushes if at in names]
        named += list(zip(shape.tolist(), SHAPE, strict=True))
        named.sort(key=lambda each: (-abs(each[0]), each[1]))
        return [f"{name}: {push:+.2f}" for push, name in named[:5] if abs(push) >= 0.005]

    def _because_of_tasks(self, encoded: Encoded, embedding: Sequence[float] | None) -> list[str]:
        if self.tasks is None:
            return []
        dense = None
        if embedding is not None and self.neighbours is not None:
            dense = np.asarray(embedding, dtype=np.float32)[None, :]
        chances = self.tasks.posterior([encoded], dense)[0]
        order = np.argsort(-chances, kind="stable")[:2]
        return [
            f"{chances[at]:.0%} like the task {self.tasks.names[at]!r}"
            for at in order
            if chances[at] >= 0.1
        ]

    def _because_of_neighbours(
        self, embedding: Sequence[float], strong: str, cheap: str
    ) -> list[str]:
        if self.neighbours is None:
            return []
        one, other = self.names.index(strong), self.names.index(cheap)
        near = self.neighbours.nearest(np.asarray(embedding, dtype=np.float32), 3)
        scores, prompts = self.neighbours.scores, self.neighbours.prompts
        return [
            f"like {prompts[row]!r} (cosine {likeness:.2f}): gain "
            f"{scores[row, one] - scores[row, other]:+.2f}"
            for likeness, row in near
        ]
