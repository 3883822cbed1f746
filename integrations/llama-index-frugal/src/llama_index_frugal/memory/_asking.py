"""Who is asked for summaries, and how; drivers of a `Flow` with and without `await`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.tools import BaseTool

from frugal_chains.dispatch.memory import Flow, SummaryRequest, Turn
from frugal_chains.tracking import decided
from llama_index_frugal.memory._messages import asked

logger = logging.getLogger("llama_index_frugal")

Ask: TypeAlias = Callable[[SummaryRequest], "str | BaseException"]
AAsk: TypeAlias = Callable[[SummaryRequest], "Awaitable[str | BaseException]"]


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

    def __call__(
        self, request: SummaryRequest, messages: Sequence[ChatMessage]
    ) -> str | BaseException:
        """The answer, or what was raised instead."""
        try:
            with decided(note(request), purpose="summary"):
                return text_of(self._put("", request, messages))
        except Exception as error:
            return error

    async def ask(
        self, request: SummaryRequest, messages: Sequence[ChatMessage]
    ) -> str | BaseException:
        """As `__call__`."""
        try:
            with decided(note(request), purpose="summary"):
                return text_of(await self._put("a", request, messages))
        except Exception as error:
            return error

    def _put(self, prefix: str, request: SummaryRequest, messages: Sequence[ChatMessage]) -> Any:
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


def text_of(response: ChatResponse) -> str:
    """What was answered; nothing where only tools were called."""
    return response.message.content or ""


def note(request: SummaryRequest) -> dict[str, Any]:
    """For the row of the call in the ledger."""
    return {"memory": {"summary": request.kind}}


def driven(flow: Flow, ask: Ask) -> Turn:
    """What a flow comes to."""
    try:
        request = next(flow)
        while True:
            request = flow.send(ask(request))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # typeshed has `Any`


async def adriven(flow: Flow, ask: AAsk, *, large: bool = False) -> Turn:
    """As `driven`.

    Args:
        flow: Of a `Compactor`.
        ask: Awaited for every summary.
        large: Whether what the flow does between its questions takes long.
    """
    given: str | BaseException | None = None
    while True:
        step = asyncio.to_thread(_next, flow, given) if large else _at_once(flow, given)
        found = await step
        if isinstance(found, Turn):
            return found
        given = await ask(found)


def _next(flow: Flow, given: str | BaseException | None) -> SummaryRequest | Turn:
    try:
        return next(flow) if given is None else flow.send(given)
    except StopIteration as end:  # no coroutine or future may raise it
        return end.value  # type: ignore[no-any-return]


async def _at_once(flow: Flow, given: str | BaseException | None) -> SummaryRequest | Turn:
    return _next(flow, given)
