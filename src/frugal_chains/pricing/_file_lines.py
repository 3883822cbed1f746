"""Where in a TOML text a key stands: tomllib tells the line of a syntax error, not of a value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Path = tuple[str | int, ...]

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"^\s*(\[\[?)\s*({_DOTTED})\s*\]\]?")
_ASSIGNMENT = re.compile(rf"^\s*({_DOTTED})\s*=")
_PART = re.compile(_KEY)
_TRIPLES = ('"""', "'''")
_QUOTE_OR_COMMENT = re.compile(r'"""|\'\'\'|"(?:\\.|[^"\\])*"|\'[^\']*\'|#')


def key_lines(text: str) -> Mapping[Path, int]:
    """The line, from 1, of every table header and key. Array tables count from 0."""
    lines: dict[Path, int] = {}
    sizes: dict[Path, int] = {}
    table: Path = ()
    inside = ""
    for number, line in enumerate(text.split("\n"), start=1):
        was_inside, inside = inside, _string_open_after(line, inside)
        if was_inside:
            continue
        if header := _HEADER.match(line):
            table = _open_table(_parts(header[2]), header[1] == "[[", sizes)
            lines.setdefault(table, number)
        elif assignment := _ASSIGNMENT.match(line):
            lines.setdefault((*table, *_parts(assignment[1])), number)
    return lines


def line_of(path: Sequence[str | int], lines: Mapping[Path, int]) -> int:
    """The line of the path, or of the nearest table around it; 1 when there is none."""
    for length in range(len(path), 0, -1):
        found = lines.get(tuple(path[:length]))
        if found is not None:
            return found
    return 1


def _string_open_after(line: str, inside: str) -> str:
    """The quotes of a multi-line string that is still open at the end of the line, or nothing."""
    at = 0
    while True:
        if inside:
            end = line.find(inside, at)
            if end < 0:
                return inside
            at, inside = end + 3, ""
        found = _QUOTE_OR_COMMENT.search(line, at)
        if found is None or found[0] == "#":
            return ""
        at, inside = found.end(), found[0] if found[0] in _TRIPLES else ""


def _parts(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _open_table(parts: Path, is_array: bool, sizes: dict[Path, int]) -> Path:
    """The table's path, with the index of each array table on the way."""
    path: Path = ()
    for depth, part in enumerate(parts):
        path = (*path, part)
        last = depth == len(parts) - 1
        if last and is_array:
            sizes[path] = sizes.get(path, 0) + 1
        if path in sizes:
            path = (*path, sizes[path] - 1)
    return path
