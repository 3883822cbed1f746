"""From baseline to bill, for machines."""

from __future__ import annotations

from typing import Any

from frugal_chains.money import usd_from_nanos
from frugal_chains.report._money import exact_text
from frugal_chains.savings import Step, Waterfall


def savings_json(found: Waterfall | None) -> dict[str, Any] | None:
    """The waterfall; None where no lever has done anything.

        {"baseline_usd", "bill_usd", "saved_usd", "measured_usd", "modelled_usd",
         "modelled_share" (0 to 1; null: no amount), "steps": [STEP],
         "operations", "covered_operations", "covered_usd",
         "covered_share" (of the bill, 0 to 1; null: no bill), "attempts", "unpriced",
         "unknown_effects", "unknown_attempts", "loose_effects" (integers)}

    Amounts are exact decimals as text. `baseline_usd` is `bill_usd` and the `usd` of all steps,
    exactly; both are null where there are attempts and none has a price.

    STEP: in a fixed order, those that have anything.

        {"name": "memory", "compression", "routing", "prompt_cache", "response_cache", "batch",
                 "other", "summaries", "classifiers", "drafts", "retries" or "judges",
         "kind": "lever" or "overhead",
         "usd": saved, negative for a loss; null: nothing of it is known,
         "share": of the baseline, signed; null: unknown, or the baseline is not above 0,
         "measured_usd", "modelled_usd", "effects", "attempts", "unknown_effects",
         "unknown_attempts"}
    """
    if found is None:
        return None
    has_bill = found.bill_usd is not None
    return {
        "baseline_usd": _text(found.baseline_nanos) if has_bill else None,
        "bill_usd": _text(found.bill_nanos) if has_bill else None,
        "saved_usd": _text(found.saved_nanos),
        "measured_usd": _text(found.measured_nanos),
        "modelled_usd": _text(found.modelled_nanos),
        "modelled_share": found.modelled_share,
        "steps": [_step(step, found.baseline_nanos) for step in found.steps],
        "operations": found.operations,
        "covered_operations": found.covered_operations,
        "covered_usd": _text(found.covered_nanos),
        "covered_share": found.covered_share,
        "attempts": found.attempts,
        "unpriced": found.unpriced,
        "unknown_effects": found.unknown_effects,
        "unknown_attempts": found.unknown_attempts,
        "loose_effects": found.loose_effects,
    }


def _step(step: Step, baseline_nanos: int) -> dict[str, Any]:
    nanos = step.nanos
    has_share = baseline_nanos > 0
    return {
        "name": step.name,
        "kind": step.kind,
        "usd": None if nanos is None else _text(nanos),
        "share": nanos / baseline_nanos if nanos is not None and has_share else None,
        "measured_usd": _text(step.measured_nanos),
        "modelled_usd": _text(step.modelled_nanos),
        "effects": step.effects,
        "attempts": step.attempts,
        "unknown_effects": step.unknown_effects,
        "unknown_attempts": step.unknown_attempts,
    }


def _text(nanos: int) -> str:
    return exact_text(usd_from_nanos(nanos))
