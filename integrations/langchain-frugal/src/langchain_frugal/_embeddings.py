"""`TrackedEmbeddings`: LangChain reports nothing about embeddings, so they are wrapped."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from langchain_core.embeddings import Embeddings

from frugal_chains import errors
from frugal_chains.budgets import Budget
from frugal_chains.errors import wordless
from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.ledger import Ledger
from frugal_chains.pricing import PriceBook
from frugal_chains.providers import provider_id
from frugal_chains.tracking import (
    CallEnd,
    CallStart,
    Tracker,
    classify_error,
    current_tracker,
    shared_ledger,
)
from langchain_frugal._errors import BudgetExceeded
from langchain_frugal._facts import FRAMEWORK

logger = logging.getLogger("langchain_frugal")

T = TypeVar("T")


class TrackedEmbeddings(Embeddings):
    """Books the calls of another `Embeddings`, one attempt for each call of a method.

    LangChain's integrations drop the usage that providers return for embeddings, so tokens are
    counted here and flagged as estimated (the count is exact for OpenAI's models, whose encodings
    are public).

    Args:
        embeddings: What does the work.
        model: Whose price applies; None: read off `embeddings` (`model`, `model_name`, ...).
        provider: None: read off the class name of `embeddings`.
        ledger: None: inside `track_cost` the block's, else the one at `$FRUGAL_LEDGER`.
        budgets: Limits that hold for these calls.
        tags: Added to every attempt.
        prices: None: list prices behind the user's `prices.toml`.

    Raises:
        LedgerError: here, when it was given budgets, tags or prices and the ledger cannot be
            opened. Without them nothing depends on the books: the calls go on, unbooked.
        BudgetExceeded: from the calls, when a budget with `on_exceeded="stop"` has no room.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        *,
        model: str | None = None,
        provider: str | None = None,
        ledger: Ledger | None = None,
        budgets: Sequence[Budget] = (),
        tags: Mapping[str, str] | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        self.embeddings = embeddings
        self.model = model or _model_of(embeddings)
        self.provider = provider_id(provider or _provider_of(embeddings))
        self._own: Tracker | None = None
        self._plain: Tracker | None = None
        self._has_no_books = False
        if ledger is not None or budgets or tags or prices is not None:
            self._own = Tracker(
                ledger or shared_ledger(), budgets=budgets, tags=tags, prices=prices
            )

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._sync(texts, lambda: self.embeddings.embed_documents(texts))

    def embed_query(self, text: str) -> list[float]:
        return self._sync([text], lambda: self.embeddings.embed_query(text))

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return await self._async(texts, lambda: self.embeddings.aembed_documents(texts))

    async def aembed_query(self, text: str) -> list[float]:
        return await self._async([text], lambda: self.embeddings.aembed_query(text))

    def _sync(self, texts: Sequence[str], work: Callable[[], T]) -> T:
        tracker, key = self._begin(texts)
        try:
            result = work()
        except BaseException as error:
            _end(tracker, key, _failed(error))
            raise
        _end(tracker, key, CallEnd())
        return result

    async def _async(self, texts: Sequence[str], work: Callable[[], Awaitable[T]]) -> T:
        tracker, key = self._begin(texts)
        try:
            result = await work()
        except BaseException as error:
            _end(tracker, key, _failed(error))
            raise
        _end(tracker, key, CallEnd())
        return result

    def _begin(self, texts: Sequence[str]) -> tuple[Tracker | None, str]:
        tracker = self._tracker()
        key = uuid.uuid4().hex
        if tracker is None:
            return None, key
        start = CallStart(
            key=key,
            framework=FRAMEWORK,
            provider=self.provider,
            model=self.model,
            request=lambda: RequestFacts(
                messages=tuple(MessageFacts(role="user", text=text) for text in texts)
            ),
            output_cap_tokens=0,
            purpose="embed",
        )
        try:
            tracker.begin(start)
        except errors.BudgetExceeded as refusal:
            raise BudgetExceeded.of(refusal) from None
        return tracker, key

    def _tracker(self) -> Tracker | None:
        """Its own when it was given anything of its own, else the block's, else a plain one."""
        if self._own is not None:
            return self._own
        if (ambient := current_tracker()) is not None:
            return ambient
        if self._plain is None and not self._has_no_books:
            try:
                self._plain = Tracker(shared_ledger())
            except errors.LedgerError as error:
                self._has_no_books = True  # opening may wait for a lock: once is enough
                logger.error("embeddings will not be booked", exc_info=wordless(error))
        return self._plain


def _end(tracker: Tracker | None, key: str, end: CallEnd) -> None:
    if tracker is not None:
        tracker.end(key, end)


def _failed(error: BaseException) -> CallEnd:
    facts = classify_error(error)
    return CallEnd(
        status="aborted" if facts.abandoned else "error", error_kind=facts.kind, sent=facts.sent
    )


def _model_of(embeddings: Embeddings) -> str:
    for name in ("model", "model_name", "model_id", "deployment"):
        if isinstance(found := getattr(embeddings, name, None), str) and found:
            return found
    return ""


def _provider_of(embeddings: Embeddings) -> str:
    """`OpenAIEmbeddings` is openai's, `VertexAIEmbeddings` google's: the class says whose."""
    return type(embeddings).__name__
