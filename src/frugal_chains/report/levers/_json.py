"""The next lever, for machines."""

from __future__ import annotations

from typing import Any

from frugal_chains.money import usd_from_nanos
from frugal_chains.report._money import exact_text
from frugal_chains.report.levers import _texts
from frugal_chains.report.levers._facts import LeverGain, NextLever


def lever_json(found: NextLever | None) -> dict[str, Any] | None:
    """None where no attempt has reached a provider.

        {"calls": attempts that were replayed, "of": attempts of the days that are looked at,
         "first", "last": ISO times of the former, "days": how many these are, at most 30,
         "month": whether amounts are of a month at the pace of these days; false: of themselves,
         as they are less than one,
         "bill_usd", "unpriced": attempts that are in no amount,
         "best": GAIN, null where no saving is sure; then "why_none" is a sentence, else "",
         "conditional": [GAIN and "condition": text], at most so much, and only if it holds,
         "in_use": [lever], "unknown": [lever] (a ledger keeps no texts)}

    GAIN: `lever`, `usd`, `low_usd` and `high_usd` (its 95 % interval; null: at most), `share` of
    the bill, and `command`. Amounts are exact decimals as text.
    """
    if found is None:
        return None
    used = found.trial.in_use
    return {
        "calls": found.calls,
        "of": found.of,
        "first": found.first.isoformat(),
        "last": found.last.isoformat(),
        "days": round(found.days, 3),
        "month": found.is_month,
        "bill_usd": _usd(found.bill_nanos),
        "unpriced": found.unpriced,
        "best": None if found.best is None else _gain(found, found.best),
        "why_none": found.why_none,
        "conditional": [
            {**_gain(found, gain), "condition": _texts.condition(found, gain)}
            for gain in found.conditional
        ],
        "in_use": list(used),
        "unknown": [] if "compression" in used else ["compression"],
    }


def _gain(found: NextLever, gain: LeverGain) -> dict[str, Any]:
    low, high = gain.ends_nanos or (None, None)
    return {
        "lever": gain.lever,
        "usd": _usd(gain.nanos),
        "low_usd": _usd(low),
        "high_usd": _usd(high),
        "share": round(gain.share, 6),
        "command": _texts.command(found, gain),
    }


def _usd(nanos: int | None) -> str | None:
    return None if nanos is None else exact_text(usd_from_nanos(nanos))
