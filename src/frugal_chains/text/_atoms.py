"""Atoms: what must never be cut inside or altered, because a part of it is worth nothing.

A number without its unit, half an id, a path without its end, "available" without its "not".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from frugal_chains.text._blocks import Block, blocks
from frugal_chains.text._negations import negations
from frugal_chains.text._tokens import tokens

KINDS = (
    "user",  # a pattern of the caller's
    "code",  # fenced and inline code, identifiers, calls, variables of the environment, flags
    "url",
    "email",
    "path",
    "ip",
    "date",  # dates and times of day
    "id",  # UUIDs, hashes, order and phone numbers, IBANs: anything that mixes digits with letters
    "number",  # with sign, currency, unit and range; versions too
    "quote",  # a quoted string of at most 300 characters in one line, with its marks
    "negation",  # the negating word with what it negates
)
"""Every kind there is. What fits two of them has the one that its outermost atom has."""


class Atom(NamedTuple):
    """`start` and `end` (exclusive) in characters; `kind` is one of `KINDS`."""

    start: int
    end: int
    kind: str


def atoms(text: str, patterns: Sequence[re.Pattern[str]] = ()) -> list[Atom]:
    """The atoms of a text, ascending; where two overlap they are one, of the outer one's kind.

    `patterns` are the caller's own; a match of no length is left out. None but those, fenced code
    and the caller's matches span lines, and only theirs can span sentences. Takes any string.
    """
    own = (match.span() for pattern in patterns for match in pattern.finditer(text))
    found = [(start, end, "user") for start, end in own if end > start]
    found.extend(_found(text, 0, len(text), blocks(text)))
    return _merged(found)


def atoms_within(text: str, start: int, end: int, held: Sequence[Block]) -> list[Atom]:
    """The atoms between two places that no atom spans; `held` are the blocks in between."""
    return _merged(_found(text, start, end, held))


def _found(text: str, start: int, end: int, held: Sequence[Block]) -> list[tuple[int, int, str]]:
    found = [(b.start, b.end, "quote" if b.kind == "quote" else "code") for b in held]
    found.extend(tokens(text, start, end))
    found.extend((first, last, "negation") for first, last in negations(text, start, end))
    return found


def _merged(found: list[tuple[int, int, str]]) -> list[Atom]:
    """Sorted, with those that overlap made one: the kind is that of the longer."""
    found.sort(key=itemgetter(1), reverse=True)
    found.sort(key=itemgetter(0))
    merged: list[Atom] = []
    end = -1
    for start, stop, kind in found:
        if start >= end:
            merged.append(Atom(start, stop, kind))
        elif stop > end:
            outer = merged[-1]
            longer = outer.kind if end - outer.start >= stop - start else kind
            merged[-1] = Atom(outer.start, stop, longer)
        else:
            continue
        end = stop
    return merged
