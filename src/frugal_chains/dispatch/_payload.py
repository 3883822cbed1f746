"""`PayloadCompressor`: what a tool returned, brought to a budget once, for both adapters."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Collection, Sequence
from typing import Final

from frugal_chains.compression import ContextBudget
from frugal_chains.compression.payload import LEAST_TOKENS, Payload, fit_payload
from frugal_chains.compression.shape import LOSSLESS_FORMS, ORIGINAL
from frugal_chains.dispatch._allowance import Allowance
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker, report_effect

logger = logging.getLogger("frugal_chains.dispatch")

LEVER: Final = "compression.payload"
_LONG_CHARS: Final = 100_000
"""From here on the work takes tens of milliseconds: not those of an event loop."""


class PayloadCompressor:
    """Compresses a tool's output when it enters a conversation, and writes down what that did.

    The same output for the same query gives the same text, in every process. Never the reason for
    no answer: what cannot be compressed is handed on as it was. Safe for threads.

    Args:
        budget: Tokens of one output; how they depend on who will answer; None: only its form
            changes, and nothing is lost.
        model: Whose tokenizer counts; empty: tokens are estimated, a little too high.
        provider: Of the model, where its name alone does not tell.
        forms: Of `compression.shape`, to choose among; none: outputs keep theirs.
        least_tokens: Shorter outputs are left alone.
        patterns: Of the application: what they match is never cut.
        counter: The token counter.
        prices: For budgets in dollars; None: list prices behind the user's `prices.toml`.
    """

    def __init__(
        self,
        budget: int | ContextBudget | None,
        *,
        model: str = "",
        provider: str = "",
        forms: Collection[str] = LOSSLESS_FORMS,
        least_tokens: int = LEAST_TOKENS,
        patterns: Sequence[re.Pattern[str]] = (),
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        self._allowance = Allowance(budget, model, provider, counter, prices)
        self._forms, self._least_tokens = tuple(forms), least_tokens
        self._patterns = tuple(patterns)

    def compress(
        self,
        query: str,
        text: str,
        *,
        tier: str = "",
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> Payload:
        """Bring an output to the budget.

        Args:
            query: What it is for: the user's words, the tool and its arguments.
            text: The output.
            tier: Of the model that will answer, where it is known.
            operation_id: Of the calls that the effect belongs to, where an adapter knows it.
            trackers: Of handlers that an adapter finds on the call.
        """
        found = self._fitted(query, text, tier)
        self._report(found, tier, operation_id, trackers)
        return found

    async def acompress(
        self,
        query: str,
        text: str,
        *,
        tier: str = "",
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> Payload:
        """As `compress`."""
        if len(text) > _LONG_CHARS:
            found = await asyncio.to_thread(self._fitted, query, text, tier)
        else:
            found = self._fitted(query, text, tier)
        self._report(found, tier, operation_id, trackers)
        return found

    def _fitted(self, query: str, text: str, tier: str) -> Payload:
        try:
            return fit_payload(
                text,
                query=query,
                budget_tokens=self._allowance.tokens(tier),
                count=self._allowance.count,
                forms=self._forms,
                least_tokens=self._least_tokens,
                patterns=self._patterns,
            )
        except Exception:
            logger.warning("a tool's output is left as it was", exc_info=True)
            return Payload(
                text=text, tokens_before=0, tokens_after=0, step="original", form=ORIGINAL
            )

    def _report(
        self, found: Payload, tier: str, operation_id: str, trackers: Sequence[Tracker]
    ) -> None:
        detail = {
            "step": found.step,
            "form": found.form,
            "budget_tokens": self._allowance.tokens(tier),
            "dropped_fields": len(found.dropped_fields),
        }
        report_effect(
            LEVER,
            tokens_before=found.tokens_before,
            tokens_after=found.tokens_after,
            exact=self._allowance.exact,
            model=self._allowance.model,
            provider=self._allowance.provider,
            detail=detail,
            operation_id=operation_id,
            trackers=trackers,
        )
