"""`RoutingMiddleware`: the same decision in an agent, where what follows sees a real model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain.agents.structured_output import ToolStrategy
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs, var_child_runnable_config
from langgraph.errors import GraphBubbleUp

from frugal_chains.pricing import PriceBook
from frugal_chains.routing import RoutingPolicy
from frugal_chains.routing.cascade import Step
from frugal_chains.routing.gain import Embedder
from langchain_frugal.routing._answers import marked
from langchain_frugal.routing._candidates import Overrides, Tiers
from langchain_frugal.routing._history import history_for, kwargs_for
from langchain_frugal.routing._kinds import Plain
from langchain_frugal.routing._model import RoutingChatModel
from langchain_frugal.routing._request import RoutedRequest
from langchain_frugal.routing._runner import Call

Request = ModelRequest[Any]
Response = Any
"""What handlers return: a `ModelResponse`, with a command or without."""
R = TypeVar("R")


class RoutingMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Routes an agent's model calls.

        agent = create_agent(model, tools, middleware=[
            RoutingMiddleware({"workhorse": small, "specialist": large}, policy=policy),
        ])

    A `RoutingChatModel` as the agent's model decides the same. The middleware hands the chosen
    model itself to the middleware after it and to the agent: prompt caching that looks at the
    class of the model works, and answers of a schema take the chosen model's own way. The agent's
    own model answers nothing. Put it before middleware that looks at the model, and after
    middleware that changes the messages.

    Args:
        tiers: As of `RoutingChatModel`; or one of these, whose memory is then shared.
        policy: None: the workhorse answers everything.
        candidates: As of `RoutingChatModel`.
        embedder: For policies that compare meanings: `Embeddings`, or `LocalEmbedder()`.
        prices: None: list prices behind the user's `prices.toml`.

    Raises:
        RoutingPolicyError: the policy cannot decide between these models.
    """

    def __init__(
        self,
        tiers: Tiers | RoutingChatModel,
        *,
        policy: RoutingPolicy | None = None,
        candidates: Overrides | None = None,
        embedder: Embeddings | Embedder | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        super().__init__()
        if isinstance(tiers, RoutingChatModel):
            self.router = tiers
        else:
            self.router = RoutingChatModel(
                tiers, policy=policy, candidates=candidates, embedder=embedder, prices=prices
            )

    def wrap_model_call(
        self, request: Request, handler: Callable[[Request], Response]
    ) -> ModelResponse[Any] | AIMessage:
        routed, run = self.router._runner.begin(_call(request))
        try:
            step: Step | None = routed.first()
            while step is not None:
                step = _ask(routed, step, run, request, handler)
            value = routed.kept()
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end({"output": routed.heard})
        return cast("ModelResponse[Any]", value)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> ModelResponse[Any] | AIMessage:
        routed, run = await self.router._runner.abegin(_call(request))
        try:
            step: Step | None = routed.first()
            while step is not None:
                step = await _aask(routed, step, run, request, handler)
            value = routed.kept()
        except BaseException as error:
            await run.on_chain_error(error)
            raise
        await run.on_chain_end({"output": routed.heard})
        return cast("ModelResponse[Any]", value)


class _Handled(Plain):
    """The values are what the agent's handler returns."""

    def message(self, value: Any) -> BaseMessage | None:
        answers = (m for m in reversed(_results(value)) if isinstance(m, AIMessage))
        return next(answers, None)

    def marked(self, value: Any, mark: Mapping[str, Any]) -> Any:
        results = _results(value)
        for n, message in enumerate(results):
            if isinstance(message, AIMessage):
                results[n] = marked(message, mark)
        return results[0] if isinstance(value, BaseMessage) else value


def _results(value: Any) -> list[BaseMessage]:
    """The messages of a response, in the list that holds them."""
    if isinstance(value, BaseMessage):
        return [value]
    response = getattr(value, "model_response", value)
    return cast("list[BaseMessage]", response.result)


def _ask(
    routed: RoutedRequest, step: Step, run: Any, request: Request,
    handler: Callable[[Request], Response],
) -> Step | None:  # fmt: skip
    try:
        asked, config = _for_step(routed, step, run.get_child(), request)
        with routed.following(step), _under(config):
            value = handler(asked)
    except GraphBubbleUp:  # an interrupt of the graph is no failure of a model
        raise
    except Exception as error:
        return routed.failed(step, error)
    return routed.answered(step, value)


async def _aask(
    routed: RoutedRequest, step: Step, run: Any, request: Request,
    handler: Callable[[Request], Awaitable[Response]],
) -> Step | None:  # fmt: skip
    try:
        asked, config = _for_step(routed, step, run.get_child(), request)
        with routed.following(step), _under(config):
            value = await handler(asked)
    except GraphBubbleUp:
        raise
    except Exception as error:
        return routed.failed(step, error)
    return await routed.aanswered(step, value)


def _for_step(
    routed: RoutedRequest, step: Step, child: Any, request: Request
) -> tuple[Request, RunnableConfig]:
    """The agent's request as this step's model gets it, and the config to make the call under."""
    member = routed.member(step)
    settings = {**member.kwargs, **kwargs_for(member.candidate, request.model_settings)}
    if routed.is_at_the_gate:
        asked = request.override(model=cast(Any, member.model), tools=[], response_format=None)
    else:
        asked = request.override(
            model=cast(Any, member.model),
            messages=cast(Any, history_for(member.candidate, request.messages)),
            model_settings=settings,
        )
    return asked, merge_configs(member.config, routed.config(step, child))


@contextmanager
def _under(config: RunnableConfig) -> Iterator[None]:
    """The agent calls its model without a config: it finds this one."""
    token = var_child_runnable_config.set(config)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def _call(request: Request) -> Call:
    """The agent's request as a call of the router."""
    system = [request.system_message] if request.system_message is not None else []
    tools = {"tools": list(request.tools)} if request.tools else {}
    return Call(
        messages=[*system, *request.messages],
        kind=_Handled(),
        kwargs={**request.model_settings, **tools},
        schema=_schema(request),
    )


def _schema(request: Request) -> Any:
    """The schema that the answer itself has to fit; none where the agent asks for a tool call."""
    if isinstance(request.response_format, ToolStrategy):
        return None
    return getattr(request.response_format, "schema", request.response_format)
