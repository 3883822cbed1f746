"""Terms by which what was said is found again, whatever form a word has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from frugal_chains.text import terms

FORM_CHARS: Final = 7
"""Of a word: "allergic" and "allergy", "deliver" and "delivery" are one. Of the plain stemmers
truncation is as good as others in most languages (McNamee and Mayfield, "Character n-gram
tokenization for European language text retrieval", 2004); here it comes after the light stemmer."""

_LEAST_CHARS: Final = 3
"""Of a word that may lose its "y": "day" stays."""


def forms(text: str) -> list[str]:
    """The terms of a text, each as `cut` has it."""
    return cut(terms(text))


def cut(found: Iterable[str]) -> list[str]:
    """Terms of letters alone, without what stands behind their first `FORM_CHARS`; a last "y" is an
    "i", as in front of an ending."""
    return [_cut(term) if term.isalpha() else term for term in found]


def _cut(term: str) -> str:
    head = term[:FORM_CHARS]
    return f"{head[:-1]}i" if head.endswith("y") and len(head) > _LEAST_CHARS else head
