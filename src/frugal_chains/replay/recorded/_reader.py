"""`read_recording`: recorded traffic as calls, one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Final, Self

from frugal_chains.errors import RecordingError
from frugal_chains.replay._traffic import RecordedCall
from frugal_chains.replay.recorded._call import Calls, identity
from frugal_chains.replay.recorded._lines import Line, Lines, Source, lines_of
from frugal_chains.replay.recorded._recent import Recent
from frugal_chains.replay.recorded._skipped import (
    CUT_OFF,
    DUPLICATE,
    NOT_JSON,
    NOT_OBJECT,
    TOO_DEEP,
    Malformed,
    Skipped,
    SkippedLines,
)

FIRST_LINES: Final = 5
"""Lines that are named for each reason."""
REMEMBERED_LINES: Final = 65_536
"""A line that repeats one of the last so many is seen to be a duplicate."""

OnSkip = Callable[[Skipped], object]


class Recording(Iterator[RecordedCall]):
    """The calls of a recording, read as they are asked for, once; and what was met so far.

    Memory does not grow with its length.
    """

    def __init__(self, lines: Lines, *, name: str, on_skip: OnSkip | None) -> None:
        self.lines = 0
        """Read so far, empty ones included."""
        self.calls = 0
        self.without_time = 0
        """Calls that say no time, of `calls`; the next two likewise."""
        self.without_usage = 0
        self.without_texts = 0
        self._name = name
        self._on_skip = on_skip
        self._skipped: dict[str, tuple[int, list[int]]] = {}
        self._lines = lines
        self._calls = self._read()

    @property
    def skipped(self) -> tuple[SkippedLines, ...]:
        """What was left out so far, by reason, in the order they first occurred."""
        return tuple(
            SkippedLines(reason=reason, count=count, first_lines=tuple(first))
            for reason, (count, first) in self._skipped.items()
        )

    @property
    def skipped_lines(self) -> int:
        """How many lines were left out so far."""
        return sum(count for count, _ in self._skipped.values())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> RecordedCall:
        return next(self._calls)

    def close(self) -> None:
        """Close the file; a recording that was read to its end is closed already."""
        self._calls.close()
        self._lines.close()

    def _read(self) -> Generator[RecordedCall]:
        reader, seen = Calls(), Recent[bool](REMEMBERED_LINES)
        try:
            for number, line in enumerate(self._lines, start=1):
                self.lines = number
                try:
                    call = _call_of(line, number, reader, seen)
                except Malformed as problem:
                    self._skip(Skipped(number, str(problem)))
                    continue
                if call is not None:
                    self._count(call)
                    yield call
        finally:
            self._lines.close()
        if not self.calls:
            raise RecordingError(self._nothing())

    def _count(self, call: RecordedCall) -> None:
        self.calls += 1
        self.without_time += call.at_us is None
        self.without_usage += call.usage is None
        self.without_texts += call.request is None

    def _skip(self, skipped: Skipped) -> None:
        count, first = self._skipped.get(skipped.reason, (0, []))
        if count < FIRST_LINES:
            first.append(skipped.line)
        self._skipped[skipped.reason] = (count + 1, first)
        if self._on_skip is not None:
            self._on_skip(skipped)

    def _nothing(self) -> str:
        why = "; ".join(
            f"{lines.count:,} x {lines.reason} (line {', '.join(map(str, lines.first_lines))}"
            f"{', ...' if lines.count > len(lines.first_lines) else ''})"
            for lines in self.skipped
        )
        return (
            f"{self._name}: no call in {self.lines:,} lines{': ' + why if why else ''}. Each line "
            'has to be one JSON object {"request": {...}, "response": {...}}'
        )


def read_recording(source: Source, *, on_skip: OnSkip | None = None) -> Recording:
    """Read recorded calls from JSON lines, one by one.

        {"request": {...}, "response": {...}, "timestamp": "2026-11-20T09:30:00Z",
         "conversation": "c-17", "operation": "r-4", "task": "billing", "provider": "openai",
         "purpose": "answer", "status": "ok", "error": null, "cost_usd": 0.0004}

    Request and response are the provider's own JSON: OpenAI's chat completions and responses,
    Anthropic's messages, lines of their batch files, and what speaks these shapes; all else is
    optional. Other names in use are in `_names.py`, spelled for spelling. Times are ISO text (UTC
    where no zone stands) or seconds, milliseconds, microseconds since 1970.

    A line that is no call is left out and counted, never raised: it is given to `on_skip` by its
    number and a reason that quotes nothing of it. Of several answers to one request the first is
    kept; the usage is of all. Where no conversation is named it is told by what requests repeat,
    among the last 32,768 at least. A line that repeats one of the last 65,536 byte for byte is a
    duplicate where it has an id or a time; without one it is another call.

    Args:
        source: The path of a file, compressed by gzip or not; or lines of text or bytes.
        on_skip: Called with every line that is left out.

    Raises:
        RecordingError: the file cannot be opened; or, at the end, there was no call in it.
    """
    named = source if isinstance(source, str) else getattr(source, "__fspath__", lambda: "")()
    return Recording(lines_of(source), name=str(named) or "the recording", on_skip=on_skip)


def _call_of(line: Line, number: int, reader: Calls, seen: Recent[bool]) -> RecordedCall | None:
    """The call in a line; None: it is empty.

    Raises:
        Malformed: there is none.
    """
    if line.problem:
        raise Malformed(line.problem)
    if not line.text or line.text.isspace():
        return None
    try:
        read = _object_of(line)
        mark = hash(line.text.rstrip("\r\n"))
        if seen.get(mark) and identity(read):
            raise Malformed(DUPLICATE)
        seen.put(mark, True)
        return reader.read(read, number)
    except RecursionError:
        raise Malformed(TOO_DEEP) from None


def _object_of(line: Line) -> Mapping[str, Any]:
    try:
        read = json.loads(line.text)
    except ValueError:
        raise Malformed(NOT_JSON if line.ended else CUT_OFF) from None
    if not isinstance(read, dict):
        raise Malformed(NOT_OBJECT)
    return read
