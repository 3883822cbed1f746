"""Text inside a prompt that is given, not told: examples, transcripts and templates stay as is.

Shortening "Please note that" in an instruction changes nothing; in an example answer it changes
what the model learns to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from frugal_chains.text import Span

_TAG: Final = re.compile(
    r"<(/?)((?:good_|bad_|few_?shot_)?examples?|samples?|inputs?|outputs?|documents?|context|quotes?"
    r"|template|transcript|conversation|email|message|code|pre)\b[^<>\n]{0,200}>",
    re.IGNORECASE,
)
_SPEAKER: Final = re.compile(
    r"^[ \t>*_#-]{0,8}(?:user|assistant|human|ai|system|customer|agent|bot|tool|input|output"
    r"|question|answer|q|a|example|response|reply|template|expected|query|result)(?: ?\d{1,3})?"
    r"[*_]{0,2}[ ]?:[^\n]*(?:\n(?![ \t]*\r?\n)[^\n]*)*+",
    re.IGNORECASE | re.MULTILINE,
)
"""A line that a speaker or a part of an example begins, and those after it up to a blank one."""
_QUOTED_LINE: Final = re.compile(r"^[ \t]{0,3}>[^\n]*", re.MULTILINE)
_SAID: Final = re.compile(
    r"\b(?:say|says|saying|reply|respond|tell|write|ask|greet|message|add|state|output|print)\b"
    r"[^\n.:]{0,60}:[^\n]*",
    re.IGNORECASE,
)
"""What the model is told to say: "Tell the user: please wait"."""
_PATTERNS: Final = (_SPEAKER, _QUOTED_LINE, _SAID)


def given_spans(text: str) -> list[Span]:
    """Where a text holds examples, transcripts, templates or block quotes; ascending, merged."""
    found = [*_tagged(text)]
    found += (m.span() for pattern in _PATTERNS for m in pattern.finditer(text))
    merged: list[Span] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _tagged(text: str) -> Iterator[Span]:
    """From an outermost opening tag to where as many have closed; to the end if none closes."""
    start, depth = 0, 0
    for tag in _TAG.finditer(text):
        if not tag[1]:
            start = start if depth else tag.start()
            depth += 1
        elif depth:
            depth -= 1
            if not depth:
                yield start, tag.end()
    if depth:
        yield start, len(text)
