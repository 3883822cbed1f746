"""What words and atoms are worth in a digest, and which words are names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from frugal_chains.text import content_terms

WEIGHTS: Final = {
    "id": 3.0,
    "email": 3.0,
    "url": 2.0,
    "path": 2.5,
    "ip": 2.5,
    "date": 2.5,
    "number": 1.5,
    "quote": 1.5,
    "code": 1.0,
    "user": 3.0,
    "negation": 0.0,
}
"""What an atom of a kind is worth beside an ordinary word's `TERM`. Set by hand on the planted
facts of the tests, 2026-11; ids first, since nothing else can bring them back."""
NAME: Final = 1.5
AMOUNT: Final = 2.5
SMALL_NUMBER: Final = 0.3
TERM: Final = 0.2
"""Amounts of money, and bare numbers of a few digits."""

_MONEY: Final = re.compile(r"[$€£¥₹₽₩]|(?i:usd|eur|gbp|jpy|chf|dollars?|euros?|pounds?)\b")
_CAPITAL: Final = re.compile(r"\b[A-Z][\w'-]+")
_WORDS: Final = """
    i i'm i've i'd i'll it it's the a an this that these those there here my our your we you he
    she they his her its their what how why when where who which is are was were do does did can
    could would should will please thanks thank ok okay yes no not and but or so if then in on at
    by for from to with of as some most many all any every each one two three another first also
    just let let's give tell send call look plan keep nothing anything everything remember
    hi hello hey dear good great sorry
"""
COMMON: Final = frozenset(_WORDS.split())
"""Words with a capital at the head of a sentence that are no names. Collected by hand."""


class Spoken:
    """Words of the whole conversation: how many messages have them, and which are names."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.having: Counter[str] = Counter()
        self._small: set[str] = set()
        for text in texts:
            self.having.update(frozenset(content_terms(text)))
            self._small.update(w.strip(".,;:!?") for w in text.split() if w.islower())

    def names(self, text: str) -> Iterator[str]:
        """Words with a capital that nobody writes without one."""
        for match in _CAPITAL.finditer(text):
            word = match.group()
            low = word.lower()
            if low not in self._small and low not in COMMON:
                yield word

    def term(self, term: str) -> float:
        """What an ordinary word is worth: less where it is in many messages."""
        return TERM / self.having.get(term, 1)


def weight(atom: str, kind: str) -> float:
    """What an atom is worth: of numbers, an amount of money most and a small bare one least."""
    if kind != "number":
        return WEIGHTS[kind]
    if _MONEY.search(atom) is not None:
        return AMOUNT
    return WEIGHTS[kind] if len(atom) > 4 else SMALL_NUMBER
