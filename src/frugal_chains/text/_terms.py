"""Terms: what two texts have to share to be about the same thing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f"
"""Of a set of characters: scripts written without spaces, that is Thai to Khmer, kana, Han and
half-width kana."""
# Vowel signs of the scripts of India, which `\\w` leaves out; a danda is a stop.
_SIGNS: Final = "\u0900-\u0963\u0966-\u0dff"
_WORD: Final = re.compile(rf"[{UNSPACED}]+|(?:[^\W_{UNSPACED}]|[{_SIGNS}])+")
# By character; to translate and to split takes half the time of a pattern.
_ASCII: Final = "".join(c.lower() if c.isalnum() else " " for c in map(chr, range(128)))
_IS_UNSPACED: Final = re.compile(f"[{UNSPACED}]")
# Accents; points of Hebrew and of Arabic, which are mostly not written.
_ACCENT: Final = re.compile("[\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u0670]")
_ENDINGS: Final = (
    ("ations", ""), ("ation", ""), ("ingly", ""), ("ings", ""), ("edly", ""), ("ies", "y"),
    ("ing", ""), ("ed", ""), ("es", ""), ("ly", ""), ("ie", "y"), ("s", ""), ("e", ""),
)  # fmt: skip
"""Of English; longest first. A word keeps at least three letters before one."""
LEAST_STEM: Final = 3
"""Letters that a stem has at the least, where its word has them; the stem begins with these."""

_WORDS: Final = """
    a about also an and are as at be been being but by can could did do does for from had has have
    he her him his how i if in into is it its may me might more most much my no not of on one or
    other our over she should so some such than that the their them then there these they this those
    to under up us was we were what when where which who whom whose why will with would you your
"""
STOP_WORDS: Final = frozenset(_WORDS.split())
"""English words that say what a question asks for, but not about what."""


def terms(text: str) -> list[str]:
    """The words of a text, case-folded, without accents, and lightly stemmed, in their order.

    Scripts without spaces give pairs of neighbouring characters instead of words.
    """
    return list(map(stem, words(text)))


def words(text: str) -> list[str]:
    """As `terms`, not stemmed."""
    if text.isascii():
        return text.translate(_ASCII).split()
    plain = _ACCENT.sub("", unicodedata.normalize("NFKD", text.casefold()))
    plain = unicodedata.normalize("NFC", plain)
    found: list[str] = []
    for word in _WORD.findall(plain):
        if _IS_UNSPACED.match(word):
            found += [word[at : at + 2] for at in range(max(1, len(word) - 1))]
        else:
            found.append(word)
    return found


def content_terms(query: str) -> list[str]:
    """The terms of a question that say what it is about; all of them where none does."""
    return _without_stop_words(terms(query)) or terms(query)


def _without_stop_words(found: Iterable[str]) -> list[str]:
    return [term for term in found if term not in _STOP_TERMS]


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """What a word has in common with its other forms, nearly."""
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= LEAST_STEM:
            return word[: -len(ending)] + instead
    return word


_STOP_TERMS: Final = frozenset(map(stem, STOP_WORDS))
