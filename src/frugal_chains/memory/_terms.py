"""`MemoryTerms`: what calls and summaries cost, for a decision that weighs them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from frugal_chains.pricing import CacheTerms, TokenPrices

SummaryKind = Literal["digest", "aligned", "flat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryWay:
    """One way to make a summary.

    `digest`: sentences are picked, no model is asked. `aligned`: the model that answers is asked,
    behind the same tools, system prompt and messages, which its provider's cache still has.
    `flat`: a model, mostly a cheaper one, gets a transcript of what is dropped.
    """

    kind: SummaryKind
    instruction_tokens: int = 0
    prices: TokenPrices | None = None
    """Of the model that is asked; None for a digest, which is free."""

    def nanos(self, dropped_tokens: int, front: Front, summary_tokens: int) -> float:
        """What the summary costs: its prompt and itself.

        Args:
            dropped_tokens: Of the messages that are summarised.
            front: What an aligned request repeats, these messages included.
            summary_tokens: Expected.
        """
        if self.prices is None:
            return 0.0
        output = summary_tokens * self.prices.output
        if self.kind == "flat":
            return (dropped_tokens + self.instruction_tokens) * self.prices.fresh + output
        return front.nanos + self.instruction_tokens * self.prices.fresh + output


@dataclass(frozen=True, slots=True)
class Front:
    """What an aligned request repeats: tools, system prompt, segments and messages."""

    cache: CacheTerms
    tokens: int
    """All of it."""
    cached_tokens: int
    """Of its beginning, that the provider's cache still has."""
    end: int = 0
    """Position of the first message that it does not repeat."""
    told_tokens: int = 0
    """Of the words for what it repeats beyond the messages that are summarised."""

    @property
    def nanos(self) -> float:
        """What it costs to repeat it, with these words."""
        prices = self.cache.prices
        read = self.cache.read_tokens(self.tokens, self.cached_tokens)
        return read * prices.cache_read + (self.tokens - read + self.told_tokens) * prices.fresh


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTerms:
    """Of one model: prices, its provider's cache, and ways to make summaries."""

    cache: CacheTerms
    ttl_s: float
    """For how long the cache keeps what was not used."""
    ways: tuple[SummaryWay, ...] = (SummaryWay(kind="digest"),)
    """Those that the application has allowed; the cheapest is taken."""
    floor_tokens: int | None = None
    """A compacted request is not made shorter than this, as the provider may not cache it then;
    None: `cache.min_tokens`."""

    reads_parts: bool = True
    """The cache finds a beginning that an earlier request shares. False: it finds only what a
    request has ended with, so that nothing is read right after a compaction."""

    keeps_ends: bool = False
    """The cache has entries where requests have ended, and behind tools, system prompt and segments
    where `reads_parts`; not between. What a summary's request repeats is read up to the last entry
    that is alive."""

    @property
    def least_tokens(self) -> int:
        """`floor_tokens`, or the cache's minimum."""
        return self.cache.min_tokens if self.floor_tokens is None else self.floor_tokens

    def cheapest(
        self, dropped_tokens: int, front: Front, summary_tokens: int
    ) -> tuple[SummaryWay, float]:
        """The cheapest way for this summary, and its nanos; of equals the one named first."""
        priced: Iterable[tuple[float, int]] = (
            (way.nanos(dropped_tokens, front, summary_tokens), number)
            for number, way in enumerate(self.ways)
        )
        nanos, number = min(priced)
        return self.ways[number], nanos
