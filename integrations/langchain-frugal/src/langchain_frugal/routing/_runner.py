"""`Runner`: a call of a router from its config to its end, in the chain run it opens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.callbacks.base import BaseCallbackManager
from langchain_core.messages import BaseMessage
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import (
    ensure_config,
    get_async_callback_manager_for_config,
    get_callback_manager_for_config,
)

from frugal_chains.routing import RoutingDecision
from langchain_frugal.routing._answers import MARK
from langchain_frugal.routing._asked import Asked, read_request
from langchain_frugal.routing._drivers import Form, aanswer, answer, apieces, pieces
from langchain_frugal.routing._kinds import Plain
from langchain_frugal.routing._planner import Planner
from langchain_frugal.routing._request import RoutedRequest
from langchain_frugal.routing._runs import Own, streaming_handler


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as it was made."""

    messages: Sequence[BaseMessage]
    kind: Plain = field(default_factory=Plain)
    config: RunnableConfig | None = None
    stop: list[str] | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    schema: Any = None


class Runner:
    """Opens the chain run of a call, has it driven, and closes it."""

    def __init__(
        self, planner: Planner, own: Own, name: str, limiter: BaseRateLimiter | None
    ) -> None:
        self._planner, self._own, self._name, self._limiter = planner, own, name, limiter

    def decide(self, call: Call) -> RoutingDecision:
        """What would be chosen; nobody is told."""
        config = ensure_config(call.config)
        manager = self._own.join(get_callback_manager_for_config(config))
        return self._planner.plan(self._asked(call, config, manager), manager).decision

    def begin(self, call: Call) -> tuple[RoutedRequest, CallbackManagerForChainRun]:
        """The decision, and the run around what follows from it."""
        config = ensure_config(call.config)
        manager = self._own.join(get_callback_manager_for_config(config))
        asked = self._asked(call, config, manager)
        if self._limiter is not None:
            self._limiter.acquire(blocking=True)
        route = self._planner.plan(asked, manager)
        manager.add_metadata({MARK: route.decision.to_json()}, inherit=False)
        run = manager.on_chain_start(None, _inputs(call), **self._named(config))
        return RoutedRequest(route, asked, call.kind, self._planner.members), run

    async def abegin(self, call: Call) -> tuple[RoutedRequest, AsyncCallbackManagerForChainRun]:
        """As `begin`."""
        config = ensure_config(call.config)
        manager = self._own.join(get_async_callback_manager_for_config(config))
        asked = self._asked(call, config, manager)
        if self._limiter is not None:
            await self._limiter.aacquire(blocking=True)
        route = await self._planner.aplan(asked, manager)
        manager.add_metadata({MARK: route.decision.to_json()}, inherit=False)
        run = await manager.on_chain_start(None, _inputs(call), **self._named(config))
        return RoutedRequest(route, asked, call.kind, self._planner.members), run

    def answer(self, call: Call) -> Any:
        """The kept answer, whole."""
        request, run = self.begin(call)
        try:
            value = answer(request, run)
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end({"output": value})
        return value

    async def aanswer(self, call: Call) -> Any:
        """As `answer`."""
        request, run = await self.abegin(call)
        try:
            value = await aanswer(request, run)
        except BaseException as error:
            await run.on_chain_error(error)
            raise
        await run.on_chain_end({"output": value})
        return value

    def pieces(self, call: Call, form: Form) -> Iterator[Any]:
        """The kept answer, in pieces."""
        request, run = self.begin(call)
        try:
            with closing(pieces(request, run, form)) as source:
                watcher = streaming_handler(run.handlers)
                seen = source if watcher is None else watcher.tap_output_iter(run.run_id, source)
                yield from seen
        except GeneratorExit:
            run.on_chain_end({"output": request.heard})
            raise
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end({"output": request.heard})

    async def apieces(self, call: Call, form: Form) -> AsyncIterator[Any]:
        """As `pieces`."""
        request, run = await self.abegin(call)
        try:
            async with aclosing(apieces(request, run, form)) as source:
                watcher = streaming_handler(run.handlers)
                seen = source if watcher is None else watcher.tap_output_aiter(run.run_id, source)
                async for piece in seen:
                    yield piece
        except GeneratorExit:
            await run.on_chain_end({"output": request.heard})
            raise
        except BaseException as error:
            await run.on_chain_error(error)
            raise
        await run.on_chain_end({"output": request.heard})

    def _asked(self, call: Call, config: RunnableConfig, manager: BaseCallbackManager) -> Asked:
        about: Any = {**config, "metadata": manager.metadata, "tags": manager.tags}
        members = self._planner.members
        return read_request(
            call.messages, about, call.kwargs, members, stop=call.stop, schema=call.schema
        )

    def _named(self, config: RunnableConfig) -> dict[str, Any]:
        return {"name": config.get("run_name") or self._name, "run_id": config.get("run_id")}


def _inputs(call: Call) -> dict[str, Any]:
    return {"input": list(call.messages)}
