"""`RoutingChatModel`: a chat model that asks the cheapest of several that is good enough."""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, Self, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.callbacks.base import Callbacks
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import Field, PrivateAttr

from frugal_chains.errors import RoutingPolicyError
from frugal_chains.pricing import PriceBook
from frugal_chains.routing import RoutingDecision, RoutingPolicy
from frugal_chains.routing.gain import Embedder
from langchain_frugal.routing._answers import as_chunk
from langchain_frugal.routing._candidates import Overrides, Tiers, common_profile
from langchain_frugal.routing._drivers import Chunks
from langchain_frugal.routing._kinds import Generated
from langchain_frugal.routing._planner import Planner
from langchain_frugal.routing._runner import Call, Runner
from langchain_frugal.routing._runs import Own
from langchain_frugal.routing._structured import RoutedStructuredOutput
from langchain_frugal.routing._v3 import aevent_stream, event_stream

_EMBEDDING_TIMEOUT_S: Final = 2.0
"""A decision waits no longer for the embedding of a question; then it does without."""

_DECIDING: Final = frozenset(
    {"tiers", "policy", "candidates", "embedder", "embedding_timeout_s", "prices"}
)


class RoutingChatModel(BaseChatModel):
    """Stands where a chat model stood and asks the cheapest of several that is good enough.

        model = RoutingChatModel(
            tiers={
                "gatekeeper": ChatOpenAI(model="gpt-5-nano"),
                "workhorse": ChatOpenAI(model="gpt-5-mini"),
                "specialist": ChatAnthropic(model="claude-opus-4-8"),
            },
            policy=RoutingPolicy(rules=(...,)),
        )
        model.invoke("What is 2 + 2?").response_metadata["frugal"]
        # {'candidate': 'workhorse', 'reason': 'default', 'tier': 'workhorse'}

    It is a chain run around one model run for each attempt: callbacks, budgets and streams see
    every call once. The decision is in `response_metadata["frugal"]` of the answer, in the metadata
    of both runs, and on every row of the ledger.

    Tools, `with_structured_output`, `stop` and other keywords go to the model that answers, which
    applies them by its own means. When its provider fails, the next one is asked; when all fail,
    the error is that of the model that was meant to answer. `BudgetExceeded` and `RequestRefused`
    (a guardrail of the policy) are raised at once.

    Streams are handed on as they come. Where the policy has a cascade, drafts are waited for: they
    may be given up. A kept draft then comes as one piece with `buffered` in its metadata, and
    shows no tokens to callbacks; the answer after drafts is streamed again.

    A request may choose for itself: `route="specialist"` as a keyword or in
    `config["configurable"]`, a tier, a candidate or a model; and `error_tolerance="low"`, for
    rules. `decide` and `explain` tell what would be chosen, and ask no model.

    Args:
        tiers: By `gatekeeper`, `workhorse` and `specialist`: a chat model, a function that makes
            one (then a key that is missing takes down this model alone), or several of these.
        policy: None: the workhorse answers everything.
        candidates: What the models do not say of themselves, or say wrongly, by the name of the
            tier or the model: `{"workhorse": {"regions": {"eu"}, "latency_s": 2.0}}`.
        embedder: For policies that compare meanings: `Embeddings`, or `LocalEmbedder()`.
        embedding_timeout_s: Then the decision does without the embedding, with a warning.
        prices: None: list prices behind the user's `prices.toml`.

    Raises:
        RoutingPolicyError: the policy cannot decide between these models; everything that is
            wrong, and the way out of it.
    """

    tiers: Any = Field(exclude=True, repr=False)
    policy: Any = Field(default=None, exclude=True, repr=False)
    candidates: Any = Field(default=None, exclude=True, repr=False)
    embedder: Any = Field(default=None, exclude=True, repr=False)
    embedding_timeout_s: float = _EMBEDDING_TIMEOUT_S
    prices: Any = Field(default=None, exclude=True, repr=False)

    _planner: Planner = PrivateAttr()

    def __init__(
        self,
        tiers: Tiers,
        *,
        policy: RoutingPolicy | None = None,
        candidates: Overrides | None = None,
        embedder: Embeddings | Embedder | None = None,
        embedding_timeout_s: float = _EMBEDDING_TIMEOUT_S,
        prices: PriceBook | None = None,
        **fields: Any,
    ) -> None:
        if fields.get("cache") not in (None, False):
            raise RoutingPolicyError(
                "a router has no cache of its own: give cache= to the models, whose answers it is"
            )
        own: dict[str, Any] = {
            "tiers": tiers,
            "policy": policy,
            "candidates": candidates,
            "embedder": embedder,
            "embedding_timeout_s": embedding_timeout_s,
            "prices": prices,
        }
        super().__init__(**own, **fields)
        self._set_up()

    def _set_up(self) -> None:
        self._planner = Planner(
            self.tiers, self.policy, self.candidates, self.embedder, self.embedding_timeout_s,
            self.prices,
        )  # fmt: skip
        if self.profile is None:
            profile = common_profile(list(self._planner.members.values()))
            self.profile = cast(Any, profile)

    # -- what would be chosen ------------------------------------------------------------------

    def decide(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> RoutingDecision:
        """What would be chosen for this request. No model is asked, nothing is remembered."""
        return self._runner.decide(self._call(input, config, stop, kwargs))

    def explain(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> str:
        """As `decide`, in words: who would answer, why, and what was weighed."""
        return self.decide(input, config, stop=stop, **kwargs).explain()

    # -- asking --------------------------------------------------------------------------------

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        return cast(AIMessage, self._runner.answer(self._call(input, config, stop, kwargs)))

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        call = self._call(input, config, stop, kwargs)
        return cast(AIMessage, await self._runner.aanswer(call))

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        call = self._call(input, config, stop, kwargs)
        if self._streaming_disabled(**{**kwargs, "stream": True}):
            yield as_chunk(self._runner.answer(call))
        else:
            yield from self._runner.pieces(call, Chunks())

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        call = self._call(input, config, stop, kwargs)
        if self._streaming_disabled(**{**kwargs, "stream": True}):
            yield as_chunk(await self._runner.aanswer(call))
            return
        async with aclosing(cast(Any, self._runner.apieces(call, Chunks()))) as source:
            async for piece in source:
                yield piece

    def stream_events(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        version: Any = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """As of any chat model, in versions v1 to v3."""
        if version != "v3":
            return super().stream_events(input, config, version=version, stop=stop, **kwargs)
        call = self._call(input, config, stop, kwargs)
        return event_stream(lambda form: self._runner.pieces(call, form))

    def astream_events(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        version: Any = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """As of any chat model, in versions v1 to v3."""
        if version != "v3":
            return super().astream_events(input, config, version=version, stop=stop, **kwargs)
        call = self._call(input, config, stop, kwargs)
        return aevent_stream(lambda form: self._runner.apieces(call, form))

    def generate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        *,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        run_id: uuid.UUID | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        config = _config(callbacks, tags, metadata, run_name)
        calls = _calls(messages, config, run_id, stop, kwargs)
        return _together([self._runner.answer(call) for call in calls])

    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        *,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        run_id: uuid.UUID | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        config = _config(callbacks, tags, metadata, run_name)
        calls = _calls(messages, config, run_id, stop, kwargs)
        return _together(await asyncio.gather(*(self._runner.aanswer(call) for call in calls)))

    @property
    def _runner(self) -> Runner:
        own = Own(self.callbacks, self.tags, self.metadata)
        return Runner(self._planner, own, self.get_name(), self.rate_limiter)

    def _call(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None,
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
    ) -> Call:
        messages = self._convert_input(input).to_messages()
        return Call(messages=messages, config=config, stop=stop, kwargs=kwargs)

    # -- tools and structure -------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Tools for whichever model answers, which binds them itself."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=list(tools), **kwargs)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Answers of a schema, by the own method of whichever model answers.

        `method` and `strict` are for models that have them; others raise, and the next is asked.
        """
        return RoutedStructuredOutput(
            router=self, wanted=schema, include_raw=include_raw, options=kwargs
        )

    # -- being a chat model --------------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return "frugal-router"

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return False

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        models = [member.candidate.model for member in self._planner.members.values()]
        name = str(kwargs.get("model") or "|".join(filter(None, models)) or "router")
        params = LangSmithParams(ls_provider="frugal", ls_model_type="chat", ls_model_name=name)
        if stop:
            params["ls_stop"] = stop
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _chat_result(self.generate([messages], stop, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _chat_result(await self.agenerate([messages], stop, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = Call(messages=messages, stop=stop, kwargs=kwargs)
        for chunk in self._runner.pieces(call, Chunks()):
            yield ChatGenerationChunk(message=as_chunk(chunk))

    def get_token_ids(self, text: str) -> list[int]:
        return self._counting_model.get_token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        return self._counting_model.get_num_tokens(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        return self._counting_model.get_num_tokens_from_messages(messages, tools)

    @property
    def _counting_model(self) -> BaseChatModel:
        """Whose tokens are meant where nothing has been routed: the default tier's."""
        made = [m for m in self._planner.members.values() if isinstance(m.model, BaseChatModel)]
        if not made:
            raise RoutingPolicyError("no model of this router can count tokens")
        default = self._planner.router.policy.default_tier
        named = [m for m in made if m.candidate.tier == default]
        return cast(BaseChatModel, (named or made)[0].model)

    # -- copies --------------------------------------------------------------------------------

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with the same memory; with other models or another policy, one with its own."""
        made = super().model_copy(update=update, deep=deep)
        if not _DECIDING.isdisjoint(update or ()):
            made._set_up()
        return made

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> RoutingChatModel:
        """A copy that decides with the same memory, and shares the models' clients."""
        # Clients hold locks and connections: those of providers' SDKs can be copied by nobody.
        made = self.model_copy()
        made.tags = copy.deepcopy(self.tags, memo)
        made.metadata = copy.deepcopy(self.metadata, memo)
        return made

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), "__pydantic_private__": None}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__({**state, "__pydantic_private__": {}})
        self._set_up()


def _config(
    callbacks: Callbacks,
    tags: list[str] | None,
    metadata: dict[str, Any] | None,
    run_name: str | None,
) -> RunnableConfig:
    given = {"callbacks": callbacks, "tags": tags, "metadata": metadata, "run_name": run_name}
    return cast(RunnableConfig, {name: v for name, v in given.items() if v is not None})


def _calls(
    messages: Sequence[Sequence[BaseMessage]],
    config: RunnableConfig,
    run_id: uuid.UUID | None,
    stop: list[str] | None,
    kwargs: Mapping[str, Any],
) -> list[Call]:
    """One for each prompt; an id names the first run alone, as LangChain has it."""
    first: RunnableConfig = config if run_id is None else {**config, "run_id": run_id}
    return [
        Call(
            messages=each,
            kind=Generated(),
            config=first if n == 0 else config,
            stop=stop,
            kwargs=kwargs,
        )
        for n, each in enumerate(messages)
    ]


def _together(results: Sequence[LLMResult]) -> LLMResult:
    groups = [group for result in results for group in result.generations]
    return LLMResult(generations=groups, llm_output={})


def _chat_result(result: LLMResult) -> ChatResult:
    return ChatResult(generations=cast(list[ChatGeneration], result.generations[0]))
