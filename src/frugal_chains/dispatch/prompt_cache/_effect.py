"""What the markers of one request do to its bill, for the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from frugal_chains.pricing import CacheTerms
from frugal_chains.prompt_cache import CachePlan
from frugal_chains.tracking import Tracker, report_effect

LEVER = "prompt_cache.mark"


def report_marks(
    plan: CachePlan,
    *,
    tokens: int,
    terms: Mapping[str, CacheTerms],
    priced: bool,
    model: str,
    provider: str,
    operation_id: str,
    trackers: Sequence[Tracker],
) -> None:
    """The surcharge of writing first, then what reading saves. Nothing where no marker is ours:
    what a provider caches by itself is none of our doing.

    Args:
        plan: Of the request.
        tokens: Of the request.
        terms: What input costs, by the name of a time to live, the shortest first.
        priced: The terms are in nanos.
        model, provider, operation_id, trackers: As of `report_effect`.
    """
    if not any(marker.reason != "callers" for marker in plan.markers):
        return
    costs = [each.prices for each in terms.values()]
    short, long = costs[0], costs[-1]
    net = plan.read_tokens * (short.fresh - short.cache_read)
    net -= (plan.write_tokens - plan.write_long_tokens) * (short.cache_write - short.fresh)
    net -= plan.write_long_tokens * (long.cache_write - long.fresh)
    report_effect(
        LEVER,
        tokens_before=tokens,
        tokens_after=tokens,
        exact=False,
        model=model,
        provider=provider,
        net_nanos=round(net) if priced else None,
        detail={
            "markers": [marker.reason for marker in plan.markers],
            "read_tokens": plan.read_tokens,
            "write_tokens": plan.write_tokens,
            "reasons": list(plan.reasons),
        },
        operation_id=operation_id,
        trackers=trackers,
    )
