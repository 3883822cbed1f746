"""`ToolChoiceMiddleware`: of an agent's tools, those that a request needs, in fewer words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final, Literal, cast

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import BaseTool

from frugal_chains.compression.tools import Forecast, ToolPolicy
from frugal_chains.dispatch import FETCH_ORIGINAL, ToolChoice, ToolChooser
from frugal_chains.errors import wordless
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from langchain_frugal._likeness import EmbedTexts
from langchain_frugal._tool_words import ToolWords, marker_of, shown, with_marker
from langchain_frugal._vectors import vectors_of
from langchain_frugal.compression._tool_marks import marked
from langchain_frugal.compression._tool_request import ToolsAsked, read_tools
from langchain_frugal.compression._tool_search import FindTool, Searches, find_tool

logger = logging.getLogger("langchain_frugal")

Request = ModelRequest[Any]
Response = Any
"""What handlers return: a `ModelResponse`, with a command or without."""

_MANY: Final = 20
"""Tools whose schemas take tens of milliseconds to read: not those of an event loop."""


class ToolChoiceMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Sends an agent's model the tools that a conversation needs, in fewer words.

        agent = create_agent(model, tools, middleware=[ToolChoiceMiddleware()])

    Before each call of the model the question, what was asked before and the model's prices decide
    whether tools are left out, put in fewer words, or left as they are because the provider's cache
    makes that cheapest. What a conversation has been offered stays offered, in its place and with
    its bytes; what is new comes behind it. Where tools are left out the model is given `find_tool`,
    and what that finds is offered from the next call on. A tool that was left out still runs if the
    model calls it.

    The agent's tools are never changed. A provider's own tools, dicts among them, are sent as they
    are. Tools of `tool_choice`, those that the instructions or the question name, and those that
    were called are always sent.

    Answers carry what was offered in `response_metadata["frugal_tools"]`: conversations go on from
    there when they are saved, forked or taken up by another process. Where the answers are not
    kept, the middleware remembers.

    Put it behind `RoutingMiddleware`, which names the model, and behind middleware that adds tools
    or instructions. Everything is sent as it is with `enabled=False`, in a run with
    `{"compress": False}` under `configurable` or `metadata` of its config, and whenever choosing
    fails. An agent that has a `find_tool` of its own is only spared words.

    Args:
        policy: How far tools may be pruned; None: the defaults.
        always: Names of tools that are always sent.
        model: Whose tokenizer counts and whose prices decide; empty: the one that is called.
        provider: Of that model, where its name alone does not tell.
        forecast: Of a conversation; None: ten more calls and one change of subject.
        cache_ttl: Of cache markers that are added behind this middleware, which it cannot see; it
            knows of those it sees.
        embedder: `Embeddings`, or a function of texts such as `LocalEmbedder(layers=6)`, to compare
            by meaning too; None: words alone decide.
        embedding_timeout_s: How long it may take; then words alone decide.
        enabled: False: all tools are sent as they are, and there is no `find_tool`.
        counter: The token counter.
        prices: None: list prices behind the user's `prices.toml`.
    """

    def __init__(
        self,
        policy: ToolPolicy | None = None,
        *,
        always: Collection[str] = (),
        model: str = "",
        provider: str = "",
        forecast: Forecast | None = None,
        cache_ttl: Literal["", "5m", "1h"] = "",
        embedder: Embeddings | EmbedTexts | None = None,
        embedding_timeout_s: float = 10.0,
        enabled: bool = True,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        super().__init__()
        self.enabled = enabled
        # A shortened text that names its original is of no use without the tool that fetches it.
        self._always = frozenset((*always, FETCH_ORIGINAL))
        self._model, self._provider, self._cache_ttl = model, provider, cache_ttl
        self._words, self._searches = ToolWords(), Searches()
        self._chooser = ToolChooser(
            policy,
            forecast=forecast,
            vectors=vectors_of(embedder),
            vectors_timeout_s=embedding_timeout_s,
            counter=counter,
            prices=prices,
        )
        self.tools = [find_tool(self._chooser, self._searches)] if enabled else []

    def wrap_model_call(
        self, request: Request, handler: Callable[[Request], Response]
    ) -> ModelResponse[Any] | AIMessage:
        asked = self._asked(request)
        if asked is None:
            return cast("ModelResponse[Any]", handler(_as_it_was(request)))
        choice = self._chooser.choose(asked.facts, **self._options(asked))
        offer = self._offer(request, asked, choice)
        return self._noted(handler(offer or _as_it_was(request)), asked, choice, offer)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> ModelResponse[Any] | AIMessage:
        if self.enabled and self._words.unread(request.tools) > _MANY:
            asked = await asyncio.to_thread(self._asked, request)
        else:
            asked = self._asked(request)
        if asked is None:
            return cast("ModelResponse[Any]", await handler(_as_it_was(request)))
        choice = await self._chooser.achoose(asked.facts, **self._options(asked))
        offer = self._offer(request, asked, choice)
        return self._noted(await handler(offer or _as_it_was(request)), asked, choice, offer)

    # -- parts ---------------------------------------------------------------------------------

    def _asked(self, request: Request) -> ToolsAsked | None:
        """None: tools are not chosen."""
        if not (self.enabled and request.tools):
            return None
        try:
            return read_tools(request, self._words, always=self._always, cache_ttl=self._cache_ttl)
        except Exception as error:
            logger.warning("all tools are sent as they were", exc_info=wordless(error))
            return None

    def _options(self, asked: ToolsAsked) -> dict[str, Any]:
        model, provider = (self._model, self._provider) if self._model else asked.who
        return {
            "model": model,
            "provider": provider,
            "conversation": asked.conversation,
            "offered": asked.offered,
            "forced": asked.forced,
            "can_find": asked.can_find,
            "operation_id": asked.call.operation_id,
            "trackers": asked.call.trackers,
        }

    def _offer(self, request: Request, asked: ToolsAsked, choice: ToolChoice) -> Request | None:
        """The request with the chosen tools; None: they are left as they were."""
        for warning in choice.warnings:
            logger.warning("%s", warning)
        if choice.offered is None:
            return None
        try:
            return request.override(tools=self._chosen(request, asked, choice))
        except Exception as error:
            logger.warning("all tools are sent as they were", exc_info=wordless(error))
            return None

    def _chosen(self, request: Request, asked: ToolsAsked, choice: ToolChoice) -> list[Any]:
        tools = [
            self._words.worded(asked.tools[number], words)
            for number, words in zip(choice.kept, choice.texts, strict=True)
        ]
        if choice.find_tool is None and choice.kept == tuple(range(len(asked.tools))):
            worded = dict(zip(map(id, asked.tools), tools, strict=True))
            return [worded.get(id(tool), tool) for tool in _as_it_was(request).tools]
        first = [shown(choice.find_tool)] if choice.find_tool else []
        # What is added later comes last, so that what stands before it stays in the cache.
        return [*first, *asked.others, *_marked_last(tools, asked.tools)]

    def _noted(
        self, response: Response, asked: ToolsAsked, choice: ToolChoice, offer: Request | None
    ) -> ModelResponse[Any] | AIMessage:
        if offer is None or choice.offered is None:
            return cast("ModelResponse[Any]", response)
        try:
            self._searches.note(_messages(response), choice)
            response = marked(response, choice.offered, agent=asked.agent)
        except Exception as error:
            logger.warning(
                "what was offered is not written on the answer", exc_info=wordless(error)
            )
        return cast("ModelResponse[Any]", response)


def _as_it_was(request: Request) -> Request:
    """Without `find_tool`: there is nothing that it could find."""
    tools = [tool for tool in request.tools if not isinstance(tool, FindTool)]
    return request if len(tools) == len(request.tools) else request.override(tools=tools)


def _marked_last(tools: list[BaseTool], every: Sequence[BaseTool]) -> list[BaseTool]:
    """A cache marker on one of the tools holds for all of them: it goes to the last one sent."""
    marker = next(filter(None, map(marker_of, every)), None)
    if marker is None or not tools:
        return tools
    plain = [with_marker(tool, None) if marker_of(tool) else tool for tool in tools]
    return [*plain[:-1], with_marker(plain[-1], marker)]


def _messages(response: Response) -> list[BaseMessage]:
    if isinstance(response, BaseMessage):
        return [response]
    response = getattr(response, "model_response", response)
    return cast("list[BaseMessage]", response.result)
