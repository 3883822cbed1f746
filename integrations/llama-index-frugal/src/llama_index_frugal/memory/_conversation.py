"""`Conversation`: decisions about one conversation, each made once, and what is remembered."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final, NamedTuple, Self

from llama_index.core.base.llms.types import ChatMessage, MessageRole

from frugal_chains.dispatch.memory import (
    Compaction,
    History,
    MemoryStates,
    SummaryRequest,
    Turn,
)
from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory import Decision, MemoryState
from llama_index_frugal._about import is_large, who_answers
from llama_index_frugal._around import around
from llama_index_frugal.memory._asking import Prefix, Put, Steps, adriven, driven
from llama_index_frugal.memory._messages import history_of, sent
from llama_index_frugal.memory._options import Options, compactor_of, head_of, summarizer_of

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
        self._compactor = compactor_of(options, summarizer)
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
        with self._turn(moment) as steps:
            return driven(steps, self._put("", moment))

    async def aget(self, moment: Moment) -> list[ChatMessage]:
        """As `get`."""
        with self._turn(moment) as steps:
            return await adriven(steps, self._put("a", moment), large=self._is_large(moment))

    def preview(self, moment: Moment) -> Decision:
        return self._compactor.preview(self._history(moment.messages), self.state)

    def idle_at_s(self, moment: Moment) -> float | None:
        return self._compactor.idle_at_s(self._history(moment.messages), self.state)

    def idle(self, moment: Moment, return_share: float) -> Compaction | None:
        with self._states.turn(_ONE) as free:
            steps = self._rested(moment, return_share, free)
            return driven(steps, self._put("", moment))

    async def aidle(self, moment: Moment, return_share: float) -> Compaction | None:
        with self._states.turn(_ONE) as free:
            steps = self._rested(moment, return_share, free)
            return await adriven(steps, self._put("a", moment), large=self._is_large(moment))

    def undo(self, compaction_id: str) -> None:
        with self._lock:
            before = self.state
            while not self._states.put(_ONE, before, before.without(compaction_id)):
                before = self.state
            self._write()

    def forget(self) -> None:
        with self._lock:
            self._states = MemoryStates()  # what a turn under way will leave is of the old ones
            self._answered, self._events = "", []
            self._write()

    # -- parts ---------------------------------------------------------------------------------

    def _history(self, messages: Sequence[ChatMessage]) -> History:
        return history_of(
            messages, head=self._head, model=self._model, provider=self._provider, pin=self._pin
        )

    @contextmanager
    def _turn(self, moment: Moment) -> Iterator[Steps[list[ChatMessage]]]:
        history = self._history(moment.messages)
        if not moment.pending or self._answered == _named(history):  # it was decided, or need not
            yield self._viewed(moment, history, anew=False)
            return
        with self._states.turn(_ONE) as free:
            yield self._viewed(moment, history, anew=free)

    def _viewed(self, moment: Moment, history: History, *, anew: bool) -> Steps[list[ChatMessage]]:
        states = self._states
        before = states.get(_ONE)
        if not anew:
            turn = self._compactor.shown(history, before)
        else:
            outside = around()
            turn = yield from self._compactor.turn(
                history,
                before,
                conversation=self._name,
                operation_id=outside.operation_id,
                trackers=outside.trackers,
            )
            if turn.reason != "off":  # else nothing could be decided
                self._settle(states, before, turn, answered=_named(history))
        return sent(turn, moment.messages, moment.to_come)

    def _rested(self, moment: Moment, return_share: float, free: bool) -> Steps[Compaction | None]:
        if not free:
            return None
        states = self._states
        before = states.get(_ONE)
        turn = yield from self._compactor.idle(
            self._history(moment.messages),
            before,
            conversation=self._name,
            return_share=return_share,
        )
        settled = turn.event is not None and self._settle(states, before, turn)
        return turn.event if settled else None

    def _put(self, prefix: Prefix, moment: Moment) -> Put:
        return self._asks.put(prefix, moment.messages) if self._asks is not None else _nobody

    def _is_large(self, moment: Moment) -> bool:
        return self._compactor.may_wait or is_large(moment.messages[self.state.end :])

    def _settle(
        self, states: MemoryStates, before: MemoryState, turn: Turn, answered: str = ""
    ) -> bool:
        """Whether the compaction of a turn holds, if it had one.

        Args:
            states: Those it was decided by; others have come since if everything was forgotten.
            before: What it began with.
            turn: What it came to.
            answered: Name of all messages, if they are not to be decided about again.
        """
        with self._lock:
            if states is not self._states:
                return False
            won = states.settle(_ONE, before, turn.state)
            self._answered = answered or self._answered
            if won and turn.event is not None:
                self._events = [*self._events, turn.event][-_MOST_EVENTS:]
            self._write()
        return won

    def _write(self) -> None:
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
        kind = type(error).__name__  # what it says may hold what was said
        logger.warning("memory: begins anew, as its state cannot be read: %s", kind)
        return MemoryState(), [], ""


def _nobody(request: SummaryRequest) -> Any:
    raise MemoryPlanError("there is no LLM to ask for a summary: give summarizer=")


def _named(history: History) -> str:
    """Names all messages of a history."""
    return hashlib.blake2b("\n".join(history.keys).encode(), digest_size=16).hexdigest()
