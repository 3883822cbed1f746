"""Which part of a long human message is context, and what is asked about it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_PARAGRAPH: Final = re.compile(r"\n[^\S\n]*\n\s*")
_LINE: Final = re.compile(r"\n")
_ASIDE_CHARS: Final = 600
"""About 150 tokens of English: a question or an instruction is rarely longer, a passage mostly."""


class Parts(NamedTuple):
    """Of a text: all but its context stays as it is."""

    start: int
    """Of the context, in characters."""
    end: int
    query: str
    """What is asked about the context; it stands outside of it."""


def question_last(text: str) -> Parts:
    """The last paragraph asks, the first one too if it is short; what is between is context.

    Where the last one is itself long and the first one is not, the first one asks ("Sum this up:").
    A text without blank lines is taken line by line; one line has no context.
    """
    first = len(text) - len(text.lstrip())
    last = len(text.rstrip())
    breaks = [found.span() for found in _PARAGRAPH.finditer(text, first, last)] or [
        found.span() for found in _LINE.finditer(text, first, last)
    ]
    if not breaks:
        return Parts(first, first, text[first:last])
    head, tail = text[first : breaks[0][0]], text[breaks[-1][1] : last]
    if len(head) > _ASIDE_CHARS:
        return Parts(first, breaks[-1][0], tail)
    if len(tail) > _ASIDE_CHARS:
        return Parts(breaks[0][1], last, head)
    return Parts(min(breaks[0][1], breaks[-1][0]), breaks[-1][0], tail)
