"""`ToolOutputMiddleware`: a tool's output, compressed once, when it enters the conversation."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from langchain.agents.middleware import AgentMiddleware, AgentState, ToolCallRequest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from frugal_chains.archive import Archive
from frugal_chains.compression import ContextBudget
from frugal_chains.compression.shape import LOSSLESS_FORMS, checked_lossless
from frugal_chains.compression.tools import FIND_TOOL
from frugal_chains.dispatch import PayloadCompressor, PrefixFacts
from frugal_chains.pricing import PriceBook
from frugal_chains.providers import model_family
from frugal_chains.tokens import TokenCounter
from langchain_frugal._around import Around, around
from langchain_frugal._content import is_marked, texts_of, with_texts, words_of
from langchain_frugal.compression._originals import FETCH, fetch_original_tool
from langchain_frugal.compression._parts import question_last

Result = Any
"""A `ToolMessage`, a `Command`, or a list of these."""


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
            The line is part of the budget.
        prefix: What is known of the conversation, for a bill that is sure not to rise: where
            compressing an output to its budget may cost more than it saves, net of the provider's
            prompt cache, it is compressed less, or left as it was. For this
            `PrefixFacts(ahead=Ahead(prefix_tokens=0))` will do: what stands in front is read off
            the agent's messages. None: every output is brought to its budget.
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
        prefix: PrefixFacts | None = None,
        enabled: bool = True,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        super().__init__()
        self.enabled = enabled
        self.tools = [fetch_original_tool(archive)] if archive is not None else []
        # An original is asked for whole, and a list of tools with every name in it.
        self._exclude = frozenset((*exclude, FETCH, FIND_TOOL.name))
        self._prefix, self._model = prefix, model
        self._compressor = PayloadCompressor(
            budget_tokens,
            model=model,
            provider=provider,
            forms=checked_lossless(forms),
            patterns=patterns,
            archive=archive,
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
            prefix=self._in_front(request),
            operation_id=call.operation_id,
            trackers=call.trackers,
        )
        return _written(result, found.text)

    async def _aone(self, result: Result, request: ToolCallRequest, call: Around) -> Result:
        if not _is_output(result):
            return result
        found = await self._compressor.acompress(
            _query(request),
            _text(result),
            tier=call.tier,
            prefix=self._in_front(request),
            operation_id=call.operation_id,
            trackers=call.trackers,
        )
        return _written(result, found.text)

    def _in_front(self, request: ToolCallRequest) -> Callable[[], PrefixFacts] | None:
        facts = self._prefix
        if facts is None:
            return None

        def told() -> PrefixFacts:
            messages = _messages(request.state)
            return self._compressor.in_front(
                facts,
                reported_tokens=reported_tokens(messages, self._model),
                texts=(text for message in messages for text in texts_of(_content(message))),
            )

        return told


def reported_tokens(messages: Sequence[BaseMessage], model: str) -> int:
    """Input of the latest request as its provider has counted it; 0 where that is not known, or
    another model has answered, whose tokens are others."""
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            name = str(message.response_metadata.get("model_name") or "")
            if message.usage_metadata is None or (
                name and model and model_family(name) != model_family(model)
            ):
                return 0
            return message.usage_metadata["input_tokens"]
    return 0


def _written(message: ToolMessage, text: str) -> ToolMessage:
    if text == _text(message):
        return message
    content = _content(message)
    new = [text, *("" for _ in texts_of(content)[1:])]
    return message.model_copy(update={"content": with_texts(content, new)})


def _is_output(result: Result) -> bool:
    return (
        isinstance(result, ToolMessage)
        and result.status != "error"
        and not is_marked(result)
        and any(texts_of(_content(result)))
    )


def _text(message: ToolMessage) -> str:
    return "\n".join(texts_of(_content(message)))


def _query(request: ToolCallRequest) -> str:
    """What the person asked last, the tool, and what it was asked."""
    call = request.tool_call
    parts = (_last_question(request.state), call["name"], words_of(call))
    return "\n".join(filter(None, parts))


def _last_question(state: Any) -> str:
    for message in reversed(_messages(state)):
        if isinstance(message, HumanMessage):
            texts = texts_of(_content(message))
            return question_last(texts[-1]).query if texts else ""
    return ""


def _messages(state: Any) -> Sequence[BaseMessage]:
    found = state.get("messages") if isinstance(state, Mapping) else getattr(state, "messages", ())
    return found if isinstance(found, Sequence) else ()


def _content(message: BaseMessage) -> Any:
    return message.content


def _config(request: ToolCallRequest) -> Any:
    return getattr(request.runtime, "config", None)
