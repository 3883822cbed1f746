"""The one place where a call can be refused: an LLM's or embedding's `rate_limiter`.

LlamaIndex drops what handlers raise, but asks `rate_limiter` after it has announced a call and
before it sends it, and lets that raise (llama-index-core 0.14.25 `llms/callbacks.py`,
`base/embeddings/base.py`). While an LLM with a budget runs, a `Gate` stands there, in front of the
user's own limiter.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

from llama_index_instrumentation.span import active_span_id

from frugal_chains.tracking import Tracker

T = TypeVar("T")

_FIELD = "rate_limiter"
_KINDS = ("chat", "get_text_embedding")
"""What makes an object an LLM, or an embedding."""
_MANAGER: Final = "callback_manager"
"""The field of a model whose handlers may know other models without calling them."""
_MOST_MEMBERS: Final = 32
"""How many members of one container are looked at: a wrapper may hold a cache of any size."""
_MOST_THREADS: Final = 8


class Admits(Protocol):
    """A recorder, as gates see it."""

    def admit(self, span_id: str) -> None: ...


_recorders: list[weakref.ref[Admits]] = []
"""Every recorder of the process; each admits the calls it has opened."""
_lock = threading.RLock()  # a call that is collected in here takes its gate down


def register(recorder: Admits) -> None:
    """Have `recorder` asked by every gate, as long as it lives."""
    _recorders.append(weakref.ref(recorder, _recorders.remove))


def admit_current_call() -> None:
    """Hold the worst case of the call whose span this code runs in.

    Raises:
        BudgetExceeded: a budget has no room. LlamaIndex drops the span with this error, and then
            every recorder withdraws the call.
    """
    span_id = active_span_id.get()
    if span_id is not None:
        for reference in list(_recorders):
            if (recorder := reference()) is not None:
                recorder.admit(span_id)


class Gate:
    """Waits for the limiter it stands before, then asks the budgets."""

    def __init__(self, inner: Any = None) -> None:
        self.inner = inner
        self.users = 0

    def acquire(self, num_tokens: int = 0) -> None:
        """Raises `BudgetExceeded` when a budget of the current call has no room."""
        if self.inner is not None:
            self.inner.acquire(num_tokens)
        self._ask()

    async def async_acquire(self, num_tokens: int = 0) -> None:
        """Raises `BudgetExceeded` when a budget of the current call has no room."""
        if self.inner is not None:
            await self.inner.async_acquire(num_tokens)
        await self._ask_in_thread()

    async def _ask_in_thread(self) -> None:
        """A ledger that another process writes may take seconds: other tasks go on meanwhile."""
        await in_own_thread(self._ask)

    def _ask(self) -> None:
        admit_current_call()


def can_stand_at(instance: Any) -> bool:
    """Whether `instance` is an LLM or embedding that asks a rate limiter."""
    return _FIELD in getattr(instance, "__dict__", ())


async def in_own_thread(work: Callable[[], T]) -> T:
    """Do it in a thread, in the context of this task, while other tasks go on."""
    threads, context = _threads_of(os.getpid()), copy_context()
    return await asyncio.get_running_loop().run_in_executor(threads, context.run, work)


@functools.cache
def _threads_of(process_id: int) -> ThreadPoolExecutor:
    """Threads of our own, because those of `asyncio.to_thread` may all be waiting for the very
    calls that ask here; made anew in a forked process, which inherits none."""
    return ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="frugal-budget")


def is_wrapper(instance: Any) -> bool:
    """Whether a model holds another one of its kind, which may make its calls: in a field, in a
    container, or in a field of a plain object it holds."""
    kind = next((name for name in _KINDS if hasattr(type(instance), name)), "")
    for value in _held_by(instance):
        if _is_model(value, kind) or any(_is_model(one, kind) for one in _held_by(value)):
            return True
    return False


def _is_model(value: Any, kind: str) -> bool:
    return can_stand_at(value) and bool(kind) and hasattr(type(value), kind)


def _held_by(owner: Any) -> Iterator[Any]:
    """The values in an object's fields, those in containers one by one."""
    fields = getattr(owner, "__dict__", {}) if not isinstance(owner, type) else {}
    private = getattr(owner, "__pydantic_private__", None) or {}
    for name, value in (*fields.items(), *private.items()):
        if name != _MANAGER:
            yield from _members(value)


def _members(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return islice(value.values(), _MOST_MEMBERS)
    return value[:_MOST_MEMBERS] if isinstance(value, list | tuple) else (value,)


def put_up(instance: Any) -> None:
    """Stand a gate at `instance`, once for all the calls it is running."""
    # By way of __dict__: an assignment would run the validators of models that validate it.
    fields = vars(instance)
    with _lock:
        found = fields[_FIELD]
        gate = found if isinstance(found, Gate) else Gate(found)
        gate.users += 1
        fields[_FIELD] = gate


def take_down(instance: Any) -> None:
    """Give the user's own limiter back when the last call has left."""
    fields = vars(instance)
    with _lock:
        found = fields[_FIELD]
        if isinstance(found, Gate):
            found.users -= 1
            if found.users <= 0 and type(found) is Gate:
                fields[_FIELD] = found.inner


def limiter_tracker(instance: Any, current: Tracker | None) -> Tracker | None:
    """The tracker of the `BudgetRateLimiter` that the user has given to `instance`, if any."""
    limiter = getattr(instance, "__dict__", {}).get(_FIELD)
    while limiter is not None:
        if hasattr(limiter, "tracker_for"):
            found: Tracker = limiter.tracker_for(current)
            return found
        limiter = getattr(limiter, "inner", None)
    return None
