"""`SummarizingMemory`: a chat memory that sends fewer tokens and keeps every message."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final, Literal, Self

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import LLM
from llama_index.core.memory.types import DEFAULT_CHAT_STORE_KEY, BaseChatStoreMemory
from llama_index.core.storage.chat_store import BaseChatStore, SimpleChatStore
from llama_index.core.storage.chat_store.loading import load_chat_store
from llama_index.core.tools import BaseTool, FunctionTool
from pydantic import ConfigDict, Field, PrivateAttr, field_serializer, field_validator

from frugal_chains.archive import Archive
from frugal_chains.dispatch.memory import Compaction
from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import CompactionPolicy, Decision, Lengths, MemoryState
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from llama_index_frugal._likeness import EmbedTexts
from llama_index_frugal.memory._conversation import Conversation, Moment
from llama_index_frugal.memory._messages import Pin
from llama_index_frugal.memory._options import Options

_LIVE: Final = (
    "llm", "summarizer", "tools", "archive", "lengths", "counter", "prices", "on_compaction", "pin",
    "embedder",
)  # fmt: skip
"""Options that are objects: they are not written down, and are given anew to what is read."""


class SummarizingMemory(BaseChatStoreMemory):
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
    archive, functions) is given anew: `SummarizingMemory.from_json(text, llm=llm)`. A workflow's
    `Context` leaves out whatever is called `memory`, with a warning, so save it beside.

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

    model_config = ConfigDict(arbitrary_types_allowed=True)

    policy: CompactionPolicy = Field(default_factory=CompactionPolicy)
    model: str = ""
    provider: str = ""
    system_prompt: str | None = None
    recall_tokens: int = 4_000
    alike: float | None = None
    cache_ttl: Literal["", "5m", "1h"] = ""
    kept: dict[str, Any] = Field(default_factory=dict)
    """State, as plain JSON; `state` reads it."""

    llm: LLM | None = Field(default=None, exclude=True)
    summarizer: LLM | Literal["same"] | None = Field(default=None, exclude=True)
    tools: Sequence[Any] = Field(default=(), exclude=True)
    archive: Archive | None = Field(default=None, exclude=True)
    lengths: Lengths | None = Field(default=None, exclude=True)
    counter: TokenCounter | None = Field(default=None, exclude=True)
    prices: PriceBook | None = Field(default=None, exclude=True)
    on_compaction: Callable[[Compaction], None] | None = Field(default=None, exclude=True)
    pin: Pin | None = Field(default=None, exclude=True)
    embedder: BaseEmbedding | EmbedTexts | None = Field(default=None, exclude=True)

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
        options = Options(**{name: getattr(self, name) for name in Options._fields})
        self._conversation = Conversation(options, self.kept, self._keep, self.chat_store_key)

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
        """Plain JSON."""
        return {**self.model_dump(mode="json", **kwargs), "class_name": self.class_name()}

    def to_string(self) -> str:
        """As `to_json`, by the name that other memories have for it."""
        return self.to_json()

    @classmethod
    def from_string(cls, json_str: str, **kwargs: Any) -> Self:
        """As `from_json`."""
        return cls.from_dict(json.loads(json_str), **kwargs)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        live = {name: getattr(self, name) for name in _LIVE}
        plain = {n: getattr(self, n) for n in type(self).model_fields if n not in live}
        return type(self)(**copy.deepcopy(plain, memo), **live)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with a state of its own."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        made = type(self)(**{**fields, "kept": copy.deepcopy(self.kept), **(update or {})})
        return copy.deepcopy(made) if deep else made

    @property
    def _is_at_hand(self) -> bool:
        """Whether messages are in this process: then there is nothing to wait for."""
        return isinstance(self.chat_store, SimpleChatStore)

    def _keep(self, kept: dict[str, Any]) -> None:
        self.kept = kept
