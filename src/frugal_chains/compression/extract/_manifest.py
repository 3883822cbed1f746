"""What was left out: for reports, and for those who want it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from frugal_chains.compression.extract._choose import Count
from frugal_chains.compression.extract._extract import Extraction, Reason
from frugal_chains.compression.extract._passage import Passage
from frugal_chains.text import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A stretch of a passage that is not kept."""

    passage: int
    span: Span
    """Where it stands in the passage's text; no white space at its ends."""
    tokens: int
    why: Reason


def dropped(
    passages: Sequence[Passage], extraction: Extraction, count: Count
) -> tuple[Dropped, ...]:
    """Everything that an extraction has left out, in the order of the passages.

    Args:
        passages: Those that were extracted from.
        extraction: Of these passages.
        count: The tokenizer.
    """
    return tuple(
        Dropped(
            passage=number,
            span=span,
            tokens=count(passage.text[span[0] : span[1]]),
            why=extraction.reason,
        )
        for number, (passage, kept) in enumerate(zip(passages, extraction.kept, strict=True))
        for span in _gaps(passage.text, kept)
    )


def _gaps(text: str, kept: Sequence[Span]) -> Iterator[Span]:
    ends = [0, *(end for _, end in kept)]
    starts = [*(start for start, _ in kept), len(text)]
    for start, end in zip(ends, starts, strict=True):
        left = text[start:end]
        if left.strip():
            yield start + len(left) - len(left.lstrip()), start + len(left.rstrip())
