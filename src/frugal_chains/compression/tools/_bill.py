"""What a block of tools costs over the rest of a conversation, with the provider's prompt cache.

A prompt is tools, then instructions, then messages. A provider that caches reads the beginning of a
prompt that it has seen, and bills the rest as written, or as fresh input where writing is free. A
block of tools that differs in one byte has not been seen, and nothing after it has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, Self

from frugal_chains.compression.tools._errors import ToolPlanError
from frugal_chains.pricing import Free, PriceBook, Priced, ServiceTier
from frugal_chains.providers import cache_rule
from frugal_chains.usage import Usage

CostPart = Literal["input", "cache_read", "cache_write", "output"]

ASK_TOKENS: Final = 60
"""Of a call of `find_tool` and its answer, as they stand in the prompt from then on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrices:
    """Nanos (1e-9 USD) of one token. For a model without a price see `RELATIVE_PRICES`."""

    fresh: float
    """Input that is neither read from a cache nor written to one."""
    cache_read: float
    cache_write: float
    """As `fresh` where the provider writes for free."""
    output: float = 0.0
    """For the calls of `find_tool`."""

    def __post_init__(self) -> None:
        for name in ("fresh", "cache_read", "cache_write", "output"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ToolPlanError(f"{name} is {value}: expected nanos per token, 0 or more")

    @classmethod
    def of(
        cls,
        book: PriceBook,
        *,
        model: str,
        provider: str | None = None,
        tier: ServiceTier = "standard",
        at: datetime,
        ttl: Literal["", "5m", "1h"] = "",
        tokens: int = 10_000,
    ) -> Self | None:
        """From a price book; None where the model's input has no price.

        What has no price of its own among reads and writes is billed as input.

        Args:
            book: Of prices.
            model: Its name, for the provider or alone.
            provider: Who serves it.
            tier: Of the service.
            at: When the call is made.
            ttl: Of the request's cache markers; empty where the provider caches by itself.
            tokens: Of the request: some models' prices step up with its size.
        """

        def nanos(part: CostPart, bucket: str) -> float | None:
            counts = {"input_tokens": tokens} | ({bucket: tokens} if bucket else {})
            priced = book.price(
                Usage(**counts, source="estimated"),
                model=model,
                provider=provider,
                tier=tier,
                at=at,
            )
            match priced:
                case Priced():
                    return float(getattr(priced, f"{part}_nanos")) / tokens
                case Free():
                    return 0.0
            return None

        fresh = nanos("input", "")
        if fresh is None:
            return None
        read = nanos("cache_read", "cache_read_tokens")
        write = nanos("cache_write", f"cache_write_{ttl or '5m'}_tokens")
        output = nanos("output", "output_tokens")
        return cls(
            fresh=fresh,
            cache_read=fresh if read is None else read,
            cache_write=fresh if write is None else write,
            output=output or 0.0,
        )


RELATIVE_PRICES: Final = TokenPrices(fresh=1.0, cache_read=0.1, cache_write=1.25, output=5.0)
"""In units of a fresh token: the multiples of Anthropic's list (platform.claude.com/docs/en/
about-claude/pricing, read 2026-11-20), for models without a price. What comes of them are no nanos.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheFacts:
    """What the provider's cache does with this request, and has of it."""

    caches: bool = False
    """It keeps prompts by itself (`CacheRule.automatic`), or the request has markers that do."""
    min_tokens: int = 1024
    """A shorter prompt is not kept."""
    warm: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """By `block_key`: how many tokens from the beginning on should be in the cache now, of a prompt
    that begins with that block: of this conversation, or of others with the same block."""

    @classmethod
    def of(
        cls,
        provider: str,
        *,
        ttl: Literal["", "5m", "1h"] = "",
        warm: Mapping[str, int] | None = None,
    ) -> Self:
        """By the rule of a provider; `ttl` is that of the request's markers, if it has any."""
        rule = cache_rule(provider)
        return cls(
            caches=rule.automatic or bool(ttl),
            min_tokens=rule.min_tokens,
            warm=MappingProxyType(dict(warm or {})),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is still to come in this conversation, as far as it can be told."""

    calls: int = 0
    """After this one, soon enough to find the cache warm."""
    growth_tokens: int = 0
    """By which the prompt grows from each call to the next."""
    additions: float = 0.1
    """How often a tool that was left out will have to be added, all in all. Of single questions
    that need a tool, the ten best of 300 lack it for 3 % (docs/notes/compression-tools.md);
    a conversation that changes its subject needs more."""

    def __post_init__(self) -> None:
        for name in ("calls", "growth_tokens", "additions"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ToolPlanError(f"{name} is {value}: expected 0 or more")


def expected_nanos(
    block_tokens: int,
    after_tokens: int,
    *,
    warm_tokens: int,
    prices: TokenPrices,
    cache: CacheFacts,
    forecast: Forecast,
) -> float:
    """Nanos for the input of this call and of the forecast ones.

    Args:
        block_tokens: Of the tools.
        after_tokens: Of what the cache keeps after them now: instructions and messages.
        warm_tokens: From the beginning on, in the cache now.
        prices: Of the model.
        cache: Of the provider.
        forecast: Of the conversation.
    """
    size, grows, calls = block_tokens + after_tokens, forecast.growth_tokens, forecast.calls
    if not cache.caches:
        return prices.fresh * _series(size, grows, calls + 1)
    short = _short_calls(size, grows, calls + 1, cache.min_tokens)
    uncached = prices.fresh * _series(size, grows, short)
    if short > calls:
        return uncached
    first = size + short * grows
    read = min(warm_tokens, first) if short == 0 and warm_tokens >= cache.min_tokens else 0
    left = calls - short
    return (
        uncached
        + read * prices.cache_read
        + (first - read) * prices.cache_write
        + prices.cache_read * _series(first, grows, left)
        + prices.cache_write * grows * left
    )


def addition_nanos(
    block_tokens: int,
    after_tokens: int,
    added_tokens: float,
    *,
    prices: TokenPrices,
    cache: CacheFacts,
    forecast: Forecast,
) -> float:
    """Nanos of adding one tool that was left out, in a call that may be any of the forecast ones.

    The model asks for it; the call is made once more, and writes the whole prompt anew. The tool
    and the question for it stay until the end. Where tools are added without being asked for
    (`ToolPolicy.follow`) no call is made twice, and it costs less.
    """
    shortest = block_tokens + after_tokens
    middle = shortest + forecast.growth_tokens * forecast.calls / 2
    more = added_tokens + ASK_TOKENS
    asked = ASK_TOKENS * prices.output
    if not cache.caches:
        return prices.fresh * (middle + more * (forecast.calls / 2 + 1)) + asked
    dear = max(prices.fresh, prices.cache_write)
    # A prompt too short for the cache pays for each call in full.
    each = prices.cache_read if shortest >= cache.min_tokens else dear
    return (middle + more) * dear + more * forecast.calls / 2 * each + asked


def _short_calls(size: int, grows: int, calls: int, min_tokens: int) -> int:
    """How many of the calls have prompts that are too short to be kept."""
    if size >= min_tokens:
        return 0
    return calls if grows == 0 else min(calls, -((size - min_tokens) // grows))


def _series(first: int, grows: int, count: int) -> int:
    """Tokens of `count` prompts, each `grows` longer than the one before."""
    return first * count + grows * count * (count - 1) // 2
