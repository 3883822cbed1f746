"""`SummarizingChatHistory`: a chat history that hands out a compact view of itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

from frugal_chains.archive import Archive
from frugal_chains.dispatch.memory import Compaction, Compactor, MemoryStates, Turn
from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import CompactionPolicy, Lengths, Segment
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from langchain_frugal.compression._around import around
from langchain_frugal.memory._asking import (
    Ask,
    AskAsync,
    aasking,
    anobody,
    asking,
    is_long,
    nobody,
    summary_config,
)
from langchain_frugal.memory._conversations import Conversations, Said
from langchain_frugal.memory._keys import key_of
from langchain_frugal.memory._messages import Pin, history_of, is_ours, sent
from langchain_frugal.memory._models import (
    SAME,
    Model,
    Summarizing,
    SummaryModel,
    summary_model,
    who,
)

_OWN = "history"
"""The name of the only conversation of a history with states of its own."""
_SEEN = 8
"""Views that were handed out last: of runs that may still be under way."""


class KeptMessages(BaseChatMessageHistory):
    """Messages in this process."""

    def __init__(self, messages: Sequence[BaseMessage] = ()) -> None:
        self.messages = list(messages)

    async def aget_messages(self) -> list[BaseMessage]:
        return self.messages

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        self.messages = [*self.messages, *messages]

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        self.add_messages(messages)

    def clear(self) -> None:
        self.messages = []

    async def aclear(self) -> None:
        self.clear()


class _View(NamedTuple):
    keys: tuple[str, ...]
    """Of the history that it is of."""
    messages: list[BaseMessage]


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
        policy: When to compact, and what stays; None: the defaults.
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
            policy, summarizer=told, cache_ttl=cache_ttl, archive=archive, lengths=lengths,
            counter=counter, prices=prices, on_compaction=on_compaction,
        )  # fmt: skip
        self._conversations = Conversations(compactor, states, again_s=0.0)
        self._who, self._pin = who(model), pin
        self._lock = threading.Lock()
        self._seen: list[_View] = []

    # -- reading ---------------------------------------------------------------------------------

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """What to send of the conversation so far."""
        full = self.full_messages
        if not self.enabled or not full:
            return full
        said = self._said(full)
        seen = self._view_of(said)
        if seen is None:
            ask: Ask = nobody
            if self._asked_of is not None:
                ask = asking(self._asked_of, full, summary_config())
            seen = self._handed_out(said, self._conversations.turn(said, ask), full)
        return list(seen)

    async def aget_messages(self) -> list[BaseMessage]:
        """As `messages`."""
        full = await self.aget_full_messages()
        if not self.enabled or not full:
            return full
        said = self._said(full)
        seen = self._view_of(said)
        if seen is None:
            ask: AskAsync = anobody
            if self._asked_of is not None:
                ask = aasking(self._asked_of, full, summary_config())
            turn = await self._conversations.aturn(said, ask, long=is_long(full))
            seen = self._handed_out(said, turn, full)
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
        new = self._new(messages)
        if new:
            self.inner.add_messages(new)

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """As `add_messages`."""
        new = self._new(messages)
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
        with self._lock:
            self._seen.clear()

    # -- parts -----------------------------------------------------------------------------------

    def _said(self, full: Sequence[BaseMessage]) -> Said:
        history = history_of(
            full, model=self._who.model, provider=self._who.provider, pin=self._pin
        )
        return Said(self._conversation, history, around())

    def _view_of(self, said: Said) -> list[BaseMessage] | None:
        """The view that was handed out of this very history."""
        keys = tuple(said.history.keys)
        with self._lock:
            found = next((one for one in self._seen if one.keys == keys), None)
            if found is None:
                return None
            self._seen.remove(found)
            self._seen.append(found)  # the last one is that of the history as it is
            return found.messages

    def _handed_out(self, said: Said, turn: Turn, full: list[BaseMessage]) -> list[BaseMessage]:
        view = _View(tuple(said.history.keys), sent(turn, full) if turn.changed else full)
        with self._lock:
            first = next((one for one in self._seen if one.keys == view.keys), None)
            if first is not None:
                return first.messages
            self._seen.append(view)
            del self._seen[:-_SEEN]
        return view.messages

    def _new(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """Without what came from here.

        `RunnableWithMessageHistory` adds what is behind as many messages as are handed out at the
        end of its run; if another run has been compacted meanwhile, these are fewer than it began
        with, and it would add old messages again.
        """
        own = [message for message in messages if not is_ours(message)]
        with self._lock:
            now = len(self._seen[-1].messages) if self._seen else 0
            for view in self._seen[:-1]:
                again = [one for one in view.messages[now:] if not is_ours(one)]
                if again and _same(again, own[: len(again)]):
                    return own[len(again) :]
        return own

    def _forget(self) -> None:
        self._conversations.forget(self._conversation)
        with self._lock:
            self._seen.clear()


def transcript_model(summarizer: Summarizing, model: Any) -> SummaryModel:
    """Who is asked for summaries where requests cannot be seen, only messages.

    Raises:
        MemoryPlanError: "same" without a model to ask, or a summarizer that is none.
    """
    if summarizer != SAME:
        return summary_model(summarizer)
    if isinstance(model, str):
        raise MemoryPlanError("summarizer='same' needs the model itself, to ask it: give model=")
    return summary_model(model)


def _same(these: Sequence[BaseMessage], those: Sequence[BaseMessage]) -> bool:
    return [key_of(one) for one in these] == [key_of(one) for one in those]
