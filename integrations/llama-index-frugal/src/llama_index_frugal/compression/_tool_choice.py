"""`ToolChoiceRetriever`: the tools that a question needs, offered by an agent step by step."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, Self

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM, ChatMessage
from llama_index.core.objects import ObjectRetriever
from llama_index.core.schema import QueryType
from llama_index.core.tools import BaseTool, FunctionTool

from frugal_chains.compression.tools import FIND_TOOL, Forecast, Offered, ToolPolicy
from frugal_chains.dispatch import ToolChoice, ToolChooser
from frugal_chains.errors import wordless
from frugal_chains.facts import RequestFacts, ToolFacts
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from llama_index_frugal._about import facts_of, who_answers
from llama_index_frugal._around import Around, around
from llama_index_frugal._likeness import EmbedTexts
from llama_index_frugal._request import chat_facts
from llama_index_frugal._vectors import vectors_of
from llama_index_frugal.compression._originals import FETCH
from llama_index_frugal.compression._tool_step import Step, step_around, with_names
from llama_index_frugal.compression._tool_words import find_tool, worded
from llama_index_frugal.compression._tools import Tool

logger = logging.getLogger("llama_index_frugal")

_CONVERSATIONS: Final = 4_096
"""With an id: the oldest are forgotten beyond these, and begin anew."""


class ToolChoiceRetriever(ObjectRetriever[BaseTool]):
    """Chooses the tools an agent offers to its model, before every call of it.

        agent = FunctionAgent(llm=llm, tool_retriever=ToolChoiceRetriever(tools))

    The question, what was asked before and the prices of the model decide whether tools are left
    out, put in fewer words, or left as they are because the provider's cache makes that cheapest.
    What a conversation has been offered stays offered, in its place and with its bytes. Where tools
    are left out the model is given `find_tool`, and what that finds is offered from the next call
    on. A tool that was not offered still runs if the model calls it. The user's tools are never
    changed: fewer words stand on copies, and arguments are checked and calls made by the originals.

    It serves `FunctionAgent`, `ReActAgent` and agents of an `AgentWorkflow`. One that writes code
    (`CodeActAgent`) has all tools as they are: its code could not ask for one. So has a block of
    `instrument_tags({"compress": False})`, and every call for which choosing fails.

    A conversation is known by the `Context` it runs in (which keeps what was offered, also when it
    is saved), else by the `session_id` of its `Memory`, else by how it began.

    What it cannot see: an agent's own `tools=`, which are sent with every request (the place for a
    tool that always has to be there), and `handoff`. An agent shows a retriever nothing but the
    question; everything else is read off the context of the running step, which needs
    llama-index-workflows 2.18. With an older one all tools are sent as they are. Code that calls
    `llm.chat_with_tools` or `llm.predict_and_call` takes `chosen`: they know no retriever.

    Args:
        tools: Tools, or functions that are made tools.
        policy: How far they may be pruned; None: the defaults.
        always: Names of tools that are always sent.
        model: Whose tokenizer counts and whose prices decide; empty: the agent's own.
        provider: Of that model, where its name alone does not tell.
        forecast: Of a conversation; None: ten more calls and one change of subject.
        cache_ttl: Of cache markers that cannot be seen: those that the LLM's class puts on tools
            for a header, and the `cache_control` of extra options. Those on messages are seen.
        embedder: A `BaseEmbedding`, or a function of texts such as `LocalEmbedder(layers=6)`, to
            compare by meaning too; None: words alone decide.
        embedding_timeout_s: How long it may take; then words alone decide.
        enabled: False: all tools are sent as they are.
        counter: The token counter.
        prices: None: list prices behind the user's `prices.toml`.
    """

    def __init__(
        self,
        tools: Iterable[Tool],
        policy: ToolPolicy | None = None,
        *,
        always: Collection[str] = (),
        model: str = "",
        provider: str = "",
        forecast: Forecast | None = None,
        cache_ttl: Literal["", "5m", "1h"] = "",
        embedder: BaseEmbedding | EmbedTexts | None = None,
        embedding_timeout_s: float = 10.0,
        enabled: bool = True,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        # The index of an `ObjectRetriever` is not made: nothing is looked up in one.
        self.tools: Final[tuple[BaseTool, ...]] = tuple(
            tool if isinstance(tool, BaseTool) else FunctionTool.from_defaults(tool)
            for tool in tools
        )
        self.enabled = enabled
        self._always = (*always, FETCH)  # its marker in a text is of no use without it
        self._model, self._cache_ttl = model, cache_ttl
        self._facts: tuple[ToolFacts, ...] | None = None
        self._worded: dict[tuple[int, ToolFacts], BaseTool] = {}
        self._latest: ToolChoice | None = None
        self._by_id: dict[str, Offered] = {}
        self._chooser = ToolChooser(
            policy,
            model=model,
            provider=provider,
            forecast=forecast,
            vectors=vectors_of(embedder),
            vectors_timeout_s=embedding_timeout_s,
            counter=counter,
            prices=prices,
        )

    async def aretrieve(self, str_or_query_bundle: QueryType) -> list[BaseTool]:
        """What agents call: the tools for a question, or for a call of a tool all there are."""
        query = _text(str_or_query_bundle)
        try:
            step = await step_around(query)
            if step is not None and step.calls_tool:
                return [self._find_tool_in(step), *self.tools]
            call = around()
            if not (self.enabled and call.wanted) or (step is not None and not step.can_choose):
                return [*self.tools]
            if step is None:
                return await self.achosen([ChatMessage(query)])
            await self._aread()
            return await self._in_step(query, step, call)
        except Exception as error:
            return self._all_after(error)

    def retrieve(self, str_or_query_bundle: QueryType) -> list[BaseTool]:
        """The tools for a question of which nothing else is known."""
        return self.chosen([ChatMessage(_text(str_or_query_bundle))])

    def chosen(
        self,
        chat_history: Sequence[ChatMessage],
        *,
        llm: LLM | None = None,
        conversation: str = "",
        forced: Collection[str] = (),
    ) -> list[BaseTool]:
        """The tools to send with messages, for code that calls a model itself.

            tools = retriever.chosen(messages, llm=llm)
            response = llm.chat_with_tools(tools, chat_history=messages)

        Call it anew before each request of a conversation, with all of its messages.

        Args:
            chat_history: What will be sent.
            llm: Who will answer.
            conversation: An id of it; empty: it is known by how it began.
            forced: Names of tools that have to be there.
        """
        try:
            call = around()
            if not (self.enabled and call.wanted):
                return [*self.tools]
            options = self._options(call, llm, conversation, forced)
            return self._offered(self._chooser.choose(self._request(chat_history, llm), **options))
        except Exception as error:
            return self._all_after(error)

    async def achosen(
        self,
        chat_history: Sequence[ChatMessage],
        *,
        llm: LLM | None = None,
        conversation: str = "",
        forced: Collection[str] = (),
    ) -> list[BaseTool]:
        """As `chosen`."""
        try:
            call = around()
            if not (self.enabled and call.wanted):
                return [*self.tools]
            await self._aread()
            options = self._options(call, llm, conversation, forced)
            request = self._request(chat_history, llm)
            return self._offered(await self._chooser.achoose(request, **options))
        except Exception as error:
            return self._all_after(error)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    # -- parts ---------------------------------------------------------------------------------

    async def _in_step(self, query: str, step: Step, call: Around) -> list[BaseTool]:
        """The choice for an agent's next call of its model, kept in the agent's context."""
        request = step.asking(query, self._request(step.messages, step.llm))
        before = step.offered or self._before(step.conversation, request)
        options = self._options(call, step.llm, step.conversation, step.forced)
        choice = await self._chooser.achoose(request, offered=before, **options)
        if choice.offered is not None and choice.offered != step.offered:
            self._remember(step.conversation, choice.offered)
            await step.keep(choice.offered)
        return self._offered(choice)

    def _before(self, conversation: str, request: RequestFacts) -> Offered | None:
        """What a conversation was offered in an earlier run, in which an assistant has spoken."""
        spoken = any(message.role == "assistant" for message in request.messages)
        return self._by_id.get(conversation) if spoken else None

    def _remember(self, conversation: str, offered: Offered) -> None:
        if not conversation:
            return
        self._by_id.pop(conversation, None)
        self._by_id[conversation] = offered
        if len(self._by_id) > _CONVERSATIONS:
            self._by_id.pop(next(iter(self._by_id)), None)

    def _options(
        self, call: Around, llm: LLM | None, conversation: str, forced: Collection[str]
    ) -> dict[str, Any]:
        # What the user says goes before what an LLM says of itself.
        model, provider = ("", "") if self._model or llm is None else who_answers(llm)
        return {
            "model": model,
            "provider": provider,
            "conversation": conversation,
            "forced": (*self._always, *forced),
            "operation_id": call.operation_id,
            "trackers": call.trackers,
        }

    def _read(self) -> tuple[ToolFacts, ...]:
        if self._facts is None:
            self._facts = tuple(map(facts_of, self.tools))
        return self._facts

    async def _aread(self) -> None:
        """A schema takes about a millisecond, once: hundreds are not the loop's time."""
        if self._facts is None:
            await asyncio.to_thread(self._read)

    def _request(self, messages: Sequence[ChatMessage], llm: LLM | None) -> RequestFacts:
        # Without the tools that some LLMs have of their own: they are no business of this one.
        request = chat_facts(messages, {}, llm)
        return replace(
            request,
            tools=self._read(),
            messages=with_names(request.messages),
            cache_ttl=self._cache_ttl or request.cache_ttl,
        )

    def _offered(self, choice: ToolChoice) -> list[BaseTool]:
        if choice.index is not None:
            self._latest = choice
        found = [self._in_words(*each) for each in zip(choice.kept, choice.texts, strict=True)]
        if choice.find_tool is None:
            return found
        return [find_tool(choice.find_tool, self._chooser, choice), *found]

    def _in_words(self, number: int, text: ToolFacts) -> BaseTool:
        tool = self.tools[number]
        if text == self._read()[number]:
            return tool
        if (number, text) not in self._worded:
            self._worded[number, text] = worded(tool, text)
        return self._worded[number, text]

    def _find_tool_in(self, step: Step) -> BaseTool:
        """`find_tool` for a call in this step: it knows what the conversation has been offered."""
        choice = self._latest
        if choice is not None and step.offered is not None:
            choice = replace(choice, offered=step.offered)
        index = choice.index if choice is not None else None
        return find_tool(index.find_tool if index else FIND_TOOL, self._chooser, choice)

    def _all_after(self, error: Exception) -> list[BaseTool]:
        logger.warning("all tools are offered as they are", exc_info=wordless(error))
        return [*self.tools]


def _text(query: QueryType) -> str:
    return query if isinstance(query, str) else query.query_str
