"""What reading from a prompt cache would have saved, at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from frugal_chains.ledger import Totals
from frugal_chains.pricing import TIERS, PriceBook, ServiceTier, TokenPrices
from frugal_chains.usage import Usage

_TIERS: Final[Mapping[str, ServiceTier]] = {name: name for name in TIERS}
_LONG_MARKERS: Final[Literal["1h"]] = "1h"


def saved_by_reading(
    lines: Sequence[Totals], provider: str, model: str, book: PriceBook, at: datetime
) -> int | None:
    """Nanos: had every input token been read that was not, written ones included.

    The most there can be: what is new in a prompt is never read. Audio, which has prices of its
    own, is left out. By the prices for a prompt of mean size; None where any part has no price.

    Args:
        lines: Totals of one model, by service tier at least.
        provider: Of the model.
        model: Its name.
        book: Of prices.
        at: Whose prices.
    """
    saved = 0.0
    for name in sorted({line.key["service_tier"] for line in lines}):
        tier = _TIERS.get(name)
        of_tier = [line for line in lines if line.key["service_tier"] == name]
        more = None if tier is None else _saved(of_tier, provider, model, book, tier, at)
        if more is None:
            return None
        saved += more
    return int(saved)


def _saved(
    lines: Sequence[Totals],
    provider: str,
    model: str,
    book: PriceBook,
    tier: ServiceTier,
    at: datetime,
) -> float | None:
    usage = sum((line.usage for line in lines[1:]), lines[0].usage)
    tokens = max(1, usage.input_tokens // max(1, sum(line.attempts for line in lines)))

    def prices(ttl: Literal["", "1h"]) -> TokenPrices | None:
        return TokenPrices.of(
            book, model=model, provider=provider or None, tier=tier, at=at, ttl=ttl, tokens=tokens
        )

    short = prices("")
    # What is not written so needs no such price.
    long = prices(_LONG_MARKERS) if usage.cache_write_1h_tokens else short
    if short is None or long is None:
        return None
    return (
        _fresh_text(usage) * (short.fresh - short.cache_read)
        + usage.cache_write_5m_tokens * (short.cache_write - short.cache_read)
        + usage.cache_write_1h_tokens * (long.cache_write - long.cache_read)
    )


def _fresh_text(usage: Usage) -> int:
    """Input tokens that were neither read nor written, without those of audio."""
    fresh = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    return max(0, fresh - (usage.input_audio_tokens - usage.cache_read_audio_tokens))
