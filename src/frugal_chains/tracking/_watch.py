"""Finding asynchronous calls that were cancelled without a word.

A framework that is cancelled inside `await gather(...)` may report neither end nor error. Two
signs are left: the task that made the call is done; or, when only a part of the task was
cancelled (`asyncio.timeout`), the frame that made the call is no longer among those the task is
suspended in. The first is a callback, the second is looked up a few times a second.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

LOOK_EVERY_S: Final = 0.4
_DEEPEST: Final = 500


class CallWatch:
    """Watches the calls of one event loop; not for other threads.

    It does not hold its loop: it is kept as long as the loop is, and must not be what keeps it.
    """

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._looking = False

    @staticmethod
    def of_running_loop() -> CallWatch:
        """The watch of the loop this code runs in. Raises `RuntimeError` outside of one."""
        loop = asyncio.get_running_loop()
        found = _watches.get(loop)
        if found is None:
            found = _watches[loop] = CallWatch()
        return found

    @property
    def watching(self) -> bool:
        """Whether any call is being watched, or a look is still to come."""
        return self._looking

    def add(self, key: str, maker: FrameType, gone: Callable[[str], object]) -> None:
        """Call `gone(key)` once when the frame `maker`, running now, has ended without `remove`.

        Several may watch one call; the first `remove` ends it for all.
        """
        if (watched := self._watched.get(key)) is not None:
            if gone not in watched.gone:
                watched.gone.append(gone)
            return
        task = asyncio.current_task()
        if task is None:
            return
        watched = self._watched[key] = _Watched(key, task, maker, gone, self)
        task.add_done_callback(watched.task_done)
        if not self._looking:
            self._look_later()

    def remove(self, key: str) -> None:
        """The call has ended as it should."""
        watched = self._watched.pop(key, None)
        if watched is not None:
            watched.task.remove_done_callback(watched.task_done)

    def lost(self, key: str) -> None:
        """The call is gone: say so."""
        watched = self._watched.get(key)
        if watched is not None:
            self.remove(key)
            for gone in watched.gone:
                gone(key)

    def _look(self) -> None:
        for watched in list(self._watched.values()):
            if not is_suspended_in(watched.task, watched.maker):
                self.lost(watched.key)
        self._looking = False
        if self._watched:
            self._look_later()

    def _look_later(self) -> None:
        self._looking = True
        asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)


class _Watched:
    __slots__ = ("gone", "key", "maker", "task", "watch")

    def __init__(
        self,
        key: str,
        task: asyncio.Task[Any],
        maker: FrameType,
        gone: Callable[[str], object],
        watch: CallWatch,
    ) -> None:
        self.key = key
        self.task = task
        self.maker = maker
        self.gone = [gone]
        self.watch = watch

    def task_done(self, task: asyncio.Task[Any]) -> None:
        self.watch.lost(self.key)


def is_suspended_in(task: asyncio.Task[Any], maker: FrameType) -> bool:
    """Whether `maker` is among the frames that `task` is suspended in.

    True also when that cannot be told, because something in between is not written in Python.
    """
    awaited: Any = task.get_coro()
    for _ in range(_DEEPEST):
        frame, inner = _step(awaited)
        if frame is maker:
            return True
        if inner is None:
            return not (
                frame is not None or isinstance(awaited, asyncio.Future) or _is_over(awaited)
            )
        awaited = inner
    return True


def _step(awaited: Any) -> tuple[FrameType | None, Any]:
    """The frame of one link of the await chain, and the next link."""
    if inspect.iscoroutine(awaited):
        return awaited.cr_frame, awaited.cr_await
    if inspect.isgenerator(awaited):
        return awaited.gi_frame, awaited.gi_yieldfrom
    if inspect.isasyncgen(awaited):
        return awaited.ag_frame, awaited.ag_await
    # `asend()` and `__await__()` wrappers name nothing, but the collector knows what they hold.
    for held in gc.get_referents(awaited):
        if inspect.iscoroutine(held) or inspect.isasyncgen(held) or inspect.isgenerator(held):
            return None, held
    return None, None


def _is_over(awaited: Any) -> bool:
    """Asyncio's own iterators end a chain like the futures they wait for."""
    return type(awaited).__name__ in ("FutureIter", "_GatheringFuture")


_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, CallWatch] = (
    weakref.WeakKeyDictionary()
)
