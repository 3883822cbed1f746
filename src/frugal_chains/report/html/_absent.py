"""Sections that a page leaves out, each with a word of why."""

from __future__ import annotations

from collections.abc import Iterator

from frugal_chains.report.html import _text
from frugal_chains.report.html._facts import PageFacts
from frugal_chains.report.html._rows import told_caches


def absent(p: PageFacts) -> Iterator[tuple[str, str]]:
    """What is not shown, and why; nothing where there is no attempt at all."""
    total = p.report.total
    if not total.attempts:
        return
    if not p.bill.names:
        why = "no attempt has a known price" if total.unpriced else "nothing was charged"
        yield "Bill over time", f"{why}."
    if p.waterfall is None or not p.waterfall.steps:
        yield (
            "Waterfall",
            "no lever has reported what it did: compression, memory, routing and prompt caching "
            "do so where a ledger is current.",
        )
    if p.lever is None:
        yield "Next lever", "not replayed: frugal whatif replays this ledger and ranks the levers."
    elif not p.lever.told:
        yield "Next lever", _text.name(p.lever.text, 400)
    if not p.budgets:
        yield "Budgets", _no_budgets(p)
    if not p.cached.names and not told_caches(p.report.caches):
        yield "Prompt caches", "no attempt read anything from one."
    if not p.events.names:
        yield "Errors", "there were none."
    if not p.scan.latencies:
        yield "Latency", "no attempt that ended well has a time."
    if p.scan.repeats is None:
        yield (
            "Dearest and repeated requests",
            "no request has a fingerprint: track_cost(fingerprints=True) keeps keyed hashes, "
            "no text.",
        )


def _no_budgets(p: PageFacts) -> str:
    if p.budgets_given:
        return "no attempt in their windows yet, or they are of single runs."
    return "none was given. Limits are in the application, not in the ledger: --budget 500/month."
