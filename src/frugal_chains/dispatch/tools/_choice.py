"""`ToolChooser`: which tools a request offers, at work. Both adapters hand it their requests."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from frugal_chains.compression.tools import (
    Forecast,
    Offered,
    ToolIndex,
    ToolPolicy,
    answer,
    find_tools,
)
from frugal_chains.dispatch.tools._decision import Decider, Decision
from frugal_chains.dispatch.tools._history import LATER, question_of
from frugal_chains.dispatch.tools._index import ToolIndexes
from frugal_chains.dispatch.tools._planning import Asker, Call
from frugal_chains.dispatch.tools._vectors import TextVectors, Vector
from frugal_chains.errors import wordless
from frugal_chains.facts import RequestFacts, ToolFacts
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker, report_effect

logger = logging.getLogger("frugal_chains.dispatch")

LEVER: Final = "compression.tools"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """What one request offers. Numbers are places in `RequestFacts.tools` as it was handed in."""

    kept: tuple[int, ...]
    """In the order in which they are to be sent, behind `find_tool`."""
    texts: tuple[ToolFacts, ...]
    """Of each of `kept`: in fewer words where `slim`, else as it was handed in."""
    slim: bool = False
    """Whether the words may have changed; False: send the framework's own objects."""
    find_tool: ToolFacts | None = None
    """To be sent before all others; None: nothing has to be found, or nothing can be."""
    offered: Offered | None = None
    """For the conversation's next request, where the adapter can keep it; None: it failed."""
    reason: str = ""
    """Of the plan; `no_tools`; or `failed`: all tools are sent as they were."""
    index: ToolIndex | None = None
    """All tools; None: it failed."""
    warnings: tuple[str, ...] = ()


class ToolChooser:
    """Decides which tools a request offers, and remembers it for the conversation. Safe for
    threads. Never the reason for no answer: if it fails, all tools are sent as they were.

    Args:
        policy: How far tools may be pruned; None: the defaults.
        model: Whose tokenizer counts and whose prices decide, where a request does not say who
            answers; empty: estimated, with the relations of list prices.
        provider: Of the model, where its name alone does not tell.
        forecast: Of a conversation; None: learned from those that pass, beginning with `FORECAST`.
        vectors: Of an embedder; None: words alone decide.
        vectors_timeout_s: How long it may take.
        counter: The token counter.
        prices: None: list prices behind the user's `prices.toml`.
    """

    def __init__(
        self,
        policy: ToolPolicy | None = None,
        *,
        model: str = "",
        provider: str = "",
        forecast: Forecast | None = None,
        vectors: TextVectors | None = None,
        vectors_timeout_s: float = 10.0,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        self.policy = policy or ToolPolicy()
        self._asker = Asker(model, provider)
        counter = counter or TokenCounter()
        self._indexes = ToolIndexes(counter, vectors, limit_s=vectors_timeout_s)
        self._decider = Decider(self.policy, forecast, counter, prices)

    def choose(
        self,
        request: RequestFacts,
        *,
        model: str = "",
        provider: str = "",
        conversation: str = "",
        offered: Offered | None = None,
        forced: Collection[str] = (),
        can_find: bool = True,
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> ToolChoice:
        """Which tools to send with a request, and in which words.

        Args:
            request: Messages with their tool calls, the tools without `find_tool`, and the time to
                live of its cache markers, if it has any.
            model: Who answers this request, where that is known.
            provider: Of that model.
            conversation: An id of it; empty: told from its messages.
            offered: `ToolChoice.offered` of the conversation's last request, where the adapter has
                kept it (in a state that is saved, for example); None: the chooser remembers.
            forced: Names of tools that have to be there: of `tool_choice`, for example.
            can_find: Whether the adapter can run `find_tool`; if not, no tool is left out, unless
                the policy does without.
            operation_id: Of the calls that the effect belongs to, where an adapter knows it.
            trackers: Of handlers that an adapter finds on the call.
        """
        if not request.tools:
            return _as_it_was(request.tools, "no_tools")
        asker = Asker(model, provider) if model else self._asker
        call = Call(request, asker, conversation, offered, forced, can_find)
        try:
            tools, ranked = request.tools, self._ranks(call)
            index, why = self._indexes.index(tools, *asker, ranked=ranked)
            vector, or_why = self._indexes.vector(index, question_of(request))
            decision = self._decider.decide(call, index, vector)
        except Exception as error:
            logger.warning("all tools are sent as they were", exc_info=wordless(error))
            return _as_it_was(request.tools, "failed")
        self._report(decision, call, index, operation_id, trackers)
        return _choice(decision, index, why or or_why)

    async def achoose(
        self,
        request: RequestFacts,
        *,
        model: str = "",
        provider: str = "",
        conversation: str = "",
        offered: Offered | None = None,
        forced: Collection[str] = (),
        can_find: bool = True,
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> ToolChoice:
        """As `choose`."""
        if not request.tools:
            return _as_it_was(request.tools, "no_tools")
        asker = Asker(model, provider) if model else self._asker
        call = Call(request, asker, conversation, offered, forced, can_find)
        try:
            tools, ranked = request.tools, self._ranks(call)
            index, why = await self._indexes.aindex(tools, *asker, ranked=ranked)
            vector, or_why = await self._indexes.avector(index, question_of(request))
            decision = self._decider.decide(call, index, vector)
        except Exception as error:
            logger.warning("all tools are sent as they were", exc_info=wordless(error))
            return _as_it_was(request.tools, "failed")
        self._report(decision, call, index, operation_id, trackers)
        return _choice(decision, index, why or or_why)

    def find(self, task: str, choice: ToolChoice | None) -> str:
        """The answer to a call of `find_tool`.

        What it names is offered from the next request on: `choose` reads it off the messages
        (the answer with the tool's name, or the call that it answers).

        Args:
            task: The argument of the call.
            choice: Of the request that was answered with the call; None: it is not known any more.
        """
        if choice is None or choice.index is None:
            return LATER
        try:
            vector, _ = self._indexes.vector(choice.index, task)
            return _answer(task, choice.index, choice, vector)
        except Exception as error:
            logger.warning(
                "a search for tools is left to the next request", exc_info=wordless(error)
            )
            return LATER

    async def afind(self, task: str, choice: ToolChoice | None) -> str:
        """As `find`."""
        if choice is None or choice.index is None:
            return LATER
        try:
            vector, _ = await self._indexes.avector(choice.index, task)
            return _answer(task, choice.index, choice, vector)
        except Exception as error:
            logger.warning(
                "a search for tools is left to the next request", exc_info=wordless(error)
            )
            return LATER

    # -- parts ---------------------------------------------------------------------------------

    def _ranks(self, call: Call) -> bool:
        policy = self._decider.policy(call)
        return policy.prune and len(call.request.tools) > policy.most

    def _report(
        self,
        decision: Decision,
        call: Call,
        index: ToolIndex,
        operation_id: str,
        trackers: Sequence[Tracker],
    ) -> None:
        plan = decision.plan
        report_effect(
            LEVER,
            tokens_before=plan.tokens + plan.tokens_saved,
            tokens_after=plan.tokens,
            exact=False,  # providers do not say how they count tools
            model=call.asker.model,
            provider=call.asker.provider,
            net_nanos=decision.net_nanos,
            detail={
                "action": plan.action,
                "reason": plan.reason,
                "tools": len(index.tools),
                "kept": len(plan.kept),
                "added": decision.added,
                "find_tool": plan.find_tool,
            },
            operation_id=operation_id,
            trackers=trackers,
        )


def _choice(decision: Decision, index: ToolIndex, warning: str) -> ToolChoice:
    plan = decision.plan
    words = index.slim if plan.slim else index.tools
    return ToolChoice(
        kept=plan.kept,
        texts=tuple(words[number] for number in plan.kept),
        slim=plan.slim,
        find_tool=index.find_tool if plan.find_tool else None,
        offered=plan.offered,
        reason=plan.reason,
        index=index,
        warnings=(warning,) if warning else (),
    )


def _answer(task: str, index: ToolIndex, choice: ToolChoice, vector: Vector | None) -> str:
    names = choice.offered.names if choice.offered else ()
    found = find_tools(task, index, offered=names, vector=vector)
    return answer(task, found, index, offered=names)


def _as_it_was(tools: Sequence[ToolFacts], reason: str) -> ToolChoice:
    return ToolChoice(kept=tuple(range(len(tools))), texts=tuple(tools), reason=reason)
