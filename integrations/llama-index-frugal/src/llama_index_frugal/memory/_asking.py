"""Who is asked for summaries, and how; drivers with and without `await` of what needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.tools import BaseTool

from frugal_chains.dispatch.memory import SummaryRequest
from frugal_chains.tracking import decided
from llama_index_frugal.memory._messages import asked

T = TypeVar("T")
Steps: TypeAlias = Generator[SummaryRequest, "str | BaseException", T]
"""Yields the summaries that a model is to be asked for; is sent the answer, or what was raised."""
Put: TypeAlias = Callable[[SummaryRequest], Any]
"""Asks a model: its `ChatResponse`, for `adriven` one to be awaited."""
Prefix = Literal["", "a"]
"""Of a method's name: "a" where it is awaited."""


class Asks:
    """Asks one LLM for summaries.

    Args:
        llm: Who is asked.
        tools: What a request has to offer to be read from the provider's cache: those of the agent.
        system_prompt: What such a request begins with.
    """

    def __init__(
        self, llm: LLM, *, tools: Sequence[BaseTool] = (), system_prompt: str = ""
    ) -> None:
        self._llm = uncompacted(llm)
        self._tools, self._system_prompt = list(tools), system_prompt

    def put(self, prefix: Prefix, messages: Sequence[ChatMessage]) -> Put:
        """What asks for summaries of these messages."""
        return lambda request: self._put(prefix, request, messages)

    def _put(self, prefix: Prefix, request: SummaryRequest, messages: Sequence[ChatMessage]) -> Any:
        given = asked(request, messages)
        if request.kind == "flat":
            return getattr(self._llm, f"{prefix}chat")(given)
        if self._system_prompt:  # the same bytes as the agent sends, so that they are in the cache
            given = [ChatMessage(self._system_prompt, role=MessageRole.SYSTEM), *given]
        if not (self._tools and isinstance(self._llm, FunctionCallingLLM)):
            return getattr(self._llm, f"{prefix}chat")(given)
        return getattr(self._llm, f"{prefix}chat_with_tools")(
            self._tools, chat_history=given, allow_parallel_tool_calls=True
        )


def uncompacted(llm: LLM) -> LLM:
    """The LLM under a `compacting_llm`: a summary is asked for behind everything there is."""
    base = vars(type(llm)).get("_frugal_whole")
    if base is None:
        return llm
    copy = llm.model_copy()
    object.__setattr__(copy, "__class__", base)
    return copy


def driven(steps: Steps[T], put: Put) -> T:
    """What the steps come to."""
    given: str | BaseException | None = None
    while True:
        found = _next(steps, given)
        if not isinstance(found, SummaryRequest):
            return found
        try:
            with decided(_note(found), purpose="summary"):
                given = _text_of(put(found))
        except Exception as error:
            given = error


async def adriven(steps: Steps[T], put: Put, *, large: bool = False) -> T:
    """As `driven`.

    Args:
        steps: Of a `Compactor`.
        put: Awaited for every summary.
        large: Whether what is done between two questions takes long.
    """
    given: str | BaseException | None = None
    while True:
        found = await asyncio.to_thread(_next, steps, given) if large else _next(steps, given)
        if not isinstance(found, SummaryRequest):
            return found
        try:
            with decided(_note(found), purpose="summary"):
                given = _text_of(await put(found))
        except Exception as error:
            given = error


def _next(steps: Steps[T], given: str | BaseException | None) -> SummaryRequest | T:
    try:
        return next(steps) if given is None else steps.send(given)
    except StopIteration as end:  # no coroutine or future may raise it
        return end.value  # type: ignore[no-any-return]  # typeshed has `Any`


def _text_of(response: Any) -> str:
    """What was answered; nothing where only tools were called."""
    return response.message.content or ""


def _note(request: SummaryRequest) -> dict[str, Any]:
    """For the row of the call in the ledger."""
    return {"memory": {"summary": request.kind}}
