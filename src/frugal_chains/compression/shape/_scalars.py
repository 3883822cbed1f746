"""How keys and values stand in an outline: bare where nothing else could be meant, else quoted.

Three places, each with what would end a bare text there:

    cell    a value in a row or in brackets     , ; [ ] { } and, at its start, a double quote
    line    a value after `key: `               the end of the line
    key     a name                              all of these, and : = |

A bare text never looks like a number, `true`, `false` or `null`; it has no control character, no
half of a surrogate pair, and no white space at its ends.
"""

from __future__ import annotations

import re

from frugal_chains.compression.shape._values import (
    NUMBER,
    WORD_OF,
    WORDS,
    Number,
    Value,
    quoted,
)

_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_CELL = re.compile(rf'(?![\s"])[^{_CONTROL},;\[\]{{}}]+(?<!\s)')
_LINE = re.compile(rf'(?![\s"\[{{|])[^{_CONTROL}]+(?<!\s)')
_KEY = re.compile(rf'(?![\s"-])[^{_CONTROL},;:=|"\[\]{{}}]+(?<!\s)')
_LITERAL = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*")

# A plain word: what nearly every key and most values are. Decided first because it is quick.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.@/+-]*(?: [A-Za-z_][A-Za-z0-9_.@/+-]*)*")
_NOT_TEXT = frozenset((*WORDS, "NaN", "Infinity"))

_COSTLY_ESCAPES = 4
"""Quotes and backslashes from which a text is easier to read, and cheaper, as it is on lines of
its own than between quotes."""


def key(name: str) -> str:
    """A key, as it stands in an outline."""
    if _PLAIN.fullmatch(name) or _KEY.fullmatch(name):
        return name
    return quoted(name)


def text_cell(text: str) -> str:
    """A value that is known to be text: the key under which a record stands."""
    return text if _CELL.fullmatch(text) else quoted(text)


def cell(value: Value) -> str:
    """A value in a row or inside brackets."""
    if isinstance(value, str):
        if isinstance(value, Number):
            return str(value)
        if _PLAIN.fullmatch(value):
            return quoted(value) if value in _NOT_TEXT else value
        if _CELL.fullmatch(value) and not NUMBER.fullmatch(value):
            return value
        return quoted(value)
    if isinstance(value, tuple):
        return "{" + ", ".join([f"{key(k)}: {cell(v)}" for k, v in value]) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(cell, value)) + "]"
    return WORD_OF[value]


def item(text: str) -> str:
    """A text after `- `, where `name: ` would begin an object."""
    bare = cell(text)
    return quoted(text) if ": " in bare or bare[-1] == ":" or bare[0] in "-|" else bare


def line(text: str) -> str | None:
    """A text after `key: `; None: it is better written on lines of its own (`literal`)."""
    if _PLAIN.fullmatch(text):
        return quoted(text) if text in _NOT_TEXT else text
    if _LINE.fullmatch(text) and not NUMBER.fullmatch(text):
        return text
    if is_literal(text):
        return None
    return quoted(text)


def is_literal(text: str) -> bool:
    """Whether a text that would need quotes is better written on lines of its own."""
    escapes = text.count('"') + text.count("\\")
    if "\n" not in text and escapes < _COSTLY_ESCAPES:
        return False
    return _LITERAL.fullmatch(text) is not None


def literal(text: str, indent: int) -> list[str]:
    """The lines of a text, each shifted by `indent` spaces; an empty line stays empty."""
    shift = " " * indent
    return [shift + row if row else "" for row in text.split("\n")]
