"""What a gain model says, what it learns from, and what it may ask of an embedder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Scores(Mapping[str, float]):
    """Predicted quality of each candidate's answer, 0 to 1."""

    by_name: Mapping[str, float]

    def __getitem__(self, name: str) -> float:
        return self.by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_name)

    def __len__(self) -> int:
        return len(self.by_name)

    def gain(self, stronger: str, cheaper: str) -> float:
        """What asking the stronger one is expected to win, -1 to 1."""
        return self.by_name[stronger] - self.by_name[cheaper]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One prompt of a calibration log, and how well candidates answered it."""

    prompt: str
    scores: Mapping[str, float]
    """By candidate, 0 to 1; a candidate that was not asked is missing."""
    task: str = ""
    """What kind of request it is, where the log says so. Decisions are never given it."""
    embedding: Sequence[float] | None = None


def score_table(examples: Sequence[Example], names: Sequence[str]) -> NDArray[np.float64]:
    """Return scores, shape (rows, candidates); NaN where a candidate was not asked."""
    nan = float("nan")
    rows = [[example.scores.get(name, nan) for name in names] for example in examples]
    return np.array(rows, dtype=np.float64).reshape(len(examples), len(names))


class Embedder(Protocol):
    """Turns texts into vectors of one length; a framework's embedding model behind one call."""

    def __call__(self, texts: Sequence[str], /) -> Sequence[Sequence[float]]: ...


class GainModel(Protocol):
    """Predicts how well each candidate would answer. Pure: learning gives another model."""

    @property
    def names(self) -> tuple[str, ...]:
        """The candidates it knows."""
        ...

    @property
    def needs_embedding(self) -> bool:
        """Whether it was calibrated with embeddings; without one it predicts from words alone."""
        ...

    def distinct(self, question: str) -> str:
        """The part of a question that tells it from others: this is what is embedded for it.

        A system prompt or few-shot examples that stand before every question would make the
        vectors of all of them alike. Whole questions are embedded for a model without this method.
        """
        ...

    def predict(self, question: str, embedding: Sequence[float] | None = None) -> Scores:
        """Predict the quality of each candidate's answer.

        Args:
            question: The whole of it.
            embedding: Of `distinct(question)`.
        """
        ...

    def explain(self, question: str, embedding: Sequence[float] | None = None) -> tuple[str, ...]:
        """Say in readable lines why: words with their weight, kinds of request, neighbours."""
        ...
