"""`CostCallbackHandler`: every model call of a chain, agent or graph becomes one row."""

from __future__ import annotations

import logging
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, Final, Self
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

from frugal_chains import errors
from frugal_chains.budgets import Budget
from frugal_chains.errors import wordless
from frugal_chains.facts import RequestFacts
from frugal_chains.ledger import Ledger
from frugal_chains.pricing import PriceBook
from frugal_chains.tracking import CallEnd, CallWatch, RunningTotal, Tracker, shared_ledger
from langchain_frugal._batches import Batch, Batches, forget_oldest
from langchain_frugal._ends import call_end, decision_end, failed_end, pieces_text
from langchain_frugal._errors import BudgetExceeded
from langchain_frugal._facts import (
    RETRIED,
    call_start,
    decision_facts,
    prompt_facts,
    request_facts,
)
from langchain_frugal._silent import in_a_loop, silent_maker

logger = logging.getLogger("langchain_frugal")

_REMEMBERED_RUNS: Final = 10_000

_handlers: Final[weakref.WeakSet[CostCallbackHandler]] = weakref.WeakSet()
"""All there are: one may refuse a call that another, with a ledger of its own, has opened."""
_handlers_lock: Final = threading.Lock()


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
        fingerprints: Keep keyed hashes of each request on its row, no text, for `frugal cache`.

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
        fingerprints: bool = False,
    ) -> None:
        self._listen(
            Tracker(
                ledger or shared_ledger(),
                budgets=budgets,
                tags=tags,
                prices=prices,
                fingerprints=fingerprints,
            )
        )

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
        self._retried: dict[UUID, None] = {}
        self._decisions: set[UUID] = set()
        self._watches: dict[str, CallWatch] = {}
        self._batches = Batches()
        self._pieces: dict[str, list[Any]] = {}
        with _handlers_lock:
            _handlers.add(self)

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
            run_id, parent_run_id, tags, metadata, kwargs, is_chat=True,
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
        self,
        token: str | list[str | dict[str, Any]],
        *,
        run_id: UUID,
        chunk: Any = None,
        **kwargs: Any,
    ) -> None:
        # Kept, because nobody else has it when a stream is cancelled inside of `ainvoke`.
        try:
            key = _key_of(run_id)
            pieces = self._pieces.get(key)
            if pieces is not None:
                pieces.append(token if chunk is None else chunk)
            elif self.tracker.is_open(key):
                self._pieces[key] = [token if chunk is None else chunk]
                self.tracker.first_token(key)
        except Exception as error:
            logger.error("a piece of an answer was not seen", exc_info=wordless(error))

    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.on_llm_new_token("", run_id=run_id, chunk=event)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        try:
            key = _key_of(run_id)
            if self._watches:
                self._unwatch(key)
            if self._pieces:
                self._pieces.pop(key, None)
            batch = self._batches.take(key) if self._batches.under_way else None
            try:
                end = call_end(
                    response,
                    streamed=lambda: self.tracker.is_streamed(key),
                    batched=batch is not None and not batch.is_chat,
                    counted=batch is not None and batch.counted,
                )
            except Exception as error:
                logger.error("the end of a call could not be read", exc_info=wordless(error))
                end = CallEnd(note="its end could not be read: see the log")
            if batch is not None and end.of_batch:
                batch.counted = True
            self.tracker.end(key, end)
        except Exception as error:
            logger.error("an attempt may not have been booked", exc_info=wordless(error))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        try:
            key = _key_of(run_id)
            self._unwatch(key)
            pieces = self._pieces.pop(key, ())
            batch = self._batches.take(key)
            self.tracker.end(key, failed_end(error, kwargs.get("response"), pieces))
            if batch is not None and batch.stops_at_failure:
                self._stop(batch, key)
        except Exception as error:
            logger.error("an attempt may not have been booked", exc_info=wordless(error))

    def _start(
        self,
        request: Callable[[], RequestFacts],
        run_id: UUID,
        parent_run_id: UUID | None,
        tags: list[str] | None,
        metadata: dict[str, Any] | None,
        more: Mapping[str, Any],
        *,
        is_chat: bool = False,
    ) -> None:
        batch: Batch | None = None
        try:
            key = root_id = _key_of(run_id)
            parent_id = ""
            if parent_run_id is not None:
                root_id, parent_id = _key_of(self._root_of(parent_run_id)), _key_of(parent_run_id)
                if self._retried and parent_run_id in self._retried:
                    tags = [*(tags or ()), RETRIED]
            if more.get("batch_size", 1) > 1:
                batch = self._batches.announce(key, more, is_chat)
                if batch is not None and batch.refused:
                    return
            start = call_start(
                key,
                request=request,
                params=more.get("invocation_params") or {},
                metadata=metadata or {},
                tags=tags or (),
                root_id=root_id,
                parent_id=parent_id,
            )
            self.tracker.begin(start)
            maker = silent_maker(sys._getframe(2)) if in_a_loop() else None
            if maker is not None:
                self._watch(key, maker)
            if batch is not None:
                batch.stops_at_failure = is_chat and maker is None
        except errors.BudgetExceeded as refusal:
            # LangChain tells nobody that it sends nothing now, nor the rest of a batch.
            keys = (key,) if batch is None else tuple(batch.keys)
            for handler in _living():
                handler._take_back(keys)
            raise BudgetExceeded.of(refusal) from None
        except Exception as error:
            logger.error(
                "a call could not be opened; it will not be booked", exc_info=wordless(error)
            )

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
        self._batches.take(key)
        self._give_up(key, "cancelled")

    def _give_up(self, key: str, kind: str) -> None:
        try:
            text = pieces_text(self._pieces.pop(key, ()))
            self.tracker.give_up(key, kind, output_text=text)
        except Exception as error:
            logger.error("an attempt may not have been booked", exc_info=wordless(error))

    def _take_back(self, keys: Sequence[str]) -> None:
        """Calls that are not sent after all."""
        for key in keys:
            batch = self._batches.take(key)
            if batch is not None:
                self._batches.refuse(batch)
            self._unwatch(key)
            self.tracker.withdraw(key)

    def _stop(self, batch: Batch, failed: str) -> None:
        """A failure ended the batch: what was answered before it is lost, the rest was not sent."""
        for key in batch.before(failed):
            self._batches.take(key)
            self._give_up(key, "lost")
        for key in batch.after(failed):
            self._batches.take(key)
            self.tracker.withdraw(key)

    # -- the runs around them ------------------------------------------------------------------

    def _enter(
        self, run_id: UUID, parent_run_id: UUID | None, tags: Sequence[str] | None = None
    ) -> None:
        """Remember the outermost run of every run: it is the operation its calls belong to."""
        try:
            if parent_run_id is not None:
                self._roots[run_id] = self._root_of(parent_run_id)
                if len(self._roots) > _REMEMBERED_RUNS:  # runs that never ended
                    forget_oldest(self._roots, _REMEMBERED_RUNS)
                if self._retried and parent_run_id in self._retried:
                    self._retry(run_id)
            for tag in tags or ():
                if tag.startswith(RETRIED):
                    self._retry(run_id)
        except Exception as error:
            logger.error("a run may be taken for one of its own", exc_info=wordless(error))

    def _retry(self, run_id: UUID) -> None:
        """Remember a further attempt of `with_retry`: only the run it repeats has the tag."""
        self._retried[run_id] = None
        forget_oldest(self._retried, _REMEMBERED_RUNS)

    def _root_of(self, run_id: UUID) -> UUID:
        return self._roots.get(run_id, run_id)

    def _leave(self, run_id: UUID) -> None:
        self._roots.pop(run_id, None)
        if self._retried:
            self._retried.pop(run_id, None)

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None,
        tags: list[str] | None = None, metadata: dict[str, Any] | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self._enter(run_id, parent_run_id, tags)
        if kwargs.get("run_type") == "llm":  # a decision model: a model call in a chain's clothes
            try:
                self._start(
                    lambda: decision_facts(inputs),
                    run_id, parent_run_id, tags, {**(metadata or {}), "lc_source": "decision"}, {},
                )  # fmt: skip
            except BudgetExceeded:
                self._leave(run_id)  # LangChain says nothing more about a run that was refused
                raise
            self._decisions.add(run_id)

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
            _safely(lambda: self.tracker.end(_key_of(run_id), decision_end(outputs)))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._leave(run_id)
        if run_id in self._decisions:
            self._decisions.discard(run_id)
            _safely(lambda: self.tracker.end(_key_of(run_id), failed_end(error, None)))

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


def _living() -> list[CostCallbackHandler]:
    with _handlers_lock:
        return list(_handlers)


def _key_of(run_id: UUID) -> str:
    """`run_id.hex`, of an id that a config may also have given as a string."""
    try:
        return f"{run_id.int:032x}"
    except AttributeError:
        return str(run_id)


def _safely(work: Callable[[], object]) -> None:
    """Bookkeeping never fails a run: what went wrong is logged."""
    try:
        work()
    except Exception as error:
        logger.error("an attempt may not have been booked", exc_info=wordless(error))
