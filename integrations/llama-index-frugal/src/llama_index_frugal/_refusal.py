"""Telling a call that failed from one that was never sent."""

from __future__ import annotations

from collections.abc import Sequence
from traceback import walk_tb
from types import FrameType
from typing import Final

_CALLBACKS: Final = "llama_index.core.callbacks.base"
_ACQUIRE: Final = ("acquire", "async_acquire")

_DECORATORS: Final = frozenset(
    {"llama_index.core.llms.callbacks", "llama_index.core.base.embeddings.base"}
)
_BEFORE_SENDING: Final = frozenset({"on_event_start", *_ACQUIRE})
"""What these modules run between announcing a call and making it (llama-index-core 0.14.25): legacy
callback handlers, such as a `TokenCountingHandler` with a `token_budget`, and the rate limiter."""
_ON_THE_WAY: Final = frozenset(
    {("contextlib", "__enter__"), (_CALLBACKS, "event"), (_CALLBACKS, "on_start")}
)
"""What may run between these modules and a legacy handler: embeddings start events by a context
manager. Its `__exit__` is not among them: it asks handlers once more, after the call."""
_DEEPEST: Final = 5


def refused_before_sending(error: BaseException) -> bool:
    """Whether `error` was raised, or the wait was cancelled, before the model was called.

    A legacy handler that refuses is asked once more while its refusal is handled
    (`CallbackManager.as_trace`), and refuses again: the first refusal is then the context of
    `error`. Errors of other calls, handled earlier, run in other frames.
    """
    deciding = {id(frame) for frame in _frames(error) if _is_decorator(frame)}
    seen: BaseException | None = error
    for _ in range(_DEEPEST):
        if seen is None:
            return False
        frames = _frames(seen)
        for number, frame in enumerate(frames, start=1):
            if id(frame) in deciding and _leads_to_refusal(frame, frames[number:]):
                return True
        seen = seen.__context__
    return False


def _leads_to_refusal(decorator: FrameType, inside: Sequence[FrameType]) -> bool:
    """Whether the frames called by a decorator's frame ask for leave, and call no model."""
    names = decorator.f_locals
    limiter = getattr(names.get("_self") or names.get("self"), "rate_limiter", None)
    for frame in inside:
        name = frame.f_code.co_name
        if name in _BEFORE_SENDING or _is_method_of(limiter, frame):
            return True
        if (frame.f_globals.get("__name__"), name) not in _ON_THE_WAY:
            return False
    return False


def _is_method_of(limiter: object, frame: FrameType) -> bool:
    """Whether a frame asks the user's limiter, whose methods may be wrapped in functions of any
    name. The model's may be wrapped in the same, so the code alone does not tell."""
    codes = [getattr(getattr(limiter, name, None), "__code__", None) for name in _ACQUIRE]
    if limiter is None or frame.f_code not in codes:
        return False
    given = frame.f_locals.values()
    return any(limiter is (v[0] if isinstance(v, tuple) and v else v) for v in given)


def _frames(error: BaseException) -> Sequence[FrameType]:
    """The frames an error passed through, outermost first."""
    return [frame for frame, _ in walk_tb(error.__traceback__)]


def _is_decorator(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") in _DECORATORS
