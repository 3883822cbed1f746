"""Exact token counts, and texts of an exact number of tokens: `o200k_base`."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Final

from frugal_chains.tokens._encodings import shared_encodings

_WORD: Final = re.compile(r" [a-z]{3,7}")
_FROM_TOKEN, _TO_TOKEN = 300, 20_000
"""Common words have low numbers."""


class NoRanks(Exception):
    """The encoding's ranks are not on this machine."""


@cache
def _encode() -> Callable[[str], list[int]]:
    encoding = shared_encodings().get("o200k_base")
    if encoding is None:
        raise NoRanks("no o200k rank file on this machine: pip install 'frugal-chains[offline]'")
    return encoding.encode_ordinary


@lru_cache(maxsize=200_000)
def encoded(text: str) -> tuple[int, ...]:
    """The tokens of a text."""
    return tuple(_encode()(text))


def count(text: str) -> int:
    """How many tokens a text has.

    Raises:
        NoRanks: the encoding is absent.
    """
    return len(encoded(text)) if text else 0


@cache
def _words() -> Sequence[str]:
    """Words that are one token each, with a space before them and without one."""
    encoding = shared_encodings().get("o200k_base")
    if encoding is None:
        raise NoRanks("no o200k rank file on this machine: pip install 'frugal-chains[offline]'")
    found = []
    for token in range(_FROM_TOKEN, _TO_TOKEN):
        word = encoding.decode([token])
        if _WORD.fullmatch(word) and len(encoding.encode_ordinary(word[1:])) == 1:
            found.append(word[1:])
    return found


def filler(tokens: int, rng: random.Random, *, after: str = "") -> str:
    """A text of exactly so many tokens, `after` and the space behind it included.

    A text that is shorter than `after` is `after`.
    """
    words = _words()
    missing = tokens - count(after)
    if missing <= 0:
        return after
    drawn = " ".join(rng.choices(words, k=missing))
    return f"{after} {drawn}" if after else drawn
