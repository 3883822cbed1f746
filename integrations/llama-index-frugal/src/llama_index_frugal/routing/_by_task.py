"""`TaskLLM`: calls of some tasks go to other LLMs, as a replay has played them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import LLM
from llama_index_instrumentation.dispatcher import active_instrument_tags
from pydantic import Field, PrivateAttr, SerializeAsAny

from frugal_chains.pricing import PriceBook
from frugal_chains.routing import ALWAYS, RoutingDecision, RoutingPolicy, Rule
from frugal_chains.tracking import current_operation
from llama_index_frugal._request import labels
from llama_index_frugal.routing._asks import Ask
from llama_index_frugal.routing._llm import RoutingLLM
from llama_index_frugal.routing._models import models_of
from llama_index_frugal.routing._planner import Planner
from llama_index_frugal.routing._run import Run

_EMBEDDING_TIMEOUT_S = 2.0


class TaskLLM(RoutingLLM):
    """Asks other LLMs in calls of some tasks; in all others its own.

    A task is what the ledger knows a call by: tags of `track_cost`, of `operation` and of
    `instrument_tags`. Its own LLM answers where the task's fails, or cannot take the request. Each
    pair of the two is decided on by itself, so that what routing saves is told against its own LLM
    and no other. What it says of itself (`metadata`) is what its own LLM says.

    Args:
        own: Answers all other calls.
        by_task: Who answers the calls of a task.
        task_tags: Names of tags that say what a call is for, the most telling first.
        any_size: Whether the LLMs themselves keep requests within their windows: then the size of
            the whole conversation keeps none from answering.
        prices: None: list prices behind the user's `prices.toml`.
    """

    by_task: dict[str, SerializeAsAny[LLM]] = Field(description="The LLMs of each task.")
    task_tags: tuple[str, ...] = Field(description="Names of tags that say what a call is for.")
    any_size: bool = Field(default=False, description="LLMs keep within their windows.")

    _planners: dict[str, Planner] = PrivateAttr(default_factory=dict)

    def __init__(
        self,
        own: LLM,
        by_task: Mapping[str, LLM],
        *,
        task_tags: Sequence[str],
        any_size: bool = False,
        prices: PriceBook | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            {"workhorse": own}, prices=prices, by_task=dict(by_task), task_tags=tuple(task_tags),
            any_size=any_size, **kwargs,
        )  # fmt: skip
        self._planners = {task: self._planner_of(task) for task in self.by_task}

    def with_models(self, change: Callable[[LLM], LLM]) -> Self:
        """A copy that routes the same tasks between other models."""
        made = super().with_models(change)
        made.by_task = {task: change(llm) for task, llm in self.by_task.items()}
        made._planners = {task: made._planner_of(task) for task in made.by_task}
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        own, said = self.tiers["workhorse"][0], {}
        for name in ("system_prompt", "pydantic_program_mode", "any_size", "prices"):
            if (value := getattr(self, name)) is not None:
                said[name] = value
        return _rebuilt, (type(self), own, dict(self.by_task), self.task_tags, said)

    def decide(self, request: str | Sequence[ChatMessage], **options: Any) -> RoutingDecision:
        """As of `RoutingLLM`, for the task that this code is part of."""
        return RoutingLLM.decide(self._for_this_call(), request, **options)

    # -- parts ---------------------------------------------------------------------------------

    def _run(self, ask: Ask) -> Run:
        return RoutingLLM._run(self._for_this_call(), ask)

    async def _arun(self, ask: Ask) -> Run:
        return await RoutingLLM._arun(self._for_this_call(), ask)

    def _for_this_call(self) -> Self:
        tags = self._tags()
        task = next((tags[name] for name in self.task_tags if name in tags), "")
        planner = self._planners.get(task)
        if planner is None:
            return self
        made = self.model_copy()
        made._planner = planner
        return made

    def _tags(self) -> dict[str, str]:
        """Of the call that this code is part of, as its row in the ledger will have them."""
        found: dict[str, str] = {}
        for tracker in reversed(self._trackers()):
            found |= tracker.tags
        around = current_operation()
        said = labels(active_instrument_tags.get())
        return {**found, **(around.tags if around is not None else {}), **said}

    def _planner_of(self, task: str) -> Planner:
        tiers = {"workhorse": [*self.tiers["workhorse"], self.by_task[task]]}
        name = [*models_of(tiers, {})][1]
        return Planner(
            tiers,
            RoutingPolicy(rules=(Rule(name=task, when=ALWAYS, to=name),)),
            {name: {"context_window_tokens": None}} if self.any_size else {},
            None,
            _EMBEDDING_TIMEOUT_S,
            self.prices,
        )


def _rebuilt(
    cls: Callable[..., TaskLLM],
    own: LLM,
    by_task: Mapping[str, LLM],
    task_tags: Sequence[str],
    said: Mapping[str, Any],
) -> TaskLLM:
    return cls(own, by_task, task_tags=task_tags, **said)
