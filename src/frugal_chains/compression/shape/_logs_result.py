"""What became of a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from frugal_chains.compression.shape._shaped import ORIGINAL, Shaped

GROUPED: Final = "grouped_log"
"""Alike lines as one, with their number: lossy."""
FOLDED: Final = "folded_log"
"""Templates and values: lossless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapedLog(Shaped):
    """A log made shorter, or the text as it was and why."""

    lines: int = 0
    """Of a grouped log: lines that are not blank: the sum of the counts of all messages."""
    messages: int = 0
    """Of a grouped log: how many messages they came down to."""


def as_is(text: str, tokens: int, reason: str) -> ShapedLog:
    """Nothing was done."""
    return ShapedLog(
        text=text,
        form=ORIGINAL,
        tokens_before=tokens,
        tokens_after=tokens,
        reason=reason,
        lossless=True,
    )
