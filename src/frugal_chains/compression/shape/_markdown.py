"""Markdown tables without the padding that only a monospaced screen needs."""

from __future__ import annotations

import re

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*")
_DASHES = re.compile(r"-+")
_PIPE = re.compile(r"[ \t]*(?<!\\)\|[ \t]*")


def compact_tables(text: str) -> str:
    """Every Markdown table of the text with its cells trimmed and its rule as short as it goes.

    It renders to the same table. Code in fences stays as it is.
    """
    if "|" not in text:
        return text
    lines = text.split("\n")
    fence = ""
    in_table = False
    for i, line in enumerate(lines):
        mark = _FENCE.match(line)
        if mark and (not fence or line.strip().startswith(fence)):
            fence = "" if fence else mark[1]
            in_table = False
        elif fence or "|" not in line:
            in_table = False
        elif not in_table and i + 1 < len(lines) and _is_rule(lines[i + 1]):
            in_table = True
            lines[i] = _trimmed(line)
        elif in_table:
            lines[i] = _trimmed(_DASHES.sub("-", line) if _is_rule(line) else line)
    return "\n".join(lines)


def _is_rule(line: str) -> bool:
    return "|" in line and _RULE.fullmatch(line) is not None


def _trimmed(row: str) -> str:
    indent = row[: len(row) - len(row.lstrip(" \t"))]
    return indent + _PIPE.sub("|", row[len(indent) :]).rstrip()
