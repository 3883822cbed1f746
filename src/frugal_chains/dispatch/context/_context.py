"""`ContextCompressor`: extraction at work. Both adapters hand it what was found for a query."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
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
from frugal_chains.compression.words import WordScorer, extract_then_words
from frugal_chains.dispatch._allowance import Allowance
from frugal_chains.dispatch._patience import GaveUp, Patience
from frugal_chains.dispatch.context._given import Given
from frugal_chains.dispatch.context._likeness import Likeness
from frugal_chains.errors import named, wordless
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker, report_effect

logger = logging.getLogger("frugal_chains.dispatch")

LEVER: Final = "compression.extract"
JOINER: Final = "\n\n"
_LONG_CHARS: Final = 100_000
"""From here on the work takes tens of milliseconds: not those of an event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """What is kept of what was found."""

    extraction: Extraction
    warnings: tuple[str, ...] = ()


class ContextCompressor:
    """Keeps what a query needs, to a budget, and writes down what that did. Safe for threads.

    Never the reason for no answer: what cannot be compressed is handed on as it was, and what goes
    wrong with an embedder or a scorer of words is done without it; a warning says so.

    Args:
        budget: Tokens of all that is kept, labels and joiners included; or how they depend on who
            will answer.
        model: Whose tokenizer counts; empty: tokens are estimated, a little too high.
        provider: Of the model, where its name alone does not tell.
        likeness: Of an embedder; None: words alone decide.
        likeness_timeout_s: How long it may take.
        words: What scores the words of a text, such as `frugal_chains.local.LLMLingua2`: beside
            the best sentences, which stay whole, others are then kept by their main words, numbers,
            ids and negations first. None: every sentence stays whole.
        words_timeout_s: How long it may take for one context, loading its weights included.
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
        words: WordScorer | None = None,
        words_timeout_s: float = 10.0,
        kind: Kind | None = None,
        joiner: str = JOINER,
        patterns: Sequence[re.Pattern[str]] = (),
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        self._allowance = Allowance(budget, model, provider, counter, prices)
        self._likeness = likeness
        self._patience = Patience("frugal-likeness", likeness_timeout_s)
        self._words, self._words_patience = words, Patience("frugal-words", words_timeout_s)
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
        given = self._given(query, passages, tier)
        near = _Near()
        if self._likeness is not None and not given.fits():
            near = self._near(self._likeness, given)
        found = self._extracted(given, near)
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
        given = self._given(query, passages, tier)
        is_long = given.chars > _LONG_CHARS
        near = _Near()
        if self._likeness is not None and not (
            await asyncio.to_thread(given.fits) if is_long else given.fits()
        ):
            near = await self._anear(self._likeness, given, is_long)
        if is_long or self._words is not None:  # neither is the event loop's time
            found = await asyncio.to_thread(self._extracted, given, near)
        else:
            found = self._extracted(given, near)
        self._report(found, operation_id, trackers)
        return found

    # -- parts ---------------------------------------------------------------------------------

    def _given(self, query: str, passages: Sequence[Passage], tier: str) -> Given:
        tokens = self._allowance.tokens(tier)
        assert tokens is not None
        return Given(
            query,
            passages,
            budget_tokens=tokens,
            joiner=self._joiner,
            count=self._allowance.count,
        )

    def _extracted(self, given: Given, near: _Near) -> Compressed:
        warnings = near.warnings
        if self._words is not None:
            try:
                return Compressed(extraction=self._by_words(given, near), warnings=warnings)
            except Exception as error:
                warnings = (*warnings, _without("the scorer of words", error))
        try:
            return Compressed(extraction=self._by_sentences(given, near), warnings=warnings)
        except Exception as error:
            logger.warning("the context is left as it was", exc_info=wordless(error))
            why = f"not compressed: {named(error)}"[:200]
            whole = untouched(given.passages, given.budget_tokens)
            return Compressed(extraction=whole, warnings=(*near.warnings, why))

    def _by_sentences(self, given: Given, near: _Near) -> Extraction:
        return extract(
            given.query,
            given.passages,
            budget_tokens=given.budget_tokens,
            count=given.count,
            kind=self._kind,
            likeness=near.likeness,
            joiner=self._joiner,
            patterns=self._patterns,
        )

    def _by_words(self, given: Given, near: _Near) -> Extraction:
        return extract_then_words(
            given.query,
            given.passages,
            budget_tokens=given.budget_tokens,
            count=given.count,
            words=self._words,
            within=self._words_patience.wait_for,
            kind=self._kind,
            likeness=near.likeness,
            joiner=self._joiner,
            patterns=self._patterns,
        )

    def _near(self, likeness: Likeness, given: Given) -> _Near:
        try:
            texts = self._sections(given)
            return _Near(self._patience.wait_for(lambda: list(likeness.of(given.query, texts))))
        except Exception as error:
            return _Near(warnings=(_without("the embedder", error),))

    async def _anear(self, likeness: Likeness, given: Given, is_long: bool) -> _Near:
        try:
            texts = (
                await asyncio.to_thread(self._sections, given) if is_long else self._sections(given)
            )
            return _Near(list(await self._patience.await_for(likeness.aof(given.query, texts))))
        except Exception as error:
            return _Near(warnings=(_without("the embedder", error),))

    def _sections(self, given: Given) -> list[str]:
        return sections(given.passages, self._kind, self._patterns)

    def _report(self, found: Compressed, operation_id: str, trackers: Sequence[Tracker]) -> None:
        extraction = found.extraction
        report_effect(
            LEVER,
            tokens_before=extraction.tokens_before,
            tokens_after=extraction.tokens_after,
            exact=self._allowance.exact,
            model=self._allowance.model,
            provider=self._allowance.provider,
            net_nanos=self._net_nanos(extraction),
            detail={
                "reason": extraction.reason,
                "budget_tokens": extraction.budget_tokens,
                "passages": len(extraction.texts),
                "dropped": sum(text is None for text in extraction.texts),
            },
            operation_id=operation_id,
            trackers=trackers,
        )

    def _net_nanos(self, found: Extraction) -> int | None:
        """What was kept out, as fresh input of one request: what is found for a question is new to
        the provider's cache, compressed or not. What more a conversation saves that carries it on
        is not known here. None: `model` is not named, or has no price."""
        saved = found.tokens_before - found.tokens_after
        return self._allowance.input_nanos(saved) if saved > 0 else 0


@dataclass(frozen=True, slots=True)
class _Near:
    """What an embedder said, if it was asked."""

    likeness: Sequence[float] | None = None
    warnings: tuple[str, ...] = ()


def _without(whom: str, error: Exception) -> str:
    what = str(error) if isinstance(error, GaveUp) else named(error)
    return f"compressed without {whom}: {what}"[:200]
