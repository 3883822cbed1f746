"""What a candidate's answer is expected to cost, as it would be billed: with its prompt cache."""

from __future__ import annotations

from dataclasses import dataclass, field

from frugal_chains.pricing import Free, PriceBook, Priced
from frugal_chains.providers import cache_rule, read_tokens
from frugal_chains.routing._candidate import Candidate
from frugal_chains.routing._request import RoutingFacts
from frugal_chains.usage import Usage

DEFAULT_OUTPUT_TOKENS = 256
"""Assumed of a candidate that has answered nothing yet. It is the same for all of them, so it
weighs only where their prices for output differ more than those for input."""


@dataclass(frozen=True, slots=True)
class Bill:
    """An expected bill, and what it is made of."""

    nanos: int | None
    """None: no price is known."""
    input_tokens: int = 0
    warm_tokens: int = 0
    """Of the input, expected to be read from the provider's cache."""
    output_tokens: int = 0
    why_unpriced: str = ""
    output_nanos: int | None = field(default=None, kw_only=True)
    """Of `nanos`, for the expected output, as the price book has it; None: no price is known."""

    @property
    def input_nanos(self) -> int | None:
        """The rest of `nanos`: what is paid however short the answer gets. Input, read from a cache
        or written to one, and a fee for the request where there is one."""
        if self.nanos is None or self.output_nanos is None:
            return None
        return self.nanos - self.output_nanos


def expected_bill(candidate: Candidate, facts: RoutingFacts, prices: PriceBook) -> Bill:
    """The bill of this one call if the candidate answers it.

    A candidate that has just answered in this conversation reads most of it from its cache; one
    that has not pays for all of it. So a switch costs what it costs, and staying is preferred by
    exactly that much.
    """
    input_tokens = facts.input_tokens.get(candidate.name)
    if input_tokens is None:
        return Bill(None, why_unpriced="its tokens could not be counted")
    warm = warm_tokens(candidate, facts, input_tokens)
    output = _expected_output(candidate, facts)
    usage = Usage(
        input_tokens=input_tokens,
        output_tokens=output,
        cache_read_tokens=warm,
        **_written(facts, input_tokens - warm),
        source="estimated",
    )
    price = prices.price(
        usage,
        model=candidate.model,
        provider=candidate.provider or None,
        tier=candidate.service_tier,
        at=facts.at,
    )
    match price:
        case Priced():
            return Bill(price.nanos, input_tokens, warm, output, output_nanos=price.output_nanos)
        case Free():
            return Bill(0, input_tokens, warm, output, output_nanos=0)
    return Bill(None, input_tokens, warm, output, why_unpriced=price.reason)


def warm_tokens(candidate: Candidate, facts: RoutingFacts, input_tokens: int) -> int:
    """How much of the input the candidate's provider should still have in its cache."""
    prefix = facts.conversation.warm.get(candidate.name)
    if prefix is None:
        return 0
    rule = cache_rule(candidate.provider, candidate.model)
    if prefix.age_s >= rule.kept_s(facts.request.cache_ttl):
        return 0
    # Without the provider's steps: what was counted is not known to half a step either.
    return read_tokens(input_tokens, prefix.tokens, min_tokens=rule.min_tokens)


def _written(facts: RoutingFacts, fresh_tokens: int) -> dict[str, int]:
    """What the request asks to be kept, which some providers bill dearer than input."""
    ttl = facts.request.cache_ttl
    return {f"cache_write_{ttl}_tokens": fresh_tokens} if ttl else {}


def _expected_output(candidate: Candidate, facts: RoutingFacts) -> int:
    expected = facts.output_tokens.get(candidate.name, DEFAULT_OUTPUT_TOKENS)
    caps = (facts.output_cap_tokens, candidate.max_output_tokens)
    return min([expected, *(cap for cap in caps if cap is not None)])
