"""The embedding of a question: bought with a time limit, and never the reason for no answer."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final

from langchain_core.embeddings import Embeddings

_REMEMBERED: Final = 256
"""The calls of one agent run all ask the same question."""

Vector = Sequence[float]


class QuestionEmbedder:
    """Embeds questions with a LangChain `Embeddings`. Safe for threads and tasks."""

    def __init__(self, embeddings: Embeddings, timeout_s: float) -> None:
        self._embeddings = embeddings
        self._timeout_s = timeout_s
        self._known: OrderedDict[str, Vector] = OrderedDict()
        self._lock = threading.Lock()

    def embed(self, question: str) -> tuple[Vector | None, tuple[str, ...]]:
        """The vector, or a warning why there is none."""
        if (known := self._recall(question)) is not None:
            return known, ()
        done: Future[Vector] = Future()
        # In the caller's context, where it finds the books; a daemon, because what hangs for good
        # must not keep the process from ending.
        context = contextvars.copy_context()

        def work() -> None:
            try:
                done.set_result(context.run(self._embeddings.embed_query, question))
            except BaseException as error:
                done.set_exception(error)

        threading.Thread(target=work, name="frugal-embed", daemon=True).start()
        try:
            return self._remember(question, done.result(self._timeout_s)), ()
        except Exception as error:
            return None, (self._warning(error),)

    async def aembed(self, question: str) -> tuple[Vector | None, tuple[str, ...]]:
        """As `embed`."""
        if (known := self._recall(question)) is not None:
            return known, ()
        try:
            made = await asyncio.wait_for(
                self._embeddings.aembed_query(question), timeout=self._timeout_s
            )
            return self._remember(question, made), ()
        except Exception as error:
            return None, (self._warning(error),)

    def _warning(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"the question was not embedded within {self._timeout_s:g} s"
        return f"the question could not be embedded: {type(error).__name__}: {error}"[:200]

    def _recall(self, question: str) -> Vector | None:
        with self._lock:
            return self._known.get(question)

    def _remember(self, question: str, vector: Vector) -> Vector:
        with self._lock:
            self._known[question] = vector
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return vector
