"""What a plan may look at: blocks of a request, and what calls are expected to follow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from frugal_chains.errors import CachePlanError

Kind = Literal["tools", "system", "message"]
RANK = {"tools": 0, "system": 1, "message": 2}
"""The order in which every provider reads a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheBlock:
    """One block of a request, as the provider counts them: a tool, a block of the system prompt, a
    block of a message. Its size and its place, never its text.

    Raises:
        CachePlanError: tokens below 0, or positions below 0.
    """

    kind: Kind
    tokens: int
    volatile: bool = False
    """The next request will have something else in its place: the time, recalled text."""
    marker: str = ""
    """The caller's own: its time to live, such as `5m`; empty: it has none."""
    kept: bool = False
    """An earlier request was marked here, so recently that the cache should still have it."""
    segment: bool = False
    """A summary segment ends here: what stands behind it may be compacted, this not."""
    markable: bool = True
    """It can carry a marker: a reasoning block or an empty text cannot."""
    run: Literal["", "calls", "results"] = ""
    """It is a tool call or a tool result: some providers count a run of them as one position."""
    positions: int = 1
    """For the look-back: more where one stands for several blocks of the request."""

    def __post_init__(self) -> None:
        if self.tokens < 0 or self.positions < 0:
            raise CachePlanError(
                f"a block of {self.tokens} tokens and {self.positions} positions: "
                "expected 0 or more of both"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Calls that are expected to begin as this one does.

    Raises:
        CachePlanError: a number below 0 or none at all, or calls without gaps between them.
    """

    calls: float = 0.0
    """Further ones, expected, this one not counted."""
    gaps_s: tuple[float, ...] = (60.0,)
    """Seconds from the start of one call to that of the next: what was seen so far, or one guess.
    Each is as likely as any other."""
    growth_tokens: int = 0
    """By which each prompt is longer than the one before: an answer and the next message."""

    def __post_init__(self) -> None:
        numbers = (self.calls, self.growth_tokens, *self.gaps_s)
        if not self.gaps_s or not all(math.isfinite(n) and n >= 0 for n in numbers):
            raise CachePlanError(
                f"calls {self.calls}, growth_tokens {self.growth_tokens}, "
                f"gaps_s {self.gaps_s[:5]}: expected numbers of 0 or more, and one gap at least"
            )

    def alive(self, ttl_s: float) -> float:
        """The share of calls that come before an entry expires that is kept for so long."""
        return sum(gap < ttl_s for gap in self.gaps_s) / len(self.gaps_s)

    def sums(self, tokens: float, growth: float) -> tuple[float, float]:
        """`tokens` of the prompts before each further call, and of those calls themselves, added
        up: of the first prompt `tokens`, then `growth` more with each."""
        whole, part = divmod(self.calls, 1.0)
        before = tokens * self.calls + growth * whole * ((whole - 1) / 2 + part)
        return before, before + growth * self.calls
