"""What charts say, in a sentence: for those who do not see them, and for those in a hurry."""

from __future__ import annotations

from frugal_chains.report._cache import ModelCache
from frugal_chains.report._cache_texts import advice, cause_text, minimum_text
from frugal_chains.report._money import share_text
from frugal_chains.report._terminal_cache import drop_text
from frugal_chains.report.alerts import BudgetSpend
from frugal_chains.report.html._facts import PageFacts, ScanFacts
from frugal_chains.report.html._series import PARTS
from frugal_chains.report.html._text import Money, name, seconds, that, time


def bill_says(p: PageFacts, money: Money) -> str:
    sums = p.bill.sums
    most = max(range(len(sums)), key=lambda i: sums[i])
    first = p.bill.names[0]
    return (
        f"By {p.unit} and model. The dearest {p.unit} was "
        f"{that(p.bill.buckets[most], p.unit)} with {money.text(sums[most])}; "
        f"{name(first)} is {share_text(sum(v or 0 for v in p.bill.values[0]), sum(sums))} of the "
        "bill."
    )


def waterfall_says(p: PageFacts, money: Money) -> str:
    if p.waterfall is None:
        return ""
    steps = p.waterfall.steps
    ends = {step.kind: step.nanos for step in steps if step.kind in ("baseline", "bill")}
    unknown = sum(step.nanos is None for step in steps)
    text = (
        f"Without the levers it would have been {money.text(ends.get('baseline'))}; "
        f"the bill is {money.text(ends.get('bill'))}. Steps with + save money, steps with - cost "
        "some."
    )
    if unknown:
        text += f" {unknown} {'step is' if unknown == 1 else 'steps are'} unknown, which is not 0."
    gap = p.waterfall.gap_nanos
    if gap:
        text += f" The known steps and the bill differ by {money.text(abs(gap))}."
    return text


def cached_says(p: PageFacts) -> str:
    if not p.cached.names:
        return "No attempt read anything from one."
    shares = [v for v in p.cached.values[0] if v is not None]
    usage = p.report.total.usage
    whole = share_text(usage.cache_read_tokens, usage.input_tokens)
    text = (
        f"Share of the input tokens by {p.unit}: {whole} in all, between "
        f"{share_text(min(shares), PARTS)} and {share_text(max(shares), PARTS)}."
    )
    drops = [cache for cache in p.report.caches if cache.drop is not None]
    for cache in drops[:3]:
        if cache.drop is not None:
            text += f" {name(cache.model)} fell {drop_text(cache.drop)}."
    return text


def events_says(p: PageFacts) -> str:
    total, attempts = sum(p.events.sums), p.report.total.attempts
    sums = p.events.sums
    most = max(range(len(sums)), key=lambda i: sums[i])
    first = p.events.names[0]
    return (
        f"{total:,} of {attempts:,} attempts ({share_text(total, attempts)}) failed or were given "
        f"up, the most by {name(first)} ({sum(v or 0 for v in p.events.values[0]):,}). The "
        f"worst {p.unit} was {that(p.events.buckets[most], p.unit)} with {sums[most]:,}."
    )


def latency_says(p: PageFacts) -> str:
    slowest = max(p.scan.latencies, key=lambda m: m.whole.p90_s)
    return (
        "Attempts that ended well: dots mark the median, and what 90 % and 99 % stay below, on a "
        f"scale of factors. The slowest is {name(slowest.model)}: half take longer than "
        f"{seconds(slowest.whole.p50_s)}, one in ten longer than {seconds(slowest.whole.p90_s)}."
    )


def repeats_says(scan: ScanFacts, money: Money) -> str:
    repeats = scan.repeats
    if repeats is None:
        return ""
    if not repeats.again:
        return f"None of {repeats.requests:,} requests with fingerprints was sent twice."
    return (
        f"{repeats.again:,} of {repeats.requests:,} requests with fingerprints "
        f"({share_text(repeats.again, repeats.requests)}) had been sent and answered before; "
        f"sending them again cost {money.text(repeats.nanos)}. Some may be meant: votes of several "
        "answers."
    )


def scanned_says(scan: ScanFacts) -> str:
    """Empty where every attempt was looked at."""
    if scan.looked_at >= scan.of or scan.first is None:
        return ""
    return (
        f"From {scan.looked_at:,} of {scan.of:,} attempts: the newest, from {time(scan.first)} on."
    )


def budget_says(spend: BudgetSpend, projected_nanos: int | None, ends: str, money: Money) -> str:
    parts = []
    if spend.end is not None and projected_nanos is not None:
        parts.append(f"At this pace {money.text(projected_nanos)} by {time(spend.end)}")
    if ends:
        parts.append(f"the limit is reached {ends}")
    if spend.unpriced:
        parts.append(f"{spend.unpriced:,} attempts without a price are not counted")
    if not parts:
        return "No end: all that was ever spent counts." if spend.start is None else ""
    return "; ".join(parts) + "."


_STATES = {
    "well": "well used",
    "low": "",
    "few": "too few calls to judge",
    "no discount": "cached tokens cost no less than others",
    "estimated": "usage was estimated: what was read is not known",
}


def cache_words(cache: ModelCache, money: Money) -> str:
    """Whether it is enough, and what to do where it is not."""
    if cache.state == "short":
        return f"prompts may be too short to be kept: under {minimum_text(cache)} tokens"
    words = _STATES[cache.state]
    if cache.state == "low":
        cost = "" if cache.saved_nanos is None else f"costs up to {money.text(cache.saved_nanos)}. "
        words = f"{cost}Likely: {cause_text(cache)}. What to do: {advice(cache)}"
    if cache.drop is not None:
        words += f". Less {drop_text(cache.drop)}"
    return name(words, 500)
