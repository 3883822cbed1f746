"""How much each unit has to do with the query: a table of weights, no model.

The weights are round numbers near those of a logistic regression on the development split of NQ
with twenty documents and of QMSum; what each brings is in docs/notes/compression.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

from frugal_chains.compression.extract._passage import Source, Unit
from frugal_chains.text import (
    LEAST_STEM,
    bm25_of_counts,
    content_terms,
    inverse_frequencies,
    stem,
    terms,
    words,
)

# Of prose: each of these is 0 to 1, times its weight.
_SECTION: Final = 1.0
"""BM25 of the section (most passages are one) with its label, beside the best one."""
_SENTENCE: Final = 0.6
"""BM25 of the sentence with its label, beside the best one."""
_TITLE: Final = 0.7
"""Share of the label's terms that the query has: a document about what is asked for."""
_PAIRS: Final = 0.4
"""Share of the query's pairs of neighbouring terms that the section has."""
_NUMBER: Final = 0.5
"""A number where one is asked for."""
_FIRST: Final = 0.3
"""The first sentence says what a passage is about."""

_LIKENESS: Final = 2.0
"""Of the section's embedding with the query's, from the least alike (0) to the most (1), squared:
to be half as much alike as the best says little."""

# Of dialogue.
_REACH_TURNS: Final = 16
"""What is said about a thing goes on for some turns: scores are smoothed with weights that fall to
nothing so many turns away."""
_TURN_K1: Final = 0.6
_RARITY: Final = 1.5
_TURN_PAIR: Final = 1.0
_NAMED_SPEAKER: Final = 2.0
"""Of turns whose speaker the query names."""
_BEST_TURN: Final = 2.0
"""What the best turn has, where a good sentence of prose beside it has 2 to 3."""

_ASKS_NUMBER: Final = re.compile(
    r"\b(when|how (many|much|long|old|far|tall|big|deep|large|often|high|fast)|"
    r"(what|which|in what|in which) (year|date|day|month|century|number|percentage|percent|"
    r"population|age|temperature|price|amount)|"
    r"wann|wie ?(viele?|lange|alt|hoch|weit)|quand|combien|cu[aá]ndo|cu[aá]nt[oa]s?|quanti|quando)"
    r"\b|何年|いつ|いくつ|何人|多少|几|哪一年",
    re.IGNORECASE,
)
_DIGIT: Final = re.compile(r"\d|[一二三四五六七八九十百千万]")


_NO_PAIRS: Final[frozenset[tuple[str, str]]] = frozenset()


@dataclass(slots=True)
class _Read:
    """What of one unit the scores look at."""

    counts: Mapping[str, int]
    length: int
    pairs: frozenset[tuple[str, str]]

    def joined(self, other: _Read) -> _Read:
        if not self.counts:
            return _Read(other.counts, self.length + other.length, self.pairs | other.pairs)
        counts = dict(self.counts)
        for term, count in other.counts.items():
            counts[term] = counts.get(term, 0) + count
        return _Read(counts, self.length + other.length, self.pairs | other.pairs)


class Query:
    """A query, brought to its terms once."""

    def __init__(self, text: str) -> None:
        every = terms(text)
        self.terms = frozenset(content_terms(text))
        self.every = frozenset(every)
        self.pairs = frozenset(pairwise(content_terms(text)))
        self.asks_number = _ASKS_NUMBER.search(text) is not None

    def names(self, speaker: str) -> bool:
        """Whether it says the whole name."""
        name = set(content_terms(speaker))
        return bool(name) and name <= self.every

    def read(self, texts: Sequence[str]) -> list[_Read]:
        """Count what each text shares with it.

        Most words are not of the query, and most of those begin otherwise than its terms: what is
        left is stemmed, each word once.
        """
        split = list(map(words, texts))
        begins = {term[:LEAST_STEM] for term in self.terms}
        of_query = {
            word: term
            for word in set().union(*split)
            if word[:LEAST_STEM] in begins and (term := stem(word)) in self.terms
        }
        wanted = frozenset(of_query)
        return [
            _Read({}, len(found), _NO_PAIRS)
            if wanted.isdisjoint(found)
            else self._shared(list(map(of_query.get, found)))
            for found in split
        ]

    def _shared(self, found: Sequence[str | None]) -> _Read:
        """`found`: the words of a text, those that are not of the query as None."""
        counts: dict[str, int] = {}
        pairs: set[tuple[str, str]] = set()
        before: str | None = None
        for term in found:
            if term is not None:
                counts[term] = counts.get(term, 0) + 1
                if before is not None and (before, term) in self.pairs:
                    pairs.add((before, term))
            before = term
        return _Read(counts, len(found), frozenset(pairs) if pairs else _NO_PAIRS)


def prose_scores(query: Query, sources: Sequence[Source], units: Sequence[Unit]) -> list[float]:
    """Scores of sentences, 0 or more."""
    texts = [_text(sources, unit) for unit in units]
    read = query.read(texts)
    passages = list(dict.fromkeys(unit.passage for unit in units))
    written = [sources[at].passage.beside for at in passages]
    labels = dict(zip(passages, query.read(written), strict=True))
    labelled = [labels[u.passage].joined(found) for u, found in zip(units, read, strict=True)]
    sections: dict[int, _Read] = {}
    for unit, found in zip(units, read, strict=True):
        so_far = sections.get(unit.section) or labels[unit.passage]
        sections[unit.section] = so_far.joined(found)
    of_section = dict(zip(sections, _beside_best(_bm25(sections.values())), strict=True))
    of_unit = _beside_best(_bm25(labelled))
    titled = {at: _titled(query, sources[at].passage.beside) for at in labels}
    firsts = {unit.passage: at for at, unit in reversed(list(enumerate(units))) if not unit.path}
    return [
        _SECTION * of_section[unit.section]
        + _SENTENCE * of_unit[at]
        + _TITLE * titled[unit.passage]
        + _PAIRS * len(sections[unit.section].pairs) / (len(query.pairs) or 1)
        + _NUMBER * (not query.asks_number or _DIGIT.search(texts[at]) is not None)
        + _FIRST * (firsts.get(unit.passage) == at)
        for at, unit in enumerate(units)
    ]


def _text(sources: Sequence[Source], unit: Unit) -> str:
    text = sources[unit.passage].passage.text[unit.span[0] : unit.span[1]]
    return f"{unit.path} {text}" if unit.path else text


def _bm25(read: Iterable[_Read]) -> list[float]:
    found = list(read)
    return bm25_of_counts([each.counts for each in found], [each.length for each in found])


def dialogue_scores(query: Query, sources: Sequence[Source], units: Sequence[Unit]) -> list[float]:
    """Scores of turns, 0 or more. A passage of several turns is a conversation, and passages of
    one turn each are one together."""
    read = query.read([f"{unit.speaker} {_text(sources, unit)}" for unit in units])
    raw = bm25_of_counts(
        [found.counts for found in read],
        [found.length for found in read],
        k1=_TURN_K1,
        rarity=_RARITY,
    )
    rare = inverse_frequencies([dict.fromkeys(found.pairs, 1) for found in read])
    named = {name for name in {unit.speaker or "" for unit in units} if query.names(name)}
    for at, (unit, found) in enumerate(zip(units, read, strict=True)):
        raw[at] += _TURN_PAIR * sum(sorted(rare[pair] ** _RARITY for pair in found.pairs))
        if unit.speaker in named:
            raw[at] *= _NAMED_SPEAKER
    smoothed: list[float] = []
    for first, last in _conversations(units):
        smoothed += _smoothed(raw[first:last], _REACH_TURNS)
    return [_BEST_TURN * score for score in _beside_best(smoothed)]


def _conversations(units: Sequence[Unit]) -> Iterator[tuple[int, int]]:
    turns = Counter(unit.passage for unit in units)
    first = 0
    for _, run in groupby(units, key=lambda u: u.passage if turns[u.passage] > 1 else None):
        last = first + sum(1 for _ in run)
        yield first, last
        first = last


def likeness_scores(likeness: Sequence[float]) -> list[float]:
    """What embeddings add to each section; cosines differ in scale from embedder to embedder."""
    low, high = min(likeness, default=0.0), max(likeness, default=0.0)
    if high <= low:
        return [0.0] * len(likeness)
    return [_LIKENESS * ((each - low) / (high - low)) ** 2 for each in likeness]


def _smoothed(scores: Sequence[float], reach: int) -> list[float]:
    """Means of neighbours, weighted by 1 - distance / (reach + 1)."""
    # A triangle is two boxes one after the other: sums that run along, whatever the reach.
    ones = _box(_box([1.0] * len(scores), reach), reach)
    found = _box(_box(scores, reach), reach)
    return [value / weight for value, weight in zip(found, ones, strict=True)]


def _box(values: Sequence[float], reach: int) -> list[float]:
    half = reach // 2
    sums, total = [0.0], 0.0
    for value in values:
        total += value
        sums.append(total)
    last = len(values)
    return [sums[min(last, at + half + 1)] - sums[max(0, at - half)] for at in range(last)]


def _titled(query: Query, label: str) -> float:
    title = {term for term in terms(label) if not term.isdigit()}
    return len(title & query.terms) / len(title) if title else 0.0


def _beside_best(scores: Sequence[float]) -> list[float]:
    best = max(scores, default=0.0)
    return [score / best for score in scores] if best > 0 else [0.0] * len(scores)
