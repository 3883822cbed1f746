"""Stretches that nothing may cut: fenced and inline code, and quoted strings.

Sentences and atoms both ask this module, so that they agree on where such a stretch is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_QUOTE = 300
"""Characters between two quotation marks. More is a passage with sentences of its own, or a mark
that was never closed. It is also what bounds the search for the closing mark."""

MAX_FENCE = 2000
"""Characters of a fenced block that is kept whole; a longer one is kept line by line."""


class Block(NamedTuple):
    """`start` and `end` (exclusive) in characters; `kind` is `code`, `line` or `quote`.

    A `line` is one line of a fenced block that is too long to be kept whole.
    """

    start: int
    end: int
    kind: str


# The first item is a set of characters and no group: `re` then skips to the next of them without
# running the pattern. Every repeat is bounded or possessive, so nothing is read twice.
_OPEN = re.compile(
    r"""
    [`~"“„«»‹‘「『《]
    (?:
        (?:(?<=`)`{2,}+|(?<=~)~{2,}+)(?P<fence>)
      | (?:
            (?<=`)(?<!``)(?:[^`\n\r\u2028\u2029]{1,300}+`(?!`)|`(?!`)[^\n\r\u2028\u2029]{1,300}?``)
        )(?P<code>)
      | (?:
            (?<=")(?<![\w.!?)\]\\"]")(?!\s)
            (?:[^"\\\n\r\u2028\u2029]|\\[^\n\r\u2028\u2029]){1,300}+(?<!\s)"(?!\w)
          | (?<=“)[^“”\n\r\u2028\u2029]{1,300}+”
          | (?<=„)[^„“”\n\r\u2028\u2029]{1,300}+[“”]
          | (?<=«)[^«»\n\r\u2028\u2029]{1,300}+»
          | (?<=»)(?<![^\s(\[]»)(?!\s)[^«»\n\r\u2028\u2029]{1,300}+(?<!\s)«
          | (?<=‹)[^‹›\n\r\u2028\u2029]{1,300}+›
          | (?<=‘)(?:[^‘’\n\r\u2028\u2029]|’(?=\w)){1,300}+’(?!\w)
          | (?<=「)[^「」\n\r\u2028\u2029]{1,300}+」
          | (?<=『)[^『』\n\r\u2028\u2029]{1,300}+』
          | (?<=《)[^《》\n\r\u2028\u2029]{1,300}+》
        )
    )
    """,
    re.VERBOSE,
)
_CLOSE = {
    "`": re.compile(r"\n[ \t>]*`{3,}+[ \t]*(?=\r?\n|\r?\Z)"),
    "~": re.compile(r"\n[ \t>]*~{3,}+[ \t]*(?=\r?\n|\r?\Z)"),
}
_BEGINS_LINE = re.compile(r"(?:\A|(?<=[\n\r]))[ \t>]*\Z")
_LINE = re.compile(r"\S(?:[^\n\r\u2028\u2029]*[^\s])?")


def blocks(text: str) -> list[Block]:
    """Code and quoted strings, ascending, no two overlapping, none that begins or ends in white
    space. Inside one there is no boundary of a sentence."""
    found: list[Block] = []
    unclosed: set[str] = set()  # what no later fence can be closed by either: keeps this linear
    at = 0
    while (match := _OPEN.search(text, at)) is not None:
        at = match.end()
        if match.lastgroup != "fence":
            found.append(Block(match.start(), at, match.lastgroup or "quote"))
        elif (end := _fence_end(text, match, unclosed)) is not None:
            found.extend(_fenced(text, match.start(), end))
            at = end
    return found


def _fence_end(text: str, opening: re.Match[str], unclosed: set[str]) -> int | None:
    """Where the fenced block ends: at a line of marks alone, else at the next three marks."""
    start, after = opening.span()
    mark = text[start]
    if mark not in unclosed and _BEGINS_LINE.search(text, max(0, start - 8), start) is not None:
        closing = _CLOSE[mark].search(text, after)
        if closing is not None:
            return closing.end()
        unclosed.add(mark)
    if mark == "~" or mark * 3 in unclosed:
        return None
    found = text.find(mark * 3, after)
    if found < 0:
        unclosed.add(mark * 3)
        return None
    return found + 3


def _fenced(text: str, start: int, end: int) -> Iterator[Block]:
    body = text[start:end].rstrip()
    if len(body) <= MAX_FENCE:
        yield Block(start, start + len(body), "code")
        return
    for line in _LINE.finditer(text, start, end):
        yield Block(line.start(), line.end(), "line")
