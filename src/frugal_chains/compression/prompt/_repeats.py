"""Lines that say again, word for word, what stands a little above them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from frugal_chains.compression.prompt._edit import Edit

_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+\Z")
_BREAKS: Final = re.compile(r"[ \t]*(?:#|<|```|~~~|\||[-=_*]{3,}[ \t]*$|[^\n.!?]{0,60}:[ \t]*$)")
"""A heading, tag, fence, table row, rule, or a line that ends in a colon: what is below it may
repeat what is above it, and mean another thing."""
_INSTRUCTION: Final = re.compile(r"(?:[-*+\u2022]|\d{1,3}[.)])?[ \t]*[^\W\d_][^\n]{15,}[.!;]\s*\Z")
"""A sentence, or a point of a list that is one, not indented: not data, nor a line of code."""
_POINT: Final = re.compile(r"(?:[-*+\u2022]|\d{1,3}[.)])?[ \t]*")


def repeated_lines(text: str) -> Iterator[Edit]:
    """Instructions that repeat one of the same section."""
    seen: set[str] = set()
    for match in _LINE.finditer(text):
        line = match[0]
        if _BREAKS.match(line.rstrip("\r\n")):
            seen.clear()
        elif _INSTRUCTION.match(line):
            said = _POINT.sub("", line, count=1).strip()
            if said in seen:
                yield Edit(_start(text, match), match.end(), "")
            seen.add(said)


def _start(text: str, line: re.Match[str]) -> int:
    """The last line of a text takes the line break in front of it along."""
    start = line.start()
    if line[0].endswith("\n"):
        return start
    return start - (2 if text[max(start - 2, 0) : start] == "\r\n" else 1)
