"""What a report says of prompt caches, for machines."""

from __future__ import annotations

from typing import Any

from frugal_chains.money import usd_from_nanos
from frugal_chains.report._cache import ModelCache
from frugal_chains.report._cache_drop import CacheDrop
from frugal_chains.report._cache_texts import advice, cause_text
from frugal_chains.report._money import exact_text


def cache_json(cache: ModelCache) -> dict[str, Any]:
    """CACHE of `report_json`."""
    saved = cache.saved_nanos
    return {
        "provider": cache.provider,
        "model": cache.model,
        "attempts": cache.attempts,
        "left_out": cache.left_out,
        "input_tokens": cache.input_tokens,
        "read_tokens": cache.read_tokens,
        "written_tokens": cache.written_tokens,
        "read_share": cache.read_share if cache.input_tokens else None,
        "written_share": cache.written_share if cache.input_tokens else None,
        "mean_prompt_tokens": cache.prompt_tokens,
        "min_tokens": cache.min_tokens,
        "highest_min_tokens": cache.highest_min_tokens,
        "ttl_s": cache.ttl_s,
        "control": cache.control,
        "state": cache.state,
        "warning": cache.state == "low",
        "cause": cache.cause,
        "why": cause_text(cache) or None,
        "advice": advice(cache) or None,
        "saved_up_to_usd": None if saved is None else exact_text(usd_from_nanos(saved)),
        "drop": cache.drop and _drop(cache.drop),
    }


def _drop(drop: CacheDrop) -> dict[str, Any]:
    return {
        "since": drop.since,
        "read_share_before": drop.read_before / drop.tokens_before,
        "read_share_since": drop.read_since / drop.tokens_since,
        "input_tokens_before": drop.tokens_before,
        "input_tokens_since": drop.tokens_since,
    }
