"""What a block of tools costs over the rest of a conversation, with the provider's prompt cache.

A prompt is tools, then instructions, then messages. A provider that caches reads the beginning of a
prompt that it has seen, and bills the rest as written, or as fresh input where writing is free. A
block of tools that differs in one byte has not been seen, and nothing after it has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, Self

from frugal_chains.errors import ToolPlanError
from frugal_chains.pricing import CacheTerms, TokenPrices
from frugal_chains.providers import cache_rule

ASK_TOKENS: Final = 60
"""Of a call of `find_tool` and its answer, as they stand in the prompt from then on."""

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
    step_tokens: int = 1
    """What is read is a whole number of these."""
    warm: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """By `block_key`: how many tokens from the beginning on should be in the cache now, of a prompt
    that begins with that block: of this conversation, or of others with the same block."""

    @classmethod
    def of(
        cls,
        provider: str,
        *,
        model: str = "",
        ttl: Literal["", "5m", "1h"] = "",
        warm: Mapping[str, int] | None = None,
    ) -> Self:
        """By the rule of a provider for a model; `ttl` is that of the request's markers, if it has
        any."""
        rule = cache_rule(provider, model)
        return cls(
            caches=rule.automatic or bool(ttl),
            min_tokens=rule.min_tokens,
            step_tokens=rule.step_tokens,
            warm=MappingProxyType(dict(warm or {})),
        )

    def terms(self, prices: TokenPrices) -> CacheTerms:
        """With what it costs.

        Raises:
            PriceError: `min_tokens` is no whole number of steps.
        """
        if not self.caches:
            return CacheTerms.of(prices, None)
        return CacheTerms(prices=prices, min_tokens=self.min_tokens, step_tokens=self.step_tokens)


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
    """Nanos of the input of this call and of all forecast ones, the block staying as it is.

    Args:
        block_tokens: Of the tools.
        after_tokens: Of what the cache keeps after them now: instructions and messages.
        warm_tokens: From the beginning on, in the cache now.
        prices: Of the model.
        cache: Of the provider.
        forecast: Of the conversation.
    """
    return cache.terms(prices).conversation_nanos(
        block_tokens + after_tokens,
        warm_tokens,
        calls=forecast.calls + 1,
        growth_tokens=forecast.growth_tokens,
    )


def addition_nanos(
    tokens: int, added_tokens: float, *, terms: CacheTerms, forecast: Forecast
) -> float:
    """Nanos of adding one tool that was left out, in a call that may be any of the forecast ones.

    The model asks for it; the call is made once more, and writes the whole prompt anew. The tool
    and the question for it stay until the end. Where tools are added without being asked for
    (`ToolPolicy.follow`) no call is made twice, and it costs less.

    Args:
        tokens: Of the next prompt, without the tool.
        added_tokens: Of the tool.
        terms: Of the provider and the model.
        forecast: Of the conversation.
    """
    more = added_tokens + ASK_TOKENS
    asked = ASK_TOKENS * terms.prices.output
    last = tokens + forecast.growth_tokens * forecast.calls + more
    if tokens < terms.min_tokens <= last:
        return asked + _while_growing(tokens, round(more), terms, forecast)
    prices = terms.prices
    middle = tokens + forecast.growth_tokens * forecast.calls / 2
    dear = max(prices.fresh, prices.cache_write)
    # A prompt too short for the cache pays for each call in full.
    each = prices.cache_read if tokens >= terms.min_tokens else dear
    return (middle + more) * dear + more * forecast.calls / 2 * each + asked


def _while_growing(tokens: int, more: int, terms: CacheTerms, forecast: Forecast) -> float:
    """Of prompts that get long enough for the cache on the way, perhaps by the addition: the mean
    over all calls, each as it would be billed."""
    growth, calls, total = forecast.growth_tokens, forecast.calls, 0.0
    for left in range(calls + 1):  # calls that follow the one that is made once more
        sent = tokens + growth * (calls - left)
        total += terms.conversation_nanos(sent + more, calls=left + 1, growth_tokens=growth)
        total -= terms.conversation_nanos(sent + growth, sent, calls=left, growth_tokens=growth)
    return total / (calls + 1)
