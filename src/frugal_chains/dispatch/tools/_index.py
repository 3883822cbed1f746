"""Indexes of tools, made once for each set, with the vectors of an embedder where there is one."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

from frugal_chains.compression.tools import ToolIndex, embedding_texts
from frugal_chains.dispatch._patience import GaveUp, Patience
from frugal_chains.dispatch.tools._vectors import TextVectors, Vector
from frugal_chains.errors import named
from frugal_chains.facts import RequestFacts, ToolFacts
from frugal_chains.routing import Breaker
from frugal_chains.tokens import TokenCounter

logger = logging.getLogger("frugal_chains.dispatch")

K = TypeVar("K")
V = TypeVar("V")

_INDEXES: Final = 32
_QUESTIONS: Final = 256
"""Remembered at most: all calls of one agent run have the same tools and the same question."""
_COUNTED: Final = 8_192
"""Tools of which the tokens are remembered."""
_MANY: Final = 20
"""From so many tools on an index takes tens of milliseconds: not those of an event loop."""


class ToolIndexes:
    """Makes and remembers indexes. Safe for threads.

    An embedder that fails or takes too long is done without, and left alone for a while if it keeps
    failing.

    Args:
        counter: The token counter.
        vectors: Of an embedder; None: there is none.
        limit_s: How long it may take.
    """

    def __init__(
        self, counter: TokenCounter, vectors: TextVectors | None, *, limit_s: float
    ) -> None:
        self._vectors = vectors
        self._patience = Patience("frugal-tools", limit_s)
        self._breaker = Breaker()
        self._lock = threading.Lock()
        self._plain: OrderedDict[_Key, ToolIndex] = OrderedDict()
        self._full: OrderedDict[_Key, ToolIndex] = OrderedDict()
        self._asked: OrderedDict[str, Vector] = OrderedDict()
        self._tokens = _Counts(counter)

    def index(
        self, tools: tuple[ToolFacts, ...], model: str, provider: str, *, ranked: bool
    ) -> tuple[ToolIndex, str]:
        """The index, and a warning where it should have vectors and has none.

        Args:
            tools: All that are there.
            model: Whose tokens are counted.
            provider: Of the model.
            ranked: Whether a ranking will be asked for: no embedder is asked else.
        """
        key = _Key(tools, model, provider)
        found, why = self._known(key, ranked)
        if found is not None:
            return found, why
        vectors = self._vectors
        if vectors is None or why or not ranked:
            return self._made(key, None), why
        try:
            texts = embedding_texts(tools)
            rows = self._patience.wait_for(lambda: [*vectors.texts(texts)])
            return self._took(key, rows), ""
        except Exception as error:
            return self._made(key, None), self._failed(error)

    async def aindex(
        self, tools: tuple[ToolFacts, ...], model: str, provider: str, *, ranked: bool
    ) -> tuple[ToolIndex, str]:
        """As `index`."""
        key = _Key(tools, model, provider)
        found, why = self._known(key, ranked)
        if found is not None:
            return found, why
        vectors = self._vectors
        if vectors is None or why or not ranked:
            return await _aside(len(tools), self._made, key, None), why
        try:
            rows = [*await self._patience.await_for(vectors.atexts(embedding_texts(tools)))]
            return await _aside(len(tools), self._took, key, rows), ""
        except Exception as error:
            why = self._failed(error)
            return await _aside(len(tools), self._made, key, None), why

    def vector(self, index: ToolIndex, question: str) -> tuple[Vector | None, str]:
        """Of a question, for this index; and a warning where there is none and should be."""
        vectors, known, why = self._asking(index, question)
        if vectors is None:
            return known, why
        try:
            found = self._patience.wait_for(lambda: vectors.query(question))
            return self._learned(question, found), ""
        except Exception as error:
            return None, self._failed(error)

    async def avector(self, index: ToolIndex, question: str) -> tuple[Vector | None, str]:
        """As `vector`."""
        vectors, known, why = self._asking(index, question)
        if vectors is None:
            return known, why
        try:
            found = await self._patience.await_for(vectors.aquery(question))
            return self._learned(question, found), ""
        except Exception as error:
            return None, self._failed(error)

    # -- parts ---------------------------------------------------------------------------------

    def _known(self, key: _Key, ranked: bool) -> tuple[ToolIndex | None, str]:
        """An index that will do, if there is one; and why none with vectors is to be had."""
        with self._lock:
            full = _used(self._full, key)
            if full is not None or self._vectors is None or not ranked:
                return full or _used(self._plain, key), ""
            if self._breaker.is_open(time.monotonic()):
                return _used(self._plain, key), _RESTING
        return None, ""

    def _made(self, key: _Key, rows: Sequence[Vector] | None) -> ToolIndex:
        if rows is None:
            with self._lock:
                known = _used(self._plain, key)
            if known is not None:
                return known
        made = ToolIndex(
            key.tools,
            lambda tool: self._tokens.of(tool, key.model, key.provider),
            vectors=rows,
        )
        with self._lock:
            _put(self._plain if rows is None else self._full, key, made, _INDEXES)
        return made

    def _took(self, key: _Key, rows: Sequence[Vector]) -> ToolIndex:
        made = self._made(key, rows)
        with self._lock:
            self._breaker = self._breaker.succeeded()
        return made

    def _asking(
        self, index: ToolIndex, question: str
    ) -> tuple[TextVectors | None, Vector | None, str]:
        """Whom to ask; None: the vector is known, or there is none, and why."""
        with self._lock:
            if not question or not any(index is each for each in self._full.values()):
                return None, None, ""
            if (known := _used(self._asked, question)) is not None:
                return None, known, ""
            if self._breaker.is_open(time.monotonic()):
                return None, None, _RESTING
        return self._vectors, None, ""

    def _learned(self, question: str, vector: Vector) -> Vector:
        found = tuple(map(float, vector))
        with self._lock:
            self._breaker = self._breaker.succeeded()
            _put(self._asked, question, found, _QUESTIONS)
        return found

    def _failed(self, error: Exception) -> str:
        with self._lock:
            self._breaker = self._breaker.failed(time.monotonic())
        what = str(error) if isinstance(error, GaveUp) else named(error)
        return f"chosen without the embedder: {what}"[:200]


_RESTING: Final = "chosen without the embedder: it keeps failing"


@dataclass(frozen=True, slots=True)
class _Key:
    tools: tuple[ToolFacts, ...]
    model: str
    provider: str


class _Counts:
    """Tokens of one tool as its provider counts it, without what is added once for all tools."""

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self.of = lru_cache(_COUNTED)(self._of)
        self._around = lru_cache(_INDEXES)(self._once)

    def _of(self, tool: ToolFacts, model: str, provider: str) -> int:
        return max(self._count(model, provider, tool) - self._around(model, provider), 1)

    def _once(self, model: str, provider: str) -> int:
        """What surrounds the tools: of two alike, less what the second one adds."""
        one = ToolFacts(name="x")
        first = self._count(model, provider, one)
        return 2 * first - self._count(model, provider, one, one)

    def _count(self, model: str, provider: str, *tools: ToolFacts) -> int:
        return self._counter.count_request(
            RequestFacts(tools=tools), model=model, provider=provider or None
        ).tokens


async def _aside(tools: int, work: Callable[..., V], *args: object) -> V:
    return work(*args) if tools < _MANY else await asyncio.to_thread(work, *args)


def _used(kept: OrderedDict[K, V], key: K) -> V | None:
    if key in kept:
        kept.move_to_end(key)
    return kept.get(key)


def _put(kept: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
