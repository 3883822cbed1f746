"""What `frugal whatif sheet.toml --json` prints: exact decimals as text, keys that stay."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from frugal_chains.money import NANOS_PER_USD
from frugal_chains.replay.sheet import (
    ClaimCheck,
    Interval,
    Part,
    SheetBill,
    WorkloadBill,
    exact_decimal,
)
from frugal_chains.report._money import exact_text


def sheet_json(bill: SheetBill, compared: Sequence[tuple[str, SheetBill]] = ()) -> dict[str, Any]:
    """A sheet's bill for machines.

        {"sheet": path, "title", "note", "prices_on": "2026-11-20", "at": ISO time,
         "price_ids": [text],
         "ranges": [{"key", "low", "likely", "high"}],
         "workloads": [{"name", "note", "cost_usd": null where a part is unpriced,
                        "priced_usd": of the parts with a price, "interval_usd": INTERVAL,
                        "saved_usd", "saved_share" (null for the baseline, and where unknown),
                        "saved_interval_usd", "saved_share_interval": INTERVAL,
                        "steps": true where a price step lies inside a range,
                        "parts": [PART]}],
         "claims": [{"text", "source", "figure", "scenario", "model", "bucket", "tier", "claimed",
                     "real": null where unknown, "interval": INTERVAL,
                     "verdict": "right", "wrong" or "unknown", "reason",
                     "other_shares_of_input": {bucket: share},
                     "price_of": {"model", "real"} or null}],
         "compared": [{"prices": name, "at", "price_ids",
                       "workloads": [{"name", "cost_usd", "saved_usd", "saved_share"}]}]}

    `compared` has every price list by its name, where there are several, the first one too; the
    rest is at its prices. The first workload is the baseline. INTERVAL: null without ranges or
    price, else `low` and `high`. PART: `role` (`answer`, `escalation`, `classifier`), `model`,
    `provider`, `task`, `tier`, `factors` (`value` and `of`; their product is `calls`), `calls`,
    `cached_tokens`, `outcome` (`priced`, `free`, `unpriced`), `cost_usd`, `reason`, `note` and
    `lines`: `bucket`, `calls`, `tokens`, `usd_per_mtok` (of the bucket `request`: per 1,000 calls)
    and `cost_usd`. Every number but `tokens` is an exact decimal as text; shares are cut after 12
    places.
    """
    return {
        "sheet": bill.sheet.path,
        "title": bill.sheet.title,
        "note": bill.sheet.note,
        "prices_on": bill.sheet.prices_on.isoformat(),
        "at": bill.at.isoformat(),
        "price_ids": list(bill.price_ids),
        "ranges": [
            {"key": r.key, "low": _text(r.low), "likely": _text(r.likely), "high": _text(r.high)}
            for r in bill.sheet.ranges
        ],
        "workloads": [_workload(each) for each in bill.workloads],
        "claims": [_claim(check) for check in bill.claims],
        "compared": [
            {
                "prices": name,
                "at": other.at.isoformat(),
                "price_ids": list(other.price_ids),
                "workloads": [_sums(each) for each in other.workloads],
            }
            for name, other in compared
        ],
    }


def _workload(each: WorkloadBill) -> dict[str, Any]:
    return {
        **_sums(each),
        "note": each.note,
        "priced_usd": _usd(each.priced_nanos),
        "interval_usd": _interval(each.interval, NANOS_PER_USD),
        "saved_interval_usd": _interval(each.saved_interval, NANOS_PER_USD),
        "saved_share_interval": _interval(each.saved_share_interval),
        "steps": each.steps,
        "parts": [_part(part) for part in each.parts],
    }


def _sums(each: WorkloadBill) -> dict[str, Any]:
    return {
        "name": each.name,
        "cost_usd": _usd(each.nanos),
        "saved_usd": _usd(each.saved_nanos),
        "saved_share": _text(each.saved_share),
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "role": part.role,
        "model": part.model,
        "provider": part.provider,
        "task": part.task,
        "tier": part.tier,
        "factors": [{"value": _text(value), "of": of} for value, of in part.factors],
        "calls": _text(part.calls),
        "cached_tokens": part.cached_tokens,
        "outcome": "free" if part.free else "unpriced" if part.nanos is None else "priced",
        "cost_usd": _usd(part.nanos),
        "reason": part.reason,
        "note": part.note,
        "lines": [
            {
                "bucket": line.bucket,
                "calls": _text(line.calls),
                "tokens": line.tokens,
                "usd_per_mtok": exact_text(line.usd),
                "cost_usd": _usd(line.nanos),
            }
            for line in part.lines
        ],
    }


def _claim(check: ClaimCheck) -> dict[str, Any]:
    claim = check.claim
    other = {"model": claim.price_of, "real": _text(check.price_of)}
    return {
        "text": claim.text,
        "source": claim.source,
        "figure": claim.figure,
        "scenario": claim.scenario,
        "model": claim.model,
        "bucket": claim.bucket,
        "tier": claim.tier,
        "claimed": _text(claim.claimed),
        "real": _text(check.real),
        "interval": _interval(check.interval),
        "verdict": check.verdict,
        "reason": check.reason,
        "other_shares_of_input": {bucket: _text(share) for bucket, share in check.others},
        "price_of": other if claim.price_of else None,
    }


def _interval(interval: Interval | None, unit: int = 1) -> dict[str, str | None] | None:
    if interval is None:
        return None
    return {"low": _text(interval.low / unit), "high": _text(interval.high / unit)}


def _usd(nanos: int | None) -> str | None:
    return None if nanos is None else _text(Fraction(nanos, NANOS_PER_USD))


def _text(value: Fraction | None) -> str | None:
    return None if value is None else exact_text(exact_decimal(value))
