"""Is a text a log? Grouping tables, code or data would lose what they are."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from frugal_chains.compression.shape._logs_lines import Lines

FEWEST_LINES: Final = 8
"""A shorter text has nothing to group."""
SEEN: Final = 2000
"""Lines that are looked at, spread over the whole text."""
STAMPED: Final = 0.3
"""Share of lines with a time or a level from which a text is a log."""
REPEATED: Final = 0.5
"""Without them: share of lines that resemble another one."""
FOREIGN: Final = 0.3
"""And no more than this share of lines may look like code, data or a table."""
TOLD: Final = 0.6
"""And at least this share must have two words or more: a log tells something."""
EVEN: Final = 0.9
"""Share of lines with the same number of separators from which a text is a table."""

_FOREIGN: Final = re.compile(
    r"\s*(?:[|<}\])\"'@]|//|/\*|\* |#\s*\w+ [\"<]|--(?!-)|- |\d+[.)] "
    r"|(?:def|class|return|if|else|elif|for|while|try|except|const|let|var|function|public|private"
    r"|static|void|int|fn|pub|func|package|SELECT|INSERT|CREATE)\b(?!.*:\s\w))"
    r"|.*[{};,]\s*$|.*\s\|\s|(?:[^,\s]*,(?! )){2}|(?:[^\t]*\t){3}|\s+\"?[\w-]+\"?: "
    r"|\s*\[?[\w.\"-]+\]?(?:\s*=\s*\S*|:\s+\S+|:)?\s*$"
)
"""Comments, markup, code, statements that end in a sign, cells, fields, single words."""
_TITLES: Final = re.compile(r"(?:[A-Z%#][A-Z0-9%#()/_.-]*(?:\s+|$)){3,}$")
"""The titles of a table, as `ps`, `docker ps` and `kubectl get` print them."""
_MODE: Final = re.compile(r"\s*(?:\d+\s+\d+\s+)?[-dlcbps][-rwxsStT]{9}[.+@]?\s")
"""A file in the listing of `ls -l`, `tar -tv` or `find -ls`."""
_CUE: Final = "-->"
"""Between the times of a subtitle."""
_WORD: Final = re.compile(r"[^\W\d_]{3,}")

CLEAR_GAIN: Final = 1.5
"""Without times and levels a text is taken for a log only if grouping makes it so much shorter: of
2,500 files of code, prose and settings twenty reach that."""


def why_no_log(log: Lines) -> str:
    """Why a text is not taken for a log; empty where it is one."""
    every = max(1, len(log.lines) // SEEN)
    seen = [i for i in range(0, len(log.lines), every) if log.lines[i].strip()]
    if len(seen) < FEWEST_LINES:
        return f"not a log: fewer than {FEWEST_LINES} lines"
    lines = [log.lines[i] for i in seen]
    if _TITLES.match(lines[0]) or _is_listing(lines) or _is_table(lines):
        return "not a log: a table"
    if sum(_CUE in log.lines[i] for i in seen) >= len(seen) // 5:
        return "not a log: subtitles"
    if is_stamped(log):
        return ""
    if sum(_FOREIGN.match(log.lines[i][:400]) is not None for i in seen) > FOREIGN * len(seen):
        return "not a log: code, data or a table"
    if sum(len(_WORD.findall(log.masked[i][:200])) > 1 for i in seen) < TOLD * len(seen):
        return "not a log: no times, no levels, and few words"
    openings = Counter(_opening(log.masked[i]) for i in seen)
    alike = sum(openings[_opening(log.masked[i])] > 1 for i in seen)
    if alike < REPEATED * len(seen):
        return "not a log: no times, no levels, and its lines do not repeat"
    return ""


def is_stamped(log: Lines) -> bool:
    """Whether enough lines open with a time or a level to be sure of a log."""
    return sum(log.heads) >= STAMPED * sum(map(bool, map(str.strip, log.lines)))


def _opening(template: str) -> tuple[str, ...]:
    """The first words of a line tell its message, where lines repeat at all."""
    return tuple(_WORD.findall(template[:200])[:3])


def _is_listing(lines: list[str]) -> bool:
    return sum(_MODE.match(line) is not None for line in lines) >= len(lines) // 2


def _is_table(lines: list[str]) -> bool:
    for sign, loose in ((",", ", "), ("\t", "\t\t"), ("|", "||"), (";", "; ")):
        counts = Counter(line.count(sign) if loose not in line else 0 for line in lines)
        cells, many = counts.most_common(1)[0]
        if cells >= 2 and many >= EVEN * len(lines) and not _has_levels(lines):
            return True
    return False


_LEVELS: Final = re.compile(r"\b(?:trace|debug|info|notice|warn|warning|error)\b", re.IGNORECASE)


def _has_levels(lines: list[str]) -> bool:
    return sum(_LEVELS.search(line[:200]) is not None for line in lines) >= STAMPED * len(lines)
