"""`Baseline`: who would have answered without routing, and what that would have cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from frugal_chains.ledger import Attempt, Followed, as_followed
from frugal_chains.pricing import PriceBook
from frugal_chains.savings._requests import mapping, routing_of, step_of

ModelName = tuple[str, str]
"""Provider, empty where unknown, and model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The model that every routed request would have gone to.

    Without `model` it is, for each request, the dearest candidate that its decision weighed and
    did not exclude. A decision says which model that is; one of an earlier version names candidates
    alone, and `candidates` says which is which.
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
        if (routing := routing_of(as_followed(attempt))) is not None and (name := _chosen(routing))
    )


def known_models(seen: Iterable[tuple[str, ModelName]]) -> dict[str, ModelName]:
    """Of pairs of a name and a model: the names that go with one model alone."""
    found: dict[str, set[ModelName]] = {}
    for name, model in seen:
        found.setdefault(name, set()).add(model)
    return {name: next(iter(models)) for name, models in found.items() if len(models) == 1}


class WithoutRouting:
    """What attempts would have cost at the baseline's model.

    Args:
        book: None: nothing is known but what was paid.
        candidates: Models of candidates where a decision does not say; asked for when one does not.
    """

    def __init__(
        self,
        baseline: Baseline,
        book: PriceBook | None,
        candidates: Callable[[], Mapping[str, ModelName]] | None = None,
    ) -> None:
        self._baseline, self._book = baseline, book
        self._find = candidates or (lambda: baseline.candidates)
        self._candidates: Mapping[str, ModelName] | None = None

    def nanos(self, attempt: Followed, routing: Mapping[str, Any]) -> int | None:
        """What the same tokens would have cost there, at the attempt's time and service tier; None
        when that is not known.

        What was read from or written to the provider's cache would have been so there too, at its
        own rates: it would have had its cache as well. Tokens are taken over as they are, though
        another tokenizer counts others and another model answers at another length.
        """
        cost, labels, baseline = attempt.nanos, attempt.labels, self._baseline
        if cost is None or routing.get("action", "call") != "call":
            return None  # without a model's answer there are no tokens to price
        if baseline.model:
            provider, model = baseline.provider, baseline.model
        else:
            dearest = _dearest(routing)
            if not dearest:
                return None
            if dearest == _chosen(routing):
                return cost
            provider, model = self._model_of(dearest, routing)
        if not model:
            return None
        if model in (labels.model, labels.model_asked) and provider in ("", labels.provider):
            return cost
        if self._book is None:
            return None
        return self._book.price_at(
            attempt.at_us,
            attempt.usage,
            model=model,
            provider=provider or None,
            tier=labels.service_tier,
        ).nanos

    def _model_of(self, name: str, routing: Mapping[str, Any]) -> ModelName:
        """Of the dearest candidate, whose name it is."""
        said = routing.get("dearest")
        if type(said) is list and len(said) == 2:
            provider, model = said
            if type(provider) is str and type(model) is str:
                return provider, model
        if self._candidates is None:
            self._candidates = self._find()
        return self._candidates.get(name, ("", ""))


def _dearest(routing: Mapping[str, Any]) -> str:
    """The name of the candidate with the highest expected bill, of equals the first by name: a
    ledger keeps them in that order. Empty: none has one."""
    excluded = mapping(routing.get("excluded")) or ()
    most, dearest = -1, ""
    for name, bill in (mapping(routing.get("expected_nanos")) or {}).items():
        if type(bill) is not int or bill < most or name in excluded:
            continue
        if bill > most or str(name) < str(dearest):
            most, dearest = bill, name
    return dearest


def _chosen(routing: Mapping[str, Any]) -> str:
    """The name of the candidate that an attempt was sent to."""
    name = step_of(routing).get("candidate") or routing.get("candidate")
    return name if isinstance(name, str) else ""


def _model(attempt: Attempt) -> str:
    return attempt.model_asked or attempt.model
