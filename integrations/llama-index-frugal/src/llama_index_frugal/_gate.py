"""The one place where a call can be refused: an LLM's or embedding's `rate_limiter`.

LlamaIndex drops what handlers raise, but asks `rate_limiter` after it has announced a call and
before it sends it, and lets that raise (llama-index-core 0.14.25 `llms/callbacks.py`,
`base/embeddings/base.py`). While an LLM with a budget runs, a `Gate` stands there, in front of the
user's own limiter.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from llama_index_instrumentation.span import active_span_id

from frugal_chains.tracking import Tracker

_FIELD = "rate_limiter"
_KINDS = ("chat", "get_text_embedding")
"""What makes an object an LLM, or an embedding."""


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
        self._ask()

    def _ask(self) -> None:
        admit_current_call()


def can_stand_at(instance: Any) -> bool:
    """Whether `instance` is an LLM or embedding that asks a rate limiter."""
    return _FIELD in getattr(instance, "__dict__", ())


def is_wrapper(instance: Any) -> bool:
    """Whether a model holds another one of its kind, which makes the calls and has the price.

    Only the inner call is held in the budgets: nobody has a price for `StructuredLLM`.
    """
    kind = next((name for name in _KINDS if hasattr(type(instance), name)), "")
    held = [
        *getattr(instance, "__dict__", {}).values(),
        *(getattr(instance, "__pydantic_private__", None) or {}).values(),
    ]
    return any(
        can_stand_at(one) and hasattr(type(one), kind) for value in held for one in _members(value)
    )


def _members(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else (value,)


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
