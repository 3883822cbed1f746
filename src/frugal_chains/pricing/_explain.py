"""`Explanation`: what would be charged for a model, and where the price comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from frugal_chains.pricing._resolve import Resolution
from frugal_chains.pricing._tables import Band, Fee, ServiceTier


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The price of one model in one tier at one moment, for a reader."""

    outcome: Literal["priced", "free", "unpriced"]
    provider: str
    """As genai-prices spells it; empty when none could be told."""
    model: str
    """After aliases and prefixes."""
    names: tuple[str, ...]
    """`provider:model` from what was asked to what was priced."""
    listed_as: str
    """`provider/model` of the list price; empty when there is none."""
    tier: ServiceTier
    at: datetime
    price_id: str
    bands: tuple[Band, ...] = ()
    """USD per 1,000,000 tokens, for requests with more than `above_tokens` input tokens."""
    fees: Mapping[Fee, Decimal]
    """USD per 1,000 calls."""
    notes: tuple[str, ...] = ()
    """Corrections and rules applied, each with its source."""
    reason: str = ""
    """Why it is unpriced, and the way out."""
    context_window_tokens: int | None = None


def explained(found: Resolution, tier: ServiceTier, at: datetime) -> Explanation:
    priced = found.prices is not None
    return Explanation(
        outcome="free" if found.free else "priced" if priced else "unpriced",
        provider=found.name.provider,
        model=found.name.model,
        names=found.name.chain,
        listed_as=found.listed_as,
        tier=tier,
        at=at,
        price_id=found.price_id,
        bands=found.prices.bands if found.prices else (),
        fees=found.prices.per_thousand if found.prices else {},
        notes=found.notes,
        reason=found.reason,
        context_window_tokens=found.context_window_tokens,
    )
