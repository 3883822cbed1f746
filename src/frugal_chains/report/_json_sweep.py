"""What a sweep has found, for machines."""

from __future__ import annotations

from typing import Any

from frugal_chains.replay import Sweep, SweepPoint, setup_text
from frugal_chains.report._json_whatif import bill_json, played_json, usd_json


def sweep_json(found: Sweep) -> dict[str, Any]:
    """The sweep for machines.

        {"calls", "with_text", "by_size", "timeless", "first_us", "last_us",
         "before": BILL, "keys": [key],
         "month_factor": of the recording to a month, null: not known,
         "points": [{"values": {key: value, null: not set}, "as_set": true of one, "bill": BILL,
                     "saved_usd", "saved_share", "saved_spread_usd" (half of the 95 % interval),
                     "cached_share", "surely_dearer_than_lowest"}],
         "best": the place of the point that is surely lower than all others, or null,
         "recommended": a setup as the text of its file}

    Points stand by bill, the lowest first. BILL: as in `whatif_json`. Shares are null of nothing,
    spreads where there are too few conversations.
    """
    best = found.best
    return {
        **played_json(found.replayed),
        "before": bill_json(found.before),
        "keys": list(found.keys),
        "month_factor": found.month_factor,
        "points": [_point(found, each) for each in found.points],
        "best": None if best is None else found.points.index(best),
        "recommended": setup_text(found.recommended),
    }


def _point(found: Sweep, point: SweepPoint) -> dict[str, Any]:
    saved, whole = found.saved_nanos(point), found.before.nanos
    return {
        "values": dict(point.values),
        "as_set": point.as_set,
        "bill": bill_json(point.bill),
        "saved_usd": usd_json(saved),
        "saved_share": saved / whole if whole else None,
        "saved_spread_usd": usd_json(found.before.spread_nanos(less=point.bill)),
        "cached_share": point.bill.cached_share,
        "surely_dearer_than_lowest": found.is_lower(found.lowest.bill, point.bill),
    }
