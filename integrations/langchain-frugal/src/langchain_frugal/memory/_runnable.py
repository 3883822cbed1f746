"""`compact_messages`: a step between prompt and model, or in front of a graph's model node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias, cast

from langchain_core.embeddings import Embeddings
from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.runnables import Runnable, RunnableConfig

from frugal_chains.archive import Archive
from frugal_chains.dispatch.memory import Compaction, Compactor, MemoryStates
from frugal_chains.errors import MemoryPlanError
from frugal_chains.facts import RequestFacts
from frugal_chains.memory import CompactionPolicy, Lengths
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from langchain_frugal._around import around
from langchain_frugal._facts import cache_ttl_of
from langchain_frugal._likeness import EmbedTexts
from langchain_frugal._long import is_long, worked
from langchain_frugal._vectors import vectors_of
from langchain_frugal._who import bound_tools, facts_of_tools, who
from langchain_frugal.memory._asking import aasking, asking
from langchain_frugal.memory._conversations import (
    Conversations,
    Said,
    is_wanted,
    named_in,
    read_or_none,
)
from langchain_frugal.memory._messages import Pin, history_of, sent
from langchain_frugal.memory._models import (
    SAME,
    Model,
    Summarizing,
    kept_by_provider,
    summary_model,
)
from langchain_frugal.memory._windows import within_window

Given: TypeAlias = PromptValue | Sequence[Any] | Mapping[str, Any]
"""A prompt, messages, or the state of a graph with `messages` in it."""
HOOKED = "llm_input_messages"
"""What LangGraph's `create_react_agent` reads from a `pre_model_hook`."""


def compact_messages(
    model: Model | str = "",
    *,
    policy: CompactionPolicy | None = None,
    summarizer: Summarizing = None,
    recall_tokens: int = 4_000,
    embedder: Embeddings | EmbedTexts | None = None,
    alike: float | None = None,
    cache_ttl: Literal["", "5m", "1h"] = "",
    tools: Sequence[Any] | None = None,
    pin: Pin | None = None,
    archive: Archive | None = None,
    lengths: Lengths | None = None,
    counter: TokenCounter | None = None,
    prices: PriceBook | None = None,
    on_compaction: Callable[[Compaction], None] | None = None,
    states: MemoryStates | None = None,
    enabled: bool = True,
) -> MessageCompactor:
    """A step that hands on a compact view of a conversation, when that is cheaper.

        chain = prompt | compact_messages(model, summarizer="same") | model
        create_react_agent(model, tools, pre_model_hook=compact_messages(model))

    It takes the whole conversation each time, with the new question, as a prompt value, a list of
    messages, or a graph's state, and gives back the same kind: of a state
    `{"llm_input_messages": [...]}`. The messages themselves are never changed.

    A conversation is known by `thread_id`, `session_id` or `conversation_id` of the config
    (`configurable` or `metadata`), else by what it begins with. What is remembered of it is in
    this process. A call is left alone with `enabled=False`, or `{"compact": False}` in the config;
    all are where the provider keeps the conversation (`use_previous_response_id=True`).

    Args:
        model: Who answers: the model with whatever is bound to it, or its name. Its prices, cache
            rules and tokenizer decide.
        policy: When to compact, and what stays; None: the defaults. Without `limit_tokens` no
            request is larger than three quarters of the model's window, where that is known.
        summarizer: Who writes summaries. None: sentences are picked, no model is asked. "same":
            `model`, behind the same messages, which its provider's cache still has, or with a
            transcript, whichever is cheaper. Or a model of its own.
        recall_tokens: Of dropped messages that are shown again, behind a question that needs them,
            at most; 0: none are.
        embedder: Ranks what the words of a question have found: `Embeddings`, or a function of
            texts such as `LocalEmbedder()`. A turn waits two seconds for it at most.
        alike: Cosine from which on the embedder recalls what the words alone would not; None: it
            only ranks.
        cache_ttl: Of the cache markers of these requests, where none can be seen from here.
        tools: That the model is given beside the messages; None: those bound to it.
        pin: Which messages never leave what is sent, besides those of `pinned`.
        archive: Where messages are put before they leave it.
        lengths: Calls of past conversations: what would not be paid back is not done.
        counter: The token counter.
        prices: None: list prices behind the user's `prices.toml`.
        on_compaction: Told of every compaction.
        states: Of conversations with names, to share or to undo with; None: its own.
        enabled: False: conversations pass as they are.

    Raises:
        MemoryPlanError: "same" without a model to ask, or a summarizer that is none.
    """
    if summarizer == SAME and isinstance(model, str):
        raise MemoryPlanError(
            "summarizer='same' needs the model itself, to ask it: compact_messages(model, ...)"
        )
    told, own = summary_model(summarizer)
    compactor = Compactor(
        within_window(policy, model, prices), summarizer=told, recall_tokens=recall_tokens,
        embedder=vectors_of(embedder), alike=alike, cache_ttl=cache_ttl, archive=archive,
        lengths=lengths, counter=counter, prices=prices, on_compaction=on_compaction,
    )  # fmt: skip
    asked_of = own if told is None or own is not None else cast(Model, model)
    facts = bound_tools(model) if tools is None else facts_of_tools(tools)
    return MessageCompactor(
        Conversations(compactor, states), model=model, asked_of=asked_of,
        head=RequestFacts(tools=facts), pin=pin, enabled=enabled and not kept_by_provider(model),
    )  # fmt: skip


class MessageCompactor(Runnable[Any, Any]):
    """What `compact_messages` makes. Safe for threads and tasks."""

    def __init__(
        self,
        conversations: Conversations,
        *,
        model: Model | str,
        asked_of: Model | None,
        head: RequestFacts,
        pin: Pin | None,
        enabled: bool,
    ) -> None:
        self.enabled = enabled
        self._conversations, self._answers = conversations, who(model)
        self._asked_of, self._head, self._pin = asked_of, head, pin

    def invoke(self, input: Given, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return self._call_with_config(self._compacted, input, config, **kwargs)

    async def ainvoke(
        self, input: Given, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        return await self._acall_with_config(self._acompacted, input, config, **kwargs)

    def undo(self, conversation: str, compaction_id: str) -> None:
        """Take a compaction of a named conversation back, and those after it.

        Raises:
            MemoryPlanError: there is no such compaction.
        """
        self._conversations.undo(conversation, compaction_id)

    def __deepcopy__(self, memo: dict[int, Any]) -> MessageCompactor:
        """A copied chain goes on with the same conversations."""
        return self

    # -- parts -----------------------------------------------------------------------------------

    def _compacted(self, given: Given, run_manager: object, config: RunnableConfig) -> Any:
        messages = _messages(given)
        said = self._said(messages, config)
        if said is None:
            return _like(given, messages)
        turn = self._conversations.turn(said, asking(self._asked_of, messages, config))
        return _like(given, sent(turn, messages))

    async def _acompacted(self, given: Given, run_manager: object, config: RunnableConfig) -> Any:
        messages = _messages(given)
        long = is_long(messages)
        said = await worked(self._said, messages, config, long=long)
        if said is None:
            return _like(given, messages)
        ask = aasking(self._asked_of, messages, config)
        turn = await self._conversations.aturn(said, ask, long=long)
        return _like(given, sent(turn, messages))

    def _said(self, messages: Sequence[BaseMessage], config: RunnableConfig) -> Said | None:
        """None: they are handed on as they are."""
        if not (self.enabled and messages and is_wanted(config)):
            return None
        return read_or_none(lambda: self._read(messages, config))

    def _read(self, messages: Sequence[BaseMessage], config: RunnableConfig) -> Said:
        ttl = cache_ttl_of([message.content for message in messages])
        head, name = replace(self._head, cache_ttl=ttl), named_in(config)
        history = history_of(
            messages, head=head, answers=self._answers, pin=self._pin, ids=bool(name)
        )
        return Said(name, history, around(config))


def _messages(given: Given) -> list[BaseMessage]:
    if isinstance(given, PromptValue):
        return list(given.to_messages())
    if isinstance(given, str):
        return [HumanMessage(given)]
    if isinstance(given, Mapping) or hasattr(given, "messages"):
        found = given["messages"] if isinstance(given, Mapping) else cast(Any, given).messages
        return list(convert_to_messages(found))
    if isinstance(given, Sequence):
        return list(convert_to_messages(cast(Any, given)))
    raise MemoryPlanError(
        f"a {type(given).__name__} is no conversation: give a prompt value, messages, or a state "
        "with `messages`"
    )


def _like(given: Given, messages: list[BaseMessage]) -> Any:
    """The same kind as what was given."""
    if isinstance(given, ChatPromptValue):
        return given.model_copy(update={"messages": messages})
    if isinstance(given, PromptValue | str):
        return given  # a single text: there is nothing to take out of it
    if isinstance(given, Sequence):
        return messages
    return {HOOKED: messages}
