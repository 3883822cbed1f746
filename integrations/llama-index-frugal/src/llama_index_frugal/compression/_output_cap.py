"""`with_output_cap`: an LLM whose answers are as long as a task's answers were, at most."""

from __future__ import annotations

from typing import Final, TypeVar

from llama_index.core.llms import LLM

from frugal_chains.compression.prompt import OutputCap
from frugal_chains.errors import CompressionError

L = TypeVar("L", bound=LLM)

_NAMES: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_output")


def with_output_cap(llm: L, cap: OutputCap | None) -> L:
    """A copy of an LLM with a learned cap: `with_output_cap(llm, learned_output_cap(ledger, ...))`.

    The LLM itself where nothing was learned, or where its own cap is as low. A cap does not make
    answers shorter: it bounds what a runaway answer costs, and what a budget holds back for a call.

    Args:
        llm: The LLM.
        cap: Of `learned_output_cap`.

    Raises:
        CompressionError: the LLM has no such field.
    """
    name = next((name for name in _NAMES if name in type(llm).model_fields), "")
    if cap is None:
        return llm
    if not name:
        raise CompressionError(
            f"{type(llm).__name__} has no field for a cap on answers (such as max_tokens); give "
            f"{cap.max_tokens} in the way it takes one"
        )
    own = getattr(llm, name)
    if isinstance(own, int) and 0 < own <= cap.max_tokens:
        return llm
    return llm.model_copy(update={name: cap.max_tokens})
