"""The service tier and the charge that a response states."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
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
    # Groq: console.groq.com/docs/service-tiers, read 2026-11-21. `performance` is bought capacity.
    "on_demand": "standard",
    "performance": "standard",
    # Vertex AI: TrafficType in google-genai; its tiers as BerriAI/litellm#37724 maps them.
    "on_demand_flex": "flex",
    "on_demand_priority": "priority",
    "provisioned_throughput": "standard",
    "traffic_type_unspecified": "standard",
}

LANGCHAIN_TIERS: Final = ("flex", "priority")
"""Tiers that langchain_openai 1.7.3 writes into the keys of `usage_metadata`."""

_XAI_TICKS_PER_USD: Final = 10**10
"""docs.x.ai/developers/cost-tracking: 1 USD is 10,000,000,000 ticks (read 2026-11-21)."""

_MAX_USD: Final = 10**6
"""A larger charge is junk: sums of it would overflow the nano-USD of a ledger."""


_US_ONLY: Final = (
    "inference_geo = 'us' costs 1.1 times the list price, which is left out; if all requests ask "
    "for it, give `discount = 1.1` in a [[multiplier]] of prices.toml"
)
"""docs.aws.amazon.com/claude-platform, data residency (read 2026-11-21): "A 1.1x pricing multiplier
applies"; `global` costs the list price. A reading has no place for it: it multiplies every tier."""


_STATED: Final = frozenset(
    {
        "inference_geo", "speed", "service_tier", "serviceTier", "trafficType", "traffic_type",
        "input_token_details", "output_token_details",
    }
)  # fmt: skip
"""Where a tier is looked for."""


def tier_of(fields: Fields) -> str:
    """The tier that served, as `UsageReading.service_tier` spells it; "" when not stated."""
    if fields.lacks(_STATED):
        return ""
    if fields.get("inference_geo") == "us":
        fields.problems.append(_US_ONLY)
    if fields.word("speed") == "fast":
        # Anthropic's fast mode is no service tier and has prices of its own
        # (anthropic/types/beta/beta_usage.py; the `speed: fast` prices of genai-prices 0.2.3).
        return "fast"
    names = ("service_tier", "serviceTier", "trafficType", "traffic_type")
    # Bedrock nests it: {"serviceTier": {"type": "flex"}}.
    word = fields.word(*names) or fields.part("serviceTier").word("type")
    tier = TIERS.get(word, "")
    if word and not tier:
        fields.problems.append(
            f"service_tier {word[:40]!r} is not known: that of the request holds"
        )
    return tier or _langchain_tier(fields)


def _langchain_tier(fields: Fields) -> str:
    """The tier that prefixes the keys of a LangChain `usage_metadata`; "" when none does."""
    for name in ("input_token_details", "output_token_details"):
        if fields.has(name):
            details = fields.part(name)
            for tier in LANGCHAIN_TIERS:
                if details.has(
                    tier, f"{tier}_cache_read", f"{tier}_cache_creation", f"{tier}_reasoning"
                ):
                    return tier
    return ""


_CHARGES: Final = frozenset({"cost_in_usd_ticks", "cost", "total_cost"})


def billed_usd_of(fields: Fields) -> str | None:
    """The provider's own charge in USD, as decimal text; None when the usage carries none.

    OpenRouter: `cost`, in credits of 1 USD. With the caller's own key (`is_byok`) that is only
    OpenRouter's fee, and `cost_details.upstream_inference_cost` comes on top
    (openrouter.ai/docs/use-cases/usage-accounting, read 2026-11-21).
    xAI: `cost_in_usd_ticks`. Perplexity: `cost.total_cost`, the sum of its parts: tokens, request
    and tools (docs.perplexity.ai, responses of sonar and of the agent API). LangChain:
    `total_cost`, 0 on a hit of its cache.
    """
    if fields.lacks(_CHARGES):
        return None
    ticks = _usd(fields.get("cost_in_usd_ticks"), per_usd=_XAI_TICKS_PER_USD)
    if ticks is not None:
        return f"{ticks:f}"
    cost = _usd(fields.get("cost"))
    if cost is None and fields.has("cost"):
        parts = fields.part("cost")
        cost = _usd(parts.get("total_cost")) if parts.word("currency") in ("usd", "") else None
    if cost is None:
        cost = _usd(fields.get("total_cost"))
    elif fields.get("is_byok") is True:
        cost += _usd(fields.part("cost_details").get("upstream_inference_cost")) or 0
    return None if cost is None else f"{cost:f}"


def _usd(value: object, *, per_usd: int = 1) -> Decimal | None:
    """`value` as USD; None for what is no number, negative, or more than a request can cost."""
    if not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        usd = Decimal(str(value)) / per_usd
        # Rounding keeps a stray "1e-999999" from becoming a text of a million digits.
        return round(usd, 18).normalize() if 0 <= usd < _MAX_USD else None
    except (ArithmeticError, ValueError):  # no number, or NaN, which cannot be compared
        return None
