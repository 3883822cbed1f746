"""Figures of a replay in words: amounts with a sign, and intervals, which are not exact."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from frugal_chains.money import NANOS_PER_USD, usd_from_nanos, usd_text
from frugal_chains.replay import LeverName, ReplayBill
from frugal_chains.report._money import count_text, share_text

LEVER_TEXTS: Final[Mapping[LeverName, str]] = {
    "memory": "memory",
    "compression": "compression of tool outputs",
    "routing": "routing",
    "prompt_cache": "prompt cache markers",
    "batch": "batch",
}
_CENTS: Final = Decimal("0.01")


def bill_text(bill: ReplayBill) -> str:
    return usd_text(bill.usd)


def cached_text(bill: ReplayBill) -> str:
    """Behind a bill: its input, and how much of that is cached."""
    tokens = bill.usage.input_tokens
    share = cached_share_text(bill)
    return f", {count_text(tokens)} tokens in, {share} of them cached" if tokens else ""


def cached_share_text(bill: ReplayBill) -> str:
    return share_text(bill.usage.cache_read_tokens, bill.usage.input_tokens)


def signed_text(nanos: int) -> str:
    text = usd_text(usd_from_nanos(abs(nanos)))
    return text if nanos >= 0 else f"-{text}"


def signed_share_text(part: int, whole: int) -> str:
    return share_text(part, whole) if part >= 0 else f"-{share_text(-part, whole)}"


def plus_minus_text(spread_nanos: float | None) -> str:
    """Half of an interval, for a column of its own; empty: not known."""
    return "" if spread_nanos is None else signed_text(_two_digits(spread_nanos))


def saved_text(nanos: int, whole: int, spread_nanos: float | None) -> str:
    """`$1.20 less (30%), +- $0.10 (95 %)`; MORE stands out."""
    word = "less" if nanos >= 0 else "MORE"
    interval = "" if spread_nanos is None else f", +- {plus_minus_text(spread_nanos)} (95 %)"
    return f"{signed_text(abs(nanos))} {word} ({share_text(abs(nanos), whole)}){interval}"


def month_text(nanos: int, spread_nanos: float | None, factor: float) -> str:
    """What is saved in a month of it.

    Args:
        nanos: Saved in the recording; below 0: a loss.
        spread_nanos: Half of the interval of that.
        factor: Of the recording to a month.
    """
    said = f"{forecast_text(abs(nanos) * factor)} {'saved' if nanos >= 0 else 'MORE'}"
    if spread_nanos is None:
        return said
    # Two chances: how far the recording is from the mean, which a month multiplies, and how far the
    # month itself will be from it, which averages out.
    chance = _two_digits(spread_nanos * math.sqrt(factor**2 + factor))
    return f"{said}, +- {forecast_text(chance)} by chance (95 %)"


def forecast_text(nanos: float) -> str:
    """A forecast: to the cent, or to three digits where a cent says too little."""
    if nanos >= NANOS_PER_USD:
        return usd_text(usd_from_nanos(round(nanos)).quantize(_CENTS))
    return usd_text(usd_from_nanos(_digits(nanos, 3)))


def _two_digits(nanos: float) -> int:
    """An interval is no exact figure."""
    return _digits(nanos, 2)


def _digits(nanos: float, digits: int) -> int:
    return int(round(nanos, digits - 1 - math.floor(math.log10(nanos)))) if nanos >= 1 else 0
