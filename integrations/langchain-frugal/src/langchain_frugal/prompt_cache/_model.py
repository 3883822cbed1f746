"""`cached`: a chat model whose requests are marked for its provider's prompt cache."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import add_usage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableBinding, RunnableParallel, RunnableSequence
from langchain_core.runnables.fallbacks import RunnableWithFallbacks
from pydantic import Field, PrivateAttr

from frugal_chains.dispatch.prompt_cache import CacheMiss
from frugal_chains.errors import CachePlanError
from frugal_chains.pricing import PriceBook
from frugal_chains.prompt_cache import Traffic
from frugal_chains.tokens import TokenCounter
from langchain_frugal._long import is_long, worked
from langchain_frugal.prompt_cache._apply import Parts
from langchain_frugal.prompt_cache._around import around_run
from langchain_frugal.prompt_cache._marking import Around, Marked, Marking
from langchain_frugal.prompt_cache._misses import Misses
from langchain_frugal.prompt_cache._read import Volatile

_SHARED = (
    "cache", "callbacks", "custom_get_token_ids", "disable_streaming", "metadata", "name",
    "output_version", "profile", "rate_limiter", "tags", "verbose",
)  # fmt: skip
"""What every chat model does around a call: done once, by the model that stands outside."""


class CachedChatModel(BaseChatModel):
    """Another chat model, whose requests are marked. Made by `cached`."""

    model: Any = Field(repr=False)
    marking: Any = Field(exclude=True, repr=False)
    misses: Any = Field(exclude=True, repr=False)
    enabled: bool = True

    _inner: BaseChatModel = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self._inner = self.model

    # -- as the model inside says ----------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return self._inner._llm_type

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return self._inner._identifying_params

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self._inner._get_ls_params(stop=stop, **kwargs)

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        found: dict[str, Any] = cast(Any, self._inner)._get_invocation_params(stop=stop, **kwargs)
        return found

    def _should_stream(self, **kwargs: Any) -> bool:
        return self._inner._should_stream(**kwargs)

    def get_num_tokens(self, text: str) -> int:
        return self._inner.get_num_tokens(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        return self._inner.get_num_tokens_from_messages(messages, tools=tools)

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        given = {"tool_choice": tool_choice} if tool_choice is not None else {}
        return self._outside(self._inner.bind_tools(tools, **given, **kwargs))

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[Any, Any]:
        return self._outside(self._inner.with_structured_output(schema, **kwargs))

    def _outside(self, made: Runnable[Any, Any]) -> Runnable[Any, Any]:
        """The same with this model in the place of the one inside."""
        if made is self._inner or isinstance(made, type(self._inner)):
            return self
        if isinstance(made, RunnableBinding):
            return made.model_copy(update={"bound": self._outside(made.bound)})
        if isinstance(made, RunnableSequence):
            first = self._outside(made.first)
            return RunnableSequence(first, *made.steps[1:], name=made.name)
        if isinstance(made, RunnableParallel):
            steps = {name: self._outside(step) for name, step in made.steps__.items()}
            return RunnableParallel(cast(Any, steps))
        return made

    # -- calls -----------------------------------------------------------------------------------

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any,
    ) -> ChatResult:  # fmt: skip
        marked, call = self._marked(messages, kwargs, run_manager)
        sent_s = self.misses.now_s()
        sent, more = _call_of(marked)
        result = self._inner._generate(sent, stop, run_manager, **more)
        self._answered(marked, call, sent_s, result)
        return result

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None, **kwargs: Any,
    ) -> ChatResult:  # fmt: skip
        long = is_long(messages)
        marked, call = await worked(self._marked, messages, kwargs, run_manager, long=long)
        sent_s = self.misses.now_s()
        sent, more = _call_of(marked)
        result = await self._inner._agenerate(sent, stop, run_manager, **more)
        await worked(self._answered, marked, call, sent_s, result, long=long)
        return result

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:  # fmt: skip
        marked, call = self._marked(messages, kwargs, run_manager)
        seen, sent_s = _Seen(), self.misses.now_s()
        sent, more = _call_of(marked)
        for chunk in self._inner._stream(sent, stop, run_manager, **more):
            seen.add(chunk)
            yield chunk
        self._seen(marked, call, sent_s, seen)

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None, **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:  # fmt: skip
        long = is_long(messages)
        marked, call = await worked(self._marked, messages, kwargs, run_manager, long=long)
        seen, sent_s = _Seen(), self.misses.now_s()
        sent, more = _call_of(marked)
        async for chunk in self._inner._astream(sent, stop, run_manager, **more):
            seen.add(chunk)
            yield chunk
        await worked(self._seen, marked, call, sent_s, seen, long=long)

    # -- parts -----------------------------------------------------------------------------------

    def _marked(
        self, messages: Sequence[BaseMessage], kwargs: Mapping[str, Any], run: Any
    ) -> tuple[Marked, Around]:
        settings = dict(kwargs)
        tools = settings.pop("tools", None)
        parts = Parts(tools=tools or (), messages=messages, settings=settings)
        if not self.enabled:
            return Marked(parts=parts), Around()
        call = around_run(run)
        return self.marking.marked(self._inner, parts, call), call

    def _answered(self, marked: Marked, call: Around, sent_s: float, result: ChatResult) -> None:
        if result.generations:
            self.misses.answered(marked, call, sent_s, result.generations[0].message)

    def _seen(self, marked: Marked, call: Around, sent_s: float, seen: _Seen) -> None:
        self.misses.used(marked, call, sent_s, seen.usage, seen.metadata)


class _Seen:
    """What pieces of an answer say of its usage."""

    def __init__(self) -> None:
        self.usage: Any = None
        self.metadata: dict[str, Any] = {}

    def add(self, chunk: ChatGenerationChunk) -> None:
        more = getattr(chunk.message, "usage_metadata", None)
        if more:
            self.usage = add_usage(self.usage, more) if self.usage else more
        if chunk.message.response_metadata:
            self.metadata.update(chunk.message.response_metadata)


def _call_of(marked: Marked) -> tuple[list[BaseMessage], dict[str, Any]]:
    parts = marked.parts
    tools = {"tools": list(parts.tools)} if parts.tools else {}
    return list(parts.messages), {**parts.settings, **tools}


def cached(
    model: Any,
    *,
    salt: str = "",
    others: Traffic | None = None,
    ttl: str | None = None,
    volatile: Volatile | None = None,
    may_reorder: bool = True,
    counter: TokenCounter | None = None,
    prices: PriceBook | None = None,
    diagnose: bool = False,
    on_miss: Callable[[CacheMiss], None] | None = None,
    enabled: bool = True,
) -> Any:
    """A chat model whose requests are marked for its provider's prompt cache, as
    `PromptCacheMiddleware` marks an agent's.

        chain = prompt | cached(ChatAnthropic(model="claude-sonnet-5"))
        router = RoutingChatModel({"workhorse": cached(small), "specialist": cached(large)})

    It stands where the model stood: with tools, with structured output, in streams. Bind what you
    bind before or after. In a router each model is marked by its own provider's rules, and markers
    that are meant for another one are left out; so is each of a model and its fallbacks. Not in an
    agent that has the middleware.

    Args:
        model: A chat model, with what was bound to it, or with fallbacks.
        salt, others, ttl, volatile, may_reorder, counter, prices, diagnose, on_miss, enabled: As of
            `PromptCacheMiddleware`.

    Returns:
        A chat model; a binding, or a model with fallbacks, where the model was one.

    Raises:
        CachePlanError: it is no chat model.
    """
    marking = Marking(
        salt=salt, others=others, ttl=ttl, volatile=volatile, may_reorder=may_reorder,
        counter=counter, prices=prices,
    )  # fmt: skip
    misses = Misses(on_miss, diagnose=diagnose, counter=counter, prices=prices)

    def made(chat: BaseChatModel) -> CachedChatModel:
        shared = {name: getattr(chat, name, None) for name in _SHARED}
        given = {name: value for name, value in shared.items() if value is not None}
        return CachedChatModel(model=chat, marking=marking, misses=misses, enabled=enabled, **given)

    return _replaced(model, made)


def _replaced(model: Any, made: Callable[[BaseChatModel], BaseChatModel]) -> Any:
    """The same with other chat models inside."""
    if isinstance(model, RunnableBinding):
        return model.model_copy(update={"bound": _replaced(model.bound, made)})
    if isinstance(model, RunnableWithFallbacks):
        first, *others = (_replaced(each, made) for each in model.runnables)
        return model.model_copy(update={"runnable": first, "fallbacks": others})
    if not isinstance(model, BaseChatModel):
        raise CachePlanError(
            f"cached got a {type(model).__name__}: give it a chat model, bound or not"
        )
    return made(model)
