"""JSON values with nothing lost: numbers keep their text, objects their order and doubled keys.

An object is a tuple of its pairs, an array a list, a number a `Number`; the rest is as ever.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import TypeAlias

MAX_DEPTH = 64
"""Levels of nesting that are looked at. Real payloads have about ten; every level costs a few
frames of Python's stack, of which an agent under a web framework has used some hundreds."""


class Number(str):
    """A number as it was written: `1.0` is not `1`. Also `NaN` and the two infinities, which
    Python's own `json` writes."""

    __slots__ = ()


Value: TypeAlias = "Object | list[Value] | str | bool | None"
"""A JSON value. A `Number` is a `str` too, so ask for it first."""

Object: TypeAlias = tuple[tuple[str, Value], ...]
"""A JSON object."""

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|NaN|-?Infinity")
"""RFC 8259 section 6, and the three constants that Python's `json` reads and writes."""

WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
WORD_OF = {True: "true", False: "false", None: "null"}

# Strings are stepped over whole. Nothing in it can fail after having begun, so it is linear.
_STRING = re.compile(r'"(?:[^"\\]+|\\.)*+"?', re.DOTALL)
_NOT_A_BRACKET = re.compile(r"[^\[\]{}]+")
_SURROGATE = re.compile("[\ud800-\udfff]")

_decode: Callable[[str], Value] = json.JSONDecoder(
    parse_float=Number, parse_int=Number, parse_constant=Number, object_pairs_hook=tuple
).decode


def read_json(text: str) -> Value:
    """The value of a JSON text.

    Raises:
        ValueError: It is not JSON, or is nested deeper than `MAX_DEPTH`; the message says which.
    """
    if _too_deep(text):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    try:
        return _decode(text)
    except RecursionError:
        raise ValueError("nested too deeply for what is left of the stack") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


def write_json(value: Value) -> str:
    """The value as JSON without a blank that it does not need."""
    if isinstance(value, str):
        return str(value) if isinstance(value, Number) else quoted(value)
    if isinstance(value, tuple):
        return "{" + ",".join([f"{quoted(key)}:{write_json(v)}" for key, v in value]) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write_json, value)) + "]"
    return WORD_OF[value]


def quoted(text: str) -> str:
    """A JSON string: letters of every language as they are, halves of a surrogate pair escaped."""
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", encode_basestring(text))


def _too_deep(text: str) -> bool:
    """Whether brackets are nested deeper than `MAX_DEPTH`, or do not pair up that far."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    brackets = _NOT_A_BRACKET.sub("", _STRING.sub("", text))
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace("[]", "").replace("{}", "")
        if not brackets:
            return False
    return True
