"""What a replay has found, for machines."""

from __future__ import annotations

from typing import Any

from frugal_chains.money import usd_from_nanos
from frugal_chains.replay import ReplayBill, Replayed, WhatIf
from frugal_chains.report._money import exact_text
from frugal_chains.usage import COUNT_FIELDS


def whatif_json(found: WhatIf) -> dict[str, Any]:
    """The replay for machines.

        {"calls", "with_text", "by_size", "timeless", "unseen_tasks", "first_us", "last_us",
         "recorded": BILL, "before": BILL, "after": BILL,
         "saved_usd", "saved_spread_usd" (half of the 95 % interval, null: too few conversations),
         "simulated_over_recorded": share, null where the recording has no bill of its own,
         "month_factor": of the recording to a month, null: not known,
         "levers": [{"lever", "alone_usd", "alone_spread_usd", "step_usd", "sure"}], null where no
                   call tells enough,
         "recommended": [lever]}

    `with_text`: calls whose texts were recorded; `by_size`: others that memory and markers have
    changed by the sizes of their conversations; `timeless`: without a time; `unseen_tasks`: that
    the setup names and no call has. BILL: `usd` (exact
    decimal as text), `calls`, `unpriced`, `usage`. Levers stand in the order of the waterfall:
    their `step_usd` sum to `saved_usd`, null being nothing.
    """
    return {
        **played_json(found.replayed),
        "recorded": bill_json(found.replayed.recorded),
        "before": bill_json(found.before),
        "after": bill_json(found.after),
        "saved_usd": usd_json(found.saved_nanos),
        "saved_spread_usd": usd_json(found.spread_nanos),
        "simulated_over_recorded": found.error_share,
        "month_factor": found.month_factor,
        "levers": [
            {
                "lever": each.lever,
                "alone_usd": usd_json(each.alone_nanos if each.known else None),
                "alone_spread_usd": usd_json(each.alone_spread_nanos if each.known else None),
                "step_usd": usd_json(each.step_nanos if each.known else None),
                "sure": each.is_sure,
            }
            for each in found.levers
        ],
        "recommended": list(found.best.on),
    }


def played_json(replayed: Replayed) -> dict[str, Any]:
    """What was played, and when."""
    return {
        "calls": replayed.calls,
        "with_text": replayed.with_text,
        "by_size": replayed.by_size,
        "timeless": replayed.timeless,
        "unseen_tasks": list(replayed.unseen_tasks),
        "first_us": replayed.first_us,
        "last_us": replayed.last_us,
    }


def bill_json(bill: ReplayBill) -> dict[str, Any]:
    """A bill, exact."""
    return {
        "usd": exact_text(bill.usd),
        "calls": bill.calls,
        "unpriced": bill.unpriced,
        "usage": {name: getattr(bill.usage, name) for name in COUNT_FIELDS},
    }


def usd_json(nanos: float | None) -> str | None:
    """Exact to the nano-USD."""
    return None if nanos is None else exact_text(usd_from_nanos(round(nanos)))
