"""What anybody could write in an hour: truncation, chance, and plain BM25.

None of it uses the library. All keep the budget: pieces are counted one by one, with the labels
they bring, and the whole prompt once more at the end.
"""

from __future__ import annotations

import math
import random
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from compression.protocol import SEPARATOR, Contender, Count, Passage, Set, rendered

_WORD: Final = re.compile(r"\w+")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_K1: Final = 1.2
_B: Final = 0.75
"""Robertson and Zaragoza, The Probabilistic Relevance Framework (2009); Lucene's defaults."""

SENTENCE_AND_PASSAGE: Final = "BM25 sentence+passage"
"""The one to beat: the words of a sentence, and those of its passage with the label."""

# Lucene's English stop words, and what questions begin with.
_UNTOLD: Final = frozenset(
    _WORD.findall(
        "a an and are as at be but by for if in into is it no not of on or such that the "
        "their then there these they this to was will with am been did do does has have had were "
        "how what when where which who whom whose why"
    )
)
_FILLINGS: Final = 2
"""How often what is left of a budget is filled."""
_ENDINGS: Final = ("ies", "es", "s", "ed", "ing")


@dataclass(frozen=True, slots=True)
class _Unit:
    """A piece that is kept whole or not at all."""

    passage: int
    text: str


def contenders() -> list[Contender]:
    """All of them, in the order of a table. JSON has no sentences: BM25 is not run on taubench."""
    plain: tuple[Set, ...] = ("nq20", "qmsum", "kv75")
    return [
        Contender(name="truncation", compress=truncate),
        Contender(name="random passages", compress=random_passages, sets=plain),
        Contender(name="BM25 passages", compress=bm25_passages, sets=plain),
        Contender(name="BM25 sentences", compress=_BM25(passage_weight=0.0), sets=plain),
        Contender(name=SENTENCE_AND_PASSAGE, compress=_BM25(passage_weight=0.5), sets=plain),
        Contender(
            name=f"{SENTENCE_AND_PASSAGE}, titles",
            compress=_BM25(passage_weight=0.5, titles=True),
            sets=plain,
            note="a sentence is searched with the title of its passage before it",
        ),
        Contender(
            name="BM25 turns, 8 neighbours",
            compress=_SmoothedBM25(reach=8),
            sets=("qmsum",),
            note="the mean BM25 of a turn and 8 on each side",
        ),
    ]


def truncate(
    query: str, passages: Sequence[Passage], *, budget_tokens: int, count: Count
) -> list[str]:
    """The beginning, cut at a word."""
    texts = [passage.text for passage in passages]

    def tokens(number: int) -> int:
        return count(rendered(passages[:number], texts[:number]))

    whole = bisect_right(range(len(passages) + 1), budget_tokens, key=tokens) - 1
    kept = texts[:whole] + [""] * (len(passages) - whole)
    if whole < len(passages):
        start = SEPARATOR + passages[whole].label
        left = budget_tokens - tokens(whole) - count(start)
        kept[whole] = _cut(texts[whole], left, count)
        while kept[whole] and count(rendered(passages, kept)) > budget_tokens:
            kept[whole] = kept[whole].rpartition(" ")[0]
    return kept


def _cut(text: str, budget_tokens: int, count: Count) -> str:
    """The longest beginning that ends with a word and fits."""
    ends = [0, *(found.end() for found in re.finditer(r"\S+", text))]
    fitting = bisect_right(ends, budget_tokens, key=lambda end: count(text[:end]))
    return text[: ends[max(fitting - 1, 0)]]


def random_passages(
    query: str, passages: Sequence[Passage], *, budget_tokens: int, count: Count
) -> list[str]:
    """Whole passages as they come, in an order that hangs on the query alone."""
    order = list(range(len(passages)))
    random.Random(query).shuffle(order)
    units = [_Unit(at, passage.text) for at, passage in enumerate(passages)]
    return fill(passages, units, order, budget_tokens=budget_tokens, count=count)


def bm25_passages(
    query: str, passages: Sequence[Passage], *, budget_tokens: int, count: Count
) -> list[str]:
    """Whole passages, by BM25 of label and text."""
    scores = bm25(words(query), [words(passage.label + passage.text) for passage in passages])
    units = [_Unit(at, passage.text) for at, passage in enumerate(passages)]
    order = _best_first(scores)
    return fill(passages, units, order, budget_tokens=budget_tokens, count=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class _BM25:
    """Sentences, by their BM25 and that of the passage they are from, each over its largest."""

    passage_weight: float
    titles: bool = False
    """Whether a sentence is searched with the label of its passage before it."""

    def __call__(
        self, query: str, passages: Sequence[Passage], *, budget_tokens: int, count: Count
    ) -> list[str]:
        asked = words(query)
        units = [
            _Unit(at, text) for at, passage in enumerate(passages) for text in sentences(passage)
        ]
        before = [words(passage.label) if self.titles else [] for passage in passages]
        scores = _normalised(
            bm25(asked, [before[unit.passage] + words(unit.text) for unit in units])
        )
        if self.passage_weight:
            of_passage = _normalised(
                bm25(asked, [words(passage.label + passage.text) for passage in passages])
            )
            weight = self.passage_weight
            scores = [
                (1 - weight) * score + weight * of_passage[unit.passage]
                for score, unit in zip(scores, units, strict=True)
            ]
        order = _best_first(scores)
        return fill(passages, units, order, budget_tokens=budget_tokens, count=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SmoothedBM25:
    """Whole passages, by the mean BM25 of themselves and their neighbours: for dialogue."""

    reach: int

    def __call__(
        self, query: str, passages: Sequence[Passage], *, budget_tokens: int, count: Count
    ) -> list[str]:
        scores = bm25(words(query), [words(passage.text) for passage in passages])
        reach = self.reach
        smooth = [
            math.fsum(near := scores[max(at - reach, 0) : at + reach + 1]) / len(near)
            for at in range(len(scores))
        ]
        units = [_Unit(at, passage.text) for at, passage in enumerate(passages)]
        order = _best_first(smooth)
        return fill(passages, units, order, budget_tokens=budget_tokens, count=count)


def fill(
    passages: Sequence[Passage],
    units: Sequence[_Unit],
    order: Sequence[int],
    *,
    budget_tokens: int,
    count: Count,
) -> list[str]:
    """Take pieces in an order as long as they fit, and set them in that of the prompt.

    Pieces counted one by one come to a little more than the whole, so what is left over is counted
    and filled again.
    """
    taken: list[int] = []
    for _ in range(_FILLINGS):
        kept = _set_in_order(passages, units, taken)
        left = budget_tokens - (count(rendered(passages, kept)) if taken else 0)
        opened = {units[at].passage for at in taken}
        before = set(taken)
        for at in order:
            unit = units[at]
            if left <= 0:
                break
            if at in before or not unit.text:
                continue
            start = " " if unit.passage in opened else SEPARATOR + passages[unit.passage].label
            cost = count(start + unit.text)
            if cost <= left:
                left -= cost
                taken.append(at)
                opened.add(unit.passage)
    while True:
        kept = _set_in_order(passages, units, taken)
        if not taken or count(rendered(passages, kept)) <= budget_tokens:
            return kept
        taken.pop()


def _set_in_order(
    passages: Sequence[Passage], units: Sequence[_Unit], taken: Sequence[int]
) -> list[str]:
    kept: list[list[str]] = [[] for _ in passages]
    for at in sorted(taken):
        kept[units[at].passage].append(units[at].text)
    return [" ".join(texts) for texts in kept]


def sentences(passage: Passage) -> list[str]:
    """Pieces between full stops, exclamation and question marks, and line feeds."""
    return [text for text in _SENTENCE_END.split(passage.text) if text.strip()]


def words(text: str) -> list[str]:
    """Lower-cased words without stop words and without the commonest endings."""
    return [_stem(word) for word in _WORD.findall(text.lower()) if word not in _UNTOLD]


@cache
def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def bm25(query: Sequence[str], texts: Sequence[Sequence[str]]) -> list[float]:
    """Okapi BM25 of each text; the rarity of a word is its own among these texts alone."""
    counts = [Counter(text) for text in texts]
    mean = sum(map(len, texts)) / max(len(texts), 1) or 1.0
    rarity = {
        word: math.log(1 + (len(texts) - held + 0.5) / (held + 0.5))
        for word in set(query)
        if (held := sum(word in each for each in counts))
    }

    def score(each: Counter[str], length: int) -> float:
        norm = _K1 * (1 - _B + _B * length / mean)
        return math.fsum(
            weight * each[word] * (_K1 + 1) / (each[word] + norm)
            for word, weight in rarity.items()
            if word in each
        )

    return [score(each, len(text)) for each, text in zip(counts, texts, strict=True)]


def _normalised(scores: Sequence[float]) -> list[float]:
    top = max(scores, default=0.0) or 1.0
    return [score / top for score in scores]


def _best_first(scores: Sequence[float]) -> list[int]:
    return sorted(range(len(scores)), key=lambda at: -scores[at])
