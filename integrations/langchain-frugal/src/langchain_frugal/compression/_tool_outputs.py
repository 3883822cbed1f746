"""`ToolOutputMiddleware`: a tool's output, compressed once, when it enters the conversation."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from langchain.agents.middleware import AgentMiddleware, AgentState, ToolCallRequest
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from frugal_chains.archive import Archive
from frugal_chains.compression import ContextBudget
from frugal_chains.compression.payload import Payload
from frugal_chains.compression.shape import LOSSLESS_FORMS, checked_lossless
from frugal_chains.dispatch import PayloadCompressor
from frugal_chains.errors import CompressionError
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from langchain_frugal.compression._around import Around, around
from langchain_frugal.compression._content import is_marked, texts_of, with_texts, words_of
from langchain_frugal.compression._originals import FETCH, fetch_original_tool, kept_in
from langchain_frugal.compression._parts import question_last

Result = Any
"""A `ToolMessage`, a `Command`, or a list of these."""

_MARKER: Final = "\n[shortened; all of it: {fetch}({handle})]"
_HANDLE_CHARS: Final = 24
"""Of a handle, and so the most tokens that it has."""
_SEAM_TOKENS: Final = 2
"""Two texts joined may have a few more tokens than both."""
_LEAST_WITH_MARKER: Final = 64
"""Tokens: the marker has about 30, and something of the output should be left."""
_LOSING: Final = ("fields", "extract")
"""Steps of a payload after which something is gone."""


class ToolOutputMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Compresses what tools return, before the agent's state takes it in.

        agent = create_agent(model, tools, middleware=[
            ToolOutputMiddleware(budget_tokens=1500, model="gpt-4.1-mini"),
        ])

    An output is brought to its shortest lossless form, and if that is still over the budget, to the
    fields, records and sentences that the tool call's arguments and the person's last message ask
    for. What enters the conversation then stays as it is, byte for byte, and so does a provider's
    prompt cache of it. Errors, artifacts, commands, outputs with a cache marker or of a tool with
    `return_direct`, and blocks that are no text are not touched; several blocks of text become one.

    A run is left alone with `enabled=False`, or `{"compress": False}` under `configurable` or
    `metadata` of its config.

    Args:
        budget_tokens: Of the text of one output; or how that depends on who will answer: a `route`
            in the config names the tier. None: only lossless forms.
        model: Whose tokenizer counts; empty: tokens are estimated, a little too high.
        provider: Of the model, where its name alone does not tell.
        exclude: Names of tools whose outputs are needed to the letter.
        forms: Lossless forms to choose among; none: outputs keep theirs. Code of yours that reads
            `ToolMessage.content` as JSON needs `("json",)`, and no budget.
        patterns: Of the application: what they match is never cut.
        archive: Where the originals of shortened outputs are put. The agent then has the tool
            `fetch_original(handle)`, and a shortened output ends with a line that names its handle.
            Room for the line is part of the budget.
        enabled: False: outputs pass as they are.
        counter: The token counter.
        prices: For budgets in dollars; None: list prices behind the user's `prices.toml`.

    Raises:
        CompressionError: a budget below 1 token, or below 64 with an archive; or a form that is
            unknown or loses something.
    """

    def __init__(
        self,
        budget_tokens: int | ContextBudget | None,
        *,
        model: str = "",
        provider: str = "",
        exclude: Collection[str] = (),
        forms: Collection[str] = LOSSLESS_FORMS,
        patterns: Sequence[re.Pattern[str]] = (),
        archive: Archive | None = None,
        enabled: bool = True,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        super().__init__()
        self.enabled = enabled
        self.tools = [fetch_original_tool(archive)] if archive is not None else []
        self._archive = archive
        self._exclude = frozenset((*exclude, FETCH))
        counter = counter or TokenCounter()
        if archive is not None and budget_tokens is not None:
            line = _MARKER.format(fetch=FETCH, handle="")
            room = counter.count_text(line, model=model, provider=provider or None).tokens
            budget_tokens = _less(budget_tokens, room + _HANDLE_CHARS + _SEAM_TOKENS)
        self._compressor = PayloadCompressor(
            budget_tokens,
            model=model,
            provider=provider,
            forms=checked_lossless(forms),
            patterns=patterns,
            counter=counter,
            prices=prices,
        )

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Result]
    ) -> Result:
        result = handler(request)
        call = around(_config(request))
        if not self._may_change(request, call):
            return result
        if isinstance(result, list):  # what a tool with several results returns
            return [self._one(each, request, call) for each in result]
        return self._one(result, request, call)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Result]]
    ) -> Result:
        result = await handler(request)
        call = around(_config(request))
        if not self._may_change(request, call):
            return result
        if isinstance(result, list):
            return [await self._aone(each, request, call) for each in result]
        return await self._aone(result, request, call)

    # -- parts ---------------------------------------------------------------------------------

    def _may_change(self, request: ToolCallRequest, call: Around) -> bool:
        if request.tool is not None and request.tool.return_direct:  # a person reads it
            return False
        return self.enabled and call.wanted and request.tool_call["name"] not in self._exclude

    def _one(self, result: Result, request: ToolCallRequest, call: Around) -> Result:
        if not _is_output(result):
            return result
        found = self._compressor.compress(
            _query(request),
            _text(result),
            tier=call.tier,
            operation_id=call.operation_id,
            trackers=call.trackers,
        )
        return self._written(result, found)

    async def _aone(self, result: Result, request: ToolCallRequest, call: Around) -> Result:
        if not _is_output(result):
            return result
        found = await self._compressor.acompress(
            _query(request),
            _text(result),
            tier=call.tier,
            operation_id=call.operation_id,
            trackers=call.trackers,
        )
        if self._archive is not None:  # a file: not the loop's time
            return await asyncio.to_thread(self._written, result, found)
        return self._written(result, found)

    def _written(self, message: ToolMessage, found: Payload) -> ToolMessage:
        text, original = found.text, _text(message)
        if text == original:
            return message
        if found.step in _LOSING and self._archive is not None:
            handle = kept_in(self._archive, original)
            text += _MARKER.format(fetch=FETCH, handle=handle) if handle else ""
        old = cast(Any, message.content)
        new = [text, *("" for _ in texts_of(old)[1:])]
        return message.model_copy(update={"content": with_texts(old, new)})


def _less(budget: int | ContextBudget, tokens: int) -> ContextBudget:
    """The budget without the room for a marker."""
    given = ContextBudget(tokens=budget) if isinstance(budget, int) else budget
    floor = (given.least_tokens,) if given.limit_usd is not None else ()
    least = min((given.tokens, *given.by_tier.values(), *floor))
    if least < _LEAST_WITH_MARKER:
        raise CompressionError(
            f"a budget of {least} tokens has no room for the line that names the original; give "
            f"{_LEAST_WITH_MARKER} or more, or no archive"
        )
    return replace(
        given,
        tokens=given.tokens - tokens,
        by_tier={tier: limit - tokens for tier, limit in given.by_tier.items()},
        least_tokens=max(1, given.least_tokens - tokens),
    )


def _is_output(result: Result) -> bool:
    return (
        isinstance(result, ToolMessage)
        and result.status != "error"
        and not is_marked(result)
        and any(texts_of(cast(Any, result.content)))
    )


def _text(message: ToolMessage) -> str:
    return "\n".join(texts_of(cast(Any, message.content)))


def _query(request: ToolCallRequest) -> str:
    """What the person asked last, the tool, and what it was asked."""
    call = request.tool_call
    parts = (_last_question(request.state), call["name"], words_of(call))
    return "\n".join(filter(None, parts))


def _last_question(state: Any) -> str:
    found = state.get("messages") if isinstance(state, Mapping) else getattr(state, "messages", ())
    messages: Sequence[BaseMessage] = found if isinstance(found, Sequence) else ()
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            texts = texts_of(cast(Any, message.content))
            return question_last(texts[-1]).query if texts else ""
    return ""


def _config(request: ToolCallRequest) -> Any:
    return getattr(request.runtime, "config", None)
