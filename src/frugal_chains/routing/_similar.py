"""Similarity of short texts: cosines of embeddings, or of letter trigrams where there are none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

Vector = Mapping[str, float]
"""Trigrams with weights; of length 1."""


def trigrams(text: str) -> Vector:
    """The letter trigrams of a canonical text, words apart, each by the root of its count."""
    padded = (f" {word} " for word in text.split())
    counts = Counter(word[i : i + 3] for word in padded for i in range(len(word) - 2))
    length = math.sqrt(counts.total())
    return {gram: math.sqrt(count) / length for gram, count in counts.items()}


def overlap(one: Vector, other: Vector) -> float:
    """The cosine of two trigram vectors, 0 to 1."""
    if len(one) > len(other):
        one, other = other, one
    return sum(weight * other.get(gram, 0.0) for gram, weight in one.items())


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of two embeddings; 0 where one is all zeros.

    Raises:
        ValueError: they are of different lengths, so not of one embedder.
    """
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    lengths = math.sqrt(sum(a * a for a in one)) * math.sqrt(sum(b * b for b in other))
    return dot / lengths if lengths else 0.0
