"""`OutputsByAsker`: tools' outputs, counted as the model counts that asked for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from langchain.agents.middleware import ToolCallRequest
from langchain_core.messages import AIMessage

from frugal_chains.pricing import PriceBook
from frugal_chains.providers import provider_id
from langchain_frugal._who import Who
from langchain_frugal.compression._tool_outputs import Result, ToolOutputMiddleware


class OutputsByAsker(ToolOutputMiddleware):
    """A `ToolOutputMiddleware` that is not told the model: which one has asked for the tool says
    the conversation. Where that does not say, tokens are estimated, a little too high.

    Args:
        budget_tokens: Of the text of one output; None: only lossless forms.
        prices: None: list prices behind the user's `prices.toml`.

    Raises:
        CompressionError: a budget below 1 token.
    """

    def __init__(self, budget_tokens: int | None, *, prices: PriceBook | None = None) -> None:
        super().__init__(budget_tokens, prices=prices)
        self._budget_tokens, self._prices = budget_tokens, prices
        self._made: dict[Who, ToolOutputMiddleware] = {}

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Result]
    ) -> Result:
        return self._of(request).wrap_tool_call(request, handler)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Result]]
    ) -> Result:
        return await self._of(request).awrap_tool_call(request, handler)

    def _of(self, request: ToolCallRequest) -> ToolOutputMiddleware:
        asker = _asker(request)
        found = self._made.get(asker)
        if found is None:  # two threads at once: the one that comes later finds the first's
            new = ToolOutputMiddleware(
                self._budget_tokens, model=asker.model, provider=asker.provider, prices=self._prices
            )
            found = self._made.setdefault(asker, new)
        return found


def _asker(request: ToolCallRequest) -> Who:
    state = request.state
    messages = state.get("messages") if isinstance(state, Mapping) else None
    for message in reversed(messages or ()):
        if isinstance(message, AIMessage):
            said: Mapping[str, Any] = message.response_metadata
            provider = provider_id(str(said.get("model_provider") or ""))
            return Who(str(said.get("model_name") or said.get("model") or ""), provider)
    return Who()
