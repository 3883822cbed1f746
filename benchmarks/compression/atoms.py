"""Whether numbers, dates, ids and addresses came through whole: a check of its own.

It shares no code with the library under test and finds less than the library protects: only what
anybody would call a number, a date, a time, an id, a URL or an e-mail address. Two things count as
harm: a kept text that holds an atom which its original does not (one that was cut, merged or
made up), and a sentence that was kept, as good as whole, without one of its atoms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

from compression.protocol import Passage

_MONTHS: Final = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|"
    r"Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_ATOM: Final = re.compile(
    "|".join(
        (
            r"(?:https?://|www\.)[^\s<>\"')\]}]*[^\s<>\"')\]}.,;:!?]",
            r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
            r"(?<![\w-])\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?Z?)?(?![\w-])",
            rf"\b{_MONTHS}\.? \d{{1,2}}(?:, \d{{4}})?\b",
            rf"\b\d{{1,2}} {_MONTHS}(?: \d{{4}})?\b",
            r"(?<![\w/])\d{1,2}/\d{1,2}/\d{2,4}(?![\w/])",
            r"(?<![\w:])\d{1,2}:\d{2}(?::\d{2})?(?:\+\d+)?(?![\w:])",
            # Ids: letters and digits in one word, hyphens and underscores inside it.
            r"(?<![\w-])(?=[\w-]*[A-Za-z])(?=[\w-]*\d)\w+(?:-\w+)*(?![\w-])",
            r"(?<![\w.,])[$€£]?\d{1,3}(?:,\d{3})+(?:\.\d+)?%?(?!\w)",
            r"(?<![\w.])[$€£]?\d+(?:\.\d+)*%?(?!\w)",
        )
    )
)
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_JOINT: Final = re.compile(r"[,|;\t]")
_NEARLY_WHOLE: Final = 0.8
"""Of a sentence's other words, in order: then it counts as kept."""
_FEWEST_WORDS: Final = 4
"""Of a sentence that this can be said of."""


@cache
def atoms(text: str) -> tuple[str, ...]:
    """Every atom of a text, in order."""
    return tuple(_ATOM.findall(text))


def intact(passages: Sequence[Passage], kept: Sequence[str]) -> tuple[int, int]:
    """How many atoms are whole, and how many there should be.

    There should be those of the kept text and those missing from sentences that were kept.
    """
    harmed = total = 0
    for passage, text in zip(passages, kept, strict=True):
        original = passage.text
        if text == original or not text:
            total += len(atoms(text))
            continue
        cut, missing = _cut(original, text), _missing(original, text)
        harmed += cut + missing
        total += len(atoms(text)) + missing
    return total - harmed, total


def _cut(original: str, text: str) -> int:
    """Atoms of the kept text that the original does not have."""
    known = _known(original)
    return sum(
        atom not in known
        # Values that stand in columns now: `51,121,239` is three numbers.
        and not all(part in known for part in _JOINT.split(atom))
        for atom in atoms(text)
    )


@cache
def _known(original: str) -> frozenset[str]:
    return frozenset(atoms(original))


def _missing(original: str, text: str) -> int:
    """Atoms that are gone from sentences of which nearly all else was kept."""
    found = frozenset(atoms(text))
    words: list[str] | None = None
    missing = 0
    for held, others in _sentences(original):
        gone = [atom for atom in held if atom not in found and atom not in text]
        if not gone:
            continue
        words = _changed(original, text).split() if words is None else words
        if _share_in_order(others, words) >= _NEARLY_WHOLE:
            missing += len(gone)
    return missing


def _changed(original: str, text: str) -> str:
    """What is left of a kept text without the sentences that are as they were."""
    for sentence in _SENTENCE.split(original):
        if sentence:
            text = text.replace(sentence, " ", 1)
    return text


@cache
def _sentences(original: str) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """The sentences that have atoms: these, and the words that are none."""
    split = (
        (atoms(sentence), tuple(_ATOM.sub(" ", sentence).split()))
        for sentence in _SENTENCE.split(original)
    )
    return tuple((held, others) for held, others in split if held and len(others) >= _FEWEST_WORDS)


def _share_in_order(others: Sequence[str], words: Sequence[str]) -> float:
    """The part of some words that stand close to each other, in order, in other words.

    "Close": every next one within twice the sentence's length, so that words strewn over a long
    text are not taken for a sentence.
    """
    reach, best = 2 * len(others), 0
    for start in (at for at, word in enumerate(words) if word in others[:3]):
        at, matched = start, 0
        for other in others:
            try:
                at = words.index(other, at, start + reach) + 1
            except ValueError:
                continue
            matched += 1
        best = max(best, matched)
    return best / len(others)
