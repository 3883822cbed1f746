"""LangChain's `usage_metadata`: one shape for all providers, with traps of its own.

Sources: langchain_core/messages/ai.py (1.7.2), `_create_usage_metadata` in langchain_openai 1.7.3
and langchain_anthropic 1.7.7, `_response_to_result` in langchain-google-genai.

- `input_tokens` includes cached tokens, for every provider.
- Anthropic: split by TTL, `cache_creation` is 0 and the `ephemeral_*` keys hold the writes.
- OpenAI on the flex and priority tiers: `cache_read`, `cache_creation` and `reasoning` wear the
  tier as a prefix, and a key named like the tier holds the rest of the parent.
- Gemini: tool-use prompts are in `total_tokens` only.
- Dropped on the way, and found in `response_metadata` where the integration keeps the raw usage:
  Anthropic's iterations, searches, speed and geography, DeepSeek's cache hits, the charge of
  OpenRouter, xAI and Perplexity, xAI's tools; beside it, Google's grounding.
- Kept in the content of the message alone: the searches and code of OpenAI's responses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from frugal_chains.usage._fields import Fields
from frugal_chains.usage._read import read_usage
from frugal_chains.usage._reading import UsageReading
from frugal_chains.usage._repair import finish
from frugal_chains.usage._shapes import read_langchain
from frugal_chains.usage._tiers import TIERS, billed_usd_of, tier_of
from frugal_chains.usage._tools import tools_beside_usage
from frugal_chains.usage._usage import Usage

_NOTHING: Final[Mapping[str, Any]] = {}

_PLAIN_KEYS: Final = frozenset(
    {"input_tokens", "output_tokens", "total_tokens", "input_token_details", "output_token_details"}
)
_PLAIN_INPUT: Final = frozenset(
    {
        "audio",
        "cache_creation",
        "cache_read",
        "ephemeral_1h_input_tokens",
        "ephemeral_5m_input_tokens",
    }
)
_PLAIN_OUTPUT: Final = frozenset({"audio", "reasoning"})

_RAW_KEYS: Final = ("usage", "token_usage")
"""Where integrations keep the provider's own usage in `response_metadata`."""

_LOST_IN_TRANSLATION: Final = (
    "iterations",
    "server_tool_use",
    "prompt_cache_hit_tokens",
    "cost",
    "cost_in_usd_ticks",
    "server_side_tool_usage_details",
    "num_sources_used",
)
"""Raw fields that matter to the bill and that `usage_metadata` has no place for."""


def read_langchain_usage(
    usage_metadata: object, *, response_metadata: object = None, content: object = None
) -> UsageReading | None:
    """Read an `AIMessage.usage_metadata`; never raises.

    `response_metadata` of the same message adds what `usage_metadata` leaves out. Without a
    `usage_metadata` the raw usage there is read instead. None when neither holds any usage, as on
    a hit of LangChain's cache whose first answer had none: `{"total_cost": 0}`. On a hit with
    usage the tokens are those of the first answer, and `billed_usd` is "0".

    `content` of the message adds the searches and code executions of OpenAI's responses, which
    are billed but stand nowhere else; in `output_version="v0"` they are in
    `additional_kwargs["tool_outputs"]`. Without it they are not seen.
    """
    reading = _read_plain(usage_metadata, response_metadata) or _read_any(
        usage_metadata, response_metadata
    )
    return _with_tools(reading, content) if reading and type(content) is list else reading


def _with_tools(reading: UsageReading, content: list[Any]) -> UsageReading:
    """The reading with the server-side tools among the blocks of a message's content."""
    fields = Fields({"output": content})
    found = tools_beside_usage(fields)
    added = {name: n for name, n in found.items() if not getattr(reading.usage, name)}
    if not added and not fields.problems:
        return reading
    source = "mixed" if fields.problems else reading.usage.source
    return reading._replace(
        usage=reading.usage._replace(**added, source=source),
        problems=(*reading.problems, *fields.problems),
    )


def _read_plain(usage_metadata: Any, response_metadata: Any) -> UsageReading | None:
    """The ordinary case in one pass; None as soon as anything asks for a closer look.

    `Usage` itself refuses what is no count or contradicts itself, so nothing is checked twice.
    """
    try:
        if not usage_metadata.keys() <= _PLAIN_KEYS:
            return None
        input_, output = usage_metadata["input_tokens"], usage_metadata["output_tokens"]
        if usage_metadata["total_tokens"] != input_ + output or not input_:
            return None
        tier = _plain_tier(response_metadata) if response_metadata else ""
        if tier is None:
            return None
        read = usage_metadata.get("input_token_details") or _NOTHING
        written = usage_metadata.get("output_token_details") or _NOTHING
        if not read and not written:
            return UsageReading(
                usage=Usage(input_tokens=input_, output_tokens=output), service_tier=tier
            )
        if not (read.keys() <= _PLAIN_INPUT and written.keys() <= _PLAIN_OUTPUT):
            return None
        five, hour = (
            read.get("ephemeral_5m_input_tokens", 0),
            read.get("ephemeral_1h_input_tokens", 0),
        )
        unsplit = read.get("cache_creation", 0)
        if unsplit and (five or hour):
            return None
        usage = Usage(
            input_tokens=input_,
            output_tokens=output,
            cache_read_tokens=read.get("cache_read", 0),
            cache_write_5m_tokens=unsplit or five,
            cache_write_1h_tokens=hour,
            reasoning_tokens=written.get("reasoning", 0),
            input_audio_tokens=read.get("audio", 0),
            output_audio_tokens=written.get("audio", 0),
        )
    except Exception:  # not a mapping, no number, not true: whatever it is, look closer
        return None
    return UsageReading(usage=usage, service_tier=tier)


def _plain_tier(response_metadata: Mapping[str, Any]) -> str | None:
    """The tier or "", when `response_metadata` holds nothing else that matters; else None."""
    word = response_metadata.get("service_tier")
    for key in _RAW_KEYS:
        raw = response_metadata.get(key)
        if raw:
            if (
                any(map(raw.get, _LOST_IN_TRANSLATION))
                or raw.get("speed") == "fast"
                or raw.get("inference_geo") == "us"
            ):
                return None
            word = word or raw.get("service_tier")
    if "serviceTier" in response_metadata or response_metadata.get("grounding_metadata"):
        return None
    return TIERS.get(word) if word else ""


def _read_any(usage_metadata: object, response_metadata: object) -> UsageReading | None:
    """Read anything at all, with repairs."""
    fields = Fields(usage_metadata)
    metadata = Fields(response_metadata, fields.problems)
    raws = [metadata.part(key) for key in _RAW_KEYS]
    tier = next((tier for part in (fields, *raws, metadata) if (tier := tier_of(part))), "")
    counts = read_langchain(fields, metadata.word("model_provider"))
    if any(counts.values()):
        counts |= tools_beside_usage(metadata)
    billed_usd = billed_usd_of(fields)
    reading = finish(counts, fields.problems, tier=tier, billed_usd=billed_usd)
    if reading is None:
        return None if fields.has("total_cost") else read_usage(response_metadata)
    if any(raw.has(*_LOST_IN_TRANSLATION) for raw in raws):
        full = read_usage(response_metadata)
        if full is not None and full.usage.total_tokens >= reading.usage.total_tokens:
            return full._replace(
                service_tier=reading.service_tier,
                billed_usd=full.billed_usd if billed_usd is None else billed_usd,
            )
    return reading
