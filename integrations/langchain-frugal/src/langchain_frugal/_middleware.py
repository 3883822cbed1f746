"""`BudgetMiddleware`: an agent that stops with an answer, not an exception, when a budget ends."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NotRequired

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ModelRequest,
    ModelResponse,
)
from langchain.agents.middleware.types import PrivateStateAttr
from langchain_core.messages import AIMessage

from frugal_chains.budgets import Budget
from frugal_chains.ledger import Ledger, new_id
from frugal_chains.pricing import PriceBook
from frugal_chains.tracking import RunningTotal, current_operation, operation
from langchain_frugal._errors import BudgetExceeded
from langchain_frugal._handler import CostCallbackHandler
from langchain_frugal._track import use_handler

DEFAULT_MESSAGE = "I stopped here because the budget for this work is used up."


class BudgetState(AgentState[Any]):
    """The agent's state, and the name of its current run."""

    frugal_run_id: NotRequired[Annotated[str, PrivateStateAttr]]


class BudgetMiddleware(AgentMiddleware[BudgetState, Any, Any]):
    """Books an agent's model calls and ends its run politely when a budget refuses one.

        agent = create_agent(model, tools, middleware=[
            BudgetMiddleware([Budget.usd("0.50", per="run")]),
        ])

    The last message of a stopped run is an `AIMessage` with `message` as its text and the numbers
    of the refusal in `response_metadata["budget"]`. Put it last in the list of middleware, nearest
    to the model, so that retries and fallbacks in front of it are asked for too.

    Args:
        budgets: Limits for the agent's model calls; `per="run"` is one invocation of the agent.
        message: What a stopped agent says.
        ledger: None: the ledger in use, else the one at `$FRUGAL_LEDGER`.
        tags: Added to every attempt.
        prices: None: list prices behind the user's `prices.toml`.
    """

    state_schema = BudgetState

    def __init__(
        self,
        budgets: Sequence[Budget],
        *,
        message: str = DEFAULT_MESSAGE,
        ledger: Ledger | None = None,
        tags: Mapping[str, str] | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        super().__init__()
        self.message = message
        self._handler = CostCallbackHandler(ledger, budgets=budgets, tags=tags, prices=prices)

    @property
    def total(self) -> RunningTotal:
        """What the agent has spent so far, over all its runs."""
        return self._handler.total

    def before_agent(self, state: BudgetState, runtime: Any) -> dict[str, Any]:
        return {"frugal_run_id": new_id(time.time_ns() // 1000)}

    async def abefore_agent(self, state: BudgetState, runtime: Any) -> dict[str, Any]:
        return self.before_agent(state, runtime)

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any] | AIMessage:
        with self._run_of(request):
            try:
                return handler(request)
            except BudgetExceeded as refusal:
                return self._last_word(refusal)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any] | AIMessage:
        with self._run_of(request):
            try:
                return await handler(request)
            except BudgetExceeded as refusal:
                return self._last_word(refusal)

    @contextmanager
    def _run_of(self, request: ModelRequest[Any]) -> Iterator[None]:
        """Hand our handler to the model call, under the name of this run of the agent."""
        # The handler joins at the model, too late to see the outermost run: the state names it.
        run_id = str(request.state.get("frugal_run_id") or "")
        outer = current_operation()
        with (
            operation(outer.id if outer else run_id or None, run_id=run_id),
            use_handler(self._handler),
        ):
            yield

    def _last_word(self, refusal: BudgetExceeded) -> AIMessage:
        numbers = {
            "scope": refusal.scope,
            "spent_usd": str(refusal.spent_usd),
            "reserved_usd": str(refusal.reserved_usd),
            "limit_usd": str(refusal.limit_usd),
            "needed_usd": str(refusal.needed_usd),
        }
        return AIMessage(content=self.message, response_metadata={"budget": numbers})
