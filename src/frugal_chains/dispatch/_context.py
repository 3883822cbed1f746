"""`ContextCompressor`: extraction at work. Both adapters hand it what was found for a query."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from frugal_chains.compression import ContextBudget
from frugal_chains.compression.extract import (
    Extraction,
    Kind,
    Passage,
    extract,
    sections,
    untouched,
)
from frugal_chains.dispatch._allowance import Allowance
from frugal_chains.dispatch._patience import GaveUp, Patience
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker, report_effect

logger = logging.getLogger("frugal_chains.dispatch")

LEVER: Final = "compression.extract"
JOINER: Final = "\n\n"
_LONG_CHARS: Final = 100_000
"""From here on the work takes tens of milliseconds: not those of an event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How a framework's embedder tells how near texts are to a query: one cosine for each."""

    of: Callable[[str, Sequence[str]], Sequence[float]]
    aof: Callable[[str, Sequence[str]], Awaitable[Sequence[float]]]


def cosines(query: Sequence[float], texts: Sequence[Sequence[float]]) -> list[float]:
    """Of a vector with each of some others; 0 for a vector without length."""
    own = math.sqrt(math.fsum(x * x for x in query))
    found = []
    for vector in texts:
        length = own * math.sqrt(math.fsum(x * x for x in vector))
        dot = math.fsum(x * y for x, y in zip(query, vector, strict=True))
        found.append(dot / length if length else 0.0)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """What is kept of what was found."""

    extraction: Extraction
    warnings: tuple[str, ...] = ()


class ContextCompressor:
    """Keeps what a query needs, to a budget, and writes down what that did. Safe for threads.

    Never the reason for no answer: what cannot be compressed is handed on as it was, with a
    warning.

    Args:
        budget: Tokens of all that is kept, labels and joiners included; or how they depend on who
            will answer.
        model: Whose tokenizer counts; empty: tokens are estimated, a little too high.
        provider: Of the model, where its name alone does not tell.
        likeness: Of an embedder; None: words alone decide.
        likeness_timeout_s: How long it may take.
        kind: What is compressed; None: told from each text.
        joiner: What stands between passages in the prompt.
        patterns: Of the application: what they match is never cut.
        counter: The token counter.
        prices: For budgets in dollars; None: list prices behind the user's `prices.toml`.
    """

    def __init__(
        self,
        budget: int | ContextBudget,
        *,
        model: str = "",
        provider: str = "",
        likeness: Likeness | None = None,
        likeness_timeout_s: float = 10.0,
        kind: Kind | None = None,
        joiner: str = JOINER,
        patterns: Sequence[re.Pattern[str]] = (),
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        self._allowance = Allowance(budget, model, provider, counter, prices)
        self._likeness = likeness
        self._patience = Patience("frugal-likeness", likeness_timeout_s)
        self._kind, self._joiner, self._patterns = kind, joiner, tuple(patterns)

    @property
    def budget(self) -> ContextBudget:
        """As it was given."""
        assert self._allowance.budget is not None
        return self._allowance.budget

    def count(self, text: str) -> int:
        """Tokens of a text by the model's tokenizer."""
        return self._allowance.count(text)

    def compress(
        self,
        query: str,
        passages: Sequence[Passage],
        *,
        tier: str = "",
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> Compressed:
        """Keep the part of the passages that the query needs.

        Args:
            query: What is asked.
            passages: In the order of the prompt.
            tier: Of the model that will answer, where it is known.
            operation_id: Of the calls that the effect belongs to, where an adapter knows it.
            trackers: Of handlers that an adapter finds on the call.
        """
        likeness: Sequence[float] | None = None
        warnings: tuple[str, ...] = ()
        if self._likeness is not None and not self._fits(passages, tier):
            likeness, warnings = self._likenesses(self._likeness, query, passages)
        found = self._extracted(query, passages, tier, likeness, warnings)
        self._report(found, operation_id, trackers)
        return found

    async def acompress(
        self,
        query: str,
        passages: Sequence[Passage],
        *,
        tier: str = "",
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> Compressed:
        """As `compress`."""
        likeness: Sequence[float] | None = None
        warnings: tuple[str, ...] = ()
        if self._likeness is not None and not self._fits(passages, tier):
            likeness, warnings = await self._alikenesses(self._likeness, query, passages)
        if sum(len(passage.text) for passage in passages) > _LONG_CHARS:
            found = await asyncio.to_thread(
                self._extracted, query, passages, tier, likeness, warnings
            )
        else:
            found = self._extracted(query, passages, tier, likeness, warnings)
        self._report(found, operation_id, trackers)
        return found

    # -- parts ---------------------------------------------------------------------------------

    def _extracted(
        self,
        query: str,
        passages: Sequence[Passage],
        tier: str,
        likeness: Sequence[float] | None,
        warnings: tuple[str, ...],
    ) -> Compressed:
        tokens = self._tokens(tier)
        try:
            extraction = extract(
                query,
                passages,
                budget_tokens=tokens,
                count=self._allowance.count,
                kind=self._kind,
                likeness=likeness,
                joiner=self._joiner,
                patterns=self._patterns,
            )
        except Exception as error:
            logger.warning("the context is left as it was", exc_info=True)
            why = f"not compressed: {type(error).__name__}: {error}"[:200]
            return Compressed(extraction=untouched(passages, tokens), warnings=(*warnings, why))
        return Compressed(extraction=extraction, warnings=warnings)

    def _likenesses(
        self, likeness: Likeness, query: str, passages: Sequence[Passage]
    ) -> tuple[Sequence[float] | None, tuple[str, ...]]:
        texts = sections(passages, self._kind, self._patterns)
        try:
            return self._patience.wait_for(lambda: list(likeness.of(query, texts))), ()
        except Exception as error:
            return None, (_without_embedder(error),)

    async def _alikenesses(
        self, likeness: Likeness, query: str, passages: Sequence[Passage]
    ) -> tuple[Sequence[float] | None, tuple[str, ...]]:
        texts = sections(passages, self._kind, self._patterns)
        try:
            return list(await self._patience.await_for(likeness.aof(query, texts))), ()
        except Exception as error:
            return None, (_without_embedder(error),)

    def _fits(self, passages: Sequence[Passage], tier: str) -> bool:
        """Whether nothing will have to go, told by length alone (few tokens are less than a
        character): no embedder is asked. A wrong yes costs its word, not the budget."""
        chars = sum(len(passage.label) + len(passage.text) for passage in passages)
        return chars <= self._tokens(tier)

    def _tokens(self, tier: str) -> int:
        tokens = self._allowance.tokens(tier)
        assert tokens is not None
        return tokens

    def _report(self, found: Compressed, operation_id: str, trackers: Sequence[Tracker]) -> None:
        extraction = found.extraction
        report_effect(
            LEVER,
            tokens_before=extraction.tokens_before,
            tokens_after=extraction.tokens_after,
            exact=self._allowance.exact,
            model=self._allowance.model,
            provider=self._allowance.provider,
            detail={
                "reason": extraction.reason,
                "budget_tokens": extraction.budget_tokens,
                "passages": len(extraction.texts),
                "dropped": sum(text is None for text in extraction.texts),
            },
            operation_id=operation_id,
            trackers=trackers,
        )


def _without_embedder(error: Exception) -> str:
    what = str(error) if isinstance(error, GaveUp) else f"{type(error).__name__}: {error}"
    return f"compressed without the embedder: {what}"[:200]
