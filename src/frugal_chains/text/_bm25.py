"""BM25: how much each of some texts is about a query (Robertson and Zaragoza, 2009)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)
"""A term, or whatever else two texts may share."""


def bm25(
    query: Collection[T],
    units: Sequence[Sequence[T]],
    *,
    k1: float = 1.2,
    b: float = 0.75,
    rarity: float = 1.0,
) -> list[float]:
    """Scores of texts for a query, 0 or more; all of them are the collection.

    Args:
        query: Its terms; each counts once.
        units: The terms of each text.
        k1: How soon a term that is repeated adds no more.
        b: How much a longer text counts less, 0 to 1.
        rarity: Power of the inverse document frequency; above 1, common terms count less.
    """
    wanted = frozenset(query)
    counts = [term_counts(wanted, unit) for unit in units]
    return bm25_of_counts(counts, list(map(len, units)), k1=k1, b=b, rarity=rarity)


def bm25_of_counts(
    counts: Sequence[Mapping[T, int]],
    lengths: Sequence[int],
    *,
    k1: float = 1.2,
    b: float = 0.75,
    rarity: float = 1.0,
) -> list[float]:
    """As `bm25`, of texts whose terms are counted already; `lengths` in terms."""
    if not counts:
        return []
    weights = {term: idf**rarity for term, idf in inverse_frequencies(counts).items()}
    mean = sum(lengths) / len(lengths) or 1.0
    scores = []
    for found, length in zip(counts, lengths, strict=True):
        norm = k1 * (1 - b + b * length / mean)
        score = 0.0
        for term, n in found.items():
            score += weights[term] * n * (k1 + 1) / (n + norm)
        scores.append(score)
    return scores


def inverse_frequencies(counts: Sequence[Mapping[T, int]]) -> dict[T, float]:
    """Of each term: ln(1 + (N - n + 0.5) / (n + 0.5)), where n of the N texts have it."""
    having = Counter(term for found in counts for term in found)
    total = len(counts)
    return {term: math.log(1 + (total - n + 0.5) / (n + 0.5)) for term, n in having.items()}


def term_counts(wanted: Collection[T], unit: Iterable[T]) -> dict[T, int]:
    """How often each wanted term occurs; those that do not are left out, in order of the text."""
    found: dict[T, int] = {}
    for term in unit:
        if term in wanted:
            found[term] = found.get(term, 0) + 1
    return found
