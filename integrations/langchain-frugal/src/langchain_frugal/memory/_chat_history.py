"""`SummarizingChatHistory`: a chat history that hands out a compact view of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

from frugal_chains.archive import Archive
from frugal_chains.dispatch.memory import Compaction, Compactor, MemoryStates
from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import CompactionPolicy, Lengths, Segment
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from langchain_frugal._around import around
from langchain_frugal._long import is_long, worked
from langchain_frugal._who import who
from langchain_frugal.memory._asking import aasking, asking
from langchain_frugal.memory._conversations import Conversations, Said, read_or_none
from langchain_frugal.memory._kept import KeptMessages
from langchain_frugal.memory._messages import Pin, history_of, sent
from langchain_frugal.memory._models import Model, Summarizing, transcript_model
from langchain_frugal.memory._views import Views
from langchain_frugal.memory._windows import within_window

_OWN = "history"
"""The name of the only conversation of a history with states of its own."""


class SummarizingChatHistory(BaseChatMessageHistory):
    """A chat history whose `messages` are a compact view, when that is cheaper to send.

        history = SummarizingChatHistory(RedisChatMessageHistory(...), model="gpt-5-mini")
        RunnableWithMessageHistory(chain, lambda session_id: history_of(session_id), ...)

    The inner history has every message, as it would without this; `full_messages` reads it. What is
    handed out stays the same until a message is added: the same history is the same view. It is
    decided when it is read, for the call that follows.

    Args:
        inner: Where the messages are; None: in this process.
        model: Who answers: a model or its name. Its prices, cache rules and tokenizer decide.
        policy: When to compact, and what stays; None: the defaults. Without `limit_tokens` no
            request is larger than three quarters of the model's window, where that is known.
        summarizer: Who writes summaries, from a transcript. None: sentences are picked, no model is
            asked. "same": `model`. Or a model of its own.
        cache_ttl: Of the cache markers of these requests, if there are any.
        pin: Which messages never leave the view, besides those of `pinned`.
        archive: Where messages are put before they leave it.
        lengths: Calls of past conversations: what would not be paid back is not done.
        counter: The token counter.
        prices: None: list prices behind the user's `prices.toml`.
        on_compaction: Told of every compaction.
        states: Shared by all objects that stand for the same conversation; None: its own.
        conversation: Its name in there.
        enabled: False: `messages` is the whole history.

    Raises:
        MemoryPlanError: shared states without a name, or a summarizer that is none.
    """

    def __init__(
        self,
        inner: BaseChatMessageHistory | None = None,
        *,
        model: Model | str = "",
        policy: CompactionPolicy | None = None,
        summarizer: Summarizing = None,
        cache_ttl: Literal["", "5m", "1h"] = "",
        pin: Pin | None = None,
        archive: Archive | None = None,
        lengths: Lengths | None = None,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
        on_compaction: Callable[[Compaction], None] | None = None,
        states: MemoryStates | None = None,
        conversation: str = "",
        enabled: bool = True,
    ) -> None:
        if states is not None and not conversation:
            raise MemoryPlanError("shared states need a name: SummarizingChatHistory(..., "
                                  "states=states, conversation=session_id)")  # fmt: skip
        self.inner = inner if inner is not None else KeptMessages()
        self.enabled = enabled
        self._conversation = conversation or _OWN
        told, self._asked_of = transcript_model(summarizer, model)
        compactor = Compactor(
            within_window(policy, model, prices), summarizer=told, cache_ttl=cache_ttl,
            archive=archive, lengths=lengths, counter=counter, prices=prices,
            on_compaction=on_compaction,
        )  # fmt: skip
        self._conversations = Conversations(compactor, states, again_s=0.0)
        self._answers, self._pin = who(model), pin
        self._views = Views()

    # -- reading ---------------------------------------------------------------------------------

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """What to send of the conversation so far."""
        full = self.full_messages
        said = self._said(full)
        if said is None:
            return full
        seen = self._views.of(said.history.keys)
        if seen is None:
            turn = self._conversations.turn(said, asking(self._asked_of, full))
            seen = self._views.hand_out(said.history.keys, sent(turn, full))
        return list(seen)

    async def aget_messages(self) -> list[BaseMessage]:
        """As `messages`."""
        full = await self.aget_full_messages()
        long = is_long(full)
        said = await worked(self._said, full, long=long)
        if said is None:
            return full
        seen = self._views.of(said.history.keys)
        if seen is None:
            turn = await self._conversations.aturn(said, aasking(self._asked_of, full), long=long)
            seen = self._views.hand_out(said.history.keys, sent(turn, full))
        return list(seen)

    @property
    def full_messages(self) -> list[BaseMessage]:
        """Every message, in the inner history's words."""
        return list(self.inner.messages)

    async def aget_full_messages(self) -> list[BaseMessage]:
        """As `full_messages`."""
        return list(await self.inner.aget_messages())

    # -- writing ---------------------------------------------------------------------------------

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Goes to the inner history; what fails there is raised, and nothing has changed here."""
        new = self._views.new_in(messages)
        if new:
            self.inner.add_messages(new)

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """As `add_messages`."""
        new = self._views.new_in(messages)
        if new:
            await self.inner.aadd_messages(new)

    def clear(self) -> None:
        """Empties the inner history, and forgets what was remembered of it."""
        self.inner.clear()
        self._forget()

    async def aclear(self) -> None:
        """As `clear`."""
        await self.inner.aclear()
        self._forget()

    # -- compactions -----------------------------------------------------------------------------

    @property
    def compactions(self) -> tuple[Segment, ...]:
        """What stands for messages that have left the view, oldest first."""
        return self._conversations.states.get(self._conversation).segments

    def undo(self, compaction_id: str) -> None:
        """Take a compaction back, and those after it.

        Raises:
            MemoryPlanError: there is no such compaction.
        """
        self._conversations.undo(self._conversation, compaction_id)
        self._views.forget()

    # -- parts -----------------------------------------------------------------------------------

    def _said(self, full: Sequence[BaseMessage]) -> Said | None:
        """None: they are handed out as they are."""
        if not (self.enabled and full):
            return None
        return read_or_none(lambda: self._read(full))

    def _read(self, full: Sequence[BaseMessage]) -> Said:
        history = history_of(full, answers=self._answers, pin=self._pin)
        return Said(self._conversation, history, around())

    def _forget(self) -> None:
        self._conversations.forget(self._conversation)
        self._views.forget()
