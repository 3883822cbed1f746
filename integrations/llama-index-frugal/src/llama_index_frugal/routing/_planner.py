"""`Planner`: the models, the policy at work, and the facts of each request brought together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM
from llama_index_instrumentation.dispatcher import active_instrument_tags
from llama_index_instrumentation.span import active_span_id

from frugal_chains.dispatch import Embedded, QuestionEmbedder, Route, Router
from frugal_chains.errors import RoutingError
from frugal_chains.pricing import PriceBook
from frugal_chains.routing import RoutingPolicy
from frugal_chains.routing.gain import Embedder
from frugal_chains.tracking import Tracker, current_operation, operation
from llama_index_frugal._gate import in_own_thread
from llama_index_frugal._installed import enclosing_span
from llama_index_frugal._request import labels, output_cap
from llama_index_frugal._spans import Span
from llama_index_frugal.routing._asks import ROUTE, TOLERANCE, Ask, ErrorTolerance
from llama_index_frugal.routing._embedder import embedding_model
from llama_index_frugal.routing._models import models_of

_CONVERSATION_TAGS: Final = ("thread_id", "conversation_id", "session_id")
_TOLERANCES: Final[Mapping[str, ErrorTolerance]] = {
    "low": "low",
    "normal": "normal",
    "high": "high",
}
_OF_WORKFLOWS: Final = "llamaindex."
"""Prefix of the tags that LlamaIndex sets itself: no labels of the user."""


class Planner:
    """Decides for one set of models; what it remembers is shared by all copies of a router."""

    def __init__(
        self,
        tiers: Mapping[str, Sequence[LLM]],
        policy: RoutingPolicy | None,
        said: Mapping[str, Mapping[str, Any]],
        embedder: BaseEmbedding | Embedder | None,
        embedding_timeout_s: float,
        prices: PriceBook | None,
    ) -> None:
        self.models = models_of(tiers, said)
        self._router = Router([m.candidate for m in self.models.values()], policy, prices=prices)
        model = embedding_model(embedder) if embedder is not None else None
        self._embedder = QuestionEmbedder(self._router, model, limit_s=embedding_timeout_s)

    def plan(self, ask: Ask, trackers: Sequence[Tracker]) -> Route:
        """Who answers; the budgets of these trackers may ask for a cheaper model."""
        return self._plan(ask, trackers, self._embedder.embed(ask.facts))

    async def aplan(self, ask: Ask, trackers: Sequence[Tracker]) -> Route:
        """As `plan`."""
        embedded = await self._embedder.aembed(ask.facts)
        if self._router.may_wait(trackers):
            return await in_own_thread(lambda: self._plan(ask, trackers, embedded))
        return self._plan(ask, trackers, embedded)

    def _plan(self, ask: Ask, trackers: Sequence[Tracker], embedded: Embedded) -> Route:
        around = labels(active_instrument_tags.get())
        tags = {n: text for n, text in around.items() if not n.startswith(_OF_WORKFLOWS)}
        with _as_part_of(enclosing_span(active_span_id.get())):
            return self._router.plan(
                ask.facts,
                conversation=next((tags[n] for n in _CONVERSATION_TAGS if n in tags), ""),
                tags=tags,
                asked=self._asked(ask.said, tags),
                output_cap_tokens=output_cap((ask.options, ask.model_options)),
                error_tolerance=_tolerance(ask.said, tags),
                embedded=embedded,
                trackers=trackers,
            )

    def _asked(self, said: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """The tier or the candidate that a request names. A tag reaches every router around and
        inside, so there an unknown name is left to the decision, which warns of it."""
        route = str(said.get(ROUTE) or "" if ROUTE in said else tags.get(ROUTE, ""))
        known = {m.candidate.name: m.candidate for m in self.models.values()}
        models = {c.model: name for name, c in known.items()}
        tiers = {c.tier for c in known.values()}
        if not route or route in known or route in tiers:
            return route
        if route not in models and ROUTE in said:
            there = sorted({*tiers, *known, *models})
            raise RoutingError(f"route={route!r} names no model here; there are {', '.join(there)}")
        return models.get(route, route)


def _as_part_of(span: Span | None) -> AbstractContextManager[Any]:
    """Budgets per run and per operation are those of the run that a call will be part of."""
    if span is None or current_operation() is not None:
        return nullcontext()
    return operation(span.root_id, run_id=span.root_id)


def _tolerance(said: Mapping[str, Any], tags: Mapping[str, str]) -> ErrorTolerance:
    if (given := said.get(TOLERANCE)) is None:
        return _TOLERANCES.get(tags.get(TOLERANCE, ""), "normal")
    if given not in _TOLERANCES:
        raise RoutingError(f"error_tolerance={given!r}; there are {', '.join(_TOLERANCES)}")
    return _TOLERANCES[given]
