"""`Planner`: the models, the policy at work, and the facts of each request brought together."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from langchain_core.callbacks.base import BaseCallbackManager
from langchain_core.embeddings import Embeddings

from frugal_chains.dispatch import Embedded, QuestionEmbedder, Route, Router
from frugal_chains.facts import RequestFacts
from frugal_chains.pricing import PriceBook
from frugal_chains.routing import RoutingPolicy
from frugal_chains.routing.gain import Embedder
from frugal_chains.tracking import current_operation, operation
from langchain_frugal._books import operation_of, trackers_of
from langchain_frugal.routing._asked import Asked
from langchain_frugal.routing._candidates import Overrides, Tiers, members_of
from langchain_frugal.routing._question import embedding_model


class Planner:
    """Decides for one set of models; what it remembers is shared by all copies of a router."""

    def __init__(
        self,
        tiers: Tiers,
        policy: RoutingPolicy | None,
        overrides: Overrides | None,
        embedder: Embeddings | Embedder | None,
        embedding_timeout_s: float,
        prices: PriceBook | None,
    ) -> None:
        self.members = members_of(tiers, overrides)
        self.router = Router([m.candidate for m in self.members.values()], policy, prices=prices)
        model = embedding_model(embedder) if embedder is not None else None
        self._embedder = QuestionEmbedder(self.router, model, limit_s=embedding_timeout_s)
        self._unmade = {
            name: f"it could not be made: {type(member.error).__name__}: {member.error}"[:200]
            for name, member in self.members.items()
            if member.error is not None
        }

    def plan(self, asked: Asked, manager: BaseCallbackManager) -> Route:
        """Who answers."""
        facts = asked.facts()
        return self._plan(asked, facts, manager, self._embedder.embed(facts))

    async def aplan(self, asked: Asked, manager: BaseCallbackManager) -> Route:
        """As `plan`."""
        facts = asked.facts()
        embedded = await self._embedder.aembed(facts)
        if self.router.may_wait(trackers_of(manager.handlers)):  # not the loop's time
            return await asyncio.to_thread(self._plan, asked, facts, manager, embedded)
        return self._plan(asked, facts, manager, embedded)

    def _plan(
        self, asked: Asked, facts: RequestFacts, manager: BaseCallbackManager, embedded: Embedded
    ) -> Route:
        with _in_operation(operation_of(manager)):
            return self.router.plan(
                facts,
                conversation=asked.conversation,
                tags=asked.labels,
                asked=asked.route,
                output_cap_tokens=asked.output_cap_tokens,
                error_tolerance=asked.error_tolerance,
                embedded=embedded,
                trackers=trackers_of(manager.handlers),
                unavailable=self._unmade,
                warnings=(
                    *asked.warnings,
                    *(f"{n} is left out: {w}" for n, w in self._unmade.items()),
                ),
            )


def _in_operation(id_: str) -> AbstractContextManager[Any]:
    """Budgets per run and per operation are those of the run that the call is part of."""
    if not id_ or current_operation() is not None:
        return nullcontext()
    return operation(id_, run_id=id_)
