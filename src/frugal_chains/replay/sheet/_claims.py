"""Claims held against the computed figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from frugal_chains.money import NANOS_PER_USD
from frugal_chains.replay.sheet._bill import ClaimCheck, Interval, Part, WorkloadBill
from frugal_chains.replay.sheet._prices import MomentPrices
from frugal_chains.replay.sheet._sheet import Claim

_NEAR_USD = Fraction(1, 100)
"""Of the real figure: a claim that rounds is no mistake."""
_NEAR_SHARE = Fraction(1, 200)
"""Half a percentage point."""
_CACHE = ("cache_read", "cache_write_5m", "cache_write_1h")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Real:
    value: Fraction | None
    interval: Interval | None = None
    reason: str = ""


def checked(claim: Claim, bills: Sequence[WorkloadBill], prices: MomentPrices) -> ClaimCheck:
    """The claim with the real figure, and whether it is right."""
    if claim.scenario:
        real = _of_scenario(claim, bills)
    else:
        real = _of_price(claim, claim.model, claim.provider, prices)
    return ClaimCheck(
        claim=claim,
        verdict="unknown" if real.value is None else "right" if _holds(claim, real) else "wrong",
        real=real.value,
        interval=real.interval,
        reason=real.reason,
        others=_other_buckets(claim, prices),
        price_of=_of_price(claim, claim.price_of, None, prices).value if claim.price_of else None,
    )


def _of_scenario(claim: Claim, bills: Sequence[WorkloadBill]) -> _Real:
    bill = next(bill for bill in bills if bill.name == claim.scenario)
    unpriced = [part for each in (bills[0], bill) for part in each.unpriced]
    match claim.figure:
        case "cost_usd":
            unpriced = list(bill.unpriced)
            value, interval, unit = bill.nanos, bill.interval, NANOS_PER_USD
        case "saved_usd":
            value, interval, unit = bill.saved_nanos, bill.saved_interval, NANOS_PER_USD
        case _:
            share, within = bill.saved_share, bill.saved_share_interval
            return _Real(value=share, interval=within, reason=_why(share, unpriced))
    scaled = interval and Interval(interval.low / unit, interval.high / unit)
    usd = None if value is None else Fraction(value, unit)
    return _Real(value=usd, interval=scaled, reason=_why(usd, unpriced))


def _why(value: object, unpriced: Sequence[Part]) -> str:
    if value is not None:
        return ""
    names = dict.fromkeys(part.model for part in unpriced)
    return f"no price for {', '.join(names)}" if names else "the baseline costs nothing"


def _of_price(claim: Claim, model: str, provider: str | None, prices: MomentPrices) -> _Real:
    """A price per 1,000,000 tokens, or that as a share of the input's, of a short request."""
    price = prices.find(model, provider, claim.tier)
    usd = prices.usd_per_mtok(price, claim.bucket, 1)
    fresh = prices.usd_per_mtok(price, "input", 1)
    if usd is None or (claim.figure == "share_of_input" and not fresh):
        return _Real(value=None, reason=price.reason or f"{model} has no price for {claim.bucket}")
    if claim.figure == "usd_per_mtok":
        return _Real(value=Fraction(usd))
    return _Real(value=Fraction(usd) / Fraction(fresh or 1))


def _other_buckets(claim: Claim, prices: MomentPrices) -> tuple[tuple[str, Fraction], ...]:
    """Who is told a cache's reads should know its writes too."""
    if claim.figure != "share_of_input" or claim.bucket not in _CACHE:
        return ()
    price = prices.find(claim.model, claim.provider, claim.tier)
    fresh = prices.usd_per_mtok(price, "input", 1)
    found = [
        (bucket, prices.usd_per_mtok(price, bucket, 1))
        for bucket in _CACHE
        if bucket != claim.bucket
    ]
    return tuple(
        (bucket, Fraction(usd) / Fraction(fresh)) for bucket, usd in found if usd and fresh
    )


def _holds(claim: Claim, real: _Real) -> bool:
    assert real.value is not None, "called for what is known"
    low, high = real.interval or (real.value, real.value)
    near = Fraction(0)
    if claim.figure in ("cost_usd", "saved_usd"):
        near = abs(real.value) * _NEAR_USD
    elif claim.figure == "saved_share":
        near = _NEAR_SHARE
    return low - near <= claim.claimed <= high + near
