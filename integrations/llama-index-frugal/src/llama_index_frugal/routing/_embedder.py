"""LlamaIndex's embeddings for decisions: never for longer than a decision may take."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from typing import Final, NamedTuple

from llama_index.core.base.embeddings.base import BaseEmbedding

from frugal_chains.routing import Breaker

_REMEMBERED: Final = 256
"""Questions whose vectors are kept: all calls of one agent run ask the same."""


class Embedded(NamedTuple):
    """An embedding, or why there is none."""

    vector: Sequence[float] | None = None
    warnings: tuple[str, ...] = ()


def text_embedder(embedding: BaseEmbedding) -> Callable[[Sequence[str]], list[list[float]]]:
    """An embedding as signals and gain models take one:

    SimilarTo.embedded(examples, text_embedder(OpenAIEmbedding()), at_least=0.8)
    """
    return lambda texts: embedding.get_text_embedding_batch(list(texts))


class Embedder:
    """Embeds questions. One that keeps failing is left alone for a while. Safe for threads.

    Args:
        embedding: What does the work; None: every decision says that it is missing.
        limit_s: How long it may take.
    """

    def __init__(self, embedding: BaseEmbedding | None, *, limit_s: float) -> None:
        self._embedding = embedding
        self._limit_s = limit_s
        self._breaker = Breaker()
        self._known: OrderedDict[str, Embedded] = OrderedDict()
        self._lock = threading.Lock()

    # As a text and not as a query: calibration logs and examples are embedded as texts.

    def embed(self, question: str) -> Embedded:
        embedding, known = self._embedding, self._known_of(question)
        if embedding is None or known is not None:
            return known or _MISSING
        try:
            vector = _within(self._limit_s, lambda: embedding.get_text_embedding(question))
        except Exception as error:
            return self._failed(error)
        return self._took(question, vector)

    async def aembed(self, question: str) -> Embedded:
        embedding, known = self._embedding, self._known_of(question)
        if embedding is None or known is not None:
            return known or _MISSING
        try:
            work = embedding.aget_text_embedding(question)
            vector = await asyncio.wait_for(work, self._limit_s)
        except Exception as error:
            return self._failed(error)
        return self._took(question, vector)

    def _known_of(self, question: str) -> Embedded | None:
        with self._lock:
            if question in self._known:
                return self._known[question]
            return _RESTING if self._breaker.is_open(time.monotonic()) else None

    def _took(self, question: str, vector: Sequence[float]) -> Embedded:
        with self._lock:
            self._breaker = self._breaker.succeeded()
            found = self._known[question] = Embedded(vector)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return found

    def _failed(self, error: Exception) -> Embedded:
        with self._lock:
            self._breaker = self._breaker.failed(time.monotonic())
        if isinstance(error, TimeoutError):
            what = f"it took longer than {self._limit_s:g} s"
        else:
            what = f"{type(error).__name__}: {error}"
        return Embedded(warnings=(f"decided without the embedder: {what}"[:200],))


_MISSING: Final = Embedded(warnings=("the policy looks at embeddings, and there is no embedder",))
_RESTING: Final = Embedded(warnings=("decided without the embedder: it keeps failing",))


def _within(limit_s: float, work: Callable[[], Sequence[float]]) -> Sequence[float]:
    """Do it in a thread, in the context of this one, and wait no longer than that."""
    done: Future[Sequence[float]] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    # A daemon: an embedder that hangs for good must not keep the process from ending.
    context = copy_context()
    threading.Thread(target=context.run, args=(run,), name="frugal-embed", daemon=True).start()
    return done.result(limit_s)
