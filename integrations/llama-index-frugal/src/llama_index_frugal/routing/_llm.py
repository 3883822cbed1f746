"""`RoutingLLM`: the cheapest LLM that is good enough, behind the interface of any LLM."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from typing import Any, Self

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.prompts import BasePromptTemplate, ChatPromptTemplate
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel, Field, PrivateAttr, SerializeAsAny

from frugal_chains.dispatch import Route
from frugal_chains.pricing import PriceBook
from frugal_chains.routing import RoutingDecision, RoutingPolicy
from frugal_chains.routing.gain import Embedder
from frugal_chains.tracking import Tracker, current_tracker
from llama_index_frugal._gate import limiter_tracker
from llama_index_frugal.routing import _asks
from llama_index_frugal.routing._asks import Ask
from llama_index_frugal.routing._drivers import aanswer, answer, astream, stream
from llama_index_frugal.routing._event import RoutingEvent
from llama_index_frugal.routing._history import Authors
from llama_index_frugal.routing._models import metadata_of
from llama_index_frugal.routing._planner import Planner
from llama_index_frugal.routing._run import Run
from llama_index_frugal.routing._tools import selections_in

dispatcher = get_dispatcher(__name__)


class RoutingLLM(FunctionCallingLLM):
    """Asks for each request the cheapest of several LLMs that is good enough.

        llm = RoutingLLM(
            {
                "gatekeeper": OpenAI("gpt-4.1-nano"),
                "workhorse": [OpenAI("gpt-4.1-mini"), Anthropic("claude-haiku-4-5")],
                "specialist": OpenAI("gpt-5.2"),
            },
            RoutingPolicy(rules=[Rule("code", Keywords("traceback"), to="specialist")]),
        )
        print(llm.explain("Why does this traceback end here?"))

    It is a drop-in for any LLM: in `Settings.llm`, agents, query engines and workflows, with tools,
    with `structured_predict` and `as_structured_llm` (each model's own method of it is kept). Calls
    of models are announced by the models themselves, one start and one end each; the router adds a
    `RoutingEvent`.

    Where the decision is: on responses and on each chunk in `additional_kwargs["frugal"]` (not on
    the message, which goes into memories and from there back to providers), in the ledger row of
    every attempt, and in the event. A structured answer is the user's own object, so it is in the
    last two alone; and in the event alone where the model announces no call for it, as Anthropic's
    class does not (llama-index-llms-anthropic 0.12.3): no ledger sees such calls, routed or not.

    A request may choose for itself: by the keyword `route="specialist"` (a tier or a model; in
    `llm_kwargs` for `structured_predict`), or where no keyword gets through, as in agents and query
    engines, by `instrument_tags({"route": "specialist"})`. `error_tolerance` ("low", "normal",
    "high") is given in the same ways. The tag `thread_id` names the conversation; without it the
    conversation is known by its beginning.

    Streams: a decision before the call leaves the stream as it is, and until its first chunk
    another model may take over. A policy with a cascade looks at whole answers before it gives one
    out: such a stream has a single chunk, and `additional_kwargs["frugal"]["buffered"]` says so.

    Errors: a provider that fails is replaced by the next model; when nobody answers, the error is
    that of the model meant to answer. Budgets and guardrails are final.

    Args:
        tiers: By tier (`gatekeeper`, `workhorse`, `specialist`): one LLM or several. The only one
            of a tier goes by the tier's name, several by the names of their models.
        policy: What may be asked of which; None: the workhorse answers everything.
        candidates: By name, what is known of a model beyond what it says of itself: any fields of
            `frugal_chains.routing.Candidate`, such as `{"gatekeeper": {"regions": {"eu"}}}`.
        embedder: For policies that look at embeddings: a `BaseEmbedding`, or `LocalEmbedder()`.
            When it fails, the decision is made without it and says so.
        embedding_timeout_s: How long it may take.
        prices: None: list prices behind the user's `prices.toml`.

    Raises:
        RoutingPolicyError: the policy cannot decide between these models; names all that is wrong.
        RequestRefused: from every method, when a guardrail refuses the request.
        RoutingError: from every method, when the keyword `route` names no model here.
    """

    tiers: dict[str, list[SerializeAsAny[LLM]]] = Field(description="The LLMs of each tier.")
    policy: Any = Field(default=None, exclude=True, description="A `RoutingPolicy`.")
    candidates: dict[str, dict[str, Any]] = Field(default_factory=dict, exclude=True)
    embedder: Any = Field(default=None, exclude=True, description="A `BaseEmbedding`.")
    embedding_timeout_s: float = Field(default=2.0, description="In seconds.")
    prices: Any = Field(default=None, exclude=True, description="A `PriceBook`.")

    _planner: Planner = PrivateAttr()
    _authors: Authors = PrivateAttr(default_factory=Authors)

    def __init__(
        self,
        tiers: Mapping[str, LLM | Sequence[LLM]],
        policy: RoutingPolicy | None = None,
        *,
        candidates: Mapping[str, Mapping[str, Any]] | None = None,
        embedder: BaseEmbedding | Embedder | None = None,
        embedding_timeout_s: float = 2.0,
        prices: PriceBook | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            tiers={
                tier: list(models) if isinstance(models, list | tuple) else [models]
                for tier, models in tiers.items()
            },
            policy=policy,
            candidates={name: dict(said) for name, said in (candidates or {}).items()},
            embedder=embedder,
            embedding_timeout_s=embedding_timeout_s,
            prices=prices,
            **kwargs,
        )
        self._planner = Planner(
            self.tiers, policy, self.candidates, embedder, embedding_timeout_s, prices
        )

    def with_models(self, change: Callable[[LLM], LLM]) -> Self:
        """A copy that routes by the same policy between other models.

        Args:
            change: What stands for each model: a copy of it that does something besides.
        """
        made = self.model_copy()
        made.tiers = {
            tier: [change(model) for model in models] for tier, models in self.tiers.items()
        }
        made._planner = Planner(
            made.tiers, self.policy, self.candidates, self.embedder, self.embedding_timeout_s,
            self.prices,
        )  # fmt: skip
        return made

    @classmethod
    def class_name(cls) -> str:
        return "RoutingLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """What holds whoever answers: it is read before anything is decided."""
        models = self._planner.models.values()
        facts = [metadata_of(model.llm) for model in models]
        windows = [window for m in models if (window := m.candidate.context_window_tokens)]
        roles = {fact.system_role for fact in facts}
        return LLMMetadata(
            context_window=min(windows or [fact.context_window for fact in facts]),
            num_output=max(
                (f.num_output for f in facts if "num_output" in f.model_fields_set), default=-1
            ),
            is_chat_model=all(fact.is_chat_model for fact in facts),
            is_function_calling_model=all(m.candidate.tools for m in models),
            model_name="frugal-router",
            system_role=roles.pop() if len(roles) == 1 else MessageRole.SYSTEM,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # LlamaIndex leaves out what cannot be pickled without a word: a policy must not be lost.
        said = {
            name: value
            for name in ("system_prompt", "pydantic_program_mode", "embedding_timeout_s")
            if (value := getattr(self, name)) is not None
        }
        given = (dict(self.tiers), self.policy, self.candidates, self.embedder, self.prices, said)
        return _rebuilt, (type(self), *given)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy asks the same models, with the same memory of what has failed: open clients cannot
        be copied."""
        return self.model_copy()

    # -- asking before the fact ----------------------------------------------------------------

    def decide(
        self,
        request: str | Sequence[ChatMessage],
        *,
        tools: Sequence[Any] = (),
        output_cls: type[BaseModel] | None = None,
        **options: Any,
    ) -> RoutingDecision:
        """What would be decided now. No model is called, and nothing is booked or remembered; an
        embedder that the policy needs is asked.

        Args:
            request: A question, or the messages of a chat.
            tools: Those the model would be offered.
            output_cls: The type of a structured answer.
            options: As those of `chat`: `route`, `error_tolerance`, `max_tokens`, ...
        """
        if isinstance(request, str):
            messages = [ChatMessage(role=MessageRole.USER, content=request)]
        else:
            messages = list(request)
        if output_cls is not None:
            options["response_format"] = output_cls.model_json_schema()
        if tools:
            ask = _asks.chat_with_tools(tools, None, messages, options)
        else:
            ask = _asks.chat(messages, options)
        return self._planner.plan(ask, self._trackers()).decision

    def explain(self, request: str | Sequence[ChatMessage], **options: Any) -> str:
        """`decide` in words."""
        return self.decide(request, **options).explain()

    # -- chat ----------------------------------------------------------------------------------

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        found: ChatResponse = answer(self._run(_asks.chat(messages, kwargs)))
        return found

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        found: ChatResponse = await aanswer(await self._arun(_asks.chat(messages, kwargs)))
        return found

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        return stream(self._run(_asks.chat(messages, kwargs)))

    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        return await astream(await self._arun(_asks.chat(messages, kwargs)))

    # -- completion ----------------------------------------------------------------------------

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        found: CompletionResponse = answer(self._run(_asks.complete(prompt, formatted, kwargs)))
        return found

    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        run = await self._arun(_asks.complete(prompt, formatted, kwargs))
        found: CompletionResponse = await aanswer(run)
        return found

    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        return stream(self._run(_asks.complete(prompt, formatted, kwargs)))

    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        return await astream(await self._arun(_asks.complete(prompt, formatted, kwargs)))

    # -- tools ---------------------------------------------------------------------------------
    # Decided first: what a model is sent for its tools has the shape of its provider.

    @dispatcher.span
    def chat_with_tools(
        self,
        tools: Sequence[Any],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> ChatResponse:
        ask = _asks.chat_with_tools(tools, user_msg, chat_history, _named(args, kwargs))
        found: ChatResponse = answer(self._run(ask))
        return found

    @dispatcher.span
    async def achat_with_tools(
        self,
        tools: Sequence[Any],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> ChatResponse:
        ask = _asks.chat_with_tools(tools, user_msg, chat_history, _named(args, kwargs))
        found: ChatResponse = await aanswer(await self._arun(ask))
        return found

    @dispatcher.span
    def stream_chat_with_tools(
        self,
        tools: Sequence[Any],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> ChatResponseGen:
        ask = _asks.chat_with_tools(tools, user_msg, chat_history, _named(args, kwargs))
        return stream(self._run(ask))

    @dispatcher.span
    async def astream_chat_with_tools(
        self,
        tools: Sequence[Any],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> ChatResponseAsyncGen:
        ask = _asks.chat_with_tools(tools, user_msg, chat_history, _named(args, kwargs))
        return await astream(await self._arun(ask))

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The tool calls in a response of any of the models."""
        return selections_in(response, error_on_no_tool_call=error_on_no_tool_call)

    def _prepare_chat_with_tools(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        raise NotImplementedError(
            "the shape of tools belongs to a provider, and it is not decided yet which one "
            "answers: call chat_with_tools"
        )

    # -- structured answers --------------------------------------------------------------------

    def structured_predict(
        self,
        output_cls: type[Any],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        return answer(self._run(self._structured(output_cls, prompt, llm_kwargs, prompt_args)))

    async def astructured_predict(
        self,
        output_cls: type[Any],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        ask = self._structured(output_cls, prompt, llm_kwargs, prompt_args)
        return await aanswer(await self._arun(ask))

    def stream_structured_predict(
        self,
        output_cls: type[Any],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        return stream(self._run(self._structured(output_cls, prompt, llm_kwargs, prompt_args)))

    async def astream_structured_predict(
        self,
        output_cls: type[Any],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        ask = self._structured(output_cls, prompt, llm_kwargs, prompt_args)
        return await astream(await self._arun(ask))

    def _structured(
        self,
        output_cls: type[BaseModel],
        prompt: BasePromptTemplate,
        llm_kwargs: Mapping[str, Any] | None,
        prompt_args: Mapping[str, Any],
    ) -> Ask:
        messages = prompt.format_messages(llm=self, **prompt_args)
        if self.system_prompt or self.output_parser is not None:
            # The model adds its own; those of the router have to be in the prompt.
            messages = self._get_messages(prompt, **prompt_args)
            prompt, prompt_args = ChatPromptTemplate(message_templates=messages), {}
        return _asks.structured_predict(output_cls, prompt, messages, llm_kwargs, prompt_args)

    # -- deciding ------------------------------------------------------------------------------

    def _run(self, ask: Ask) -> Run:
        return self._started(ask, self._planner.plan(ask, self._trackers()))

    async def _arun(self, ask: Ask) -> Run:
        return self._started(ask, await self._planner.aplan(ask, self._trackers()))

    def _started(self, ask: Ask, route: Route) -> Run:
        dispatcher.event(RoutingEvent(decision=route.decision.to_json()))
        models, limiter = self._planner.models, self.rate_limiter
        return Run(route, ask, models, authors=self._authors, limiter=limiter)

    def _trackers(self) -> Sequence[Tracker]:
        current = current_tracker()
        both = (current, limiter_tracker(self, current))
        return [tracker for tracker in both if tracker is not None]


def _named(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `chat_with_tools`, by name: a model may have more or fewer of them."""
    names = ("verbose", "allow_parallel_tool_calls", "tool_required")
    return {**dict(zip(names, args, strict=False)), **kwargs}


def _rebuilt(
    cls: Callable[..., RoutingLLM],
    tiers: Mapping[str, Sequence[LLM]],
    policy: RoutingPolicy | None,
    candidates: Mapping[str, Mapping[str, Any]],
    embedder: BaseEmbedding | Embedder | None,
    prices: PriceBook | None,
    said: Mapping[str, Any],
) -> RoutingLLM:
    return cls(tiers, policy, candidates=candidates, embedder=embedder, prices=prices, **said)
