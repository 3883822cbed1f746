"""`with_output_cap`: a model whose answers are as long as a task's answers were, at most."""

from __future__ import annotations

from typing import Final

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable

from frugal_chains.compression.prompt import OutputCap

_NAMES: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict")
"""What integrations call it; Google's has `max_output_tokens`, Ollama's `num_predict`."""


def with_output_cap(
    model: BaseChatModel, cap: OutputCap | None
) -> Runnable[LanguageModelInput, AIMessage]:
    """Bind a learned cap to a model: `with_output_cap(model, learned_output_cap(ledger, ...))`.

    The model itself where nothing was learned, or where its own cap is as low. A cap does not make
    answers shorter: it bounds what a runaway answer costs, and what a budget holds back for a call.

    Args:
        model: The model.
        cap: Of `learned_output_cap`.
    """
    name = next((name for name in _NAMES if name in type(model).model_fields), _NAMES[0])
    own = getattr(model, name, None)
    if cap is None or (isinstance(own, int) and 0 < own <= cap.max_tokens):
        return model
    return model.bind(**{name: cap.max_tokens})
