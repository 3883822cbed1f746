"""One decision on tools: the facts of a request, a plan, its bill, and what is remembered of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from frugal_chains.compression.tools import (
    CacheFacts,
    Forecast,
    Offered,
    ToolIndex,
    ToolPlan,
    ToolPolicy,
)
from frugal_chains.dispatch.tools._bill import Surroundings
from frugal_chains.dispatch.tools._forecast import Forecasts
from frugal_chains.dispatch.tools._history import is_answer_to_search, tool_request
from frugal_chains.dispatch.tools._memory import Recalled, ToolMemory, has_begun, marks_of
from frugal_chains.dispatch.tools._planning import Call, Planning
from frugal_chains.dispatch.tools._traffic import Traffic
from frugal_chains.facts import MessageFacts
from frugal_chains.pricing import PriceBook, TokenPrices
from frugal_chains.providers import cache_rule
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import shared_prices

_MESSAGE_TOKENS: Final = 4
"""Around each message, as of most models (`providers.TokenizerFacts`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A plan, and what it is expected to save."""

    plan: ToolPlan
    added: int
    """Tools that the conversation had not been offered before."""
    net_nanos: int | None
    """Of this call's input, against all tools as they are, less the call before where that only
    asked for a tool; None: the model has no price."""


class Decider:
    """Decides, and remembers what was decided. Safe for threads.

    Args:
        policy: How far tools may be pruned.
        forecast: Of a conversation.
        counter: The token counter.
        prices: None: list prices behind the user's `prices.toml`.
    """

    def __init__(
        self,
        policy: ToolPolicy,
        forecast: Forecast | None,
        counter: TokenCounter,
        prices: PriceBook | None,
    ) -> None:
        self._policy, self._forecasts = policy, Forecasts(forecast)
        self._counter, self._prices = counter, prices
        self._memory, self._traffic = ToolMemory(), Traffic()

    def policy(self, call: Call) -> ToolPolicy:
        """Of one request: what could not be found again is not left out."""
        if call.can_find or not self._policy.find_tool:
            return self._policy
        return replace(self._policy, prune=False)

    def decide(self, call: Call, index: ToolIndex, vector: Sequence[float] | None) -> Decision:
        """Which tools a request offers.

        Raises:
            ToolPlanError: the vector does not fit the index.
        """
        now_s, marks = time.monotonic(), marks_of(call.request.messages)
        recalled = self._memory.recall(call.conversation, marks, begun=has_begun(call.request))
        known = call.offered or (recalled.sent.offered if recalled else None)
        around = self._surroundings(call, marks, recalled, now_s)
        planning = self._planning(call, index, vector, known, around)
        plan = self._plan(planning, call, around, now_s)
        added = len(set(plan.offered.names) - set(known.names)) if known else 0
        sent, left_nanos = planning.sent(plan, around, call.asker.cache, now_s)
        self._memory.keep(call.conversation, marks, sent)
        if recalled is None or recalled.messages < len(marks):  # else it is the same call again
            self._forecasts.seen(
                begins=known is None,
                pruned=plan.action == "prune",
                grown_tokens=sent.after_tokens - around.own.after_tokens if around.own else 0,
                added=added > 0,
            )
        net = left_nanos - sent.nanos
        if around.own and is_answer_to_search(call.request, index.find_tool.name):
            net -= around.own.nanos
        return Decision(plan=plan, added=added, net_nanos=round(net) if planning.prices else None)

    # -- parts ---------------------------------------------------------------------------------

    def _planning(
        self,
        call: Call,
        index: ToolIndex,
        vector: Sequence[float] | None,
        known: Offered | None,
        around: Surroundings,
    ) -> Planning:
        policy = self.policy(call)
        return Planning(
            index=index,
            request=tool_request(
                call.request,
                index,
                offered=known if _may_stay(known, policy) else None,
                forced=call.forced,
                after_tokens=around.after_tokens,
                vector=vector,
            ),
            policy=policy,
            forecast=self._forecasts.now(),
            prices=self._token_prices(call),
            cache=CacheFacts.of(
                call.asker.provider,
                model=call.asker.model,
                ttl=call.request.cache_ttl,
                warm=around.warm(),
            ),
        )

    def _plan(self, planning: Planning, call: Call, around: Surroundings, now_s: float) -> ToolPlan:
        plan = planning.plan()
        begins = planning.request.offered is None
        if not begins or not planning.cache.caches or not around.comes_after(planning.left_key):
            return plan
        shared = call.asker.cache, planning.left_key, around.head
        if_warm = planning.plan(around.warm_if_shared(planning.index))
        return self._traffic.better(plan, if_warm, shared, now_s=now_s, ttl_s=_ttl_s(call))

    def _surroundings(
        self, call: Call, marks: Sequence[int], recalled: Recalled | None, now_s: float
    ) -> Surroundings:
        messages = call.request.messages
        own = recalled.sent if recalled and recalled.messages else None
        new = messages[recalled.messages if recalled else 0 :]
        head = marks[0] if messages and messages[0].role == "system" else 0
        if own is not None and own.head == head:
            head_tokens = own.head_tokens
        else:
            head_tokens = self._tokens(call, messages[:1]) if head else 0
        return Surroundings(
            after_tokens=(own.after_tokens if own else 0) + self._tokens(call, new),
            head=head,
            head_tokens=head_tokens,
            own=own,
            blocks=self._memory.blocks(call.asker.cache, since_s=now_s - _ttl_s(call)),
        )

    def _tokens(self, call: Call, messages: Sequence[MessageFacts]) -> int:
        count = self._counter.text_counter(
            model=call.asker.model, provider=call.asker.provider or None
        )
        return sum(
            _MESSAGE_TOKENS
            + count(each.text)
            + sum(count(called.name) + count(called.arguments) for called in each.tool_calls)
            for each in messages
        )

    def _token_prices(self, call: Call) -> TokenPrices | None:
        return TokenPrices.of(
            self._prices or shared_prices(),
            model=call.asker.model,
            provider=call.asker.provider or None,
            at=datetime.now(UTC),
            ttl=call.request.cache_ttl,
        )


def _ttl_s(call: Call) -> float:
    """How long a provider keeps what it was sent."""
    rule = cache_rule(call.asker.provider, call.asker.model)
    return rule.kept_s(call.request.cache_ttl)


def _may_stay(offered: Offered | None, policy: ToolPolicy) -> bool:
    """Whether a conversation may go on as it began: not where `find_tool` is gone."""
    return offered is not None and (policy.prune or offered.action != "prune")
