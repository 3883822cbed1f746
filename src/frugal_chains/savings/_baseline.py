"""`Baseline`: who would have answered without routing, and what that would have cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from frugal_chains.ledger import Attempt
from frugal_chains.pricing import PriceBook
from frugal_chains.savings._requests import mapping, routing_of, step_of

ModelName = tuple[str, str]
"""Provider, empty where unknown, and model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The model that every routed request would have gone to.

    Without `model` it is, for each request, the dearest candidate that its decision weighed and
    did not exclude. Decisions name candidates, not models: `candidates` says which is which.
    """

    model: str = ""
    """As prices know it; empty: by the decisions."""
    provider: str = ""
    """Of `model`, where its name alone does not tell."""
    candidates: Mapping[str, ModelName] = field(default_factory=dict)
    """Models by the names of candidates; `candidate_models` finds them."""


def candidate_models(attempts: Iterable[Attempt]) -> dict[str, ModelName]:
    """The models behind the names of candidates, as far as these attempts tell: a name that has
    answered as two models is left out."""
    return known_models(
        (name, (attempt.provider, _model(attempt)))
        for attempt in attempts
        if (routing := routing_of(attempt)) is not None and (name := _chosen(routing))
    )


def known_models(seen: Iterable[tuple[str, ModelName]]) -> dict[str, ModelName]:
    """Of pairs of a name and a model: the names that go with one model alone."""
    found: dict[str, set[ModelName]] = {}
    for name, model in seen:
        found.setdefault(name, set()).add(model)
    return {name: next(iter(models)) for name, models in found.items() if len(models) == 1}


def baseline_nanos(attempt: Attempt, baseline: Baseline, book: PriceBook | None) -> int | None:
    """What the same tokens would have cost at the baseline's model, at the attempt's time and
    service tier; None when that is not known.

    What was read from or written to the provider's cache would have been so there too, at its own
    rates: it would have had its cache as well. Tokens are taken over as they are, though another
    tokenizer counts others and another model answers at another length.
    """
    routing, cost = routing_of(attempt) or {}, attempt.price.nanos
    if cost is None or routing.get("action", "call") != "call":
        return None  # without a model's answer there are no tokens to price
    if baseline.model:
        provider, model = baseline.provider, baseline.model
    else:
        dearest = _dearest(routing)
        if dearest and dearest == _chosen(routing):
            return cost
        provider, model = baseline.candidates.get(dearest, ("", ""))
    if not model:
        return None
    if model in (attempt.model, attempt.model_asked) and provider in ("", attempt.provider):
        return cost
    if book is None:
        return None
    return book.price_at(
        attempt.at_us,
        attempt.usage,
        model=model,
        provider=provider or None,
        tier=attempt.service_tier,
    ).nanos


def _dearest(routing: Mapping[str, Any]) -> str:
    """The name of the candidate with the highest expected bill; empty: none has one."""
    bills = mapping(routing.get("expected_nanos")) or {}
    excluded = mapping(routing.get("excluded")) or {}
    most, dearest = -1, ""
    for name, bill in bills.items():
        if type(bill) is int and bill > most and name not in excluded:
            most, dearest = bill, name
    return dearest


def _chosen(routing: Mapping[str, Any]) -> str:
    """The name of the candidate that an attempt was sent to."""
    name = step_of(routing).get("candidate") or routing.get("candidate")
    return name if isinstance(name, str) else ""


def _model(attempt: Attempt) -> str:
    return attempt.model_asked or attempt.model
