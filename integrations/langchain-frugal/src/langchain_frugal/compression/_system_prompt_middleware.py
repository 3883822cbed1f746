"""`SystemPromptMiddleware`: an agent's system prompt in fewer tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, SystemMessage

from langchain_frugal._around import around
from langchain_frugal.compression._system_prompts import SystemPromptCompressor

Request = ModelRequest[Any]
Response = ModelResponse[Any] | AIMessage


class SystemPromptMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Shortens an agent's system prompt before each call of its model.

        compressor = SystemPromptCompressor(policy, model="gpt-4.1-mini")
        agent = create_agent(
            model, tools, system_prompt=INSTRUCTIONS,
            middleware=[SystemPromptMiddleware(compressor)],
        )

    The prompt that the agent was made with stays as it is; what each call sends is decided by the
    person's messages in the agent's state, as `SystemPromptCompressor` says. Put it after
    middleware that changes the system prompt, and before one that marks it for a cache.

    Args:
        compressor: What does it, and its switch.
    """

    def __init__(self, compressor: SystemPromptCompressor) -> None:
        super().__init__()
        self.compressor = compressor

    def wrap_model_call(
        self, request: Request, handler: Callable[[Request], ModelResponse[Any]]
    ) -> Response:
        call, system = around(), request.system_message
        if system is None or not self.compressor.wants(call):
            return handler(request)
        first, *_ = self.compressor.shortened([system, *request.messages], call)
        return handler(_with(request, cast(SystemMessage, first)))

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[ModelResponse[Any]]]
    ) -> Response:
        call, system = around(), request.system_message
        if system is None or not self.compressor.wants(call):
            return await handler(request)
        first, *_ = await self.compressor.ashortened([system, *request.messages], call)
        return await handler(_with(request, cast(SystemMessage, first)))


def _with(request: Request, system: SystemMessage) -> Request:
    if system is request.system_message:
        return request
    return request.override(system_message=system)
