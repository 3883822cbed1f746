"""`compacting_llm`: an LLM that is sent fewer tokens, also within one turn of an agent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, TypeVar, cast

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
)
from llama_index.core.llms import LLM
from pydantic import PrivateAttr

from frugal_chains.archive import Archive
from frugal_chains.dispatch.memory import Compaction, Summarizer
from frugal_chains.memory import CompactionPolicy, Lengths
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from llama_index_frugal._about import who_answers
from llama_index_frugal._likeness import EmbedTexts
from llama_index_frugal.memory._asking import Asks
from llama_index_frugal.memory._compacts import Compacts
from llama_index_frugal.memory._messages import Pin
from llama_index_frugal.memory._options import Options, compactor_of

L = TypeVar("L", bound=LLM)


def compacting_llm(
    llm: L,
    policy: CompactionPolicy | None = None,
    *,
    summarizer: LLM | Literal["same"] | None = None,
    recall_tokens: int = 4_000,
    embedder: BaseEmbedding | EmbedTexts | None = None,
    alike: float | None = None,
    cache_ttl: Literal["", "5m", "1h"] = "",
    archive: Archive | None = None,
    lengths: Lengths | None = None,
    counter: TokenCounter | None = None,
    prices: PriceBook | None = None,
    on_compaction: Callable[[Compaction], None] | None = None,
    pin: Pin | None = None,
) -> L:
    """A copy of an LLM that takes old messages out of each request, when that pays.

        agent = FunctionAgent(llm=compacting_llm(llm), tools=tools)

    No memory sees the turn an agent is in: `FunctionAgent` and `ReActAgent` add calls and results
    behind what the memory gives them, call by call. This sees every request as it is sent, with its
    tools and system prompt. It goes with any memory that sends everything; beside a
    `SummarizingMemory` it finds what that has left. All ways to chat are compacted, those with
    tools and structured answers too; `complete` is not. A `RoutingLLM` hands requests on by itself:
    give it models that compact.

    A request that begins with all messages of an earlier one goes on with its conversation;
    conversations are kept in this process, the last 4,096 requests.

    Args:
        llm: The LLM.
        policy: When to compact, and what stays; its limit is three quarters of the LLM's window
            unless it is given.
        summarizer: Who writes summaries: an LLM; "same": this one, behind the conversation that
            its provider's cache still has where that is cheaper; None: sentences are picked.
        recall_tokens: Of earlier messages that are shown again behind a question that needs them,
            at most; 0: none.
        embedder: Ranks what the words of a question have found: an embedding of LlamaIndex's, or a
            function of texts such as `LocalEmbedder()`. A turn waits two seconds for it at most.
        alike: Cosine from which on the embedder recalls what the words alone would not; None: it
            only ranks.
        cache_ttl: Of cache markers that cannot be seen; those of messages and tools are.
        archive: Where messages are put before they leave.
        lengths: Calls of past conversations.
        counter: Of tokens.
        prices: None: list prices behind the user's `prices.toml`.
        on_compaction: Told of every compaction.
        pin: Which messages never leave, besides those of `pinned`.
    """
    model, provider = who_answers(llm)
    other = who_answers(summarizer) if isinstance(summarizer, LLM) else (model, provider)
    known = Summarizer(model=other[0], provider=other[1], answers=summarizer == "same")
    options = Options(
        policy=policy or CompactionPolicy(),
        llm=llm,
        recall_tokens=recall_tokens,
        embedder=embedder,
        alike=alike,
        cache_ttl=cache_ttl,
        archive=archive,
        lengths=lengths,
        counter=counter,
        prices=prices,
        on_compaction=on_compaction,
    )
    compactor = compactor_of(options, None if summarizer is None else known)
    asks = Asks(summarizer) if isinstance(summarizer, LLM) else None
    kind = type(llm)
    made = llm.model_copy()
    object.__setattr__(made, "__class__", _kind(getattr(kind, "_frugal_whole", kind)))
    cast(Any, made)._compacts = Compacts(compactor, model, provider, asks, pin)
    return made


@cache
def _kind(base: type[Any]) -> type[Any]:
    class Compacting(base):  # type: ignore[misc]  # of a class that is only known now
        _compacts: Any = PrivateAttr(default=None)

        @classmethod
        def class_name(cls) -> str:  # tells who the provider is
            return str(base.class_name())

        def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
            view = self._view(messages, kwargs, super().chat)
            return cast(ChatResponse, super().chat(view, **kwargs))

        def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
            view = self._view(messages, kwargs, super().chat)
            return cast(ChatResponseGen, super().stream_chat(view, **kwargs))

        async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
            view = await self._aview(messages, kwargs, super().achat)
            return cast(ChatResponse, await super().achat(view, **kwargs))

        async def astream_chat(
            self, messages: Sequence[ChatMessage], **kwargs: Any
        ) -> ChatResponseAsyncGen:
            view = await self._aview(messages, kwargs, super().achat)
            return cast(ChatResponseAsyncGen, await super().astream_chat(view, **kwargs))

        def _view(self, messages: Any, options: Any, chat: Any) -> Any:
            compacts = self._compacts  # none in a copy from a file
            return messages if compacts is None else compacts.view(messages, options, self, chat)

        async def _aview(self, messages: Any, options: Any, achat: Any) -> Any:
            compacts = self._compacts
            if compacts is None:
                return messages
            return await compacts.aview(messages, options, self, achat)

    Compacting.__name__, Compacting.__qualname__ = base.__name__, base.__qualname__
    Compacting._frugal_whole = base
    Compacting._frugal_base = Compacting  # a shorter system prompt goes on top of it
    return Compacting
