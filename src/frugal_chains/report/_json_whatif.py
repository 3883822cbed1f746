"""What a replay has found, for machines."""

from __future__ import annotations

from typing import Any

from frugal_chains.money import usd_from_nanos
from frugal_chains.replay import ReplayBill, WhatIf
from frugal_chains.report._money import exact_text
from frugal_chains.usage import COUNT_FIELDS


def whatif_json(found: WhatIf) -> dict[str, Any]:
    """The replay for machines.

        {"calls", "with_text", "timeless", "first_us", "last_us",
         "recorded": BILL, "before": BILL, "after": BILL,
         "saved_usd", "saved_spread_usd" (half of the 95 % interval, null: too few conversations),
         "simulated_over_recorded": share, null where the recording has no bill of its own,
         "month_factor": of the recording to a month, null: not known,
         "levers": [{"lever", "alone_usd", "alone_spread_usd", "step_usd", "sure"}],
         "recommended": [lever]}

    BILL: `usd` (exact decimal as text), `calls`, `unpriced`, `usage`. Levers stand in the order of
    the waterfall: their `step_usd` sum to `saved_usd`.
    """
    replayed = found.replayed
    return {
        "calls": replayed.calls,
        "with_text": replayed.with_text,
        "timeless": replayed.timeless,
        "first_us": replayed.first_us,
        "last_us": replayed.last_us,
        "recorded": _bill(replayed.recorded),
        "before": _bill(found.before),
        "after": _bill(found.after),
        "saved_usd": _usd(found.saved_nanos),
        "saved_spread_usd": _usd(found.spread_nanos),
        "simulated_over_recorded": found.error_share,
        "month_factor": found.month_factor,
        "levers": [
            {
                "lever": each.lever,
                "alone_usd": _usd(each.alone_nanos),
                "alone_spread_usd": _usd(each.alone_spread_nanos),
                "step_usd": _usd(each.step_nanos),
                "sure": each.is_sure,
            }
            for each in found.levers
        ],
        "recommended": list(found.best.on),
    }


def _bill(bill: ReplayBill) -> dict[str, Any]:
    return {
        "usd": exact_text(bill.usd),
        "calls": bill.calls,
        "unpriced": bill.unpriced,
        "usage": {name: getattr(bill.usage, name) for name in COUNT_FIELDS},
    }


def _usd(nanos: float | None) -> str | None:
    return None if nanos is None else exact_text(usd_from_nanos(round(nanos)))
