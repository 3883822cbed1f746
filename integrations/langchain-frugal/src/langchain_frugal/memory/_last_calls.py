"""The last call of each thread, for when it is idle."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from langchain_core.runnables import RunnableConfig

from langchain_frugal.memory._agent import Request
from langchain_frugal.memory._conversations import named_in

_THREADS: Final = 64


class LastCall(NamedTuple):
    """A request of an agent, and how to ask like it."""

    request: Request
    ask: Callable[[Request], Any] | None
    aask: Callable[[Request], Awaitable[Any]] | None

    def asynchronous(self) -> Callable[[Request], Awaitable[Any]]:
        """Asks with `await`, whichever way the agent was called."""
        if self.aask is not None:
            return self.aask
        ask = self.ask

        async def threaded(request: Request) -> Any:
            if ask is None:
                raise RuntimeError("the thread has had no call in this process")
            return await asyncio.to_thread(ask, request)

        return threaded


class LastCalls:
    """By thread. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: OrderedDict[str, LastCall] = OrderedDict()

    def remember(self, thread: str, call: LastCall) -> None:
        """Of a thread that has a name."""
        if not thread:
            return
        with self._lock:
            self._calls[thread] = call
            self._calls.move_to_end(thread)
            if len(self._calls) > _THREADS:
                self._calls.popitem(last=False)

    def of(self, config: RunnableConfig | None) -> LastCall | None:
        """Of the thread that a config names."""
        with self._lock:
            return self._calls.get(named_in(config or {}))
