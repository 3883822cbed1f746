"""The waterfall of one operation, from its attempts and effects alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from frugal_chains.ledger import Attempt, Effect, Followed, as_followed
from frugal_chains.pricing import PriceBook
from frugal_chains.savings._baseline import Baseline, WithoutRouting, candidate_models
from frugal_chains.savings._requests import Request, request_alone, requests_of, routing_of
from frugal_chains.savings._tally import OVERHEAD_OF_PURPOSE, Tally
from frugal_chains.savings._waterfall import Waterfall


def operation_waterfall(
    attempts: Sequence[Attempt],
    effects: Iterable[Effect] = (),
    *,
    book: PriceBook | None = None,
    baseline: Baseline | None = None,
) -> Waterfall:
    """From what one operation would have cost to what it did.

    - A lever's step is the net of its effects, `measured` or `modelled` as each says. The memory's
      has the price of its summaries inside, modelled; what they really cost is added to it and is
      the step `summaries`, so it counts once.
    - `routing` is computed (modelled): the attempt that answered a routed request, at the
      baseline's model, less what it cost.
    - Overheads are what attempts cost (measured): by purpose summaries, classifiers and judges;
      drafts that were given up; failed attempts that were made again, and retries of something
      that had not failed. `classifiers` has the embedding of questions too, as decisions tell its
      price (modelled).

    Args:
        attempts: All of one operation.
        effects: All of it.
        book: Prices of the baseline's model; without it routing is unknown.
        baseline: Who would have answered; None: the dearest candidate of each decision, if these
            attempts tell which model that is.
    """
    if baseline is None:
        baseline = Baseline(candidates=candidate_models(attempts))
    tally, loose, joined = Tally(), 0, 0
    for effect in effects:
        _add_effect(tally, effect)
        is_loose = not attempts or not effect.operation_id
        loose, joined = loose + is_loose, joined + (not is_loose)
    for attempt in attempts:
        overhead = OVERHEAD_OF_PURPOSE.get(attempt.purpose)
        if overhead is not None:
            _add_cost(tally, overhead, attempt.price.nanos)
    add_requests(tally, [*map(as_followed, attempts)], WithoutRouting(baseline, book))
    bill = sum(attempt.price.nanos or 0 for attempt in attempts)
    is_covered = bool(joined) or any(attempt.decision is not None for attempt in attempts)
    return Waterfall(
        bill_nanos=bill,
        steps=tally.steps(),
        operations=int(bool(attempts)),
        covered_operations=int(is_covered),
        covered_nanos=bill if is_covered else 0,
        attempts=len(attempts),
        unpriced=sum(attempt.price.nanos is None for attempt in attempts),
        loose_effects=loose,
    )


def add_requests(tally: Tally, attempts: Sequence[Followed], without: WithoutRouting) -> None:
    """Add what routing saved on the requests of one operation, and what drafts and retries cost."""
    if len(attempts) == 1:
        _add_request(tally, request_alone(attempts[0]), without)
    else:
        for request in requests_of(attempts):
            _add_request(tally, request, without)


def _add_request(tally: Tally, request: Request, without: WithoutRouting) -> None:
    kept, lost = request
    for each in lost:
        name = "drafts" if each.labels.purpose == "draft" else "retries"
        _add_cost(tally, name, each.nanos)
    if kept is not None and (routing := routing_of(kept)) is not None:
        _add_routed(tally, kept, routing, without)


def _add_routed(
    tally: Tally, kept: Followed, routing: Mapping[str, Any], without: WithoutRouting
) -> None:
    deciding = routing.get("deciding_nanos")
    if type(deciding) is int:
        tally.add_modelled("classifiers", -deciding)
    is_gate = routing.get("action", "call") != "call"
    if kept.labels.status in ("ok", "aborted") or is_gate:
        # Else nobody has answered, or a cache has.
        would, cost = without.nanos(kept, routing), kept.nanos
        if would is None or cost is None:
            tally.add_modelled("routing", 0, unknown=1)
        else:
            tally.add_modelled("routing", would - cost)


def _add_cost(tally: Tally, name: str, nanos: int | None) -> None:
    tally.add_overhead(name, nanos or 0, attempts=1, unpriced=int(nanos is None))


def _add_effect(tally: Tally, effect: Effect) -> None:
    nanos = effect.net_nanos or 0
    is_measured = effect.kind == "measured"
    tally.add_effects(
        effect.lever,
        measured=nanos if is_measured else 0,
        modelled=0 if is_measured else nanos,
        effects=1,
        unknown=int(effect.net_nanos is None),
    )
