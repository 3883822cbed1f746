"""Domains: which field a question belongs to, by likeness to a few examples of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from frugal_chains.routing._similar import Vector, cosine, overlap, trigrams
from frugal_chains.routing._text import canonical


@dataclass(frozen=True, slots=True)
class Domains:
    """The mean of each domain's examples, and how near a question is to it."""

    centres: Mapping[str, Vector]
    """Trigrams by domain."""
    vectors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Embeddings by domain, where an embedder made them."""

    @classmethod
    def of(
        cls,
        examples: Mapping[str, Sequence[str]],
        embedder: Callable[[Sequence[str]], Any] | None = None,
    ) -> Domains:
        """From example questions of each domain; ten or more of each tell domains apart."""
        centres = {
            name: _centre([trigrams(canonical(text)) for text in texts])
            for name, texts in examples.items()
        }
        if embedder is None:
            return cls(centres)
        vectors = {
            name: _mean(embedder([canonical(text) for text in texts]))
            for name, texts in examples.items()
        }
        return cls(centres, vectors)

    def shares(self, asked: Vector, embedding: Sequence[float] | None) -> dict[str, float]:
        """How the likeness of a question spreads over the domains; sums to 1, or is empty.

        The power makes small differences count: all questions share much of their letters.
        """
        if self.vectors and embedding is not None:
            likeness = {name: cosine(embedding, mean) for name, mean in self.vectors.items()}
        else:
            likeness = {name: overlap(asked, centre) for name, centre in self.centres.items()}
        raised = {name: max(value, 0.0) ** _SHARPNESS for name, value in likeness.items()}
        total = sum(raised.values())
        return {name: value / total for name, value in raised.items()} if total else {}


_SHARPNESS = 8


def _centre(vectors: Sequence[Vector]) -> Vector:
    sums: dict[str, float] = defaultdict(float)
    for vector in vectors:
        for gram, weight in vector.items():
            sums[gram] += weight
    length = sum(weight * weight for weight in sums.values()) ** 0.5
    return {gram: weight / length for gram, weight in sums.items()}


def _mean(vectors: Any) -> tuple[float, ...]:
    return tuple(sum(map(float, column)) / len(column) for column in zip(*vectors, strict=True))
