"""Shares that are too high, and shares of the prompt cache that have fallen."""

from __future__ import annotations

from collections.abc import Iterator

from frugal_chains.report._cache_texts import advice
from frugal_chains.report._money import share_text
from frugal_chains.report.alerts._facts import Alert, AlertFacts, Severity, Thresholds
from frugal_chains.report.alerts._words import amount, short


def repeat_alerts(facts: AlertFacts, limits: Thresholds) -> Iterator[Alert]:
    repeats = facts.repeats
    if repeats is None or repeats.requests < limits.least_attempts:
        return
    severity = _severity(
        repeats.again, repeats.requests, limits.repeats_warning, limits.repeats_serious
    )
    if severity:
        yield Alert(
            severity=severity,
            kind="duplicates",
            text=f"{share_text(repeats.again, repeats.requests)} of {repeats.requests:,} requests "
            f"({repeats.again:,}) had been sent and answered before, for {amount(repeats.nanos)}",
            way_out="keep answers in a cache of your framework (LangChain: set_llm_cache), or "
            "find out who asks twice",
        )


def error_alerts(facts: AlertFacts, limits: Thresholds) -> Iterator[Alert]:
    """Rate limits apart: their way out is another."""
    if facts.attempts < limits.least_attempts:
        return
    severity = _severity(
        facts.rate_limits, facts.attempts, limits.rate_limits_warning, limits.rate_limits_serious
    )
    if severity and facts.rate_limits >= limits.least_events:
        yield Alert(
            severity=severity,
            kind="rate limits",
            text=f"{share_text(facts.rate_limits, facts.attempts)} of {facts.attempts:,} attempts "
            f"({facts.rate_limits:,}) were refused by a rate limit",
            way_out="send fewer at once, ask the provider for a higher limit, or route the rest to "
            "another model",
        )
    others = facts.errors - facts.rate_limits
    severity = _severity(others, facts.attempts, limits.errors_warning, limits.errors_serious)
    if severity and others >= limits.least_events:
        yield Alert(
            severity=severity,
            kind="errors",
            text=f"{share_text(others, facts.attempts)} of {facts.attempts:,} attempts ({others:,})"
            " ended with an error, rate limits left out",
            way_out="see which: frugal report --by error_kind --by model",
        )


def unpriced_alerts(facts: AlertFacts, limits: Thresholds) -> Iterator[Alert]:
    """No least number: the only call may be the one without a price."""
    severity = _severity(
        facts.unpriced, facts.attempts, limits.unpriced_warning, limits.unpriced_serious
    )
    if severity:
        yield Alert(
            severity=severity,
            kind="unpriced",
            text=f"{share_text(facts.unpriced, facts.attempts)} of {facts.attempts:,} attempts "
            f"({facts.unpriced:,}) have no price and are missing from the bill",
            way_out="give their models a price in prices.toml: frugal prices MODEL shows the lines",
        )


def drop_alerts(facts: AlertFacts, limits: Thresholds) -> Iterator[Alert]:
    """Of each model that reads less than half of what it read the week before."""
    for cache in facts.caches:
        drop = cache.drop
        if drop is None:
            continue
        before = share_text(drop.read_before, drop.tokens_before)
        since = share_text(drop.read_since, drop.tokens_since)
        todo, model = advice(cache), short(cache.model)
        yield Alert(
            severity="warning",
            kind="cache drop",
            text=f"since {drop.since} {model} reads {since} of its input from the prompt "
            f"cache, {before} in the week before",
            way_out="frugal cache names what changed, where fingerprints are kept"
            + (f"; {todo}" if todo else ""),
        )


def _severity(part: int, whole: int, warning: float, serious: float) -> Severity | None:
    """Above a threshold, not at it."""
    if not whole or part <= warning * whole:
        return None
    return "serious" if part > serious * whole else "warning"
