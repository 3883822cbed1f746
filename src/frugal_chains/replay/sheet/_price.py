"""What one part of a workload costs: calls x tokens x price, bucket by bucket."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from frugal_chains.pricing import Explanation, ServiceTier
from frugal_chains.providers import read_tokens
from frugal_chains.replay.sheet._bill import Factor, Line, Part, Role
from frugal_chains.replay.sheet._prices import MomentPrices
from frugal_chains.replay.sheet._sheet import CacheWrites, Tokens
from frugal_chains.usage import Usage

_NANOS_PER_MTOK_USD = 1_000
"""1 USD per 1,000,000 tokens is so many nano-USD per token."""
_NANOS_PER_THOUSAND_USD = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Calls of one kind, before they are priced."""

    role: Role
    model: str
    provider: str | None
    task: str = ""
    tier: ServiceTier
    factors: tuple[Factor, ...]
    tokens: Tokens
    hit_rate: Fraction | None = None
    """None: nothing is cached."""
    writes: CacheWrites = "5m"


def priced(order: Order, prices: MomentPrices) -> Part:
    """The part with its lines; or unpriced, and why."""
    price = prices.find(order.model, order.provider, order.tier)
    calls = math.prod((factor.value for factor in order.factors), start=Fraction(1))
    cached, note = _cached_tokens(order, prices, price)
    lines: list[Line] = []
    reason = price.reason if price.outcome == "unpriced" else ""
    for bucket, of_calls, tokens in _amounts(order, calls, cached):
        if price.outcome != "priced" or not (of_calls and tokens):
            continue
        usd = prices.usd_per_mtok(price, bucket, order.tokens.input)
        if usd is None:
            reason = _why_missing(order, prices, bucket, tokens)
            break
        lines.append(_line(bucket, of_calls, tokens, usd, _NANOS_PER_MTOK_USD))
    if price.outcome == "priced" and (fee := price.fees.get("request")):
        lines.append(_line("request", calls, 1, fee, _NANOS_PER_THOUSAND_USD))
    return Part(
        role=order.role,
        model=order.model,
        provider=price.provider,
        task=order.task,
        tier=order.tier,
        factors=order.factors,
        calls=calls,
        lines=() if reason else tuple(lines),
        nanos=None if reason else sum(line.nanos for line in lines),
        reason=reason,
        note=note,
        cached_tokens=cached,
        free=price.outcome == "free",
    )


def _why_missing(order: Order, prices: MomentPrices, bucket: str, tokens: int) -> str:
    usage = Usage(
        input_tokens=order.tokens.input,
        output_tokens=tokens if bucket == "output" else 0,
        cache_read_tokens=tokens if bucket == "cache_read" else 0,
        cache_write_5m_tokens=tokens if bucket == "cache_write_5m" else 0,
        cache_write_1h_tokens=tokens if bucket == "cache_write_1h" else 0,
    )
    reason = prices.why(usage, order.model, order.provider, order.tier)
    if bucket.startswith("cache_write"):
        reason += '; or cache_writes = "input" in the sheet, where a miss is billed as fresh input'
    return reason


def _amounts(order: Order, calls: Fraction, cached: int) -> Iterator[tuple[str, Fraction, int]]:
    """Bucket, calls and tokens of each call. A hit reads what is cached, a miss writes it."""
    tokens = order.tokens
    yield "input", calls, tokens.input - cached
    if cached and order.hit_rate is not None:
        written = "input" if order.writes == "input" else f"cache_write_{order.writes}"
        yield "cache_read", calls * order.hit_rate, cached
        yield written, calls * (1 - order.hit_rate), cached
    yield "output", calls, tokens.output


def _cached_tokens(order: Order, prices: MomentPrices, price: Explanation) -> tuple[int, str]:
    """How much of the static beginning the provider's cache keeps, and what to note about it."""
    static = order.tokens.static
    if order.hit_rate is None or not static or price.outcome != "priced":
        return 0, ""
    rule = prices.rule(price)
    cached = read_tokens(
        order.tokens.input, static, min_tokens=rule.min_tokens, step_tokens=rule.step_tokens
    )
    if not cached:
        return 0, (
            f"not cached: the provider keeps no beginning below {rule.min_tokens:,} tokens, and "
            f"the static one has {static:,}"
        )
    highest = rule.highest_min_tokens
    if highest is not None and static < highest:
        return cached, (
            f"perhaps not cached: the least that the provider keeps is not sure, it may be up to "
            f"{highest:,} tokens, and the static beginning has {static:,}"
        )
    return cached, ""


def _line(bucket: str, calls: Fraction, tokens: int, usd: Decimal, nanos_per_unit: int) -> Line:
    exact = calls * tokens * Fraction(usd) * nanos_per_unit
    return Line(bucket, calls, tokens, usd, round(exact))  # of a Fraction: half to even
