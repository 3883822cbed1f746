"""The least that is dropped by itself: a word with its punctuation, or a whole atom."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from frugal_chains.errors import CompressionError
from frugal_chains.text import Atom, Span, atoms

UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
)
"""A character of a script without spaces: Thai to Khmer, kana, Han, and their punctuation."""
_RUN: Final = re.compile(r"\S+")


class WordScore(NamedTuple):
    """A word, `start` to `end` (exclusive) in characters, and what speaks for keeping it."""

    start: int
    end: int
    keep: float
    """0 to 1 where it is a probability; only the order counts."""


WordScorer = Callable[[str], Sequence[WordScore]]
"""The scores of a text's words, ascending, none overlapping."""


class WordUnit(NamedTuple):
    """What is kept or dropped as one."""

    span: Span
    keep: float
    """The highest score in it; negative infinity where there is none: it goes first."""
    atom: bool = False
    """It holds a number, an id, a negation or another atom: other words go before it."""
    stays: bool = False
    """It is of a sentence that stays whole: words and atoms of others go before it."""


def word_units(
    text: str, scores: Sequence[WordScore], patterns: Sequence[re.Pattern[str]] = ()
) -> list[WordUnit]:
    """The units of a text, ascending: only white space lies between them, if anything.

    What stands between white space is one, so that no word is cut and none grows together with
    another. Only scripts without spaces are parted where the scores are. An atom is within one.

    Raises:
        CompressionError: scores out of order or outside of the text, or one that is no number.
    """
    check_scores(text, scores)
    cuts = sorted({place for score in scores for place in (score.start, score.end)})
    held = atoms(text, patterns)
    spans = _whole_atoms(text, cuts, held)
    return [
        WordUnit(span, keep, atom)
        for span, keep, atom in zip(
            spans, _keeps(spans, scores), _holding(spans, held), strict=True
        )
    ]


def _whole_atoms(text: str, cuts: Sequence[int], held: Sequence[Atom]) -> list[Span]:
    """The parts of a text, those made one that an atom spans."""
    spans: list[Span] = []
    at = 0
    for start, end in _parts(text, cuts):
        while at < len(held) and held[at].end <= start:
            at += 1
        if spans and at < len(held) and held[at].start < spans[-1][1]:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def _parts(text: str, cuts: Sequence[int]) -> Iterator[Span]:
    for run in _RUN.finditer(text):
        start, end = run.span()
        if UNSPACED.search(text, start, end) is not None:
            inside = cuts[bisect_left(cuts, start + 1) : bisect_left(cuts, end)]
            for cut in inside:
                if UNSPACED.match(text[cut - 1]) or UNSPACED.match(text[cut]):
                    yield start, cut
                    start = cut
        yield start, end


def _keeps(spans: Sequence[Span], scores: Sequence[WordScore]) -> Iterator[float]:
    """The highest score in each span: a comma behind a word says nothing against the word."""
    at = 0
    for start, end in spans:
        while at < len(scores) and scores[at].end <= start:
            at += 1
        inside = at
        keep = -math.inf
        while inside < len(scores) and scores[inside].start < end:
            keep = max(keep, scores[inside].keep)
            inside += 1
        yield keep


def _holding(spans: Sequence[Span], held: Sequence[Atom]) -> Iterator[bool]:
    """Whether there is an atom in each span."""
    at = 0
    for start, end in spans:
        while at < len(held) and held[at].end <= start:
            at += 1
        yield at < len(held) and held[at].start < end


def check_scores(text: str, scores: Sequence[WordScore]) -> None:
    """Raises a CompressionError where scores cannot be of a text."""
    for at, (start, end, keep) in enumerate(scores):
        if not 0 <= start < end <= len(text):
            raise CompressionError(
                f"score {at} is of {start} to {end}; the text has {len(text)} characters"
            )
        if not math.isfinite(keep):
            raise CompressionError(f"score {at} is {keep}; give a finite number")
    for at, (one, other) in enumerate(pairwise(scores)):
        if other.start < one.end:
            raise CompressionError(
                f"score {at + 1} begins at {other.start}, before score {at} ends at {one.end}; "
                "give them in order, none overlapping"
            )
