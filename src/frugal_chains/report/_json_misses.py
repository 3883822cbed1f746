"""What missed the prompt caches, for machines."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from frugal_chains.money import usd_from_nanos
from frugal_chains.report._misses_facts import CacheMiss, CacheMisses
from frugal_chains.report._misses_texts import TURN_ON, advice_text, what_text
from frugal_chains.report._money import exact_text


def misses_json(found: CacheMisses) -> dict[str, Any]:
    """Stable keys; money as exact decimals in text, times as ISO 8601, places counted from 0."""
    return {
        "since": _time(found.since),
        "until": _time(found.until),
        "answers": found.answers,
        "fingerprinted": found.fingerprinted,
        "turn_on": None if found.fingerprinted or not found.answers else TURN_ON,
        "judged": found.judged,
        "hits": found.hits,
        "parallel": found.parallel,
        "missed_requests": found.requests,
        "missed_tokens": found.missed_tokens,
        "cost_usd": exact_text(usd_from_nanos(found.cost_nanos)),
        "misses": [_miss(miss) for miss in found.misses],
    }


def _miss(miss: CacheMiss) -> dict[str, Any]:
    return {
        "cause": miss.cause,
        "what": what_text(miss),
        "advice": advice_text(miss) or None,
        "provider": miss.provider,
        "model": miss.model,
        "block": miss.block or None,
        "first_index": miss.first_index,
        "last_index": miss.last_index,
        "name": miss.name or None,
        "requests": miss.requests,
        "conversations": miss.conversations,
        "since": _time(miss.since),
        "last": _time(miss.last),
        "missed_tokens": miss.missed_tokens,
        "cost_usd": exact_text(usd_from_nanos(miss.cost_nanos)),
        "unpriced_requests": miss.unpriced,
        "provider_says": dict(miss.theirs),
        "provider_disagrees": miss.disagreed,
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
