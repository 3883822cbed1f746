"""Turns of conversations whose state the framework does not keep."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from langchain_core.runnables import RunnableConfig

from frugal_chains.dispatch.memory import Compactor, Flow, History, MemoryStates, Turn
from frugal_chains.errors import wordless
from frugal_chains.memory import MemoryState
from langchain_frugal._around import Around
from langchain_frugal._facts import thread_of
from langchain_frugal._long import worked
from langchain_frugal.memory._asking import Ask, AskAsync, adriven, driven
from langchain_frugal.memory._snapshots import Snapshots

logger = logging.getLogger("langchain_frugal")

R = TypeVar("R")

SWITCH: Final = "compact"
"""Under `configurable` or `metadata` of a config: False sends the history as it is."""
_NAMES: Final = ("thread_id", "session_id", "conversation_id")
_REMEMBERED: Final = 1024
"""Conversations whose last turn is known, for a request that is made again."""


class Said(NamedTuple):
    """What is asked of a memory for one request."""

    name: str
    """Of the conversation; empty: it has none."""
    history: History
    call: Around = Around()


class Conversations:
    """Decides turn by turn, and keeps the states. Safe for threads and tasks.

    A request that is made again, word for word, is sent the same bytes, and no second summary is
    paid for. While one turn of a conversation is being decided, others send what there is.

    Args:
        compactor: Decides.
        states: Of conversations with names; None: its own.
        again_s: For so long a request of a named conversation counts as the same one made again.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        compactor: Compactor,
        states: MemoryStates | None = None,
        *,
        again_s: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.compactor = compactor
        self.states = states if states is not None else MemoryStates()
        self._again_s, self._clock = again_s, clock
        self._snapshots = Snapshots()
        self._lock = threading.Lock()
        self._last: OrderedDict[str, tuple[float, Sequence[str], Turn]] = OrderedDict()

    def turn(self, said: Said, ask: Ask) -> Turn:
        """What is sent now."""
        again = self._again(said)
        if again is not None:
            return again
        if not said.name:
            state = self._snapshots.before(said.history.keys)
            return self._kept(said, driven(self._flow(said, state), ask))
        with self.states.turn(said.name) as free:
            state = self.states.get(said.name)
            if not free:
                return self.compactor.shown(said.history, state)
            return self._settled(said, state, driven(self._flow(said, state), ask))

    async def aturn(self, said: Said, ask: AskAsync, *, long: bool) -> Turn:
        """As `turn`.

        Args:
            said: Of this request.
            ask: Asks a model.
            long: Counting is done in a thread.
        """
        again, long = self._again(said), long or self.compactor.may_wait
        if again is not None:
            return again
        if not said.name:
            state = self._snapshots.before(said.history.keys)
            return self._kept(said, await adriven(self._flow(said, state), ask, long=long))
        with self.states.turn(said.name) as free:
            state = self.states.get(said.name)
            if not free:
                return await worked(self.compactor.shown, said.history, state, long=long)
            turn = await adriven(self._flow(said, state), ask, long=long)
            return self._settled(said, state, turn)

    def undo(self, name: str, compaction_id: str) -> None:
        """Forget a compaction, and those after it.

        Raises:
            MemoryPlanError: there is no such compaction.
        """
        before = self.states.get(name)
        while not self.states.put(name, before, before.without(compaction_id)):
            before = self.states.get(name)
        self._forget_turn(name)

    def forget(self, name: str) -> None:
        """Begin anew."""
        self.states.forget(name)
        self._forget_turn(name)

    # -- parts ---------------------------------------------------------------------------------

    def _flow(self, said: Said, state: MemoryState) -> Flow:
        return self.compactor.turn(
            said.history,
            state,
            conversation=said.name,
            operation_id=said.call.operation_id,
            trackers=said.call.trackers,
        )

    def _kept(self, said: Said, turn: Turn) -> Turn:
        self._snapshots.keep(said.history.keys, turn)
        return turn

    def _settled(self, said: Said, before: MemoryState, turn: Turn) -> Turn:
        self.states.settle(said.name, before, turn.state)
        with self._lock:
            self._last[said.name] = (self._clock(), tuple(said.history.keys), turn)
            self._last.move_to_end(said.name)
            if len(self._last) > _REMEMBERED:
                self._last.popitem(last=False)
        return turn

    def _again(self, said: Said) -> Turn | None:
        if not said.name:
            return self._snapshots.same(said.history.keys)
        with self._lock:
            found = self._last.get(said.name)
        if found is None:
            return None
        at_s, keys, turn = found
        fresh = self._clock() - at_s <= self._again_s
        return turn if fresh and keys == tuple(said.history.keys) else None

    def _forget_turn(self, name: str) -> None:
        with self._lock:
            self._last.pop(name, None)


def named_in(config: Mapping[str, Any] | RunnableConfig) -> str:
    """A conversation as a config names it; empty: it does not."""
    configured: Mapping[str, Any] = config.get("configurable") or {}
    thread = thread_of(config.get("metadata") or {})
    return thread or next((str(configured[name]) for name in _NAMES if configured.get(name)), "")


def is_wanted(config: Mapping[str, Any] | RunnableConfig) -> bool:
    """Whether a run wants its history compacted."""
    said = {**(config.get("metadata") or {}), **(config.get("configurable") or {})}
    return said.get(SWITCH) is not False


def read_or_none(read: Callable[[], R]) -> R | None:
    """A conversation as it was read; None where that fails: it is sent whole then."""
    try:
        return read()
    except Exception as error:
        logger.warning(
            "a conversation could not be read: it is sent whole", exc_info=wordless(error)
        )
        return None
