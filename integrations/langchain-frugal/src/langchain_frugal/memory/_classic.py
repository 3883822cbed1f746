"""`SummarizingMemory`: for chains that take a memory of `langchain-classic`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from langchain_classic.memory.chat_memory import BaseChatMemory
from langchain_classic.memory.utils import get_prompt_input_key
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.embeddings import Embeddings
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, get_buffer_string
from pydantic import ConfigDict, Field, PrivateAttr

from frugal_chains.archive import Archive
from frugal_chains.dispatch.memory import Compaction, Compactor, MemoryStates, Turn
from frugal_chains.memory import CompactionPolicy, Lengths, Segment
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from langchain_frugal._around import around
from langchain_frugal._likeness import EmbedTexts
from langchain_frugal._long import is_long, worked
from langchain_frugal._stand_ins import is_ours, stands_for
from langchain_frugal._vectors import vectors_of
from langchain_frugal._who import who
from langchain_frugal.memory._asking import aasking, asking
from langchain_frugal.memory._conversations import Conversations, Said, read_or_none
from langchain_frugal.memory._kept import KeptMessages
from langchain_frugal.memory._messages import Pin, history_of, shown_messages
from langchain_frugal.memory._models import Model, transcript_model
from langchain_frugal.memory._windows import within_window

_OWN = "memory"
"""The name of the only conversation of a memory with states of its own."""


class SummarizingMemory(BaseChatMemory):
    """Takes the place of `ConversationSummaryBufferMemory` in a chain.

        ConversationChain(llm=llm, memory=SummarizingMemory(model=llm))

    `chat_memory` keeps every message. What a chain is given is the newest messages and a summary of
    the others, as soon as that is cheaper; `max_token_limit` is how many tokens of the newest stay
    as they are. Old messages that the chain's question needs are shown again, at the end.

    Args:
        model: Who answers: a model or its name. Its prices, cache rules and tokenizer decide.
        llm: Who writes summaries, as of `ConversationSummaryBufferMemory`; also given as
            `summarizer`. None: sentences are picked, no model is asked. "same": `model`.
        policy: When to compact, and what stays; None: the defaults with `max_token_limit`. Without
            `limit_tokens` as of `SummarizingChatHistory`.
        recall_tokens: Of messages that are shown again, at most; 0: none are.
        embedder, alike: As of `compact_messages`.
        states: Shared by all objects that stand for the same conversation; None: its own.
        conversation: Its name in there.
        chat_memory, memory_key, input_key, output_key, return_messages, human_prefix, ai_prefix: As
            of `ConversationSummaryBufferMemory`.
        cache_ttl, pin, archive, lengths, counter, prices, on_compaction: As of
            `SummarizingChatHistory`.

    Raises:
        ValueError: a summarizer that is none, or "same" without a model to ask.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())

    chat_memory: BaseChatMessageHistory = Field(default_factory=KeptMessages)
    model: Any = ""
    llm: Any = None
    summarizer: Any = None
    max_token_limit: int = 2_000
    memory_key: str = "history"
    human_prefix: str = "Human"
    ai_prefix: str = "AI"
    policy: CompactionPolicy | None = None
    recall_tokens: int = 4_000
    embedder: Embeddings | EmbedTexts | None = None
    alike: float | None = None
    cache_ttl: Literal["", "5m", "1h"] = ""
    pin: Pin | None = None
    archive: Archive | None = None
    lengths: Lengths | None = None
    counter: TokenCounter | None = None
    prices: PriceBook | None = None
    on_compaction: Callable[[Compaction], None] | None = None
    states: MemoryStates | None = None
    conversation: str = _OWN

    _conversations: Conversations = PrivateAttr()
    _asked_of: Model | None = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        given = self.summarizer if self.summarizer is not None else self.llm
        told, self._asked_of = transcript_model(given, self.model)
        policy = self.policy or CompactionPolicy(keep_tokens=self.max_token_limit)
        compactor = Compactor(
            within_window(policy, self.model, self.prices), summarizer=told,
            recall_tokens=self.recall_tokens, embedder=vectors_of(self.embedder),
            alike=self.alike, cache_ttl=self.cache_ttl, archive=self.archive,
            lengths=self.lengths, counter=self.counter, prices=self.prices,
            on_compaction=self.on_compaction,
        )  # fmt: skip
        self._conversations = Conversations(compactor, self.states)

    @property
    def memory_variables(self) -> list[str]:
        return [self.memory_key]

    def load_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """What the chain is given for this question."""
        full = list(self.chat_memory.messages)
        asked = self._with_question(full, inputs)
        said = self._said(asked)
        if said is None:
            return self._given(full)
        turn = self._conversations.turn(said, asking(self._asked_of, asked))
        return self._given(_without_question(turn, asked, len(full)))

    async def aload_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """As `load_memory_variables`."""
        full = list(await self.chat_memory.aget_messages())
        asked = self._with_question(full, inputs)
        long = is_long(asked)
        said = await worked(self._said, asked, long=long)
        if said is None:
            return self._given(full)
        turn = await self._conversations.aturn(said, aasking(self._asked_of, asked), long=long)
        return self._given(_without_question(turn, asked, len(full)))

    def clear(self) -> None:
        super().clear()
        self._conversations.forget(self.conversation)

    async def aclear(self) -> None:
        await super().aclear()
        self._conversations.forget(self.conversation)

    @property
    def buffer(self) -> str | list[BaseMessage]:
        """What a chain would be given without a question."""
        found: str | list[BaseMessage] = self.load_memory_variables({})[self.memory_key]
        return found

    @property
    def moving_summary_buffer(self) -> str:
        """What stands for messages that are no longer given word for word."""
        return "\n".join(segment.text for segment in self.compactions)

    @property
    def compactions(self) -> tuple[Segment, ...]:
        """The parts of that, oldest first."""
        return self._conversations.states.get(self.conversation).segments

    def undo(self, compaction_id: str) -> None:
        """Take a compaction back, and those after it.

        Raises:
            MemoryPlanError: there is no such compaction.
        """
        self._conversations.undo(self.conversation, compaction_id)

    # -- parts -----------------------------------------------------------------------------------

    def _with_question(self, full: list[BaseMessage], inputs: dict[str, Any]) -> list[BaseMessage]:
        """The conversation with what is asked now; as it will be kept."""
        question: Any = None
        try:
            key = self.input_key or get_prompt_input_key(inputs, self.memory_variables)
            question = inputs[key]
        except (KeyError, ValueError):  # a chain with several inputs, or none: it has not said
            pass
        if isinstance(question, BaseMessage):
            return [*full, question]
        return [*full, HumanMessage(question)] if isinstance(question, str) else full

    def _said(self, messages: Sequence[BaseMessage]) -> Said | None:
        """None: they are given as they are."""
        return read_or_none(lambda: self._read(messages)) if messages else None

    def _read(self, messages: Sequence[BaseMessage]) -> Said:
        history = history_of(messages, answers=who(self.model), pin=self.pin)
        return Said(self.conversation, history, around())

    def _given(self, view: list[BaseMessage]) -> dict[str, Any]:
        if self.return_messages:
            return {self.memory_key: view}
        # A summary is nothing that the person has said.
        told = [SystemMessage(one.content) if is_ours(one) else one for one in view]
        text = get_buffer_string(told, human_prefix=self.human_prefix, ai_prefix=self.ai_prefix)
        return {self.memory_key: text}


def _without_question(turn: Turn, messages: Sequence[BaseMessage], count: int) -> list[BaseMessage]:
    """The view of the first `count` messages; what was recalled for the question comes last."""
    earlier = [one for one in turn.view if one.position is None or one.position < count]
    shown = shown_messages(earlier, turn.shortened, messages)
    if turn.recalled and count < len(messages):
        shown.append(stands_for(turn.recalled))
    return shown
