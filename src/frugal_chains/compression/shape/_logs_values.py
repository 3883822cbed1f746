"""What varies among the lines of one group, as short as it can be said.

Numbers become `lowest..highest`; words are all listed, since a word may be what matters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from frugal_chains.compression.shape._logs_lines import MASK

_NUMERIC: Final = re.compile(r"\d+(?:\.\d+)?")
_CLOCK: Final = re.compile(r"\d\d:\d\d")
_LETTERS: Final = re.compile(r"[^\W\d_]{4,}")
_SYLLABLE: Final = re.compile(r"[^\W\d_]{2,}")
_RANDOM: Final = re.compile(r"(?:[^\W_]*\0){3}")
_SIGN: Final = re.compile(r"[\w\0]")
_EDGE: Final = re.compile(r"[^\w]")

FEW: Final = 3
"""So many distinct numbers are listed; more are a range or a count."""
MANY_SHAPES: Final = 6
"""More shapes than this without any word of four letters (`1.46-1+b3`, `x7Gk2p`) are versions or
ids: only those that bring new letters are listed, the others counted."""


def column(values: Sequence[str]) -> str:
    """What else stood at the place of one masked value; empty where it never varied."""
    first = values[0]
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        return ""
    if _CLOCK.search(first):
        return _span(min(distinct), max(distinct), first)
    if len(distinct) <= FEW:
        return " ".join(distinct[1:])
    if not all(map(_NUMERIC.fullmatch, distinct)):
        return f"{len(distinct)} kinds"
    low, high = min(distinct, key=float), max(distinct, key=float)
    return f"..{high}" if low == first else f"{low}..{high}"


def _span(low: str, high: str, first: str) -> str:
    """Of two times only what differs; nothing of the earlier where it is the one shown."""
    at = 0
    if len(low) == len(high):
        at = next(i for i, (a, b) in enumerate(zip(low, high, strict=True)) if a != b)
        while at and high[at - 1].isalnum():
            at -= 1
    return f"..{high[at:]}" if low == first else f"{low[at:]}..{high[at:]}"


def words(shapes: Sequence[tuple[str, Sequence[Sequence[str]]]]) -> str:
    """Every distinct token at one place but the first one, each shape once.

    Args:
        shapes: Token with masks, and the columns of values behind its masks; by first appearance.
    """
    if len(shapes) > MANY_SHAPES and not any(_LETTERS.search(shape) for shape, _ in shapes):
        return _telling(shapes)
    if not any(_SIGN.search(shape) for shape, _ in shapes):
        return ""  # a bar that grows
    shown = [_filled(shape, columns) for shape, columns in shapes]
    more = " …" if any(map(_is_cut, shapes)) else ""
    return _factored(shown[0], shown[1:]) + more


def _is_cut(shape: tuple[str, Sequence[Sequence[str]]]) -> bool:
    """Whether values of a shape are left out: several vary, or one that has no order."""
    varying = [values for values in shape[1] if len(set(values)) > 1]
    return len(varying) > 1 or any(not _NUMERIC.fullmatch(v) for values in varying for v in values)


def _telling(shapes: Sequence[tuple[str, Sequence[Sequence[str]]]]) -> str:
    """How many shapes there are, and those whose letters no earlier one has."""
    seen = set(_SYLLABLE.findall(shapes[0][0]))
    out = [f"{len(shapes)} kinds"]
    for shape, columns in shapes[1:]:
        new = set(_SYLLABLE.findall(shape)) - seen
        if new and not _RANDOM.search(shape):
            seen |= new
            out.append(_filled(shape, columns))
    return " ".join(out)


def _filled(shape: str, columns: Sequence[Sequence[str]]) -> str:
    """A token with its first values; with a range where just one of them varies."""
    if not columns:
        return shape
    varying = [i for i, values in enumerate(columns) if len(set(values)) > 1]
    pieces = shape.split(MASK)
    out = pieces[0]
    for i, values in enumerate(columns):
        value = values[0]
        if varying == [i]:
            value = _spread(values)
        out += value + pieces[i + 1]
    return out


def _spread(values: Sequence[str]) -> str:
    if all(_NUMERIC.fullmatch(value) for value in values):
        return f"{min(values, key=float)}..{max(values, key=float)}"
    return values[0]


def _factored(first: str, others: Sequence[str]) -> str:
    """The others, without the beginning and the end that all of them share with the first."""
    everything = [first, *others]
    low, high = min(everything), max(everything)
    head = 0
    while head < len(low) and head < len(high) and low[head] == high[head]:
        head += 1
    while head and not _EDGE.match(low[head - 1]):
        head -= 1
    tails = [text[head:][::-1] for text in everything]
    low, high = min(tails), max(tails)
    tail = 0
    while tail < len(low) and tail < len(high) and low[tail] == high[tail]:
        tail += 1
    while tail and not _EDGE.match(low[tail - 1]):
        tail -= 1
    return " ".join(text[head : len(text) - tail] or "-" for text in others)
