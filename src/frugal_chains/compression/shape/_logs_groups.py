"""Templates that differ in words too may be one message: which of them go together.

Masked lines that differ in names, paths or hosts (`placeDep ROOT fast-glob@*`), or in one plain
word of otherwise equal lines (`user alice logged in`), make one group. No word is lost by it: the
values of a group list them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_SPLIT: Final = re.compile(r"""([\s=,;()\[\]{}"'<>|`]+)""")
_PLAIN: Final = re.compile(r"[^\W\d_]*[.:!?…]*|[^\w\0]+")
"""A word of a sentence, or signs alone: part of the message. Anything else is a name."""
_REPEATS: Final = re.compile(r"([^\n])\1+")

_NAME: Final = "\1"
FEWEST: Final = 4
"""Templates that must differ at the same place before what stands there counts as a value. Two or
three may be as many messages (`opened`, `closed`), and cost little as they are. The note on logs
has what other numbers give."""
TOKENS: Final = range(3, 49)
"""Templates with fewer or more tokens are not compared word by word."""


class Template(NamedTuple):
    """A masked text, cut into tokens (even places) and what stands between them (odd places)."""

    parts: list[str]
    words: tuple[str, ...]
    """Its tokens, with one sign in place of every name; of repeated signs (a bar) only one."""
    gaps: str
    """What stands between them; of repeated signs and blanks only one."""


def templates_of(texts: Iterable[str]) -> list[Template]:
    """Cut masked texts into tokens."""
    known: dict[str, str] = {}
    plain = _PLAIN.fullmatch
    out = []
    for text in texts:
        parts = _SPLIT.split(text)
        words = []
        for token in parts[::2]:
            word = known.get(token)
            if word is None:
                word = _REPEATS.sub(r"\1", token) if plain(token) else _NAME
                known[token] = word
            words.append(word)
        gaps = "\n".join(parts[1::2])
        out.append(Template(parts, tuple(words), _REPEATS.sub(r"\1", gaps)))
    return out


def tokens_and_names(lines: Iterable[str], mark: str) -> list[tuple[str, list[str]]]:
    """Each line as its template, with a mark for every name or number, and these in order."""
    plain: dict[str, bool] = {}
    out: list[tuple[str, list[str]]] = []
    for line in lines:
        names: list[str] = []
        if not line:
            out.append((line, names))
            continue
        parts = _SPLIT.split(line)
        for place in range(0, len(parts), 2):
            token = parts[place]
            known = plain.get(token)
            if known is None:
                known = plain[token] = _PLAIN.fullmatch(token) is not None
            if not known:
                names.append(token)
                parts[place] = mark
        out.append(("".join(parts), names))
    return out


def gathered(templates: Sequence[Template]) -> list[list[int]]:
    """Indices of the templates that are one message, each list ascending, by first appearance."""
    alike: dict[tuple[tuple[str, ...], str], list[int]] = {}
    for index, template in enumerate(templates):
        alike.setdefault((template.words, template.gaps), []).append(index)
    groups: list[list[int]] = []
    for found in alike.values():
        groups.extend([found] if len(found) >= FEWEST else [[index] for index in found])
    firsts = [templates[group[0]] for group in groups]
    out = [sorted(i for part in parts for i in groups[part]) for parts in _by_one_word(firsts)]
    return sorted(out)


def _by_one_word(templates: Sequence[Template]) -> list[list[int]]:
    """Which templates differ from one another in one plain word only; the largest sets first."""
    sets: dict[tuple[str, str, str], list[int]] = {}
    for index, (_, words, gaps) in enumerate(templates):
        if len(words) not in TOKENS:
            continue
        line = " ".join(words)
        at = 0
        for word in words:
            end = at + len(word)
            if word[:1].isalpha():
                sets.setdefault((gaps, line[:at], line[end:]), []).append(index)
            at = end + 1
    large = [found for found in sets.values() if len(found) >= FEWEST]
    free = [True] * len(templates)
    out = []
    for found in sorted(large, key=lambda members: (-len(members), members)):
        left = [index for index in found if free[index]]
        if len(left) >= FEWEST:
            out.append(left)
            for index in left:
                free[index] = False
    out.extend([index] for index, is_free in enumerate(free) if is_free)
    return out
