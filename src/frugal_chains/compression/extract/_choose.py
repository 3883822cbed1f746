"""The best units that fit a budget: by their scores, and exactly by the tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import Final

from frugal_chains.compression._json import rendered
from frugal_chains.compression.extract._passage import RECORD_CHARS, Source, Unit

Count = Callable[[str], int]
"""Tokens of a text, by the tokenizer of the model that will read it."""

_MISSES: Final = 64
"""So many units in a row that do not fit: those that follow are worse, and hardly shorter."""
_REPEATED_CHARS: Final = 100
"""A sentence so long that stands in two passages was cut twice from one document, whose chunks
overlap: once is enough. A short one may mean something else elsewhere ("Income rose.")."""
_FILLINGS: Final = 4
"""How often room that was left is filled: texts joined have fewer tokens than their parts."""


class Page:
    """What a choice of units looks like in the prompt, and what that costs."""

    def __init__(
        self,
        sources: Sequence[Source],
        units: Sequence[Unit],
        count: Count,
        joiner: str,
        tokens_per_char: float = 0.25,
    ) -> None:
        self._sources, self._units, self._count, self._joiner = sources, units, count, joiner
        self._tokens_per_char = tokens_per_char
        self._tokens: dict[int, int] = {}
        self._page_tokens: tuple[str, int] = ("", 0)
        self._label_tokens: dict[int, int] = {}

    def guess(self, unit: int) -> int:
        """Tokens of a unit by its length, nearly: a tokenizer takes a hundred times as long."""
        start, end = self._units[unit].span
        return 1 + round((end - start) * self._tokens_per_char)

    def repeated(self, unit: int) -> str:
        """The words of a unit that need not be told twice; empty: they do."""
        start, end = self._units[unit].span
        source = self._sources[self._units[unit].passage]
        if end - start < _REPEATED_CHARS or source.kind != "prose":
            return ""
        return source.passage.text[start:end]

    def estimate(self, unit: int) -> int:
        """Tokens of a unit behind others of its passage."""
        if unit not in self._tokens:
            start, end = self._units[unit].span
            source = self._sources[self._units[unit].passage]
            text = source.passage.text
            # A line break is a token of its own, a space mostly is not.
            after_break = text[max(0, start - 1) : start] == "\n"
            between = "," if source.box else "\n" if after_break else " "
            self._tokens[unit] = self._count(between + text[start:end])
        return self._tokens[unit]

    def opening(self, passage: int) -> int:
        """Tokens that the first unit of a passage costs besides its own."""
        if passage not in self._label_tokens:
            found = self._sources[passage].passage
            self._label_tokens[passage] = self._count(self._joiner + found.shown(""))
        return self._label_tokens[passage]

    def texts(self, chosen: Sequence[int]) -> list[str | None]:
        """The kept text of each passage, None where nothing is kept. `chosen` ascends."""
        found: list[str | None] = [None] * len(self._sources)
        for passage, units in groupby(chosen, key=lambda at: self._units[at].passage):
            source = self._sources[passage]
            if source.box is None:
                found[passage] = self._sentences(source.passage.text, list(units))
            else:
                kept = {self._units[at].span[0] for at in units}
                found[passage] = rendered(source.passage.text, source.box, kept, RECORD_CHARS)
        return found

    def _sentences(self, text: str, chosen: Sequence[int]) -> str:
        start, before = self._units[chosen[0]].span
        parts = [text[start:before]]
        for last, at in pairwise(chosen):
            start, end = self._units[at].span
            left = text[before:start]
            parts.append(left if last == at - 1 else "\n" if "\n" in left else " ")
            parts.append(text[start:end])
            before = end
        return "".join(parts)

    def tokens(self, texts: Sequence[str | None]) -> int:
        """Of kept texts with what stands beside them, joined as they will stand in the prompt."""
        parts = [
            source.passage.shown(text)
            for source, text in zip(self._sources, texts, strict=True)
            if text is not None
        ]
        whole = self._joiner.join(parts)
        if whole != self._page_tokens[0]:  # the last page is asked for again and again
            self._page_tokens = whole, self._count(whole)
        return self._page_tokens[1]


def choose(
    page: Page,
    units: Sequence[Unit],
    scores: Sequence[float],
    required: frozenset[int],
    budget_tokens: int,
) -> list[int]:
    """Numbers of the units that are kept, ascending. `required` ones come before all others."""
    order = sorted(range(len(units)), key=lambda at: (at not in required, -scores[at], at))
    place = {at: number for number, at in enumerate(order)}
    chosen: set[int] = set()
    left = budget_tokens
    for filling in range(_FILLINGS):
        # At first by length alone; what little room is then left is filled by real counts.
        added = _fill(
            page, units, order, chosen, left, page.guess if not filling else page.estimate
        )
        if not added:
            break
        chosen |= added
        left = budget_tokens - page.tokens(page.texts(sorted(chosen)))
        while left < 0:  # parts and their sum differ: the worst go
            for worst in sorted(chosen, key=place.__getitem__, reverse=True):
                chosen.remove(worst)
                left += page.guess(worst)
                if left >= 0:
                    break
            left = budget_tokens - page.tokens(page.texts(sorted(chosen)))
    return sorted(chosen)


def _fill(
    page: Page,
    units: Sequence[Unit],
    order: Sequence[int],
    chosen: set[int],
    left: int,
    tokens: Callable[[int], int],
) -> set[int]:
    opened = {units[at].passage for at in chosen}
    added: set[int] = set()
    told = {page.repeated(at) for at in chosen} - {""}
    misses = 0
    for at in order:
        if at in chosen:
            continue
        if misses == _MISSES:
            break
        if (words := page.repeated(at)) in told:
            continue
        passage = units[at].passage
        opening = 0 if passage in opened else page.opening(passage)
        # The best of all is worth a real count; of the others hardly any has half of its guess.
        best = not (chosen or added)
        cost = opening + page.guess(at) // (4 if best else 2)
        if cost <= left:
            cost = page.tokens(page.texts([at])) if best else opening + tokens(at)
        if cost > left:
            misses += 1
            continue
        misses = 0
        left -= cost
        opened.add(passage)
        added.add(at)
        if words:
            told.add(words)
    return added
