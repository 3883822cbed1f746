"""`UsageReading`: what a reader found in one raw usage, and what was wrong with it."""

from __future__ import annotations

from typing import NamedTuple

from frugal_chains.usage._usage import Usage


class UsageReading(NamedTuple):
    """One raw usage, normalised. Readers never raise on bad numbers: they repair and say so."""

    usage: Usage
    service_tier: str = ""
    """`standard`, `batch`, `flex` or `priority`, where the response says which one served it;
    `fast` (Anthropic's `speed`, OpenAI) and `ultrafast` (OpenAI) have prices of their own too.
    Empty where it does not say: the tier that the request asked for then holds."""
    problems: tuple[str, ...] = ()
    """What was contradictory or impossible in the raw numbers, with both numbers; and what is
    billed but has no place in `usage`: tools without a bucket, Anthropic's surcharge for inference
    in the US, several requests under one usage. When not empty, `usage.source` is `mixed`."""
    billed_usd: str | None = None
    """The provider's own charge when the response carries one (OpenRouter and Perplexity
    `usage.cost`, xAI `cost_in_usd_ticks`), as decimal text."""
