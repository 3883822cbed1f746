"""A provider's prompt cache, replayed token by token: what the library's arithmetic is held to."""

from __future__ import annotations

from collections.abc import Sequence

from frugal_chains.pricing import CacheTerms, TokenPrices


def cache_terms(
    fresh: float, read: float, write: float | None = None, *, least: int = 1024, step: int = 1
) -> CacheTerms:
    """`write`: None where it is free."""
    prices = TokenPrices(
        fresh=fresh, cache_read=read, cache_write=fresh if write is None else write
    )
    return CacheTerms(prices=prices, min_tokens=least, step_tokens=step)


class ReplayedCache:
    """Prompts as lists of tokens, each compared with all before it, from the first token on.

    Without steps there are breakpoints: what an earlier request ended with is read, or nothing.
    With steps the longest common beginning is read, as many whole steps as it has.
    """

    def __init__(self, terms: CacheTerms) -> None:
        self.terms = terms
        self.kept: list[list[int]] = []

    def bill(self, prompt: Sequence[int], *, cold: bool = False) -> float:
        """Nanos of one request's input, which is kept if it is long enough."""
        prices, least, step = self.terms.prices, self.terms.min_tokens, self.terms.step_tokens
        if cold:
            self.kept.clear()
        if len(prompt) < least:
            return len(prompt) * prices.fresh
        read = 0
        for earlier in self.kept:
            same = 0
            while same < min(len(earlier), len(prompt)) and earlier[same] == prompt[same]:
                same += 1
            while same % step:
                same -= 1
            if step == 1 and same < len(earlier):
                same = 0
            if same >= least:
                read = max(read, same)
        self.kept.append(list(prompt))
        return read * prices.cache_read + (len(prompt) - read) * prices.cache_write
