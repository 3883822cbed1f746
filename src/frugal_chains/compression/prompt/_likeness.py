"""How much an example is about a request, and how much like another example."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from frugal_chains.text import bm25, content_terms, inverse_frequencies, terms

Vector = Sequence[float]
Likeness = Callable[[int, int], float]
"""Of two examples by index: 0 (nothing in common) to 1."""

_TERMS: Final = 400
"""Looked at from the start of an example, for its likeness to another."""


def relevance_of(
    abouts: Sequence[str],
    query: str,
    query_vector: Vector | None,
    vectors: Sequence[Vector] | None,
) -> list[float]:
    """BM25 as a share of the best; with vectors, half that and half their cosine, shared alike."""
    words = _of_best(bm25(content_terms(query), [terms(about) for about in abouts]))
    if query_vector is None or vectors is None:
        return words
    meant = _of_best([_cosine(query_vector, vector) for vector in vectors])
    return [(a + b) / 2 for a, b in zip(words, meant, strict=True)]


def likeness_of(abouts: Sequence[str], vectors: Sequence[Vector] | None) -> Likeness:
    """The cosine of the vectors, or without them of the texts' words, rare ones counting more."""
    if vectors is not None:
        return lambda i, j: max(_cosine(vectors[i], vectors[j]), 0.0)
    counts = [Counter(terms(about)[:_TERMS]) for about in abouts]
    rarity = inverse_frequencies(counts)
    weighed = [{t: n * rarity[t] for t, n in found.items()} for found in counts]
    lengths = [math.sqrt(sum(w * w for w in each.values())) for each in weighed]

    def likeness(i: int, j: int) -> float:
        length = lengths[i] * lengths[j]
        if not length:
            return 0.0
        fewer, more = sorted((weighed[i], weighed[j]), key=len)
        return min(sum(w * more[t] for t, w in fewer.items() if t in more) / length, 1.0)

    return likeness


def _of_best(scores: Sequence[float]) -> list[float]:
    best = max(scores, default=0.0)
    return [max(score, 0.0) / best if best > 0 else 0.0 for score in scores]


def _cosine(one: Vector, other: Vector) -> float:
    length = _length(one) * _length(other)
    dot = sum(float(a) * float(b) for a, b in zip(one, other, strict=True))
    return dot / length if length else 0.0


def _length(vector: Vector) -> float:
    return math.sqrt(sum(float(a) * float(a) for a in vector))
