"""Who writes summaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import Runnable

from frugal_chains.dispatch.memory import Summarizer
from frugal_chains.errors import MemoryPlanError
from langchain_frugal._who import models_of, who

Model: TypeAlias = Runnable[Any, Any]
SAME = "same"
Summarizing: TypeAlias = Model | Literal["same"] | None
"""Who writes summaries: a model of its own, the one that answers, or nobody."""


class SummaryModel(NamedTuple):
    """Who is asked for summaries, for prices and for the call."""

    told: Summarizer | None
    model: Model | None
    """None: nobody, or the model that answers."""


def kept_by_provider(model: Any, settings: Mapping[str, Any] | None = None) -> bool:
    """Whether the provider keeps the conversation and is sent what is new alone (`ChatOpenAI(
    use_previous_response_id=True)`): there is nothing to take out, and no saving to book.

    Args:
        model: Who answers, or its name.
        settings: Of the call.
    """
    return "previous_response_id" in (settings or {}) or any(
        getattr(each, "use_previous_response_id", False) for each in models_of(model)
    )


def summary_model(given: Summarizing) -> SummaryModel:
    """Reads the option `summarizer`.

    Raises:
        MemoryPlanError: it is none of what it may be.
    """
    if given is None:
        return SummaryModel(None, None)
    if given == SAME:
        return SummaryModel(Summarizer(model="", answers=True), None)
    if not isinstance(given, Runnable | BaseLanguageModel):
        raise MemoryPlanError(
            f"summarizer is a {type(given).__name__}: give a chat model, 'same' for the one that "
            "answers, or None for summaries without a model"
        )
    name, provider = who(given)
    return SummaryModel(Summarizer(model=name, provider=provider), given)


def transcript_model(summarizer: Summarizing, model: Any) -> SummaryModel:
    """Who is asked for summaries where requests cannot be seen, only messages.

    Raises:
        MemoryPlanError: "same" without a model to ask, or a summarizer that is none.
    """
    if summarizer != SAME:
        return summary_model(summarizer)
    if isinstance(model, str):
        raise MemoryPlanError("summarizer='same' needs the model itself, to ask it: give model=")
    return summary_model(model)
