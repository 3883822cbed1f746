"""The task inventory for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from frugal_chains.replay.inventory import THRESHOLDS, Inventory, Sums
from frugal_chains.report._money import exact_text


def inventory_json(facts: Inventory) -> dict[str, Any]:
    """The inventory for machines.

        {"total": SUMS, "untagged", "left_out", "in_other", "more_groups": true or false,
         "classes": [{"class": "simple", "groups", "sums": SUMS, "shares": SHARES}, ...],
         "groups": [{"kind": "task", "prompt", "none" or "other", "name", "class", "reason",
                     "sums": SUMS, "shares": SHARES, "models": [{"model", "calls"}],
                     "medians": {"output_tokens": 120, ...}, "input_p90", "output_p90"}],
         "thresholds": [{"signal", "moderate", "complex", "why"}],
         "class_is": "by size and shape, not by measured quality: frugal calibrate measures"}

    SUMS: `calls`, `failed`, `unsized`, `estimated`, `unpriced`, `input_tokens`,
    `cache_read_tokens`, `output_tokens`, `reasoning_tokens` (integers) and `cost_usd` (exact
    decimal as text; null when there are calls and none could be priced). Sums of groups and of
    classes add up to `total`. SHARES: `calls`, `tokens`, `money`, 0 to 1; null: of nothing. Medians
    and the 90th percentiles are right to 1 in 16, null where no call knows the number. All three
    classes are there, in this order; groups stand in the order of their money.
    """
    return {
        "total": _sums(facts.total),
        "untagged": facts.untagged,
        "left_out": facts.left_out,
        "in_other": facts.in_other,
        "more_groups": facts.more_groups,
        "classes": [
            {
                "class": line.task_class,
                "groups": line.groups,
                "sums": _sums(line.sums),
                "shares": asdict(line.shares),
            }
            for line in facts.classes
        ],
        "groups": [
            {
                "kind": group.kind,
                "name": group.name,
                "class": group.task_class,
                "reason": group.reason,
                "sums": _sums(group.sums),
                "shares": asdict(group.shares),
                "models": [{"model": name, "calls": calls} for name, calls in group.models],
                "medians": dict(group.medians),
                "input_p90": group.input_p90,
                "output_p90": group.output_p90,
            }
            for group in facts.groups
        ],
        "thresholds": [
            {
                "signal": line.signal,
                "moderate": line.moderate,
                "complex": line.complex,
                "why": line.why,
            }
            for line in THRESHOLDS
        ],
        "class_is": "by size and shape, not by measured quality: frugal calibrate measures",
    }


def _sums(sums: Sums) -> dict[str, Any]:
    plain = asdict(sums)
    del plain["nanos"]
    plain["cost_usd"] = None if sums.cost_usd is None else exact_text(sums.cost_usd)
    return plain
