"""`extract`: of what was found, the part that a query needs, within a budget."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from unicodedata import category

from frugal_chains.compression.extract._choose import Count, Page, choose
from frugal_chains.compression.extract._passage import (
    Kind,
    Passage,
    Source,
    Unit,
    read_sources,
    section_texts,
    units_of,
)
from frugal_chains.compression.extract._score import (
    Query,
    dialogue_scores,
    likeness_scores,
    prose_scores,
)
from frugal_chains.errors import CompressionError
from frugal_chains.text import UNSPACED, Span, atoms

JOINER: Final = "\n\n"
_FEW_UNITS: Final = 3
_WORD_END: Final = re.compile(rf"(?<=\S)(?=\s|$)|(?<=[{UNSPACED}])")
Reason = Literal["fits", "budget", "clipped", "too_small"]
"""`fits`: nothing had to go. `budget`: what is left out did not fit, or is a long sentence that
another passage says word for word. `clipped`: not even one sentence fits, and the best one was cut
short. `too_small`: not even a word of it fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What is kept of each passage, and why the rest is not."""

    texts: tuple[str | None, ...]
    """By passage, without label and tail; None: nothing of it is kept."""
    kept: tuple[tuple[Span, ...], ...]
    """By passage: where the kept parts stand in its text, in order."""
    tokens_before: int
    """Of all passages with their labels and tails."""
    tokens_after: int
    budget_tokens: int
    reason: Reason
    scores: tuple[float, ...] = ()
    """Of each passage: the best score among its units; empty where nothing had to be weighed."""


def extract(
    query: str,
    passages: Sequence[Passage],
    *,
    budget_tokens: int,
    count: Count,
    kind: Kind | None = None,
    likeness: Sequence[float] | None = None,
    joiner: str = JOINER,
    patterns: Sequence[re.Pattern[str]] = (),
) -> Extraction:
    """Keep the sentences that a query needs, never more than `budget_tokens`.

    Args:
        query: What is asked. Empty: passages are kept from the first on.
        passages: In the order in which they will stand in the prompt.
        budget_tokens: For all kept texts with their labels and tails, and the joiners between them.
        count: The tokenizer.
        kind: What the passages are; None: told from each text.
        likeness: Of each of `sections(passages, kind, patterns)` to the query, such as the cosine
            of their embeddings; None: words alone decide.
        joiner: What will stand between passages.
        patterns: Of the application: what they match is never cut, and looked for where the query
            has it.

    Raises:
        CompressionError: a budget below 1, or as many likenesses as there are no sections.
    """
    if budget_tokens < 1:
        raise CompressionError(f"budget_tokens is {budget_tokens}; give a budget of 1 or more")
    whole = joiner.join(passage.shown(passage.text) for passage in passages)
    before = count(whole) if passages else 0
    if before <= budget_tokens:
        return untouched(passages, budget_tokens, before)
    sources = read_sources(passages, kind)
    units = units_of(sources, patterns)
    scores = unit_scores(query, sources, units, likeness)
    page = Page(sources, units, count, joiner, before / (len(whole) or 1))
    required = _holding(atoms_asked_for(query, patterns), passages, units)
    chosen = choose(page, units, scores, required, budget_tokens)
    if chosen:
        texts, kept = page.texts(chosen), _spans(chosen, units, len(passages))
        reason: Reason = "budget"
    else:
        best = min(
            range(len(units)), key=lambda at: (at not in required, -scores[at], at), default=None
        )
        texts, kept = _clipped(page, passages, units, best, budget_tokens, patterns)
        reason = "clipped" if any(kept) else "too_small"
    return Extraction(
        texts=tuple(texts),
        kept=tuple(map(tuple, kept)),
        tokens_before=before,
        tokens_after=page.tokens(texts),
        budget_tokens=budget_tokens,
        reason=reason,
        scores=_best_scores(scores, units, len(passages)),
    )


def sections(
    passages: Sequence[Passage],
    kind: Kind | None = None,
    patterns: Sequence[re.Pattern[str]] = (),
) -> list[str]:
    """What to embed for `likeness`: each passage with its label, a long one in several parts.

    Passages, kind and patterns are those of `extract`.
    """
    sources = read_sources(passages, kind)
    return section_texts(sources, units_of(sources, patterns))


def unit_scores(
    query: str,
    sources: Sequence[Source],
    units: Sequence[Unit],
    likeness: Sequence[float] | None = None,
) -> list[float]:
    """Scores of all units: turns and sentences each by their own rules."""
    read = Query(query)
    scores = (
        [-at / len(units) for at in range(len(units))] if not read.terms else [0.0] * len(units)
    )
    for rule, of_talk in ((dialogue_scores, True), (prose_scores, False)) if read.terms else ():
        numbers = [at for at, unit in enumerate(units) if (unit.speaker is not None) is of_talk]
        found = rule(read, sources, [units[at] for at in numbers])
        for at, score in zip(numbers, found, strict=True):
            scores[at] = score
    if likeness is None:
        return scores
    sections_here = len({unit.section for unit in units})
    if len(likeness) != sections_here:
        raise CompressionError(
            f"likeness has {len(likeness)} numbers for {sections_here} sections; give one for each "
            "text of sections(passages, kind)"
        )
    added = likeness_scores(likeness)
    return [score + added[unit.section] for score, unit in zip(scores, units, strict=True)]


def atoms_asked_for(query: str, patterns: Sequence[re.Pattern[str]] = ()) -> list[str]:
    """Ids, addresses, quotes and the like in a query: what holds one of them is kept."""
    return [query[a.start : a.end] for a in atoms(query, patterns) if a.kind != "negation"]


def untouched(passages: Sequence[Passage], budget_tokens: int, tokens: int = 0) -> Extraction:
    """All of the passages; `tokens` of them, 0 where they could not be counted."""
    return Extraction(
        texts=tuple(passage.text for passage in passages),
        kept=tuple(((0, len(passage.text)),) if passage.text else () for passage in passages),
        tokens_before=tokens,
        tokens_after=tokens,
        budget_tokens=budget_tokens,
        reason="fits",
    )


def _spans(chosen: Sequence[int], units: Sequence[Unit], count: int) -> list[list[Span]]:
    kept: list[list[Span]] = [[] for _ in range(count)]
    for at in chosen:
        kept[units[at].passage].append(units[at].span)
    return kept


def _best_scores(scores: Sequence[float], units: Sequence[Unit], count: int) -> tuple[float, ...]:
    best = [0.0] * count
    for unit, score in zip(units, scores, strict=True):
        best[unit.passage] = max(best[unit.passage], score)
    return tuple(best)


def _clipped(
    page: Page,
    passages: Sequence[Passage],
    units: Sequence[Unit],
    best: int | None,
    budget_tokens: int,
    patterns: Sequence[re.Pattern[str]],
) -> tuple[list[str | None], list[list[Span]]]:
    """The beginning of the best unit, as long as it fits, cut between words (in scripts
    without spaces: between characters), outside of atoms."""
    texts: list[str | None] = [None] * len(passages)
    kept: list[list[Span]] = [[] for _ in passages]
    if best is None:
        return texts, kept
    number, (start, end) = units[best].passage, units[best].span
    source = passages[number].text[start:end]
    ends = _word_ends(source, patterns)

    def fits(length: int) -> bool:
        texts[number] = source[:length]
        return page.tokens(texts) <= budget_tokens

    # The longest that fits: more words are never fewer tokens, or by so little that it is no loss.
    longest = bisect_left(ends, True, key=lambda length: not fits(length))
    texts[number] = None
    if longest:
        texts[number] = source[: ends[longest - 1]]
        kept[number] = [(start, start + ends[longest - 1])]
    return texts, kept


def _word_ends(source: str, patterns: Sequence[re.Pattern[str]]) -> list[int]:
    inside = [(atom.start, atom.end) for atom in atoms(source, patterns)]
    ends = [
        found.start()
        for found in _WORD_END.finditer(source)
        # A vowel sign or an accent belongs to the character before it.
        if not category(source[found.start() : found.start() + 1] or " ").startswith("M")
    ]
    found, at = [], 0
    for end in ends:
        while at < len(inside) and inside[at][1] <= end:
            at += 1
        if at == len(inside) or inside[at][0] >= end:
            found.append(end)
    return found


def _holding(
    wanted: Sequence[str], passages: Sequence[Passage], units: Sequence[Unit]
) -> frozenset[int]:
    """Units that hold something that is asked for by name; what most of them hold tells nothing."""
    found: set[int] = set()
    for atom in dict.fromkeys(wanted):
        has = re.compile(rf"(?<!\w){re.escape(atom)}(?!\w)", re.IGNORECASE)
        having = [
            at
            for at, unit in enumerate(units)
            if has.search(passages[unit.passage].text, *unit.span)
        ]
        if len(having) <= max(_FEW_UNITS, len(units) // 2):
            found.update(having)
    return frozenset(found)
