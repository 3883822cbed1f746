"""`drop_words`: from what a model says of each word to a text within a budget."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final, Literal

from frugal_chains.compression.extract import Count, Passage
from frugal_chains.compression.extract._choose import Page, choose
from frugal_chains.compression.extract._passage import Source, Unit
from frugal_chains.compression.words._units import (
    UNSPACED,
    WordScore,
    WordUnit,
    check_scores,
    word_units,
)
from frugal_chains.errors import CompressionError
from frugal_chains.text import Span, atoms

_MENDINGS: Final = 3
"""How often what has grown together is parted: a line break that parts one mostly parts all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """What is kept of a text."""

    text: str
    kept: tuple[Span, ...]
    """Where the kept words stand in the original, in order, neighbours as one."""
    tokens_before: int
    tokens_after: int
    budget_tokens: int
    reason: Literal["fits", "budget", "too_small"]
    """`fits`: nothing had to go. `budget`: words had to. `too_small`: not even one fits."""


def drop_words(
    text: str,
    scores: Sequence[WordScore],
    *,
    budget_tokens: int,
    count: Count,
    patterns: Sequence[re.Pattern[str]] = (),
) -> Dropped:
    """Drop the words with the lowest scores, until what is left is never over `budget_tokens`.

    Words keep their order, and white space between them; a line break in what was dropped stays
    one. Atoms (numbers, ids, URLs, code, a negation with what it negates) are kept whole or not at
    all, and whatever their scores are, other words go before them. Equal scores: the earlier word
    stays. A text that fits is handed back as it is. JSON has no words that could go: give it to
    `extract`.

    Args:
        text: Prose or speech.
        scores: Of its words; a word without one goes first.
        budget_tokens: For all that is kept.
        count: The tokenizer.
        patterns: Of the application: what they match is never cut.

    Raises:
        CompressionError: a budget below 1, or scores that are not of this text.
    """
    check_budget(budget_tokens)
    check_scores(text, scores)
    before = count(text)
    if before <= budget_tokens:
        return Dropped(
            text=text,
            kept=((0, len(text)),) if text else (),
            tokens_before=before,
            tokens_after=before,
            budget_tokens=budget_tokens,
            reason="fits",
        )
    units = word_units(text, scores, patterns)
    page = WordPage([Passage(text=text)], [units], count, "", patterns)
    texts, kept = page.best(budget_tokens)
    return Dropped(
        text=texts[0] or "",
        kept=tuple(kept[0]),
        tokens_before=before,
        tokens_after=page.tokens(texts),
        budget_tokens=budget_tokens,
        reason="budget" if kept[0] else "too_small",
    )


def check_budget(budget_tokens: int) -> None:
    """Raises a CompressionError where there is none."""
    if budget_tokens < 1:
        raise CompressionError(f"budget_tokens is {budget_tokens}; give a budget of 1 or more")


class WordPage(Page):
    """What a choice of words looks like in the prompt, and what that costs."""

    def __init__(
        self,
        passages: Sequence[Passage],
        words: Sequence[Sequence[WordUnit]],
        count: Count,
        joiner: str,
        patterns: Sequence[re.Pattern[str]],
    ) -> None:
        self._weighed = [word for found in words for word in found]
        self._all = [
            Unit(passage=number, span=word.span, section=number)
            for number, found in enumerate(words)
            for word in found
        ]
        sources = [Source(passage, "prose") for passage in passages]
        super().__init__(sources, self._all, count, joiner)
        self._patterns = patterns

    def best(
        self, budget_tokens: int, asked: Sequence[str] = ()
    ) -> tuple[list[str | None], list[list[Span]]]:
        """The kept text of each passage, and where its parts stand: what holds one of `asked`
        before what stays, that before other atoms, and these before the words of highest score."""
        order = sorted(range(len(self._all)), key=lambda at: self._worth(at, asked), reverse=True)
        ranks = [0.0] * len(order)
        for rank, at in enumerate(order):
            ranks[at] = -rank
        chosen = choose(self, self._all, ranks, frozenset(), budget_tokens)
        kept: list[list[Span]] = [[] for _ in self._sources]
        for last, at in pairwise([-2, *chosen]):
            spans, (start, end) = kept[self._all[at].passage], self._all[at].span
            if spans and last == at - 1:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
        return self.texts(chosen), kept

    def _worth(self, unit: int, asked: Sequence[str]) -> tuple[bool, bool, bool, float, int]:
        word = self._weighed[unit]
        named = False
        if asked and word.atom:
            text = self._sources[self._all[unit].passage].passage.text[slice(*word.span)].lower()
            named = any(atom in text for atom in asked)
        return named, word.stays, word.atom, word.keep, -unit

    def guess(self, unit: int) -> int:
        """Of a word: too short to be told by its length."""
        return self.estimate(unit)

    def estimate(self, unit: int) -> int:
        passage, (start, end) = self._all[unit].passage, self._all[unit].span
        text = self._sources[passage].passage.text
        if start and text[start - 1].isspace():
            return super().estimate(unit)
        if unit not in self._tokens:  # no white space is put where there was none
            self._tokens[unit] = self._count(text[start:end])
        return self._tokens[unit]

    def texts(self, chosen: Sequence[int]) -> list[str | None]:
        found: list[str | None] = [None] * len(self._sources)
        for passage, units in groupby(chosen, key=lambda at: self._all[at].passage):
            found[passage] = self._words(self._sources[passage].passage.text, list(units))
        return found

    def _words(self, text: str, chosen: Sequence[int]) -> str:
        parts = [text[slice(*self._all[at].span)] for at in chosen]
        gaps = [self._gap(text, last, at) for last, at in pairwise(chosen)]
        joints = [n for n, (last, at) in enumerate(pairwise(chosen)) if last != at - 1]
        for _ in range(_MENDINGS):
            grown = self._grown(parts, gaps, joints)
            if not grown:
                break
            for at in grown:
                gaps[at] = "\n"
        return "".join(part + gap for part, gap in zip(parts, [*gaps, ""], strict=True))

    def _gap(self, text: str, last: int, at: int) -> str:
        before, after = self._all[last].span[1], self._all[at].span[0]
        between = text[before:after]
        if last == at - 1:
            return between
        if "\n" in between:
            return "\n"
        unspaced = UNSPACED.match(text[before - 1]) or UNSPACED.match(text[after])
        return "" if unspaced and not re.search(r"\s", between) else " "

    def _grown(self, parts: Sequence[str], gaps: Sequence[str], joints: Sequence[int]) -> list[int]:
        """Joints in the midst of an atom: "3 of 500 km" must not become "3 500 km"."""
        text, ends = "", []
        for part, gap in zip(parts, [*gaps, ""], strict=True):
            text += part
            ends.append(len(text))
            text += gap
        held = atoms(text, self._patterns)
        grown, at = [], 0
        for joint in joints:
            while at < len(held) and held[at].end <= ends[joint]:
                at += 1
            if at < len(held) and held[at].start < ends[joint] and gaps[joint] != "\n":
                grown.append(joint)
        return grown
