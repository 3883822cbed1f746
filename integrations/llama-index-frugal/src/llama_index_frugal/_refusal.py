"""Telling a call that failed from one that was never sent."""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType
from typing import Final

_DECORATORS: Final = frozenset(
    {"llama_index.core.llms.callbacks", "llama_index.core.base.embeddings.base"}
)
_BEFORE_SENDING: Final = frozenset({"on_event_start", "acquire", "async_acquire"})
"""What these modules run between announcing a call and making it (llama-index-core 0.14.25): legacy
callback handlers, such as a `TokenCountingHandler` with a `token_budget`, and the rate limiter."""
_DEEPEST: Final = 5


def refused_before_sending(error: BaseException) -> bool:
    """Whether `error` was raised, or the wait was cancelled, before the model was called.

    A legacy handler that refuses is asked once more while its refusal is handled
    (`CallbackManager.as_trace`), and refuses again: the first refusal is then the context of
    `error`. Errors of other calls, handled earlier, run in other frames.
    """
    deciding = {id(here) for here, _ in _steps(error) if _is_decorator(here)}
    seen: BaseException | None = error
    for _ in range(_DEEPEST):
        if seen is None:
            return False
        for here, inside in _steps(seen):
            if id(here) in deciding and inside.f_code.co_name in _BEFORE_SENDING:
                return True
        seen = seen.__context__
    return False


def _steps(error: BaseException) -> Iterator[tuple[FrameType, FrameType]]:
    """The frames an error passed through, each with the one it called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        yield trace.tb_frame, trace.tb_next.tb_frame
        trace = trace.tb_next


def _is_decorator(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") in _DECORATORS
