"""`PromptCacheMiddleware`: an agent's requests, marked for the provider's cache where it pays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, BaseMessage

from frugal_chains.dispatch.prompt_cache import CacheMiss
from frugal_chains.pricing import PriceBook
from frugal_chains.prompt_cache import Traffic
from frugal_chains.tokens import TokenCounter
from langchain_frugal._long import is_long, worked
from langchain_frugal.prompt_cache._apply import Parts
from langchain_frugal.prompt_cache._around import around_agent
from langchain_frugal.prompt_cache._marking import Around, Marked, Marking, messages_with
from langchain_frugal.prompt_cache._misses import Misses
from langchain_frugal.prompt_cache._read import Volatile

Request = ModelRequest[Any]
Response = Any
"""What handlers return: a `ModelResponse`, with a command or without."""


class PromptCacheMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Marks an agent's requests for its provider's prompt cache, where that pays.

        agent = create_agent(model, tools, middleware=[PromptCacheMiddleware()])

    Before each call of the model its tools, its system prompt and its messages are read in the
    order in which the provider reads them; prices, the provider's rules and what earlier calls have
    left decide where markers stand, and for how long. They are put on copies.

    - Anthropic: `cache_control` on tools, on blocks of the system prompt and of messages.
    - OpenAI from GPT-5.6 on: `prompt_cache_breakpoint` on the system prompt and on what people say
      (tools, answers and tool results take none), and `prompt_cache_options` where the provider's
      own marker at the end does not pay.
    - OpenAI: `prompt_cache_key`, the same for requests that begin alike.
    - Bedrock (`ChatBedrockConverse`): `cachePoint` behind tools, the system prompt, and what people
      say.
    - Others that cache by themselves: only the order of the system prompt is seen to.

    Your own markers stay; there are never more than the provider takes. What keeps changing from
    call to call is seen, and not marked. A request for a summary of the conversation, as
    `CompactionMiddleware` makes it, reads the cache and writes nothing.

    Put it last: behind `RoutingMiddleware` and behind `CompactionMiddleware`, and behind all that
    changes tools, instructions or messages. A `RoutingChatModel` as the agent's model gives its
    requests to others, and so do fallbacks of another provider: leave the middleware out, and give
    them `cached` models. Requests are sent as they are with `enabled=False`, in a run with
    `{"prompt_cache": False}` under `configurable` or `metadata` of its config, where fallbacks take
    other markers, and whenever planning fails.

    Args:
        salt: What cache keys are kept apart by, say a tenant; never sent as it is.
        others: Calls of other conversations that begin with the same tools and system prompt.
        ttl: The time to live of every marker, by the provider's name (`5m`, `1h`); None: what pays.
        volatile: Whether a message will be another one by the next call. Asked with each message,
            and with a system message for each block of the system prompt.
        may_reorder: Blocks of the system prompt that stay the same may be put before those that
            are volatile.
        counter: The token counter.
        prices: None: list prices behind the user's `prices.toml`.
        diagnose: Say in the log why less was read than an earlier call had left.
        on_miss: Told of it instead; implies `diagnose`.
        enabled: False: requests are sent as they are.
    """

    def __init__(
        self,
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
    ) -> None:
        super().__init__()
        self.enabled = enabled
        self._marking = Marking(
            salt=salt, others=others, ttl=ttl, volatile=volatile, may_reorder=may_reorder,
            counter=counter, prices=prices,
        )  # fmt: skip
        self._misses = Misses(on_miss, diagnose=diagnose, counter=counter, prices=prices)

    def wrap_model_call(
        self, request: Request, handler: Callable[[Request], Response]
    ) -> ModelResponse[Any] | AIMessage:
        if not self.enabled:
            return cast("ModelResponse[Any]", handler(request))
        call = around_agent()
        marked, sent_s = self._marked(request, call), self._misses.now_s()
        response = handler(_with(request, marked))
        self._misses.answered(marked, call, sent_s, _answer(response))
        return cast("ModelResponse[Any]", response)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> ModelResponse[Any] | AIMessage:
        if not self.enabled:
            return cast("ModelResponse[Any]", await handler(request))
        call, long = around_agent(), is_long(request.messages)
        marked = await worked(self._marked, request, call, long=long)
        sent_s, long = self._misses.now_s(), long and self._misses.wanted
        response = await handler(_with(request, marked))
        await worked(self._misses.answered, marked, call, sent_s, _answer(response), long=long)
        return cast("ModelResponse[Any]", response)

    def _marked(self, request: Request, call: Around) -> Marked:
        settings = dict(request.model_settings)
        if request.tool_choice is not None:
            settings["tool_choice"] = request.tool_choice
        parts = Parts(
            tools=request.tools or (),
            messages=messages_with(request.system_message, request.messages),
            settings=settings,
        )
        return self._marking.marked(request.model, parts, call, schema=request.response_format)


def _with(request: Request, marked: Marked) -> Request:
    """The request with what is sent; itself where that is the same."""
    if not marked.model:
        return request
    parts = marked.parts
    system, messages = request.system_message, list(parts.messages)
    if system is not None:
        system, *messages = messages  # type: ignore[assignment]
    settings = {k: v for k, v in parts.settings.items() if k != "tool_choice"}
    if "tool_choice" in request.model_settings:
        settings["tool_choice"] = request.model_settings["tool_choice"]
    return request.override(
        tools=list(parts.tools),
        system_message=cast(Any, system),
        messages=cast(Any, messages),
        model_settings=settings,
    )


def _answer(response: Response) -> BaseMessage | None:
    """The model's own message in what came back."""
    inner = getattr(response, "model_response", response)
    found = [inner] if isinstance(inner, BaseMessage) else getattr(inner, "result", None) or []
    return next((one for one in reversed(found) if isinstance(one, AIMessage)), None)
