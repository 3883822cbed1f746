"""`Conversation`: decisions about one conversation, each made once, and what is remembered."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple, Self

from llama_index.core.base.llms.types import ChatMessage, MessageRole

from frugal_chains.dispatch.memory import Compaction, Compactor, Flow, History, MemoryStates, Turn
from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import Decision, MemoryState
from llama_index_frugal._about import is_large, who_answers
from llama_index_frugal._around import around
from llama_index_frugal._vectors import vectors_of
from llama_index_frugal.memory._asking import adriven, driven
from llama_index_frugal.memory._messages import history_of, sent
from llama_index_frugal.memory._options import (
    Options,
    head_of,
    own_ttl,
    summarizer_of,
    within_window,
)

logger = logging.getLogger("llama_index_frugal")

_ONE: Final = "this"
"""Name of the one conversation among the states."""
_MOST_EVENTS: Final = 100


class Moment(NamedTuple):
    """A conversation when it is asked for."""

    messages: list[ChatMessage]
    """The question included."""
    to_come: int | None
    """Position of the question, where whoever asks adds it by itself."""
    pending: bool
    """Whether there is a question to be answered: else nothing is decided."""

    @classmethod
    def of(cls, messages: list[ChatMessage], input: Any = None) -> Self:
        """Tells engines, which name the question before they put it, from agents, which name it
        again after it was put, and from code that reads what there is."""
        last = messages[-1] if messages else None
        asked = input if isinstance(input, str) else getattr(input, "content", None) or ""
        if last is not None and last.role == MessageRole.USER and asked in (last.content or ""):
            return cls(messages, None, True)
        if asked and (last is None or last.role != MessageRole.TOOL):
            question = ChatMessage(asked, role=MessageRole.USER)
            return cls([*messages, question], len(messages), True)
        return cls(messages, None, last is not None and last.role != MessageRole.ASSISTANT)


class Conversation:
    """Safe for threads and tasks: one turn at a time compacts, others send what there is.

    Args:
        options: Of the memory.
        kept: What `keep` was handed, from another process maybe; empty: a new conversation.
        keep: Told whenever what is to be kept changes; plain JSON.
        name: Of the conversation, for events.
    """

    def __init__(
        self,
        options: Options,
        kept: Mapping[str, Any],
        keep: Callable[[dict[str, Any]], None],
        name: str,
    ) -> None:
        self._name, self._pin, self._keep = name, options.pin, keep
        self._model, self._provider = options.model, options.provider
        if options.llm is not None and not options.model:
            self._model, self._provider = who_answers(options.llm)
        self._head = head_of(options)
        self._asks, summarizer = summarizer_of(options, self._model, self._provider)
        self._compactor = Compactor(
            within_window(options.policy, options.llm),
            summarizer=summarizer,
            recall_tokens=options.recall_tokens,
            embedder=vectors_of(options.embedder),
            alike=options.alike,
            cache_ttl=options.cache_ttl or own_ttl(options.llm),
            archive=options.archive,
            lengths=options.lengths,
            counter=options.counter,
            prices=options.prices,
            on_compaction=options.on_compaction,
        )
        self._lock = threading.Lock()
        self._states = MemoryStates()
        state, self._events, self._answered = _read(kept)
        self._states.put(_ONE, MemoryState(), state)

    def __reduce__(self) -> tuple[Any, ...]:
        """Nothing is pickled: a memory that is read makes it anew, of its fields."""
        return type(None), ()

    @property
    def state(self) -> MemoryState:
        return self._states.get(_ONE)

    @property
    def compactions(self) -> tuple[Compaction, ...]:
        return tuple(self._events)

    def get(self, moment: Moment) -> list[ChatMessage]:
        """What to send."""
        history = self._history(moment.messages)
        if self._is_known(moment, history):
            return sent(self._compactor.shown(history, self.state), *_as_asked(moment))
        with self._states.turn(_ONE) as free:
            before = self.state
            if not free:
                return sent(self._compactor.shown(history, before), *_as_asked(moment))
            flow = self._flow(history, before)
            turn = driven(flow, lambda r: self._asked(r, moment.messages))
            self._settle(history, before, turn)
        return sent(turn, *_as_asked(moment))

    async def aget(self, moment: Moment) -> list[ChatMessage]:
        """As `get`."""
        large = self._compactor.may_wait or is_large(moment.messages[self.state.end :])
        history = self._history(moment.messages)
        if self._is_known(moment, history):
            return sent(self._compactor.shown(history, self.state), *_as_asked(moment))
        with self._states.turn(_ONE) as free:
            before = self.state
            if not free:
                return sent(self._compactor.shown(history, before), *_as_asked(moment))
            flow = self._flow(history, before)
            turn = await adriven(flow, lambda r: self._aasked(r, moment.messages), large=large)
            self._settle(history, before, turn)
        return sent(turn, *_as_asked(moment))

    def preview(self, moment: Moment) -> Decision:
        return self._compactor.preview(self._history(moment.messages), self.state)

    def idle_at_s(self, moment: Moment) -> float | None:
        return self._compactor.idle_at_s(self._history(moment.messages), self.state)

    def idle(self, moment: Moment, return_share: float) -> Compaction | None:
        history = self._history(moment.messages)
        with self._states.turn(_ONE) as free:
            if not free:
                return None
            before = self.state
            flow = self._idle_flow(history, before, return_share)
            turn = driven(flow, lambda r: self._asked(r, moment.messages))
            return self._rested(before, turn)

    async def aidle(self, moment: Moment, return_share: float) -> Compaction | None:
        history = self._history(moment.messages)
        with self._states.turn(_ONE) as free:
            if not free:
                return None
            before = self.state
            flow = self._idle_flow(history, before, return_share)
            turn = await adriven(flow, lambda r: self._aasked(r, moment.messages))
            return self._rested(before, turn)

    def undo(self, compaction_id: str) -> None:
        before = self.state
        while not self._states.put(_ONE, before, before.without(compaction_id)):
            before = self.state
        self._written()

    def forget(self) -> None:
        self._states.forget(_ONE)
        self._answered, self._events = "", []
        self._written()

    # -- parts ---------------------------------------------------------------------------------

    def _history(self, messages: Sequence[ChatMessage]) -> History:
        return history_of(
            messages, head=self._head, model=self._model, provider=self._provider, pin=self._pin
        )

    def _is_known(self, moment: Moment, history: History) -> bool:
        """Whether nothing is to be decided: it was, or there is no question."""
        return not moment.pending or self._answered == _named(history)

    def _flow(self, history: History, state: MemoryState) -> Flow:
        outside = around()
        return self._compactor.turn(
            history,
            state,
            conversation=self._name,
            operation_id=outside.operation_id,
            trackers=outside.trackers,
        )

    def _idle_flow(self, history: History, state: MemoryState, return_share: float) -> Flow:
        return self._compactor.idle(
            history, state, conversation=self._name, return_share=return_share
        )

    def _asked(self, request: Any, messages: Sequence[ChatMessage]) -> str | BaseException:
        return self._asks(request, messages) if self._asks else _nobody()

    async def _aasked(self, request: Any, messages: Sequence[ChatMessage]) -> str | BaseException:
        return await self._asks.ask(request, messages) if self._asks else _nobody()

    def _settle(self, history: History, before: MemoryState, turn: Turn) -> None:
        if turn.reason == "off":  # nothing could be decided
            return
        won = self._states.settle(_ONE, before, turn.state)
        with self._lock:
            self._answered = _named(history)
            if won and turn.event is not None:
                self._events = [*self._events, turn.event][-_MOST_EVENTS:]
        self._written()

    def _rested(self, before: MemoryState, turn: Turn) -> Compaction | None:
        if turn.event is None or not self._states.settle(_ONE, before, turn.state):
            return None
        with self._lock:
            self._events = [*self._events, turn.event][-_MOST_EVENTS:]
        self._written()
        return turn.event

    def _written(self) -> None:
        with self._lock:
            self._keep(
                {
                    "state": self.state.to_json(),
                    "answered": self._answered,
                    "compactions": [asdict(event) for event in self._events],
                }
            )


def _read(kept: Mapping[str, Any]) -> tuple[MemoryState, list[Compaction], str]:
    """State, events, and the name of the messages that were decided about last."""
    if not kept:
        return MemoryState(), [], ""
    try:
        events = [Compaction(**event) for event in kept["compactions"]]
        return MemoryState.from_json(kept["state"]), events, str(kept["answered"])
    except (MemoryPlanError, KeyError, TypeError) as error:  # of another version, or damaged
        logger.warning("memory: begins anew, as its state cannot be read: %s", error)
        return MemoryState(), [], ""


def _as_asked(moment: Moment) -> tuple[list[ChatMessage], int | None]:
    return moment.messages, moment.to_come


def _nobody() -> BaseException:
    return MemoryPlanError("there is no LLM to ask for a summary: give summarizer=")


def _named(history: History) -> str:
    """Names all messages of a history."""
    return hashlib.blake2b("\n".join(history.keys).encode(), digest_size=16).hexdigest()
