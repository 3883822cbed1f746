"""What the lines of a log are: clean text, masks over what varies, and which lines belong together.

A *unit* is a line, or a record of several lines that stays whole: a traceback, a compiler's message
with its excerpt, a statement over several lines. Units that tell of a problem are kept as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

MASK: Final = "\0"
"""Stands for one varying value. Text with a NUL of its own is no log."""

_TERMINAL: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[@-_])|[\x07\x08]"
)
"""ECMA-48 control sequences (colours, cursor), operating system commands (titles), bells."""

_MONTH: Final = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK: Final = r"\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?"
_VALUE: Final = re.compile(
    # A digit, but none of the three after a closing quote and a blank: in the common log format
    # that is the status of an answer, which tells what kind of line it is.
    r"(\d(?<!\" .)(?<!\" ..)(?<!\" ...)(?:"
    rf"\d{{3}}[-/.]\d\d[-/.]\d\d[T ]{_CLOCK}(?:Z|[+-]\d\d:?\d\d)?"  # ISO 8601 and its kin
    rf"|\d?(?:/{_MONTH}/\d{{4}}[: ]{_CLOCK}(?: [+-]\d{{4}})?"  # common log format
    r"| \d\d:\d\d:\d\d(?:\.\d+)?(?: \d{4})?)"  # the rest of a syslog time, or of asctime's
    r"|x[\da-fA-F]+"
    r"|[\da-fA-F]{5,}\b(?:-[\da-fA-F]{4,}\b)*"  # hashes and UUIDs
    r"|\d*(?:[.,:]\d+)*"  # numbers, clocks, versions, addresses
    r"))"
)
"""One varying value. Each alternative opens with a digit: the search skips all that is none."""

_LEVEL: Final = (
    "trace|debug|fine|info|notice|log|hint|detail|statement|verbose|warn|warning|err|error"
    "|severe|crit|critical|alert|emerg|fatal|panic"
)
_HEAD: Final = re.compile(
    r".{0,60}?(?:\d\d:\d\d:\d\d|\d\d[T ]\d\d:\d\d\b)"
    r"|\[ *\d+\.\d+s?\]|\W?\d{10}[.\d]*\b"  # seconds since the start (dmesg, JVM) or since 1970
    rf"|\W{{0,2}}(?i:{_LEVEL})\b[\])>:]?\s"
)
"""A time near the beginning, or a level at it."""
_FIELDS: Final = re.compile(r'\{.*?"@?(?:ts|time|timestamp|level|lvl|severity)" ?:')
"""A JSON object that is a log record."""

_PROBLEMS: Final = (
    *("error", "exception", "fatal", "fail", "traceback", "warn", "critical", "panic", "severe"),
    *("emerg", "abort", "crash", "segfault", "segmentation", "denied", "refused", "rejected"),
    *("deadlock", "corrupt", "unhandled", "uncaught", "killed", "cannot", "can't", "timeout:"),
    *("timed out", "could not", "unable to", "out of memory", "core dumped", "caused by"),
    "stack trace",
)
"""What a problem is told with. Wider than levels: programs without levels fail too."""
_SIGNS: Final = re.compile(
    r"\" 5\d\d\b|^[EF]\0 \0|^E   +\S|^goroutine \0 "
    r"|(?<![\w-])(?:ERR|CRIT|ALERT|FTL|PNC)(?![\w-])|\[(?:\w+:)?(?:err|crit|alert)\]"
    r"|[=:]\s?\"?(?:err|crit|alert)\b"
)
"""A server's own fault in the common log format, glog's one-letter levels, pytest's marks, Go's
panics; and short levels: of Serilog and zerolog (`ERR`, `FTL`), HAProxy (`[ALERT]`), nginx and
Apache (`[crit]`, `[core:alert]`), and those of syslog in fields (`level=err`)."""
_NO_PROBLEM: Final = re.compile(
    r"""["']?(?:error|exception|failure|warning)s?["']?\s?[=:]\s?(?:null|none|nil|false|""|''|\[\])"""
)
"""A field that says there was none,"""
_NOTHING: Final = ("null", "none", "nil", "false", '""', "''", "[]")
"""and what such a field holds."""
_TRACES: Final = ("traceback (most", "stack trace", "stacktrace", "backtrace:", "goroutine \0 ")
_BRACKETS: Final = tuple("{}[])")

MOST_OF_A_PROBLEM: Final = 200
"""Lines that may follow a problem's first one as part of it."""
MOST_OF_A_RECORD: Final = 30
"""Lines that may follow another record's first one as part of it."""
STAMPED_SHARE: Final = 0.6
"""From this share of lines that open with a time or a level, a line without one goes on with the
line above it. Of twenty programs, those with records of several lines have 80 % and more."""


class _Kind(NamedTuple):
    """What a template tells of its lines."""

    blank: bool
    indent: int
    problem: bool
    trace: bool
    bracket: bool


class Unit(NamedTuple):
    """Lines `first` to `last` (exclusive) that stay together."""

    first: int
    last: int
    kept: bool
    """It tells of a problem: nothing of it may be changed."""


@dataclass(frozen=True, slots=True)
class Lines:
    """A text, line by line."""

    lines: list[str]
    masked: list[str]
    values: list[str]
    """What the masks stand for, in the order of the text."""
    starts: list[int]
    """Where each line's values begin; one more at the end."""
    heads: list[bool]
    """Whether a line opens with a time or a level."""

    @classmethod
    def of(cls, text: str) -> Lines:
        """Read a text without terminal control."""
        parts = _VALUE.split(text)
        masked = MASK.join(parts[::2]).split("\n")
        starts = [0, *accumulate([line.count(MASK) for line in masked])]
        lines = text.split("\n")
        head, fields = _HEAD.match, _FIELDS.match
        heads = [
            bool(line) and bool(head(line) or (line[0] == "{" and fields(line))) for line in lines
        ]
        return cls(lines, masked, parts[1::2], starts, heads)

    def text(self, unit: Unit) -> str:
        """The lines of a unit as they are."""
        first, last, _ = unit
        return self.lines[first] if last - first == 1 else "\n".join(self.lines[first:last])

    def template(self, unit: Unit) -> str:
        """The lines of a unit with masks."""
        first, last, _ = unit
        return self.masked[first] if last - first == 1 else "\n".join(self.masked[first:last])

    def stamped_share(self) -> float:
        """How many of the lines that are not indented open with a time or a level, 0 to 1."""
        plain = sum(
            head or not line[0].isspace()
            for line, head in zip(self.lines, self.heads, strict=True)
            if line
        )
        return sum(self.heads) / plain if plain else 0.0


def cleaned(text: str) -> str:
    """Without terminal control, and with every line break a newline. A carriage return that went
    back over a line is a break too: what it overwrote had been on the screen."""
    if "\x1b" in text or "\x08" in text or "\x07" in text:
        text = _TERMINAL.sub("", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def _has(text: str, words: Sequence[str]) -> bool:
    return any([word in text for word in words])  # noqa: C419 (half the time of a generator)


def _kind_of(template: str) -> _Kind:
    bare = template.lstrip()
    low = bare.lower()
    problem = _has(low, _PROBLEMS)
    if problem and _has(low, _NOTHING):
        low = _NO_PROBLEM.sub("", low)
        problem = _has(low, _PROBLEMS)
    return _Kind(
        not bare,
        len(template) - len(bare),
        problem or _SIGNS.search(template) is not None,
        problem and _has(low, _TRACES),
        bare.startswith(_BRACKETS),
    )


def units_of(log: Lines) -> list[Unit]:
    """The lines as units, in order; blank lines between units belong to none."""
    return _Units(log).found()


class _Units:
    """Goes once through the lines."""

    __slots__ = ("heads", "kinds", "stamped")

    def __init__(self, log: Lines) -> None:
        known = {template: _kind_of(template) for template in dict.fromkeys(log.masked)}
        self.kinds: Sequence[_Kind] = [known[template] for template in log.masked]
        self.heads = log.heads
        self.stamped = log.stamped_share() >= STAMPED_SHARE

    def found(self) -> list[Unit]:
        kinds, heads, stamped = self.kinds, self.heads, self.stamped
        units = []
        at, end = 0, len(kinds)
        while at < end:
            blank, _, problem, trace, _ = kinds[at]
            if blank:
                at += 1
                continue
            last = at + 1
            kept = problem or trace
            if not kept and stamped and heads[at] and last < end and not heads[last]:
                last = self._end_of_record(at)
                kept = last < end and not heads[last] and (kinds[last].problem or kinds[last].trace)
            if kept:
                last = self._end_of_problem(at, last)
            units.append(Unit(at, last, kept))
            at = last
        return units

    def _end_of_record(self, at: int) -> int:
        last = at + 1
        for index in range(last, min(len(self.kinds), last + MOST_OF_A_RECORD)):
            kind = self.kinds[index]
            told = kind.problem or kind.trace or kind.blank
            if self.heads[index] or told or not (kind.indent or kind.bracket):
                break
            last = index + 1
        return last

    def _end_of_problem(self, at: int, last: int) -> int:
        """Where a problem ends: at the next head, or where its indentation comes back."""
        base, open_trace = self.kinds[at].indent, self.kinds[at].trace
        for index in range(last, min(len(self.kinds), last + MOST_OF_A_PROBLEM)):
            kind = self.kinds[index]
            if self.heads[index] and kind.indent <= base:
                break
            if kind.trace:
                open_trace, base = True, kind.indent
            elif kind.blank:
                if not self.stamped:
                    break
                continue
            elif kind.indent <= base and not self.stamped:
                if not open_trace:
                    break
                open_trace = False  # the exception itself, under the frames
            last = index + 1
        return last
