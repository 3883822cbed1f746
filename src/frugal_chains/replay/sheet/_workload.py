"""What one workload costs with every range at one of its ends."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from frugal_chains.pricing import ServiceTier
from frugal_chains.replay.sheet._amounts import Ends
from frugal_chains.replay.sheet._bill import Factor, Part, Role
from frugal_chains.replay.sheet._price import Order, priced
from frugal_chains.replay.sheet._prices import MomentPrices
from frugal_chains.replay.sheet._sheet import Classifier, Entry, Tokens, Workload


def parts(workload: Workload, prices: MomentPrices, ends: Ends) -> tuple[Part, ...]:
    """All parts that any call falls to, in the order of the sheet, the classifier first."""
    return tuple(
        priced(order, prices)
        for order in _orders(workload, ends)
        if all(factor.value for factor in order.factors)
    )


def _orders(workload: Workload, ends: Ends) -> Iterator[Order]:
    calls = Factor(workload.calls.at(ends), "calls")
    if workload.classifier:
        yield _classified(workload.classifier, calls, ends)
    for entry, share in zip(workload.entries, _shares(workload, ends), strict=True):
        mixed = (calls, Factor(share, "of the calls")) if share != 1 else (calls,)
        yield from _answers(entry, mixed, ends)


def _shares(workload: Workload, ends: Ends) -> list[Fraction]:
    given = [entry.share.at(ends) if entry.share else None for entry in workload.entries]
    rest = 1 - sum((share for share in given if share is not None), Fraction(0))
    return [rest if share is None else share for share in given]


def _classified(asked: Classifier, calls: Factor, ends: Ends) -> Order:
    share = asked.share.at(ends)
    return Order(
        role="classifier",
        model=asked.model,
        provider=asked.provider,
        tier="standard",
        factors=(calls, Factor(share, "of the calls")) if share != 1 else (calls,),
        tokens=Tokens(int(asked.input_tokens.at(ends)), int(asked.output_tokens.at(ends)), 0),
    )


def _answers(entry: Entry, factors: tuple[Factor, ...], ends: Ends) -> Iterator[Order]:
    """Answers and what is asked again, live and in batches. What is drafted is paid all the same:
    it is among the answers."""
    retries = entry.retry_rate.at(ends)
    again = (Factor(1 + retries, "with retries"),) if retries else ()
    escalated = Factor(entry.escalation_rate.at(ends), "asked again")
    roles: tuple[tuple[Role, str, str | None, tuple[Factor, ...]], ...] = (
        ("answer", entry.model, entry.provider, factors),
        ("escalation", entry.escalates_to, entry.escalates_to_provider, (*factors, escalated)),
    )
    for role, model, provider, counted in roles:
        for tier, split in _tiers(entry, ends):
            yield Order(
                role=role,
                model=model,
                provider=provider,
                task=entry.task,
                tier=tier,
                factors=(*counted, *again, *split),
                tokens=entry.shape.at(ends),
                hit_rate=entry.cache_hit_rate.at(ends) if entry.cache_hit_rate else None,
                writes=entry.cache_writes,
            )


def _tiers(entry: Entry, ends: Ends) -> Iterator[tuple[ServiceTier, tuple[Factor, ...]]]:
    batch = entry.batch_share.at(ends)
    if batch != 1:
        yield entry.tier, (Factor(1 - batch, "not in batches"),) if batch else ()
    if batch:
        yield "batch", (Factor(batch, "in batches"),) if batch != 1 else ()
