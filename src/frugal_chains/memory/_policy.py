"""`CompactionPolicy`: what a user may say about when to compact, and what stays."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Final

from frugal_chains.errors import MemoryPlanError

WINDOW_SHARE: Final = 0.75
"""Of a window, for the request; the rest is the answer's. As LlamaIndex's memories have it
(`DEFAULT_TOKEN_LIMIT_RATIO`, llama-index-core 0.14, 2026-11)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RentEqualsBuy:
    """Compact when the rent paid for carrying old messages reaches the price of a compaction.

    The classic answer to "rent or buy" when nobody knows for how long (Karlin et al., "Competitive
    snoopy caching", 1988): needs no forecast, and costs at most twice what a prophet would pay for
    what it decides. Two bounds keep short conversations from paying for compactions that they do
    not live to use: docs/notes/memory.md says what each of them gives.
    """

    regret: float = 0.08
    """All in all, a conversation may at no moment have cost more than without any memory by more
    than this share, if a compaction costs more at once than it saves at once."""
    first: float = 2.5
    """The first compaction waits for so many times its price: until then it is not known that the
    conversation is a long one."""

    cached_share: float = 0.957
    """Of what has been sent before, at least so much should come from the provider's cache between
    two compactions: quicker answers, and easier on rate limits. Where reads cost half a fresh token
    the bill alone would compact so often that it is less;"""
    patience: float = 1.7
    """but a compaction waits for it no longer than until the rent is so many times the price that
    it has with a summary by the model that answers. A digest is free, and would come as often as
    prices let it."""

    def __post_init__(self) -> None:
        for name in ("regret", "first", "cached_share", "patience"):
            _must_be_positive(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterMark:
    """Compact when history reaches a mark.

    Without a mark of the user's it is the closed form of the economic order quantity (Harris,
    1913): what is kept, and sqrt(2 * price of a compaction / rent a call adds) calls' growth. The
    best fixed mark for steady growth, within 6 % (docs/notes/memory.md).
    """

    high_tokens: int | None = None
    """Of the messages that are sent, without pinned and system messages, which never leave; None:
    by the closed form."""

    def __post_init__(self) -> None:
        if self.high_tokens is not None:
            _must_be_positive("high_tokens", self.high_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionPolicy:
    """When to compact, and what stays.

    Raises:
        MemoryPlanError: a number that is not above 0, or limits that leave no room.
    """

    trigger: RentEqualsBuy | WaterMark = field(default_factory=RentEqualsBuy)
    keep_tokens: int = 2_000
    """Of the newest messages, at least so many stay as they are, the question with them. A matter
    of quality: prices do not ask for more or less."""
    summary_tokens: int = 80
    """Of one segment, at most; less where little is dropped. What it leaves out can be recalled."""
    segments_tokens: int = 640
    """Of all segments; above it they are merged into one of half the size."""
    least_dropped_tokens: int = 300
    """Fewer are not worth losing their wording, however cheap it is."""
    limit_tokens: int | None = None
    """Of a whole request: the context window, less what the answer needs. Always kept."""

    def within(self, window_tokens: int | None) -> CompactionPolicy:
        """The policy with a limit by the model's window; itself where it has one of its own, or the
        window is not known.

        Args:
            window_tokens: For prompt and answer; None or 0: not known.
        """
        limit = int((window_tokens or 0) * WINDOW_SHARE)
        if self.limit_tokens is not None or limit <= 0:
            return self
        return replace(self, limit_tokens=limit)

    def __post_init__(self) -> None:
        for name in ("keep_tokens", "summary_tokens", "segments_tokens", "least_dropped_tokens"):
            _must_be_positive(name, getattr(self, name))
        if self.segments_tokens < 2 * self.summary_tokens:
            raise MemoryPlanError(
                f"segments_tokens is {self.segments_tokens} and summary_tokens "
                f"{self.summary_tokens}: give at least twice the size of one summary"
            )
        if self.limit_tokens is not None:
            _must_be_positive("limit_tokens", self.limit_tokens)


def _must_be_positive(name: str, value: float) -> None:
    if isinstance(value, bool) or not (math.isfinite(value) and value > 0):
        raise MemoryPlanError(f"{name} is {value!r}: give a number above 0")
