"""`SummarizingMemory`: a chat memory that sends fewer tokens and keeps every message."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final, Self

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import LLM
from llama_index.core.memory.types import DEFAULT_CHAT_STORE_KEY, BaseChatStoreMemory
from llama_index.core.storage.chat_store import BaseChatStore, SimpleChatStore
from llama_index.core.storage.chat_store.loading import load_chat_store
from llama_index.core.tools import BaseTool, FunctionTool
from pydantic import Field, PrivateAttr, field_serializer, field_validator

from frugal_chains.dispatch.memory import Compaction
from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import CompactionPolicy, Decision, MemoryState
from llama_index_frugal.memory._conversation import Conversation, Moment
from llama_index_frugal.memory._options import Options

_WRITES_CONTEXTS: Final = "workflows.context.serializers"
"""Module of llama-index-workflows 2.26 that asks each value of a `Context` for `to_dict`."""


class SummarizingMemory(Options, BaseChatStoreMemory):
    """A memory for chat engines and agents that keeps the bill flat.

        memory = SummarizingMemory.from_defaults(llm=llm, summarizer=small_llm)
        engine = SimpleChatEngine.from_defaults(llm=llm, memory=memory)

    It takes the place of `ChatMemoryBuffer`, `ChatSummaryMemoryBuffer` and `Memory`. Old messages
    leave what is sent when the prices of the model and its provider's cache say that this is
    cheaper; short summaries are sent in their place. What was sent stays as it was between two
    compactions, so that the provider's cache has it. Tool calls stay with their results. `get_all`
    has all messages, always; `undo` takes a compaction back.

    A failing summariser fails no call: the conversation goes on as it is, and where the window
    leaves no room, sentences are picked.

    Decisions are made in `get`, once for each state of the conversation: agents ask for the same
    messages several times in a turn. Engines that ask before they put the question
    (`ContextChatEngine`) name it (`get(input=...)`); recalled text then comes last, right before
    the question that they add. Agents keep the turn under way to themselves: `compacting_llm` takes
    tool results out of it.

    `to_dict` and `to_json` have messages, options and state; what is an object (LLMs, tools,
    archive, functions) is given anew: `SummarizingMemory.from_json(text, llm=llm)`. Into what a
    workflow's `Context` writes down it is not put, as no memory of LlamaIndex's is: an agent that
    goes on with a `Context` would have a copy without those objects, and leave this one behind.
    Hand it to every run (`agent.run(question, ctx=ctx, memory=memory)`), and save it beside.

    Options that are set later (`memory.llm = other`) hold from the next `get` on.

    Attributes:
        policy: When to compact, and what stays. Its `limit_tokens` is three quarters of the LLM's
            window unless it is given.
        llm: Who answers: its prices and its provider's cache decide. None: `model` and `provider`
            say it, and if they do not, careful guesses hold.
        summarizer: Who writes summaries: an LLM; "same": `llm`, behind the conversation that its
            provider's cache still has where that is cheaper; None: sentences are picked.
        system_prompt: Of the agent or engine, which a memory does not see; empty: it has none.
            None: not known, so that "same" is never asked behind the conversation.
        tools: Of the agent, likewise.
        recall_tokens: Of earlier messages that are shown again behind a question that needs them,
            at most; 0: none.
        embedder: Ranks what the words of a question have found: an embedding of LlamaIndex's, or a
            function of texts such as `LocalEmbedder()`. A turn waits two seconds for it at most.
        alike: Cosine from which on the embedder recalls what the words alone would not; None: it
            only ranks.
        cache_ttl: Of the cache markers of the requests, if there are any.
        archive, lengths, counter, prices, on_compaction: As of `frugal_chains`' `Compactor`.
        pin: Which messages never leave the context, besides those of `pinned`.
    """

    kept: dict[str, Any] = Field(default_factory=dict)
    """State, as plain JSON; `state` reads it."""

    _conversation: Conversation = PrivateAttr()

    @field_validator("chat_store", mode="before")
    @classmethod
    def _stored(cls, value: Any) -> Any:
        return load_chat_store(dict(value)) if isinstance(value, Mapping) else value

    @field_validator("tools", mode="before")
    @classmethod
    def _made_tools(cls, value: Any) -> list[BaseTool]:
        given = value or ()
        return [t if isinstance(t, BaseTool) else FunctionTool.from_defaults(t) for t in given]

    @field_serializer("chat_store")
    def serialize_courses_in_order(self, chat_store: BaseChatStore) -> dict[str, Any]:
        """In place of the class above, which fails for JSON; messages of this conversation only."""
        if not isinstance(chat_store, SimpleChatStore):
            return {**chat_store.model_dump(mode="json"), "class_name": chat_store.class_name()}
        plain = [m.model_dump(mode="json") for m in chat_store.get_messages(self.chat_store_key)]
        return {"store": {self.chat_store_key: plain}, "class_name": chat_store.class_name()}

    @field_serializer("policy")
    def _plain_policy(self, policy: CompactionPolicy) -> dict[str, Any]:
        return asdict(policy)

    def model_post_init(self, context: Any, /) -> None:
        self._conversation = self._goes_on()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in Options.model_fields:
            self._conversation = self._goes_on()

    @classmethod
    def class_name(cls) -> str:
        """For serialisation."""
        return "SummarizingMemory"

    @classmethod
    def from_defaults(
        cls,
        chat_history: list[ChatMessage] | None = None,
        llm: LLM | None = None,
        *,
        chat_store: BaseChatStore | None = None,
        chat_store_key: str = DEFAULT_CHAT_STORE_KEY,
        token_limit: int | None = None,
        **options: Any,
    ) -> Self:
        """A memory with these options, which are the attributes of the class.

        Args:
            chat_history: Messages to begin with; None: those in the store.
            llm: Who answers.
            chat_store: Where messages are; None: in this process.
            chat_store_key: Of the conversation.
            token_limit: Of what is sent, as other memories have it: the policy's `limit_tokens`.
            options: Others.

        Raises:
            MemoryPlanError: an option that does not exist, or "same" without an LLM.
        """
        unknown = options.keys() - cls.model_fields.keys()
        if unknown:
            raise MemoryPlanError(f"no options of a {cls.__name__}: {', '.join(sorted(unknown))}")
        if options.get("summarizer") == "same" and llm is None:
            raise MemoryPlanError('summarizer="same" is the LLM that answers: give llm=')
        if token_limit is not None:
            policy = options.get("policy") or CompactionPolicy()
            if policy.limit_tokens is None:
                options["policy"] = replace(policy, limit_tokens=token_limit)
        store = chat_store or SimpleChatStore()
        if chat_history is not None:
            store.set_messages(chat_store_key, [*chat_history])
        return cls(chat_store=store, chat_store_key=chat_store_key, llm=llm, **options)

    # -- messages ------------------------------------------------------------------------------

    def get(self, input: Any = None, **kwargs: Any) -> list[ChatMessage]:
        """What to send: the conversation with summaries in place of old messages.

        Args:
            input: The question, where it is not in the memory yet.
            kwargs: Of other memories; nothing is done with them.
        """
        return self._conversation.get(Moment.of(self.get_all(), input))

    async def aget(self, input: Any = None, **kwargs: Any) -> list[ChatMessage]:
        """As `get`."""
        return await self._conversation.aget(Moment.of(await self.aget_all(), input))

    def get_all(self) -> list[ChatMessage]:
        """Every message, as it was put."""
        return [*super().get_all()]

    async def aget_all(self) -> list[ChatMessage]:
        """As `get_all`."""
        if self._is_at_hand:
            return self.get_all()
        return [*await super().aget_all()]

    def put(self, message: ChatMessage) -> None:
        """Add a message. No model is asked."""
        super().put(message)

    async def aput(self, message: ChatMessage) -> None:
        """As `put`."""
        if self._is_at_hand:
            self.put(message)
        else:
            await super().aput(message)

    async def aput_messages(self, messages: list[ChatMessage]) -> None:
        """As `put`, in this order."""
        for message in messages:
            await self.aput(message)

    def set(self, messages: list[ChatMessage]) -> None:
        """Replace the conversation. Summaries of what it begins with, word for word, stay."""
        super().set([*messages])

    async def aset(self, messages: list[ChatMessage]) -> None:
        """As `set`."""
        if self._is_at_hand:
            self.set(messages)
        else:
            await super().aset([*messages])

    def reset(self) -> None:
        """Forget everything: messages, summaries and what the conversation has cost."""
        super().reset()
        self._conversation.forget()

    async def areset(self) -> None:
        """As `reset`."""
        if self._is_at_hand:
            self.reset()
            return
        await super().areset()
        self._conversation.forget()

    # -- compactions ---------------------------------------------------------------------------

    @property
    def state(self) -> MemoryState:
        """Summaries, and what the conversation has cost so far."""
        return self._conversation.state

    @property
    def compactions(self) -> tuple[Compaction, ...]:
        """What was compacted, the last hundred times, the newest last."""
        return self._conversation.compactions

    def preview(self, input: Any = None) -> Decision:
        """What `get` would decide now. Nothing is changed, no model asked.

        Args:
            input: As of `get`.
        """
        return self._conversation.preview(Moment.of(self.get_all(), input))

    def undo(self, compaction_id: str) -> None:
        """Send again what a compaction took out, and those after it.

        Args:
            compaction_id: `Compaction.id`.

        Raises:
            MemoryPlanError: there is none of this id.
        """
        self._conversation.undo(compaction_id)

    def compact_idle(self, return_share: float = 0.5) -> Compaction | None:
        """Compact while nobody asks, if the next question is then cheaper: before the provider's
        cache expires, `idle_at_s`. None: it would not be.

        Args:
            return_share: How often people come back after so long, 0 to 1.
        """
        return self._conversation.idle(Moment.of(self.get_all()), return_share)

    async def acompact_idle(self, return_share: float = 0.5) -> Compaction | None:
        """As `compact_idle`."""
        return await self._conversation.aidle(Moment.of(await self.aget_all()), return_share)

    def idle_at_s(self) -> float | None:
        """When to call `compact_idle`, seconds since the epoch; None: it would do nothing."""
        return self._conversation.idle_at_s(Moment.of(self.get_all()))

    # -- JSON ----------------------------------------------------------------------------------

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Plain JSON.

        Raises:
            MemoryPlanError: a workflow's `Context` asks; it leaves out what fails, with a warning.
        """
        caller = inspect.currentframe()
        caller = caller.f_back if caller is not None else None
        if caller is not None and caller.f_globals.get("__name__") == _WRITES_CONTEXTS:
            raise MemoryPlanError("a memory is in no Context that is written down: save it beside")
        return {**self.model_dump(mode="json", **kwargs), "class_name": self.class_name()}

    def to_string(self) -> str:
        """As `to_json`, by the name that other memories have for it."""
        return self.to_json()

    @classmethod
    def from_string(cls, json_str: str, **kwargs: Any) -> Self:
        """As `from_json`."""
        return cls.from_dict(json.loads(json_str), **kwargs)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        live = {n: fields.pop(n) for n, field in Options.model_fields.items() if field.exclude}
        return type(self)(**copy.deepcopy(fields, memo), **live)

    def __copy__(self) -> Self:
        return self.model_copy()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with a state of its own."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        made = type(self)(**{**fields, "kept": copy.deepcopy(self.kept), **(update or {})})
        return copy.deepcopy(made) if deep else made

    @property
    def _is_at_hand(self) -> bool:
        """Whether messages are in this process: then there is nothing to wait for."""
        return isinstance(self.chat_store, SimpleChatStore)

    def _goes_on(self) -> Conversation:
        """The conversation as it was kept, by the options as they are."""
        return Conversation(self, self.kept, self._keep, self.chat_store_key)

    def _keep(self, kept: dict[str, Any]) -> None:
        self.kept = kept
