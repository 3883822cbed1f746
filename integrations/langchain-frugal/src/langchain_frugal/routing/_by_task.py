"""`TaskRoutingMiddleware`: calls of some tasks go to other models, as a replay has played them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables.config import ensure_config, get_callback_manager_for_config

from frugal_chains.pricing import PriceBook
from frugal_chains.routing import ALWAYS, RoutingPolicy, Rule
from frugal_chains.tracking import current_operation
from langchain_frugal._books import trackers_of
from langchain_frugal._facts import labels_of
from langchain_frugal.routing._answers import MARK
from langchain_frugal.routing._candidates import members_of
from langchain_frugal.routing._history import history_for
from langchain_frugal.routing._middleware import RoutingMiddleware

Request = ModelRequest[Any]
Response = Any
"""What handlers return: a `ModelResponse`, with a command or without."""

_ROUTERS: Final = 64
"""That are kept, one for each task and model of an agent; the oldest go first."""


class TaskRoutingMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Sends the calls of some tasks to other models; all others stay with the agent's own.

    A task is what the ledger knows a call by: tags of `track_cost` and of `operation`, metadata of
    the run. The agent's own model answers where the task's fails, or cannot take the request. Each
    pair of the two is a router of its own, so that what routing saves is told against the agent's
    model and no other.

    Args:
        by_task: Who answers the calls of a task.
        task_tags: Names of tags that say what a call is for, the most telling first.
        any_size: Whether something behind this keeps requests within every model's window: then the
            size of the whole conversation keeps no model from answering.
        prices: None: list prices behind the user's `prices.toml`.
    """

    def __init__(
        self,
        by_task: Mapping[str, BaseChatModel],
        *,
        task_tags: Sequence[str],
        any_size: bool = False,
        prices: PriceBook | None = None,
    ) -> None:
        super().__init__()
        self._by_task, self._task_tags = dict(by_task), tuple(task_tags)
        self._any_size, self._prices = any_size, prices
        self._routers: OrderedDict[tuple[str, int], RoutingMiddleware] = OrderedDict()

    def wrap_model_call(
        self, request: Request, handler: Callable[[Request], Response]
    ) -> ModelResponse[Any] | AIMessage:
        router = self._router(request)
        if router is None:
            return cast("ModelResponse[Any]", handler(_readable(request)))
        return router.wrap_model_call(request, handler)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> ModelResponse[Any] | AIMessage:
        router = self._router(request)
        if router is None:
            return cast("ModelResponse[Any]", await handler(_readable(request)))
        return await router.awrap_model_call(request, handler)

    # -- parts ---------------------------------------------------------------------------------

    def _router(self, request: Request) -> RoutingMiddleware | None:
        """None: the call is of no task that goes elsewhere."""
        tags = _tags()
        task = next((tags[name] for name in self._task_tags if name in tags), "")
        if task not in self._by_task:
            return None
        key = (task, id(request.model))  # a router holds its models: the id is not used again
        found = self._routers.get(key)
        if found is None:  # two threads at once: the one that comes later finds the first's
            found = self._routers.setdefault(key, self._made(task, request.model))
            if len(self._routers) > _ROUTERS:
                self._routers.popitem(last=False)
        return found

    def _made(self, task: str, own: Any) -> RoutingMiddleware:
        tiers = {"workhorse": [own, self._by_task[task]]}
        name = [*members_of(tiers)][1]  # by their models' names: other routers know them as well
        rule = Rule(name=task, when=ALWAYS, to=name)
        return RoutingMiddleware(
            tiers,
            policy=RoutingPolicy(rules=(rule,)),
            candidates={name: {"context_window_tokens": None}} if self._any_size else None,
            prices=self._prices,
        )


def _tags() -> dict[str, str]:
    """Of the call that this code is part of, as its row in the ledger will have them."""
    manager = get_callback_manager_for_config(ensure_config())
    books: dict[str, str] = {}
    for tracker in reversed(trackers_of(manager.handlers)):
        books |= tracker.tags
    around = current_operation()
    said = labels_of(manager.metadata, manager.tags)
    return {**books, **(around.tags if around is not None else {}), **said}


def _readable(request: Request) -> Request:
    """What another task's model has said in the same thread, as the agent's own can read it."""
    if not any(MARK in message.response_metadata for message in request.messages):
        return request
    (member,) = members_of({"workhorse": request.model}).values()
    own = member.candidate
    messages = history_for(replace(own, name=own.model or own.name), request.messages)
    return request.override(messages=cast(Any, messages))
