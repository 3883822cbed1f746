"""The embedding of a question: bought with a time limit, and never the reason for no answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frugal_chains.dispatch._patience import GaveUp, Patience
from frugal_chains.errors import named
from frugal_chains.facts import RequestFacts
from frugal_chains.pricing import Free, Priced
from frugal_chains.routing import Breaker
from frugal_chains.routing.gain import Embedder
from frugal_chains.usage import Usage

if TYPE_CHECKING:
    from frugal_chains.dispatch.routing._router import Router

Vector = Sequence[float]

_REMEMBERED: Final = 256
"""Texts whose vectors are kept: all calls of one agent run ask the same question."""
_LONGEST_WARNING: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingModel:
    """How a framework embeds one text.

    As a text and not as a query, where its models tell these apart: calibration prompts and the
    examples of signals are embedded as texts, and one conversation is to be routed alike by all.
    """

    embed: Callable[[str], Vector]
    aembed: Callable[[str], Awaitable[Vector]]
    model: str = ""
    """Whose price applies; empty: it is not known what a call costs."""
    provider: str = ""

    @classmethod
    def of(cls, embedder: Embedder) -> EmbeddingModel:
        """Of a function of texts, such as `frugal_chains.local.LocalEmbedder`, which is free."""

        def embed(text: str) -> Vector:
            return embedder([text])[0]

        async def aembed(text: str) -> Vector:
            return await asyncio.to_thread(embed, text)

        kind = type(embedder)
        if not kind.__module__.startswith("frugal_chains."):
            return cls(embed=embed, aembed=aembed)
        return cls(embed=embed, aembed=aembed, model=kind.__name__, provider="local")


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """What a decision gets of the embedding of its question."""

    vector: Vector | None = None
    """None: nothing looks at one, or there is none; then a warning says why."""
    nanos: int | None = None
    """What it cost by the price book, 0 where it was remembered or made on this machine; None: no
    vector, or no price is known."""
    warnings: tuple[str, ...] = ()


class QuestionEmbedder:
    """Embeds what a router wants embedded. Safe for threads and tasks.

    One that keeps failing is left alone for a while.

    Args:
        router: Says which text, and knows prices.
        model: None: decisions that look at an embedding say that there is none.
        limit_s: How long it may take.
    """

    def __init__(self, router: Router, model: EmbeddingModel | None, *, limit_s: float) -> None:
        self._router = router
        self._model = model
        self._patience = Patience("frugal-embed", limit_s)
        self._breaker = Breaker()
        self._known: OrderedDict[str, Vector] = OrderedDict()
        self._lock = threading.Lock()

    def embed(self, request: RequestFacts) -> Embedded:
        """The vector for a decision on this request, or why there is none."""
        text = self._router.embedded_text(request)
        model, known = self._model, self._without_asking(text)
        if known is not None or model is None:
            return known or _MISSING
        try:
            return self._took(text, self._patience.wait_for(lambda: model.embed(text)))
        except Exception as error:
            return self._failed(error)

    async def aembed(self, request: RequestFacts) -> Embedded:
        """As `embed`."""
        router = self._router
        if router.may_wait():  # code of the user's finds the text
            text = await asyncio.to_thread(router.embedded_text, request)
        else:
            text = router.embedded_text(request)
        model, known = self._model, self._without_asking(text)
        if known is not None or model is None:
            return known or _MISSING
        try:
            return self._took(text, await self._patience.await_for(model.aembed(text)))
        except Exception as error:
            return self._failed(error)

    def _without_asking(self, text: str) -> Embedded | None:
        if not text:
            return Embedded()
        with self._lock:
            if text in self._known:
                self._known.move_to_end(text)
                return Embedded(vector=self._known[text], nanos=0)
            return _RESTING if self._breaker.is_open(time.monotonic()) else None

    def _took(self, text: str, vector: Vector) -> Embedded:
        vector = tuple(map(float, vector))
        with self._lock:
            self._breaker = self._breaker.succeeded()
            self._known[text] = vector
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return Embedded(vector=vector, nanos=self._nanos(text))

    def _failed(self, error: Exception) -> Embedded:
        with self._lock:
            self._breaker = self._breaker.failed(time.monotonic())
        what = str(error) if isinstance(error, GaveUp) else named(error)
        return Embedded(warnings=(f"decided without the embedder: {what}"[:_LONGEST_WARNING],))

    def _nanos(self, text: str) -> int | None:
        model = self._model
        if model is None or not model.model:
            return None
        name, provider = model.model, model.provider or None
        tokens = self._router.counter.count_text(text, model=name, provider=provider).tokens
        usage = Usage(input_tokens=tokens, source="estimated")
        match self._router.prices.price(usage, model=name, provider=provider):
            case Priced(nanos=nanos):
                return nanos
            case Free():
                return 0
        return None


_MISSING: Final = Embedded(warnings=("the policy looks at embeddings, and there is no embedder",))
_RESTING: Final = Embedded(warnings=("decided without the embedder: it keeps failing",))
