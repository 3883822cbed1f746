"""Telling a call that failed from one that was never sent."""

from __future__ import annotations

from typing import Final

_DECORATORS: Final = frozenset(
    {"llama_index.core.llms.callbacks", "llama_index.core.base.embeddings.base"}
)
_BEFORE_SENDING: Final = frozenset({"on_event_start", "acquire", "async_acquire"})
"""What these modules run between announcing a call and making it (llama-index-core 0.14.25): legacy
callback handlers, such as a `TokenCountingHandler` with a `token_budget`, and the rate limiter."""


def refused_before_sending(error: BaseException) -> bool:
    """Whether `error` was raised, or the wait was cancelled, before the model was called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        here, inside = trace.tb_frame, trace.tb_next.tb_frame
        in_decorator = here.f_globals.get("__name__") in _DECORATORS
        if in_decorator and inside.f_code.co_name in _BEFORE_SENDING:
            return True
        trace = trace.tb_next
    return False
