"""`cached_llm`: an LLM whose requests carry markers for its provider's prompt cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, TypeVar, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
)
from llama_index.core.llms import LLM
from pydantic import PrivateAttr

from frugal_chains.dispatch import CacheKeeper
from frugal_chains.pricing import PriceBook
from frugal_chains.prompt_cache import Traffic
from frugal_chains.providers import provider_id
from frugal_chains.tokens import TokenCounter
from llama_index_frugal.prompt_cache._client import MarkedClient, unmarked
from llama_index_frugal.prompt_cache._marking import Call, Form, Marking, asteps, steps, within
from llama_index_frugal.prompt_cache._messages import with_marks_up_to, without_points
from llama_index_frugal.prompt_cache._wire import Volatile

L = TypeVar("L", bound=LLM)

_FORMS: Final[dict[str, Form]] = {
    "Anthropic": "anthropic",
    "OpenAI": "openai",
    "OpenAIResponses": "openai",
}
"""By name of a class: integrations are optional, and subclasses ask as these do."""
_CLIENTS: Final = {"_client": False, "_aclient": True}
"""Where LLM classes keep their clients, and whether these are asynchronous."""
_SERVED_BY: Final = {"Bedrock": "aws", "Vertex": "google"}
"""In names of Anthropic's clients: who serves the model, by Anthropic's own requests."""
_ROUTER: Final = "RoutingLLM"


def cached_llm(
    llm: L,
    *,
    salt: str = "",
    others: Traffic | None = None,
    ttl: str | None = None,
    volatile: Volatile | None = None,
    may_reorder: bool = True,
    counter: TokenCounter | None = None,
    prices: PriceBook | None = None,
    keeper: CacheKeeper | None = None,
) -> L:
    """A copy of an LLM that marks its requests for the provider's prompt cache, where that pays.

        agent = FunctionAgent(llm=cached_llm(Anthropic("claude-sonnet-5")), tools=tools)

    LlamaIndex's `Anthropic` joins the system prompt to one text and loses every `CachePoint` in it,
    marks tools only by a header of an old test phase, and with `cache_idx=-1` marks every message,
    where four markers are allowed, and writes into the caller's messages. The copy marks what is
    sent: tools, system prompt and messages, never more than four places, nothing below the model's
    minimum, and none of the caller's objects is changed. A `CachePoint`, a `cache_control` or a
    `cache_idx` of the caller's is left where it is; of more than four those at the end stay.

    `OpenAI` and `OpenAIResponses` get a `prompt_cache_key`, and from GPT-5.6 on breakpoints on what
    users and the system say; a `CachePoint`, which they refuse, is left out. Both names go to
    OpenAI's own models alone. LLMs of other classes are copied and send what they did before: most
    providers cache by themselves. `BedrockConverse` is none of those that are marked.

    Chats, streams, tools and structured answers are marked, sync and async. A `RoutingLLM` gets
    models that are. Inside a block of `instrument_tags({"prompt_cache": False})` nothing is marked;
    the tag `thread_id` names the conversation, which otherwise is known by its beginning. When
    anything fails, the request is sent as it was.

    Args:
        llm: The LLM. It is not changed; the copy uses its connections.
        salt: What cache keys are kept apart by, say a tenant; never sent as it is.
        others: Calls of other conversations with the same tools and system prompt.
        ttl: Of every marker, by the provider's name (`5m`, `1h`); None: what pays.
        volatile: Told a text of the system prompt or of a message: will it have changed by the next
            request? What keeps changing is seen after a few requests anyway.
        may_reorder: Texts of one system message that stay the same may be put before others.
        counter: Of tokens.
        prices: None: list prices behind the user's `prices.toml`.
        keeper: One that several LLMs share, in place of the other settings of its.
    """
    own = keeper or CacheKeeper(salt=salt, others=others, ttl=ttl, counter=counter, prices=prices)

    def made(form: Form, provider: str) -> Marking:
        return Marking(own, form, provider, ttl=ttl, volatile=volatile, may_reorder=may_reorder)

    if llm.class_name() == _ROUTER:
        return cast(L, _router(llm, made))
    return cast(L, _copy(llm, made))


def _copy(llm: LLM, make: Callable[[Form, str], Marking]) -> LLM:
    form = next((_FORMS[k.__name__] for k in type(llm).__mro__ if k.__name__ in _FORMS), None)
    made = llm.model_copy()
    if form is None:
        return made
    kind = type(llm)
    if not hasattr(kind, "_frugal_cached"):
        object.__setattr__(made, "__class__", _kind(kind))
    given = {name: unmarked(getattr(llm, name, None)) for name in _CLIENTS}
    provider = _served_by(given["_client"]) or provider_id(llm.class_name())
    marking = make(form, provider)
    cast(Any, made)._marking = marking
    for name, client in given.items():
        if client is not None:
            setattr(made, name, MarkedClient(client, marking, awaited=_CLIENTS[name]))
    return made


def _served_by(client: Any) -> str:
    name = type(client).__name__
    return next((provider for part, provider in _SERVED_BY.items() if part in name), "")


def _router(llm: Any, make: Callable[[Form, str], Marking]) -> LLM:
    """A router over copies of its models."""
    return cast(LLM, llm.with_models(lambda model: _copy(model, make)))


@cache
def _kind(base: type[Any]) -> type[Any]:
    class Cached(base):  # type: ignore[misc]  # of a class that is only known now
        _marking: Any = PrivateAttr(default=None)

        @classmethod
        def class_name(cls) -> str:  # tells who the provider is
            return str(base.class_name())

        @property
        def frugal_cache_ttl(self) -> str:
            """Of markers that are on no message and no tool yet when a call is announced."""
            return "" if self._marking is None else str(self._marking.ttl)

        def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
            sent = self._sent(messages)
            with within(Call.now(sent)):
                return cast(ChatResponse, super().chat(sent, **kwargs))

        def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
            sent = self._sent(messages)
            call = Call.now(sent)
            with within(call):
                chunks = super().stream_chat(sent, **kwargs)
            return steps(call, chunks)

        async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
            sent = self._sent(messages)
            with within(Call.now(sent)):
                return cast(ChatResponse, await super().achat(sent, **kwargs))

        async def astream_chat(
            self, messages: Sequence[ChatMessage], **kwargs: Any
        ) -> ChatResponseAsyncGen:
            sent = self._sent(messages)
            call = Call.now(sent)
            with within(call):
                chunks = await super().astream_chat(sent, **kwargs)
            return asteps(call, chunks)

        def _get_client(self) -> Any:  # of `OpenAI`: it may make a new one for every request
            return self._with_markers(super()._get_client(), awaited=False)

        def _get_aclient(self) -> Any:
            return self._with_markers(super()._get_aclient(), awaited=True)

        def _with_markers(self, client: Any, *, awaited: bool) -> Any:
            marking = self._marking  # none in a copy from a file
            if marking is None:
                return client
            return MarkedClient(unmarked(client), marking, awaited=awaited)

        def _sent(self, messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
            if self._marking is not None and self._marking.form == "openai":
                return without_points(messages)
            return with_marks_up_to(messages, getattr(self, "cache_idx", None))

    Cached.__name__, Cached.__qualname__ = base.__name__, base.__qualname__
    Cached._frugal_cached = True
    # What goes on top of it, by others' names: a shorter system prompt, and a compaction, each in
    # the place of one that is there already.
    for name in ("_frugal_base", "_frugal_whole"):
        below: Any = getattr(base, name, base)
        setattr(Cached, name, Cached if below is base else _kind(below))
    return Cached
