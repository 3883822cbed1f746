"""`Skipped`: a line that is no recorded call, and why, in words that quote nothing of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

EXIT_SKIPPED: Final = 3
"""The exit code of a command that has left out lines of its input."""
MAX_LINE_BYTES: Final = 32 * 2**20
"""A longer line is skipped without being held in memory. Anthropic refuses requests above 32 MB
(platform.claude.com/docs/en/api/errors, `request_too_large`, read 2026-11-22)."""

CUT_OFF: Final = "the last line is cut off"
DAMAGED: Final = "the compressed file is damaged or cut off here"
DUPLICATE: Final = "the same as an earlier line, with the same id or time"
NOT_JSON: Final = "not JSON"
NOT_TEXT: Final = "neither text nor bytes"
NOT_OBJECT: Final = "JSON, but no object"
NOT_UTF8: Final = "not UTF-8"
NO_CALL: Final = "neither a request nor a response"
TOO_LONG: Final = f"longer than {MAX_LINE_BYTES // 2**20} MiB"
TOO_DEEP: Final = "nested too deeply"
UNREADABLE: Final = "the file could not be read on from here"


class Skipped(NamedTuple):
    """One line that was left out."""

    line: int
    """From 1."""
    reason: str
    """One of a few fixed sentences: the line may be a prompt, or hold a key."""

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedLines:
    """All lines that were left out for one reason."""

    reason: str
    count: int
    first_lines: tuple[int, ...]
    """Numbers of the first few."""


class Malformed(Exception):
    """A line that cannot be a call; what it says is one of our own sentences."""
