"""`extract_then_words`: sentences to a larger budget first, then words to the one there is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from frugal_chains.compression.extract import Count, Extraction, Kind, Passage, extract
from frugal_chains.compression.extract._extract import JOINER, atoms_asked_for
from frugal_chains.compression.extract._passage import read_sources
from frugal_chains.compression.words._drop import WordPage, check_budget
from frugal_chains.compression.words._units import WordScore, WordScorer, WordUnit, word_units
from frugal_chains.errors import CompressionError
from frugal_chains.text import Span

RATE: Final = 0.85
WHOLE: Final = 0.7
"""A probe: of 270 prompts of nq20, with words weighed by how rare they are, 98 / 96 / 90% keep
their answer at 2x / 4x / 8x, as where all sentences stay whole; 86 / 83 / 80% where words go from
all of them."""

Scores = Sequence[Sequence[WordScore]]
"""Of several texts."""
Within = Callable[[Callable[[], Scores]], Scores]
"""How a scorer is waited for: it calls what it is given, and hands on what that returns."""
_Part = tuple[int, int, int]
"""Where a part of a text begins and ends, and how far it is moved in another text."""


def extract_then_words(
    query: str,
    passages: Sequence[Passage],
    *,
    budget_tokens: int,
    count: Count,
    words: WordScorer | None = None,
    rate: float = RATE,
    whole: float = WHOLE,
    within: Within | None = None,
    kind: Kind | None = None,
    likeness: Sequence[float] | None = None,
    joiner: str = JOINER,
    patterns: Sequence[re.Pattern[str]] = (),
) -> Extraction:
    """As `extract`, and the words of least weight go from the sentences that are kept.

    So more sentences have room, with their main words: the best stay whole, as what scores words
    does not know the query. Of the others atoms are kept before all other words. A passage of JSON
    stays what it is: where there is one, only `extract` is at work.

    Args:
        words: What scores the words of a text, such as `frugal_chains.local.LLMLingua2`; None: all
            words of a kept sentence stay.
        rate: Share of the kept sentences' tokens that stays, above 0; 1: all.
        whole: Share of the budget for the best sentences, of which no word goes; 0: words go from
            all of them.
        within: Who calls the scorer, such as one that gives up after some time. What it raises is
            raised here.

    The other arguments and the errors are those of `extract`.
    """
    _check_shares(rate, whole)
    check_budget(budget_tokens)
    sentences = partial(
        extract, query, passages,
        count=count, kind=kind, likeness=likeness, joiner=joiner, patterns=patterns,
    )  # fmt: skip
    if words is None or rate == 1 or any(each.box for each in read_sources(passages, kind)):
        return sentences(budget_tokens=budget_tokens)
    wide = sentences(budget_tokens=int(budget_tokens / rate))
    if wide.tokens_after <= budget_tokens:
        return replace(wide, budget_tokens=budget_tokens)
    shorter = _shorter(passages, wide)
    scores = _scores(shorter, words, within)
    best = sentences(budget_tokens=max(1, int(budget_tokens * whole))) if whole else None
    parts = _parts(passages, wide)
    units = [
        _with_best(word_units(text.text, weighed, patterns), stays)
        for text, weighed, stays in zip(shorter, scores, _staying(best, parts), strict=True)
    ]
    page = WordPage(shorter, units, count, joiner, patterns)
    found = _without_words(page, wide, parts, budget_tokens, _asked(query, patterns))
    return found if any(found.kept) else sentences(budget_tokens=budget_tokens)


def _check_shares(rate: float, whole: float) -> None:
    if not 0 < rate <= 1:
        raise CompressionError(f"rate is {rate}; give a share above 0 and at most 1")
    if not 0 <= whole <= 1:
        raise CompressionError(f"whole is {whole}; give a share of 0 to 1")


def _shorter(passages: Sequence[Passage], wide: Extraction) -> list[Passage]:
    return [
        replace(passage, text=text or "")
        for passage, text in zip(passages, wide.texts, strict=True)
    ]


def _scores(passages: Sequence[Passage], words: WordScorer, within: Within | None) -> Scores:
    def of_all() -> Scores:
        return [words(each.text) if each.text else () for each in passages]

    return within(of_all) if within is not None else of_all()


def _asked(query: str, patterns: Sequence[re.Pattern[str]]) -> list[str]:
    return [atom.lower() for atom in atoms_asked_for(query, patterns)]


def _without_words(
    page: WordPage,
    wide: Extraction,
    parts: Sequence[Sequence[_Part]],
    budget_tokens: int,
    asked: Sequence[str],
) -> Extraction:
    """What is left of an extraction when the words of least weight have gone."""
    texts, kept = page.best(budget_tokens, asked)
    spans = [_moved(found, of_text) for found, of_text in zip(kept, parts, strict=True)]
    return replace(
        wide,
        texts=tuple(texts),
        kept=tuple(map(tuple, spans)),
        tokens_after=page.tokens(texts),
        budget_tokens=budget_tokens,
        reason="budget",
    )


def _parts(passages: Sequence[Passage], wide: Extraction) -> list[list[_Part]]:
    """Of each kept text its parts, and how far each has to go to its place in the passage."""
    found: list[list[_Part]] = []
    for passage, short, kept in zip(passages, wide.texts, wide.kept, strict=True):
        end = 0
        found.append([])
        for start, stop in kept:
            begin = (short or "").index(passage.text[start:stop], end)
            end = begin + stop - start
            found[-1].append((begin, end, start - begin))
    return found


def _moved(spans: Sequence[Span], parts: Sequence[_Part]) -> list[Span]:
    """What of the spans lies in the parts, moved with them. Both ascend."""
    found: list[Span] = []
    reached = 0
    for start, stop in spans:
        while reached < len(parts) and parts[reached][1] <= start:
            reached += 1
        at = reached
        while at < len(parts) and parts[at][0] < stop:
            begin, end, by = parts[at]
            found.append((max(start, begin) + by, min(stop, end) + by))
            at += 1
    return found


def _staying(best: Extraction | None, parts: Sequence[Sequence[_Part]]) -> list[list[Span]]:
    """Where the best sentences stand in each kept text."""
    if best is None or best.reason != "budget":
        return [[] for _ in parts]
    back = [[(begin + by, end + by, -by) for begin, end, by in of_text] for of_text in parts]
    return [_moved(kept, of_text) for kept, of_text in zip(best.kept, back, strict=True)]


def _with_best(units: Sequence[WordUnit], stays: Sequence[Span]) -> list[WordUnit]:
    found, at = [], 0
    for unit in units:
        while at < len(stays) and stays[at][1] <= unit.span[0]:
            at += 1
        found.append(unit._replace(stays=at < len(stays) and stays[at][0] < unit.span[1]))
    return found
