"""Recorded traffic: JSON lines of requests and responses, in the providers' own shapes."""

from frugal_chains.replay.recorded._conversations import REMEMBERED
from frugal_chains.replay.recorded._reader import (
    FIRST_LINES,
    REMEMBERED_LINES,
    OnSkip,
    Recording,
    read_recording,
)
from frugal_chains.replay.recorded._skipped import (
    EXIT_SKIPPED,
    MAX_LINE_BYTES,
    Skipped,
    SkippedLines,
)

__all__ = [
    "EXIT_SKIPPED",
    "FIRST_LINES",
    "MAX_LINE_BYTES",
    "REMEMBERED",
    "REMEMBERED_LINES",
    "OnSkip",
    "Recording",
    "Skipped",
    "SkippedLines",
    "read_recording",
]
