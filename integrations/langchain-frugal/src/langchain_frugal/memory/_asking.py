"""Asking for summaries, with and without `await`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import (
    ensure_config,
    merge_configs,
    var_child_runnable_config,
)

from frugal_chains.dispatch.memory import SummaryRequest
from langchain_frugal._long import worked
from langchain_frugal._stand_ins import SOURCE
from langchain_frugal.memory._messages import asked
from langchain_frugal.memory._models import Model

Ask: TypeAlias = Callable[[SummaryRequest], str]
AskAsync: TypeAlias = Callable[[SummaryRequest], Awaitable[str]]
_NOSTREAM: Final = "nostream"
"""LangGraph's tag on calls whose tokens are none of the answer's (langgraph.constants)."""


class NoAnswerError(Exception):
    """What came back was written by code: a budget's last word, a retry that gave up."""


def driven(flow: Any, ask: Ask) -> Any:
    """What a flow comes to; answers and failures are handed to it."""
    request, end = _step(flow, None)
    while request is not None:
        try:
            answer: str | Exception = ask(request)
        except Exception as error:
            if _is_control(error):
                raise
            answer = error
        request, end = _step(flow, answer)
    return end


async def adriven(flow: Any, ask: AskAsync, *, long: bool) -> Any:
    """As `driven`.

    Args:
        flow: Of one turn.
        ask: Asks a model.
        long: Its own work is done in a thread.
    """
    request, end = await worked(_step, flow, None, long=long)
    while request is not None:
        try:
            answer: str | Exception = await ask(request)
        except Exception as error:
            if _is_control(error):
                raise
            answer = error
        request, end = await worked(_step, flow, answer, long=long)
    return end


def answered(answer: Any, *, by_model: bool = False) -> str:
    """The text of an answer: of a model, of an agent's handler, or a plain text.

    Args:
        answer: What came back.
        by_model: Only a model's counts: in an agent other code may answer in its place.

    Raises:
        NoAnswerError: there is no answer, or no model has written it.
    """
    if isinstance(answer, str):
        return answer
    response = getattr(answer, "model_response", answer)
    results = getattr(response, "result", None)
    found = [response] if results is None else list(results)
    message = next((one for one in reversed(found) if isinstance(one, BaseMessage)), None)
    if message is None:
        raise NoAnswerError(f"a {type(answer).__name__} is no answer of a model")
    # LangChain gives every message of a model an id; code that answers in its place gives none.
    if by_model and message.id is None and getattr(message, "usage_metadata", None) is None:
        raise NoAnswerError("the answer is none of a model's")
    if isinstance(message, AIMessage) and message.tool_calls:
        return ""  # what stands beside a call is no summary
    return str(message.text)


def asking(
    model: Model | None, messages: Sequence[BaseMessage], config: RunnableConfig | None = None
) -> Ask:
    """Asks a model: behind these messages, or with a prompt of its own.

    Args:
        model: None: there is nobody to ask, and the core asks nobody then.
        messages: The conversation.
        config: Of the run around; None: as it is found there.
    """
    of_summary = summary_config(config)

    def ask(request: SummaryRequest) -> str:
        return answered(_there(model).invoke(asked(request, messages), of_summary))

    return ask


def aasking(
    model: Model | None, messages: Sequence[BaseMessage], config: RunnableConfig | None = None
) -> AskAsync:
    """As `asking`."""
    of_summary = summary_config(config)

    async def ask(request: SummaryRequest) -> str:
        return answered(await _there(model).ainvoke(asked(request, messages), of_summary))

    return ask


def summary_config(config: RunnableConfig | None = None) -> RunnableConfig:
    """Of a call for a summary: the ledger books it as one, and its tokens are in no stream."""
    around = ensure_config(config)
    around.pop("run_id", None)
    around.pop("run_name", None)
    said: RunnableConfig = {"metadata": dict(SOURCE), "tags": [_NOSTREAM]}
    return merge_configs(around, said)


@contextmanager
def under(config: RunnableConfig) -> Iterator[None]:
    """An agent calls its model without a config: it finds this one."""
    token = var_child_runnable_config.set(config)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def _there(model: Model | None) -> Model:
    if model is None:
        raise NoAnswerError("there is no model to ask")
    return model


def _step(flow: Any, answer: str | Exception | None) -> tuple[SummaryRequest | None, Any]:
    try:
        return flow.send(answer), None
    except StopIteration as end:
        return None, end.value


def _is_control(error: Exception) -> bool:
    """LangGraph interrupts a graph by an exception: that is no failure of a model."""
    return any(kind.__name__ == "GraphBubbleUp" for kind in type(error).__mro__)
