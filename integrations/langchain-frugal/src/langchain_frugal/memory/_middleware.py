"""`CompactionMiddleware`: an agent's long conversations, for a bill that stays flat."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Literal

from langchain.agents.middleware import AgentMiddleware
from langchain_core.embeddings import Embeddings
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from frugal_chains.archive import Archive
from frugal_chains.dispatch.memory import Compaction, Compactor, SummaryRequest, Turn
from frugal_chains.memory import CompactionPolicy, Decision, Lengths, MemoryState, Segment
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from langchain_frugal._likeness import EmbedTexts
from langchain_frugal._long import is_long, worked
from langchain_frugal._vectors import vectors_of
from langchain_frugal.memory._agent import (
    AgentCall,
    CompactionState,
    Request,
    for_summary,
    history_in,
    read_call,
    state_in,
    with_state,
    with_view,
    written,
)
from langchain_frugal.memory._asking import (
    Ask,
    AskAsync,
    aasking,
    adriven,
    answered,
    asking,
    driven,
    summary_config,
    under,
)
from langchain_frugal.memory._conversations import named_in, read_or_none
from langchain_frugal.memory._last_calls import LastCall, LastCalls
from langchain_frugal.memory._messages import Pin
from langchain_frugal.memory._models import Summarizing, kept_by_provider, summary_model
from langchain_frugal.memory._recent import RecentTurns
from langchain_frugal.memory._snapshots import Snapshots
from langchain_frugal.memory._windows import Compactors

Response = Any
"""What handlers return: a `ModelResponse`, with a command or without."""


class CompactionMiddleware(AgentMiddleware[CompactionState, Any, Any]):
    """Sends an agent's model a compact view of its conversation, when that is cheaper.

        agent = create_agent(model, tools, checkpointer=saver, middleware=[
            CompactionMiddleware(summarizer="same"),
        ])

    The conversation in the agent's state stays whole. Before each call prices, the provider's cache
    and the time since the last call decide whether old messages leave what is sent; a summary then
    stands for them. What is sent in front stays the same, byte for byte, from call to call, so that
    the provider's cache is read. What the memory remembers is in the agent's state, under
    `frugal_memory`: threads, time travel and forks each have their own. Without a checkpointer
    conversations are recognised by their messages, in this process.

    Whatever fails, the call is made: with the history as it is.

    Put it behind `RoutingMiddleware` and `ModelRetryMiddleware`, and before `PromptCacheMiddleware`
    (then say `cache_ttl="5m"`) and `BudgetMiddleware`. A run is left alone with `enabled=False`, or
    `{"compact": False}` under `configurable` or `metadata` of its config; and where the provider
    keeps the conversation (`use_previous_response_id=True`).

    Args:
        policy: When to compact, and what stays; None: the defaults. Without `limit_tokens` no
            request is larger than three quarters of the model's window, where that is known.
        summarizer: Who writes summaries. None: sentences are picked, no model is asked. "same": the
            agent's model; it is asked behind the conversation, which its provider's cache still
            has, or with a transcript, whichever is cheaper. Or a model of its own.
        recall_tokens: Of dropped messages that are shown again, behind a question that needs them,
            at most; 0: none are.
        embedder: Ranks what the words of a question have found: `Embeddings`, or a function of
            texts such as `LocalEmbedder()`. A turn waits two seconds for it at most.
        alike: Cosine from which on the embedder recalls what the words alone would not; None: it
            only ranks.
        cache_ttl: Of the cache markers of these requests, where none can be seen from here.
        pin: Which messages never leave what is sent, besides those of `pinned`.
        archive: Where messages are put before they leave it. None: they stay in the agent's state
            alone.
        lengths: Calls of past conversations: what would not be paid back is not done.
        counter: The token counter.
        prices: None: list prices behind the user's `prices.toml`.
        on_compaction: Told of every compaction.
        enabled: False: histories are sent as they are.

    Raises:
        MemoryPlanError: a summarizer that is none.
    """

    state_schema = CompactionState

    def __init__(
        self,
        policy: CompactionPolicy | None = None,
        *,
        summarizer: Summarizing = None,
        recall_tokens: int = 4_000,
        embedder: Embeddings | EmbedTexts | None = None,
        alike: float | None = None,
        cache_ttl: Literal["", "5m", "1h"] = "",
        pin: Pin | None = None,
        archive: Archive | None = None,
        lengths: Lengths | None = None,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
        on_compaction: Callable[[Compaction], None] | None = None,
        enabled: bool = True,
    ) -> None:
        super().__init__()
        self.enabled = enabled
        told, self._summarizer = summary_model(summarizer)
        make = partial(
            Compactor, summarizer=told, recall_tokens=recall_tokens, embedder=vectors_of(embedder),
            alike=alike, cache_ttl=cache_ttl, archive=archive, lengths=lengths, counter=counter,
            prices=prices, on_compaction=on_compaction,
        )  # fmt: skip
        self._compactors, self._may_wait = Compactors(make, policy, prices), embedder is not None
        self._pin = pin
        self._recent, self._snapshots = RecentTurns(), Snapshots()
        self._threads = LastCalls()

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Response:
        call = self._read(request)
        if call is None:
            return handler(request)
        self._threads.remember(call.thread, LastCall(request, handler, None))
        state = self._state(call)
        turn = self._recent.get(call.thread, call.history, state)
        if turn is None:
            turn = driven(self._flow(request, call, state), self._asking(request, handler))
            self._keep(call, state, turn)
        return with_state(handler(with_view(request, turn)), turn)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        long = self._may_wait or is_long(request.messages)
        call = await worked(self._read, request, long=long)
        if call is None:
            return await handler(request)
        self._threads.remember(call.thread, LastCall(request, None, handler))
        state = self._state(call)
        turn = self._recent.get(call.thread, call.history, state)
        if turn is None:
            ask = self._aasking(request, handler)
            turn = await adriven(self._flow(request, call, state), ask, long=long)
            self._keep(call, state, turn)
        return with_state(await handler(with_view(request, turn)), turn)

    # -- looking, undoing ------------------------------------------------------------------------

    def compactions(self, values: Mapping[str, Any]) -> tuple[Segment, ...]:
        """What stands for messages that have left what is sent, oldest first.

        Args:
            values: Of the agent's state: `agent.get_state(config).values`.
        """
        state = state_in(values)
        return state.segments if state is not None else ()

    def undone(self, values: Mapping[str, Any], compaction_id: str) -> dict[str, Any]:
        """The update that takes a compaction back, and those after it:

            agent.update_state(config, memory.undone(agent.get_state(config).values, id))

        Raises:
            MemoryPlanError: there is no such compaction.
        """
        return written((state_in(values) or MemoryState()).without(compaction_id))

    def preview(
        self, values: Mapping[str, Any], config: RunnableConfig | None = None
    ) -> Decision | None:
        """What would be decided if the model were called now. Nothing is asked or changed.

        Args:
            values: Of the agent's state.
            config: That names the thread.

        Returns:
            None where the thread has had no call in this process: its model and tools are not
            known.
        """
        last = self._threads.of(config)
        if last is None:
            return None
        history = history_in(last.request, _messages(values), self._pin)
        compactor = self._compactor(last.request)
        return compactor.preview(history, state_in(values) or MemoryState())

    # -- while nobody asks -----------------------------------------------------------------------

    def idle_at_s(
        self, values: Mapping[str, Any], config: RunnableConfig | None = None
    ) -> float | None:
        """When `compact_idle` should be called if nobody asks before: seconds since the epoch, a
        little before the provider's cache expires. None: it would do nothing.

        Args:
            values: Of the agent's state.
            config: That names the thread.
        """
        last, state = self._threads.of(config), state_in(values)
        if last is None or state is None:
            return None
        history = history_in(last.request, _messages(values), self._pin)
        return self._compactor(last.request).idle_at_s(history, state)

    def compact_idle(
        self, agent: Any, config: RunnableConfig, *, return_share: float = 0.5
    ) -> str | None:
        """Compact a thread in which nobody asks, if that makes the next question cheaper.

        Args:
            agent: With this middleware and a checkpointer. The thread's last call was made in this
                process, without `await`.
            config: That names the thread; with callbacks, if the summary is to be booked.
            return_share: How often people come back after so long, 0 to 1.

        Returns:
            The compaction's id; None: nothing was done, as in a thread whose run is not over: it
            may wait for somebody's word.
        """
        last, before = self._threads.of(config), agent.get_state(config)
        if last is None or last.ask is None or before.next:
            return None  # a run that waits for somebody's word would lose what it waits for
        request = last.request.override(messages=_messages(before.values))
        ask = self._asking(request, last.ask, config)
        turn = driven(self._idle(request, before.values, config, return_share), ask)
        if turn.plan is None or agent.get_state(config).config != before.config:
            return None  # meanwhile somebody has asked
        agent.update_state(config, written(turn.state))
        return str(turn.plan.id)

    async def acompact_idle(
        self, agent: Any, config: RunnableConfig, *, return_share: float = 0.5
    ) -> str | None:
        """As `compact_idle`, of a thread whose last call was made either way."""
        last, before = self._threads.of(config), await agent.aget_state(config)
        if last is None or before.next:
            return None
        request = last.request.override(messages=_messages(before.values))
        ask = self._aasking(request, last.asynchronous(), config)
        flow = self._idle(request, before.values, config, return_share)
        turn = await adriven(flow, ask, long=is_long(request.messages))  # recalls nothing
        if turn.plan is None or (await agent.aget_state(config)).config != before.config:
            return None
        await agent.aupdate_state(config, written(turn.state))
        return str(turn.plan.id)

    # -- parts -----------------------------------------------------------------------------------

    def _read(self, request: Request) -> AgentCall | None:
        if not self.enabled or kept_by_provider(request.model, request.model_settings):
            return None
        return read_or_none(lambda: read_call(request, self._pin))

    def _state(self, call: AgentCall) -> MemoryState:
        if call.state is not None:
            return call.state
        return MemoryState() if call.checkpointed else self._snapshots.before(call.history.keys)

    def _compactor(self, request: Request) -> Compactor:
        return self._compactors.of(request.model, request.model_settings)

    def _flow(self, request: Request, call: AgentCall, state: MemoryState) -> Any:
        return self._compactor(request).turn(
            call.history, state, conversation=call.thread,
            operation_id=call.call.operation_id, trackers=call.call.trackers,
        )  # fmt: skip

    def _keep(self, call: AgentCall, state: MemoryState, turn: Turn) -> None:
        self._recent.keep(call.thread, call.history, state, turn)
        if not call.checkpointed:
            self._snapshots.keep(call.history.keys, turn)

    def _idle(
        self, request: Request, values: Mapping[str, Any], config: RunnableConfig,
        return_share: float,
    ) -> Any:  # fmt: skip
        history = history_in(request, request.messages, self._pin)
        return self._compactor(request).idle(
            history, state_in(values) or MemoryState(), conversation=named_in(config),
            return_share=return_share,
        )  # fmt: skip

    def _asking(
        self, request: Request, handler: Callable[[Request], Response],
        config: RunnableConfig | None = None,
    ) -> Ask:  # fmt: skip
        if self._summarizer is not None:
            return asking(self._summarizer, request.messages, config)

        def ask(summary: SummaryRequest) -> str:
            with under(summary_config(config)):
                response = handler(for_summary(request, summary, request.messages))
            return answered(response, by_model=True)

        return ask

    def _aasking(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]],
        config: RunnableConfig | None = None,
    ) -> AskAsync:  # fmt: skip
        if self._summarizer is not None:
            return aasking(self._summarizer, request.messages, config)

        async def ask(summary: SummaryRequest) -> str:
            with under(summary_config(config)):
                response = await handler(for_summary(request, summary, request.messages))
            return answered(response, by_model=True)

        return ask


def _messages(values: Mapping[str, Any]) -> list[Any]:
    found: list[BaseMessage] = list(values.get("messages") or ())
    return found
