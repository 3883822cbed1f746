"""`ToolOutputMiddleware`: a tool's output, compressed once, when it enters the conversation."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, cast

from langchain.agents.middleware import AgentMiddleware, AgentState
from langchain_core.embeddings import Embeddings
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest

from frugal_chains.archive import Archive, handle_of
from frugal_chains.compression import ContextBudget, budget_tokens
from frugal_chains.compression.extract import Kind, Passage
from frugal_chains.compression.shape import LOSSLESS_FORMS
from frugal_chains.dispatch import Compressed, ContextCompressor
from frugal_chains.errors import CompressionError
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import report_effect
from langchain_frugal.compression._around import Around, around
from langchain_frugal.compression._content import is_marked, texts_of, with_texts, words_of
from langchain_frugal.compression._likeness import EmbedTexts, likeness_of
from langchain_frugal.compression._originals import FETCH, fetch_original_tool, kept_in
from langchain_frugal.compression._parts import question_last
from langchain_frugal.compression._shaping import LEVER, ShapedTexts, Tokens, checked_forms, shaped

Result = Any
"""A `ToolMessage`, a `Command`, or a list of these."""

_MARKER: Final = "[shortened; all of it: {fetch}({handle})]\n"
_LEAST_WITH_MARKER: Final = 64
"""Tokens: the marker has about 30, and something of the output should be left."""
_LONG_CHARS: Final = 100_000
"""From here on the work takes tens of milliseconds: not those of an event loop."""


class ToolOutputMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Compresses what tools return, before the agent's state takes it in.

        agent = create_agent(model, tools, middleware=[
            ToolOutputMiddleware(budget_tokens=1500, model="gpt-4.1-mini"),
        ])

    An output is brought to its shortest lossless form, and if that is still over the budget, to
    the part that the tool call's arguments and the person's last message ask for. What enters the
    conversation then stays as it is, byte for byte, and so does a provider's prompt cache of it.
    Errors, artifacts, commands, and blocks that are no text are not touched.

    A run is left alone with `enabled=False`, or `{"compress": False}` under `configurable` or
    `metadata` of its config.

    Args:
        budget_tokens: Of the text of one output; or how that depends on who will answer: a `route`
            in the config names the tier.
        model: Whose tokenizer counts; empty: tokens are estimated, a little too high.
        provider: Of the model, where its name alone does not tell.
        exclude: Names of tools whose outputs are needed to the letter.
        forms: Lossless forms to choose among; none: outputs keep theirs. Code of yours that reads
            `ToolMessage.content` as JSON needs `("json",)`.
        embedder: `Embeddings`, or a function of texts such as `LocalEmbedder(layers=6)`.
        embedding_timeout_s: How long it may take; then words alone decide.
        kind: What outputs are; None: told from each text.
        patterns: Of the application: what they match is never cut.
        archive: Where the originals of shortened outputs are put. The agent then has the tool
            `fetch_original(handle)`, and a shortened output begins with a line that names its
            handle; the line counts in the budget.
        enabled: False: outputs pass as they are.
        counter: The token counter.
        prices: For budgets in dollars; None: list prices behind the user's `prices.toml`.

    Raises:
        CompressionError: a budget below 1 token, or below 64 with an archive; or a form that is
            unknown or loses something.
    """

    def __init__(
        self,
        budget_tokens: int | ContextBudget,
        *,
        model: str = "",
        provider: str = "",
        exclude: Collection[str] = (),
        forms: Collection[str] = LOSSLESS_FORMS,
        embedder: Embeddings | EmbedTexts | None = None,
        embedding_timeout_s: float = 10.0,
        kind: Kind | None = None,
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
        self._forms = checked_forms(forms)
        self._tokens = Tokens(model, provider, counter)
        self._compressor = ContextCompressor(
            budget_tokens,
            model=model,
            provider=provider,
            likeness=likeness_of(embedder),
            likeness_timeout_s=embedding_timeout_s,
            kind=kind,
            joiner="",
            patterns=patterns,
            counter=counter,
            prices=prices,
        )
        if archive is not None:
            _must_hold_marker(self._compressor.budget)

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
        return self.enabled and call.wanted and request.tool_call["name"] not in self._exclude

    def _one(self, result: Result, request: ToolCallRequest, call: Around) -> Result:
        if not _is_output(result):
            return result
        in_form = self._shaped(result, call)
        passages = self._passages(result, in_form, call)
        found = self._compressor.compress(
            _query(request),
            passages,
            tier=call.tier,
            operation_id=call.operation_id,
            trackers=call.trackers,
        )
        return self._written(result, in_form, passages, found)

    async def _aone(self, result: Result, request: ToolCallRequest, call: Around) -> Result:
        if not _is_output(result):
            return result
        if sum(map(len, texts_of(result.content))) > _LONG_CHARS:
            in_form = await asyncio.to_thread(self._shaped, result, call)
        else:
            in_form = self._shaped(result, call)
        passages = self._passages(result, in_form, call)
        found = await self._compressor.acompress(
            _query(request),
            passages,
            tier=call.tier,
            operation_id=call.operation_id,
            trackers=call.trackers,
        )
        if self._archive is not None:  # a file: not the loop's time
            return await asyncio.to_thread(self._written, result, in_form, passages, found)
        return self._written(result, in_form, passages, found)

    def _shaped(self, message: ToolMessage, call: Around) -> ShapedTexts:
        in_form = shaped(texts_of(cast(Any, message.content)), self._tokens, self._forms)
        if self._forms:
            report_effect(
                LEVER,
                tokens_before=in_form.tokens_before,
                tokens_after=in_form.tokens_after,
                exact=self._tokens.exact,
                model=self._tokens.model,
                provider=self._tokens.provider,
                detail={"forms": sorted(set(in_form.forms))[:8]},
                operation_id=call.operation_id,
                trackers=call.trackers,
            )
        return in_form

    def _passages(self, message: ToolMessage, in_form: ShapedTexts, call: Around) -> list[Passage]:
        # As a label the marker is counted before anything is chosen.
        needs_marker = self._archive is not None and not self._surely_fits(in_form, call)
        label = _marker(handle_of(_original(message))) if needs_marker else ""
        return [Passage(text=text, label=label) for text in in_form.texts]

    def _surely_fits(self, in_form: ShapedTexts, call: Around) -> bool:
        """Whether nothing will be cut, so that no room is wanted for a marker."""
        budget = self._compressor.budget
        if budget.limit_usd is not None or len(in_form.texts) != 1:
            return False
        return in_form.tokens_after <= budget_tokens(budget, tier=call.tier)

    def _written(
        self, message: ToolMessage, in_form: ShapedTexts, passages: Sequence[Passage],
        found: Compressed,
    ) -> ToolMessage:  # fmt: skip
        texts = [text or "" for text in found.extraction.texts]
        lost = tuple(texts) != in_form.texts
        if lost and self._archive is not None and kept_in(self._archive, _original(message)):
            first = next((at for at, text in enumerate(texts) if text), 0)
            texts[first] = passages[first].label + texts[first]
        old = cast(Any, message.content)
        if texts == texts_of(old):
            return message
        return message.model_copy(update={"content": with_texts(old, texts)})


def _must_hold_marker(budget: ContextBudget) -> None:
    floor = (budget.least_tokens,) if budget.limit_usd is not None else ()
    least = min((budget.tokens, *budget.by_tier.values(), *floor))
    if least < _LEAST_WITH_MARKER:
        raise CompressionError(
            f"a budget of {least} tokens has no room for the line that names the original; give "
            f"{_LEAST_WITH_MARKER} or more, or no archive"
        )


def _is_output(result: Result) -> bool:
    return (
        isinstance(result, ToolMessage)
        and result.status != "error"
        and not is_marked(result)
        and any(texts_of(cast(Any, result.content)))
    )


def _original(message: ToolMessage) -> str:
    return "\n".join(texts_of(cast(Any, message.content)))


def _marker(handle: str) -> str:
    return _MARKER.format(fetch=FETCH, handle=handle)


def _query(request: ToolCallRequest) -> str:
    """What the tool was asked, and what the person asked last."""
    return "\n".join(filter(None, (_last_question(request.state), words_of(request.tool_call))))


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
