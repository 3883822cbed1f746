"""How much each tool is about some words: BM25 over weighted fields, with help for misspellings.

The weighted counts of all fields are added before a term saturates (BM25F; Robertson, Zaragoza and
Taylor, CIKM 2004), so a word in the name and in the description counts once, and more. All but a
sum for each word of the question is done when the lexicon is made.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from frugal_chains.compression.tools._fields import fields_of
from frugal_chains.facts import ToolFacts
from frugal_chains.text import content_terms, terms

_WEIGHTS: Final = (2.0, 1.0, 1.0, 0.5, 0.5)
"""Of the fields, as `Fields` has them. Halves and doubles: with each between a half and the double
of this, recall moves by less than its interval (docs/notes/compression-tools.md)."""
_K1: Final = 1.2
_B: Final = 0.75
"""Both are the usual constants of BM25 (Robertson and Zaragoza, 2009)."""

_ALIKE: Final = 0.6
"""Dice's coefficient of two words' trigrams from which on one may be the other misspelt, or its
cousin in another language (`restaurante`): two letters swapped in a word of nine leave .6."""
_ALIKE_WEIGHT: Final = 0.7
"""Of a word that is only alike, times the coefficient."""
_ALIKE_CHARS: Final = 4
"""Shorter words are alike by chance."""
_MOST_ALIKE: Final = 3
_MOST_TERMS: Final = 2_000
"""Different words of a question that are looked up; a longer one names anything."""

_ASKING: Final = frozenset(
    terms("any ask get give hello help hi just know let like need please show tell thanks want")
)
"""Words that ask, whatever for. Rare in definitions, so BM25 would take them for telling."""


class Lexicon:
    """The words of some tools. Never changes once made."""

    __slots__ = ("_grams", "_impacts", "_size", "_trigrams")

    def __init__(self, tools: Sequence[ToolFacts]) -> None:
        self._size = len(tools)
        self._impacts = _impacts(list(map(_counts, tools)))
        self._grams: dict[str, int] = {}
        trigrams: defaultdict[str, list[str]] = defaultdict(list)
        for word in self._impacts:
            if len(word) < _ALIKE_CHARS:
                continue
            grams = _trigrams(word)
            self._grams[word] = len(grams)
            for gram in grams:
                trigrams[gram].append(word)
        self._trigrams = dict(trigrams)

    def scores(self, query: Mapping[str, float]) -> list[float]:
        """How much each tool is about the weighted terms; 0: not at all."""
        found = [0.0] * self._size
        for term, weight in query.items():
            for known, part in self._known(term):
                for number, impact in self._impacts[known]:
                    found[number] += weight * part * impact
        return found

    def _known(self, term: str) -> list[tuple[str, float]]:
        """The term itself, or the words it is most like, each with its weight."""
        if term in self._impacts:
            return [(term, 1.0)]
        if len(term) < _ALIKE_CHARS:
            return []
        grams = _trigrams(term)
        shared: dict[str, int] = {}
        for gram in grams:
            for word in self._trigrams.get(gram, ()):
                shared[word] = shared.get(word, 0) + 1
        # Dice's coefficient is at least this only where so many are shared.
        least = _ALIKE * len(grams) / (2 - _ALIKE)
        alike = [
            (2 * count / (len(grams) + self._grams[word]), word)
            for word, count in shared.items()
            if count >= least
        ]
        nearest = max((each for each, _ in alike), default=0.0)
        if nearest < _ALIKE:
            return []
        best = sorted(word for each, word in alike if each == nearest)[:_MOST_ALIKE]
        return [(word, _ALIKE_WEIGHT * nearest) for word in best]


def weighted_terms(query: str, before: Sequence[str], *, fades: float) -> dict[str, float]:
    """The terms of a question, and those of earlier ones, each step back `fades` times as heavy.

    Args:
        query: What is asked now.
        before: What was asked earlier in the conversation, oldest first.
        fades: 0 to 1.
    """
    found: dict[str, float] = {}
    weight = 1.0
    for text in (query, *reversed(before)):
        # `content_terms` gives stop words where there are no others; none of them tells of a tool.
        asked = content_terms(f"tool {text}")[1:]
        for term in [term for term in asked if term not in _ASKING] or asked:
            if len(found) >= _MOST_TERMS:
                return found
            found.setdefault(_ending(term), weight)
        weight *= fades
    return found


def _ending(term: str) -> str:
    """One ending for `movie` and `movy`, `price` and `pric`: stems of a word and of its plural."""
    if len(term) < 4 or term[-1] not in "ey":
        return term
    return term[:-1] + "i" if term[-1] == "y" else term[:-1]


@lru_cache(maxsize=1024)
def _counts(tool: ToolFacts) -> tuple[Counter[str], ...]:
    """How often each term is in each field. Applications make their index anew now and then; one
    tool is read in half a millisecond, and 300 are too many for a request."""
    return tuple(Counter(map(_ending, terms(text))) for text in fields_of(tool))


def _impacts(counts: Sequence[Sequence[Counter[str]]]) -> dict[str, list[tuple[int, float]]]:
    """By term: the tools that have it, and what it adds to their scores."""
    mean = [
        sum(each.total() for each in field) / len(field) or 1.0
        for field in zip(*counts, strict=True)
    ]
    frequencies: dict[str, list[tuple[int, float]]] = {}
    for number, fields in enumerate(counts):
        weighted: dict[str, float] = {}
        for field, weight, usual in zip(fields, _WEIGHTS, mean, strict=True):
            norm = 1 - _B + _B * field.total() / usual
            for term, count in field.items():
                weighted[term] = weighted.get(term, 0.0) + weight * count / norm
        for term, frequency in weighted.items():
            frequencies.setdefault(term, []).append((number, frequency))
    impacts = {}
    for term, having in frequencies.items():
        rarity = _rarity(len(having), len(counts)) * (_K1 + 1)
        impacts[term] = [(number, rarity * each / (each + _K1)) for number, each in having]
    return impacts


def _rarity(having: int, total: int) -> float:
    return math.log(1 + (total - having + 0.5) / (having + 0.5))


@lru_cache(maxsize=1 << 14)
def _trigrams(word: str) -> frozenset[str]:
    framed = f"^{word}$"
    return frozenset(framed[at : at + 3] for at in range(len(framed) - 2))
