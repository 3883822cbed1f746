"""A request for a choice of tools, and all that its plan is made from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from frugal_chains.compression.tools import (
    RELATIVE_PRICES,
    CacheFacts,
    Forecast,
    Offered,
    ToolIndex,
    ToolPlan,
    ToolPolicy,
    ToolRequest,
    plan_tools,
)
from frugal_chains.dispatch.tools._bill import Surroundings, call_bill
from frugal_chains.dispatch.tools._memory import Sent
from frugal_chains.facts import RequestFacts
from frugal_chains.pricing import TokenPrices


class Asker(NamedTuple):
    """Who will answer."""

    model: str
    provider: str

    @property
    def cache(self) -> str:
        """A name for the cache that its prompts go to."""
        return f"{self.provider}:{self.model}"


class Call(NamedTuple):
    """One request as an adapter describes it: see `ToolChooser.choose`."""

    request: RequestFacts
    asker: Asker
    conversation: str
    offered: Offered | None
    forced: Collection[str]
    can_find: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """All that a plan is made from."""

    index: ToolIndex
    request: ToolRequest
    policy: ToolPolicy
    forecast: Forecast
    prices: TokenPrices | None
    cache: CacheFacts

    @property
    def left_key(self) -> str:
        """The block that all tools are as they are."""
        every = range(len(self.index.tools))
        return self.index.block_key(every, slim=False, find_tool=False)

    def plan(self, warm: Mapping[str, int] | None = None) -> ToolPlan:
        """By what is in the cache, and by what else is said to be."""
        cache = self.cache
        if warm is not None:
            cache = replace(cache, warm={**warm, **cache.warm})
        return plan_tools(
            self.index,
            self.request,
            prices=self.prices or RELATIVE_PRICES,
            cache=cache,
            forecast=self.forecast,
            policy=self.policy,
        )

    def sent(
        self, plan: ToolPlan, around: Surroundings, asker: str, now_s: float
    ) -> tuple[Sent, float]:
        """What is remembered of the request, and the nanos of the same with all tools left."""
        nanos, left_nanos = call_bill(
            plan,
            self.index,
            around,
            left_key=self.left_key,
            prices=self.prices or RELATIVE_PRICES,
            cache=self.cache,
        )
        sent = Sent(
            offered=plan.offered,
            block_key=plan.block_key,
            block_tokens=plan.tokens,
            left_key=self.left_key,
            after_tokens=around.after_tokens,
            head=around.head,
            head_tokens=around.head_tokens,
            asker=asker,
            nanos=nanos,
            at_s=now_s,
        )
        return sent, left_nanos
