"""Amounts as a sentence has them."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from frugal_chains.money import NANOS_PER_USD, usd_from_nanos, usd_text

_CENT = Decimal("0.01")
_NAME_CHARS = 60


def short(name: str) -> str:
    """A name from outside, not longer than a sentence can bear."""
    return name if len(name) <= _NAME_CHARS else f"{name[: _NAME_CHARS - 3]}..."


def amount(nanos: int) -> str:
    """To the cent, half to even; exact below a dollar."""
    usd = usd_from_nanos(nanos)
    if abs(nanos) < NANOS_PER_USD:
        return usd_text(usd)
    return usd_text(usd.quantize(_CENT, rounding=ROUND_HALF_EVEN))


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `11th`: of a day of a month."""
    if number in (11, 12, 13):
        return f"{number}th"
    return f"{number}{({1: 'st', 2: 'nd', 3: 'rd'}).get(number % 10, 'th')}"
