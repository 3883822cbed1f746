"""`CostCallbackHandler`: every model call of a chain, agent or graph becomes one row."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, Final, Self
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

from frugal_chains import errors
from frugal_chains.budgets import Budget
from frugal_chains.facts import RequestFacts
from frugal_chains.ledger import Ledger
from frugal_chains.pricing import PriceBook
from frugal_chains.tracking import CallWatch, RunningTotal, Tracker, shared_ledger
from langchain_frugal._errors import BudgetExceeded
from langchain_frugal._facts import (
    call_end,
    call_start,
    decision_end,
    decision_facts,
    failed_end,
    prompt_facts,
    request_facts,
)

logger = logging.getLogger("langchain_frugal")

_SILENT_WHEN_CANCELLED: Final = frozenset(
    {BaseChatModel.agenerate.__code__, BaseLLM.agenerate.__code__}
)
"""They report neither end nor error when they are cancelled (langchain-core 1.7 to 1.8)."""
_REMEMBERED_RUNS: Final = 10_000


class CostCallbackHandler(BaseCallbackHandler):
    """Books every model call of the runs it is passed to.

        handler = CostCallbackHandler(budgets=[Budget.usd(5, per="day", tag="tenant")])
        chain.invoke(question, config={"callbacks": [handler], "metadata": {"tenant": "acme"}})
        print(handler.total)

    Short values of the run's `metadata`, its tags, and the names of agent and node become tags of
    the attempt. The handler may be passed to any number of runs at once, from threads and tasks.

    Args:
        ledger: Where to write; None: the ledger in use, else the one at `$FRUGAL_LEDGER`.
        budgets: Limits that hold for these calls.
        tags: Added to every attempt.
        prices: None: list prices behind the user's `prices.toml`.

    Raises:
        BudgetExceeded: into the run, when a budget with `on_exceeded="stop"` has no room.
    """

    # LangChain drops what handlers raise unless they ask; this one raises only `BudgetExceeded`.
    raise_error = True
    # Off the executor: the order of events matters, and so does the task they happen in.
    run_inline = True
    # Properties of the base class, asked at every event; as plain attributes they cost nothing.
    ignore_llm = False
    ignore_chat_model = False
    ignore_chain = False

    def __init__(
        self,
        ledger: Ledger | None = None,
        *,
        budgets: Sequence[Budget] = (),
        tags: Mapping[str, str] | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        self._listen(Tracker(ledger or shared_ledger(), budgets=budgets, tags=tags, prices=prices))

    @classmethod
    def of(cls, tracker: Tracker) -> Self:
        """A handler that reports to an existing tracker."""
        handler = cls.__new__(cls)
        handler._listen(tracker)
        return handler

    def _listen(self, tracker: Tracker) -> None:
        super().__init__()
        self.tracker = tracker
        self._roots: dict[UUID, UUID] = {}
        self._decisions: set[UUID] = set()
        self._watches: dict[str, CallWatch] = {}
        self._batches: dict[str, list[str]] = {}
        self._filling: dict[int, list[str]] = {}

    @property
    def total(self) -> RunningTotal:
        """What the calls seen by this handler have spent so far."""
        return self.tracker.total

    @property
    def ledger(self) -> Ledger:
        return self.tracker.ledger

    # -- model calls ---------------------------------------------------------------------------

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        params = kwargs.get("invocation_params") or {}
        self._start(
            lambda: request_facts(messages[0], params),
            run_id, parent_run_id, tags, metadata, kwargs,
        )  # fmt: skip

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._start(lambda: prompt_facts(prompts[0]), run_id, parent_run_id, tags, metadata, kwargs)

    def on_llm_new_token(
        self, token: str | list[str | dict[str, Any]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        self.tracker.first_token(run_id.hex)

    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.tracker.first_token(run_id.hex)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        key = run_id.hex
        if self._watches:
            self._unwatch(key)
        if self._batches:
            self._batches.pop(key, None)
        try:
            end = call_end(response, streamed=lambda: self.tracker.is_streamed(key))
            self.tracker.end(key, end)
        except Exception:
            logger.exception("an attempt may not have been booked")

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        key = run_id.hex
        self._unwatch(key)
        _safely(lambda: self.tracker.end(key, failed_end(error, kwargs.get("response"))))
        _safely(lambda: self._close_batch(key))

    def _start(
        self,
        request: Callable[[], RequestFacts],
        run_id: UUID,
        parent_run_id: UUID | None,
        tags: list[str] | None,
        metadata: dict[str, Any] | None,
        more: Mapping[str, Any],
    ) -> None:
        key = run_id.hex
        root_id, parent_id = key, ""
        if parent_run_id is not None:
            root_id, parent_id = self._root_of(parent_run_id).hex, parent_run_id.hex
        try:
            self.tracker.begin(
                call_start(
                    key,
                    request=request,
                    params=more.get("invocation_params") or {},
                    metadata=metadata or {},
                    tags=tags or (),
                    root_id=root_id,
                    parent_id=parent_id,
                )
            )
        except errors.BudgetExceeded as refusal:
            raise BudgetExceeded.of(refusal) from None
        except Exception:
            logger.exception("a call could not be opened; it will not be booked")
            return
        if _in_a_loop():
            maker = _silent_maker(sys._getframe(2))
            if maker is not None:
                self._watch(key, maker)
        elif more.get("batch_size", 1) > 1:
            self._join_batch(key, more["batch_size"])

    # -- calls that end without a word ---------------------------------------------------------

    def _watch(self, key: str, maker: FrameType) -> None:
        watch = CallWatch.of_running_loop()
        self._watches[key] = watch
        watch.add(key, maker, self._gone)

    def _unwatch(self, key: str) -> None:
        watch = self._watches.pop(key, None)
        if watch is not None:
            watch.remove(key)

    def _gone(self, key: str) -> None:
        self._watches.pop(key, None)
        _safely(lambda: self.tracker.give_up(key, "cancelled"))

    def _join_batch(self, key: str, size: int) -> None:
        """Remember which calls one `generate([...])` announced together, in their order."""
        thread = threading.get_ident()  # one batch is announced by one thread, without a pause
        batch = self._filling.setdefault(thread, [])
        batch.append(key)
        if len(batch) >= size:
            del self._filling[thread]
            self._batches.update(dict.fromkeys(batch, batch))

    def _close_batch(self, key: str) -> None:
        """`generate([...])` stops at the first failure: those before it were answered and their
        answers dropped without an end event, those after it were never sent."""
        batch = self._batches.get(key, [])
        failed = batch.index(key) if batch else 0
        for index, other in enumerate(batch):
            self._batches.pop(other, None)
            if index < failed:
                self.tracker.give_up(other, "lost")
            elif index > failed:
                self.tracker.withdraw(other)

    # -- the runs around them ------------------------------------------------------------------

    def _enter(self, run_id: UUID, parent_run_id: UUID | None) -> None:
        """Remember the outermost run of every run: it is the operation its calls belong to."""
        if parent_run_id is not None:
            self._roots[run_id] = self._root_of(parent_run_id)
            if len(self._roots) > _REMEMBERED_RUNS:  # runs that never ended
                self._roots.pop(next(iter(self._roots)), None)

    def _root_of(self, run_id: UUID) -> UUID:
        return self._roots.get(run_id, run_id)

    def _leave(self, run_id: UUID) -> None:
        self._roots.pop(run_id, None)

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None,
        tags: list[str] | None = None, metadata: dict[str, Any] | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self._enter(run_id, parent_run_id)
        if kwargs.get("run_type") == "llm":  # a decision model: a model call in a chain's clothes
            self._decisions.add(run_id)
            self._start(
                lambda: decision_facts(inputs),
                run_id, parent_run_id, tags, {**(metadata or {}), "lc_source": "decision"}, {},
            )  # fmt: skip

    def on_tool_start(
        self, serialized: Any, input_str: str, *, run_id: UUID, parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        self._enter(run_id, parent_run_id)

    def on_retriever_start(
        self, serialized: Any, query: str, *, run_id: UUID, parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        self._enter(run_id, parent_run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._leave(run_id)
        if run_id in self._decisions:
            self._decisions.discard(run_id)
            _safely(lambda: self.tracker.end(run_id.hex, decision_end(outputs)))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._leave(run_id)
        if run_id in self._decisions:
            self._decisions.discard(run_id)
            _safely(lambda: self.tracker.end(run_id.hex, failed_end(error, None)))

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._leave(run_id)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._leave(run_id)

    def on_retriever_end(self, documents: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._leave(run_id)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._leave(run_id)

    def __deepcopy__(self, memo: dict[int, Any]) -> CostCallbackHandler:
        """A copied chain reports to the same books."""
        return self


def _in_a_loop() -> bool:
    """Whether this code runs in an event loop; asking asyncio costs a third of raising to know."""
    return asyncio._get_running_loop() is not None


def _silent_maker(frame: FrameType | None) -> FrameType | None:
    """The frame that made this call, if it is one that says nothing when cancelled."""
    for _ in range(12):
        if frame is None:
            return None
        if frame.f_code in _SILENT_WHEN_CANCELLED:
            return frame
        frame = frame.f_back
    return None


def _safely(work: Callable[[], object]) -> None:
    """Bookkeeping never fails a run: what went wrong is logged."""
    try:
        work()
    except Exception:
        logger.exception("an attempt may not have been booked")
