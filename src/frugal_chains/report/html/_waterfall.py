"""The savings of the books as the bars of the page."""

from __future__ import annotations

from frugal_chains.report._terminal_savings import savings_sentences
from frugal_chains.report.html._facts import WaterfallFacts, WaterfallStep
from frugal_chains.savings import Waterfall


def waterfall_of(found: Waterfall) -> WaterfallFacts:
    """Baseline, each step, bill; below them how much of that is known, and how."""
    known = found.bill_usd is not None
    steps = [
        WaterfallStep(label=step.name.replace("_", " "), nanos=step.nanos, kind=step.kind)
        for step in found.steps
    ]
    return WaterfallFacts(
        steps=(
            WaterfallStep(
                label="without the levers",
                nanos=found.baseline_nanos if known else None,
                kind="baseline",
            ),
            *steps,
            WaterfallStep(label="the bill", nanos=found.bill_nanos if known else None, kind="bill"),
        ),
        notes=tuple(savings_sentences(found)),
    )
