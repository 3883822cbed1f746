"""`TrackedEmbedding`: an embedding whose calls are booked wherever it is used."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar
from uuid import uuid4

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index_instrumentation.dispatcher import active_instrument_tags
from llama_index_instrumentation.span import active_span_id
from pydantic import Field, PrivateAttr, SerializeAsAny

from frugal_chains.budgets import Budget
from frugal_chains.errors import BudgetExceeded, LedgerError
from frugal_chains.ledger import Ledger
from frugal_chains.pricing import PriceBook
from frugal_chains.tracking import CallEnd, Tracker, current_tracker, shared_ledger
from llama_index_frugal import _installed
from llama_index_frugal._embedding_events import as_sent, booked_elsewhere
from llama_index_frugal._gate import limiter_tracker
from llama_index_frugal._request import embedding_start
from llama_index_frugal._response import Answer, failed

logger = logging.getLogger("llama_index_frugal")

T = TypeVar("T")


class TrackedEmbedding(BaseEmbedding):
    """Books the calls of another embedding, one attempt for each request it makes.

        Settings.embed_model = TrackedEmbedding(OpenAIEmbedding(model="text-embedding-3-small"))

    It works without `track_cost`, knows the texts before they are sent (so that budgets hold for
    batches too), and tells cached texts from paid ones. Inside `track_cost` a call is still one
    attempt. LlamaIndex's embeddings drop the usage that providers return, so tokens are counted
    here and flagged as estimated; OpenAI's encodings are public, so for its models they are exact.

    Args:
        embedding: What does the work. Its batch size and its cache serve here too.
        ledger: Where to write; None: inside `track_cost` the block's, else the one at
            `$FRUGAL_LEDGER`.
        budgets: Limits that hold for these calls.
        tags: Added to every attempt.
        prices: None: list prices behind the user's `prices.toml`.

    With a ledger, budgets, tags or prices of its own it cannot be pickled. When the ledger at
    `$FRUGAL_LEDGER` cannot be opened, calls go on without being booked, and the log says so.

    Raises:
        BudgetExceeded: from every method, before the call is sent, when a budget has no room.
    """

    books_its_calls: ClassVar[bool] = True

    embedding: SerializeAsAny[BaseEmbedding] = Field(description="The embedding that is wrapped.")

    _own: Tracker | None = PrivateAttr(default=None)

    def __init__(
        self,
        embedding: BaseEmbedding,
        *,
        ledger: Ledger | None = None,
        budgets: Sequence[Budget] = (),
        tags: Mapping[str, str] | None = None,
        prices: PriceBook | None = None,
        **kwargs: Any,
    ) -> None:
        same = ("model_name", "embed_batch_size", "num_workers", "embeddings_cache")
        shared = {name: getattr(embedding, name) for name in same}
        super().__init__(embedding=embedding, **(shared | kwargs))  # type: ignore[call-arg]  # own
        if ledger is not None or budgets or tags or prices is not None:
            self._own = Tracker(
                ledger or shared_ledger(), budgets=budgets, tags=tags, prices=prices
            )

    @classmethod
    def class_name(cls) -> str:
        return "TrackedEmbedding"

    def __getstate__(self) -> dict[str, Any]:
        """Raises `TypeError` when there are settings that another process could not keep."""
        if self._own is not None:
            raise TypeError(
                "a TrackedEmbedding with a ledger, budgets, tags or prices of its own cannot be "
                "pickled: an open ledger stays in its process. Leave them out, and the copy uses "
                "the ledger at $FRUGAL_LEDGER; or wrap the embedding in the other process."
            )
        return super().__getstate__()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy reports to the same books."""
        memo = {} if memo is None else memo
        memo[id(self._own)] = self._own
        return super().__deepcopy__(memo)

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._sync([query], lambda: self.embedding.get_query_embedding(query))

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._sync([text], lambda: self.embedding.get_text_embedding(text))

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._sync(texts, lambda: self.embedding.get_text_embedding_batch(texts))

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await self._async([query], lambda: self.embedding.aget_query_embedding(query))

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return await self._async([text], lambda: self.embedding.aget_text_embedding(text))

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await self._async(texts, lambda: self.embedding.aget_text_embedding_batch(texts))

    def _sync(self, texts: Sequence[str], work: Callable[[], T]) -> T:
        call = _BookedCall(self._trackers(), self.embedding, texts)
        with call:
            return work()

    async def _async(self, texts: Sequence[str], work: Callable[[], Awaitable[T]]) -> T:
        call = _BookedCall(self._trackers(), self.embedding, texts)
        with call:
            return await work()

    def _trackers(self) -> Sequence[Tracker]:
        """The own or else the current tracker, and those of the `BudgetRateLimiter`s of this
        embedding and the one inside."""
        current = self._own or current_tracker()
        limiters = [limiter_tracker(model, current) for model in (self, self.embedding)]
        found = dict.fromkeys(t for t in (current, *limiters) if t is not None)
        return tuple(found or _shared())


def _shared() -> Sequence[Tracker]:
    """The tracker of calls that nobody has asked to track; none when there is no ledger for it."""
    try:
        return (Tracker(shared_ledger()),)
    except LedgerError as error:
        logger.error("an embedding is not booked: %s", error)
        return ()


class _BookedCall:
    """One request of an embedding, from its start to its row."""

    def __init__(
        self, trackers: Sequence[Tracker], embedding: BaseEmbedding, texts: Sequence[str]
    ) -> None:
        payload = embedding.to_payload()
        span = _installed.enclosing_span(active_span_id.get())
        self._trackers = trackers
        self._start = embedding_start(
            uuid4().hex,
            payload,
            lambda: as_sent(texts, payload),
            root_id=span.root_id if span else "",
            parent_id=span.id if span else "",
            tags=active_instrument_tags.get(),
        )

    def __enter__(self) -> None:
        try:
            for tracker in self._trackers:
                tracker.begin(self._start)
        except BudgetExceeded:
            for tracker in self._trackers:
                tracker.withdraw(self._start.key)
            raise
        self._token = booked_elsewhere.set(True)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        booked_elsewhere.reset(self._token)
        end = CallEnd() if error is None else failed(error, Answer(), provider=self._start.provider)
        for tracker in self._trackers:
            tracker.end(self._start.key, end)
