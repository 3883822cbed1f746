"""`CacheTerms`: what the input of a call costs where a provider caches prompts.

The one arithmetic of the prompt cache. A provider bills the beginning that a prompt shares with an
earlier one as read, at a fraction of the price, and the rest as written, or as fresh input where
writing is free. A prompt that is shorter than the least the provider keeps is fresh, all of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from frugal_chains.errors import PriceError
from frugal_chains.pricing._token_prices import TokenPrices
from frugal_chains.providers import CacheRule, read_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTerms:
    """What a cache keeps, and what that costs.

    Raises:
        PriceError: a minimum below 0, steps below 1, or a minimum that is no whole number of steps.
    """

    prices: TokenPrices
    min_tokens: int = 1024
    """A shorter prompt is neither kept nor found."""
    step_tokens: int = 1
    """What is read is a whole number of these (`CacheRule.step_tokens`)."""

    def __post_init__(self) -> None:
        if self.min_tokens < 0 or self.step_tokens < 1:
            raise PriceError(
                f"min_tokens is {self.min_tokens} and step_tokens {self.step_tokens}: "
                "expected 0 or more, and 1 or more"
            )
        if self.min_tokens % self.step_tokens:
            raise PriceError(
                f"min_tokens is {self.min_tokens}: expected a whole number of steps "
                f"of {self.step_tokens}"
            )

    @classmethod
    def of(
        cls, prices: TokenPrices, rule: CacheRule | None, *, min_tokens: int | None = None
    ) -> Self:
        """By the rule of a provider.

        Args:
            prices: Of the model.
            rule: None: nothing is cached, all input is fresh.
            min_tokens: Instead of the rule's, say its `highest_min_tokens`.
        """
        if rule is None:
            uncached = replace(prices, cache_read=prices.fresh, cache_write=prices.fresh)
            return cls(prices=uncached, min_tokens=0)
        least, step = rule.min_tokens if min_tokens is None else min_tokens, rule.step_tokens
        return cls(prices=prices, min_tokens=-(-least // step) * step, step_tokens=step)

    def read_tokens(self, tokens: int, shared_tokens: int) -> int:
        """How much of a prompt of `tokens` is read, if it begins with `shared_tokens` of one that
        the cache still has."""
        return read_tokens(
            tokens, shared_tokens, min_tokens=self.min_tokens, step_tokens=self.step_tokens
        )

    def call_nanos(self, tokens: int, shared_tokens: int = 0) -> float:
        """Of the input of one call, that begins with `shared_tokens` of an earlier one."""
        if tokens < self.min_tokens:
            return tokens * self.prices.fresh
        read = self.read_tokens(tokens, shared_tokens)
        return read * self.prices.cache_read + (tokens - read) * self.prices.cache_write

    def conversation_nanos(
        self, tokens: int, shared_tokens: int = 0, *, calls: int, growth_tokens: int = 0
    ) -> float:
        """Of the input of so many calls in a row: `call_nanos`, added up.

        Args:
            tokens: Of the first prompt.
            shared_tokens: Of its beginning, that an earlier call has left in the cache.
            calls: All of them; each finds the prompt before it in the cache.
            growth_tokens: By which each prompt is longer than the one before.
        """
        short = self._short_calls(tokens, growth_tokens, calls)
        total = _sum(tokens, growth_tokens, short) * self.prices.fresh
        if short == calls:
            return total
        first, further = tokens + short * growth_tokens, calls - short - 1
        total += self.call_nanos(first, min(shared_tokens, tokens))
        found = _sum(first, growth_tokens, further)
        read = found - _rests(first, growth_tokens, further, self.step_tokens)
        written = found + further * growth_tokens - read
        return total + read * self.prices.cache_read + written * self.prices.cache_write

    def _short_calls(self, tokens: int, growth_tokens: int, calls: int) -> int:
        """How many of the calls have prompts that are too short to be kept."""
        missing = self.min_tokens - tokens
        if missing <= 0:
            return 0
        return min(calls, -(-missing // growth_tokens)) if growth_tokens else calls


def _sum(first: int, growth: int, count: int) -> int:
    """`first`, `first + growth` and so on: so many numbers, added up."""
    return first * count + growth * count * (count - 1) // 2


def _rests(first: int, growth: int, count: int, step: int) -> int:
    """What is left of each of these numbers by division by `step`, added up."""
    period = step // math.gcd(step, growth)
    rounds, rest = divmod(count, period)
    rests = [(first + n * growth) % step for n in range(min(count, period))]
    return rounds * sum(rests) + sum(rests[:rest])
