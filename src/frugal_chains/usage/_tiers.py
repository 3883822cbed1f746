"""The service tier and the charge that a response states."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from frugal_chains.usage._fields import Fields

TIERS: Final[Mapping[str, str]] = {
    # OpenAI: openai/types/responses/response.py of openai 3.54.0. `scale` is bought capacity.
    "default": "standard",
    "auto": "standard",
    "scale": "standard",
    "flex": "flex",
    "priority": "priority",
    "fast": "fast",
    "ultrafast": "ultrafast",
    # Anthropic: anthropic/types/usage.py of anthropic 1.17.0.
    "standard": "standard",
    "batch": "batch",
    # Bedrock: ServiceTierType in botocore 1.44.5, bedrock-runtime. `reserved` is bought capacity.
    "reserved": "standard",
    # Groq: console.groq.com/docs/service-tiers, read 2026-11-21.
    "on_demand": "standard",
    # Vertex AI: TrafficType in google-genai, also seen on the Gemini API.
    "on_demand_flex": "flex",
    "on_demand_priority": "priority",
    "provisioned_throughput": "standard",
    "traffic_type_unspecified": "standard",
}

LANGCHAIN_TIERS: Final = ("flex", "priority")
"""Tiers that langchain_openai 1.7.3 writes into the keys of `usage_metadata`."""

_XAI_TICKS_PER_USD: Final = 10**10
"""docs.x.ai/developers/cost-tracking: 1 USD is 10,000,000,000 ticks (read 2026-11-21)."""


def tier_of(fields: Fields) -> str:
    """The tier that served, as `UsageReading.service_tier` spells it; "" when not stated."""
    if fields.word("speed") == "fast":
        # Anthropic's fast mode keeps service_tier "standard" and has its own price
        # (platform.claude.com/docs/en/build-with-claude/fast-mode#pricing, read 2026-11-21).
        return "fast"
    names = ("service_tier", "serviceTier", "trafficType", "traffic_type")
    # Bedrock nests it: {"serviceTier": {"type": "flex"}}.
    word = fields.word(*names) or fields.part("serviceTier").word("type")
    tier = TIERS.get(word, "")
    if word and not tier:
        fields.problems.append(f"service_tier {word[:40]!r} is not known, read as 'standard'")
    return tier or _langchain_tier(fields)


def _langchain_tier(fields: Fields) -> str:
    """The tier that prefixes the keys of a LangChain `usage_metadata`; "" when none does."""
    read, written = fields.part("input_token_details"), fields.part("output_token_details")
    for tier in LANGCHAIN_TIERS:
        keys = (tier, f"{tier}_cache_read", f"{tier}_cache_creation", f"{tier}_reasoning")
        if read.has(*keys) or written.has(*keys):
            return tier
    return ""


def billed_usd_of(fields: Fields) -> str | None:
    """The provider's own charge in USD, as decimal text; None when the usage carries none.

    OpenRouter: `cost`, in credits of 1 USD. With the caller's own key (`is_byok`) that is only
    OpenRouter's fee, and `cost_details.upstream_inference_cost` comes on top
    (openrouter.ai/docs/use-cases/usage-accounting, read 2026-11-21).
    xAI: `cost_in_usd_ticks`. LangChain: `total_cost`, 0 on a hit of its cache.
    """
    ticks = _amount(fields.get("cost_in_usd_ticks"))
    if ticks is not None:
        return f"{ticks / _XAI_TICKS_PER_USD:f}"
    cost = _amount(fields.get("cost"))
    if cost is None:
        cost = _amount(fields.get("total_cost"))
    elif fields.get("is_byok") is True:
        cost += _amount(fields.part("cost_details").get("upstream_inference_cost")) or 0
    return None if cost is None else f"{cost:f}"


def _amount(value: object) -> Decimal | None:
    """A non-negative amount of money; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        amount = Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    return amount if amount.is_finite() and 0 <= amount < 10**9 else None
