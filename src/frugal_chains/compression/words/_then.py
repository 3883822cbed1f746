"""`extract_then_words`: sentences to a larger budget first, then words to the one there is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from frugal_chains.compression.extract import Count, Extraction, Kind, Passage, extract
from frugal_chains.compression.extract._extract import JOINER
from frugal_chains.compression.extract._passage import read_sources
from frugal_chains.compression.words._drop import WordPage, check_budget
from frugal_chains.compression.words._units import WordScorer, word_units
from frugal_chains.errors import CompressionError
from frugal_chains.text import Span


def extract_then_words(
    query: str,
    passages: Sequence[Passage],
    *,
    budget_tokens: int,
    count: Count,
    words: WordScorer | None = None,
    rate: float = 0.7,
    kind: Kind | None = None,
    likeness: Sequence[float] | None = None,
    joiner: str = JOINER,
    patterns: Sequence[re.Pattern[str]] = (),
) -> Extraction:
    """As `extract`, and the words of least weight go from the sentences that are kept.

    So more sentences have room, each with its main words. A passage of JSON stays what it is:
    where there is one, only `extract` is at work.

    Args:
        words: What scores the words of a text, such as `frugal_chains.local.LLMLingua2`; None: all
            words of a kept sentence stay.
        rate: Share of the kept sentences' tokens that stays, above 0; 1: all.

    The other arguments and the errors are those of `extract`.
    """
    if not 0 < rate <= 1:
        raise CompressionError(f"rate is {rate}; give a share above 0 and at most 1")
    check_budget(budget_tokens)

    def sentences_to(tokens: int) -> Extraction:
        return extract(
            query,
            passages,
            budget_tokens=tokens,
            count=count,
            kind=kind,
            likeness=likeness,
            joiner=joiner,
            patterns=patterns,
        )

    if words is None or rate == 1 or any(each.box for each in read_sources(passages, kind)):
        return sentences_to(budget_tokens)
    wide = sentences_to(int(budget_tokens / rate))
    if wide.tokens_after <= budget_tokens:
        return replace(wide, budget_tokens=budget_tokens)
    shorter = [
        Passage(text=text or "", label=passage.label)
        for passage, text in zip(passages, wide.texts, strict=True)
    ]
    units = [word_units(each.text, words(each.text), patterns) for each in shorter]
    page = WordPage(
        shorter, [[unit.span for unit in found] for found in units], count, joiner, patterns
    )
    texts, kept = page.best([unit.keep for found in units for unit in found], budget_tokens)
    if not any(kept):
        return sentences_to(budget_tokens)
    return replace(
        wide,
        texts=tuple(texts),
        kept=tuple(
            tuple(_original(passage.text, short.text, whole, spans))
            for passage, short, whole, spans in zip(passages, shorter, wide.kept, kept, strict=True)
        ),
        tokens_after=page.tokens(texts),
        budget_tokens=budget_tokens,
        reason="budget",
    )


def _original(text: str, short: str, whole: Sequence[Span], spans: Sequence[Span]) -> list[Span]:
    """Where spans of a shorter text stand in the text whose parts `whole` it was made of."""
    found: list[Span] = []
    end, reached = 0, 0
    moved = []  # start and end of each part in the shorter text, and how far it has moved
    for start, stop in whole:
        begin = short.index(text[start:stop], end)
        end = begin + stop - start
        moved.append((begin, end, start - begin))
    for start, stop in spans:
        while moved[reached][1] <= start:
            reached += 1
        at = reached
        while at < len(moved) and moved[at][0] < stop:
            begin, end, by = moved[at]
            found.append((max(start, begin) + by, min(stop, end) + by))
            at += 1
    return found
