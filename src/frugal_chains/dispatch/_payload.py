"""`PayloadCompressor`: what a tool returned, brought to a budget once, for both adapters."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from frugal_chains.compression import ContextBudget
from frugal_chains.compression.payload import LEAST_TOKENS, Payload, fit_payload
from frugal_chains.compression.shape import LOSSLESS_FORMS, ORIGINAL
from frugal_chains.dispatch._allowance import Allowance
from frugal_chains.dispatch._prefix import PrefixFacts, verdict
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker, report_effect, shared_prices

logger = logging.getLogger("frugal_chains.dispatch")

LEVER: Final = "compression.payload"
_LONG_CHARS: Final = 100_000
"""From here on the work takes tens of milliseconds: not those of an event loop."""


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A payload, and what is known of the bill."""

    payload: Payload
    refused: bool = False
    net_nanos: int | None = None


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
        prices: For budgets in dollars and what stands in a cache; None: list prices behind the
            user's `prices.toml`.
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
        self._patterns, self._prices = tuple(patterns), prices

    def compress(
        self,
        query: str,
        text: str,
        *,
        tier: str = "",
        prefix: PrefixFacts | None = None,
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> Payload:
        """Bring an output to the budget.

        Args:
            query: What it is for: the user's words, the tool and its arguments.
            text: The output.
            tier: Of the model that will answer, where it is known.
            prefix: What stands in front of the output: where compressing it may make the whole
                conversation dearer, net of the provider's cache, it is left as it was.
            operation_id: Of the calls that the effect belongs to, where an adapter knows it.
            trackers: Of handlers that an adapter finds on the call.
        """
        found = self._decided(query, text, tier, prefix)
        self._report(found, tier, operation_id, trackers)
        return found.payload

    async def acompress(
        self,
        query: str,
        text: str,
        *,
        tier: str = "",
        prefix: PrefixFacts | None = None,
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> Payload:
        """As `compress`."""
        if len(text) > _LONG_CHARS:
            found = await asyncio.to_thread(self._decided, query, text, tier, prefix)
        else:
            found = self._decided(query, text, tier, prefix)
        self._report(found, tier, operation_id, trackers)
        return found.payload

    def _decided(self, query: str, text: str, tier: str, prefix: PrefixFacts | None) -> _Fitted:
        try:
            found = self._fitted(query, text, self._allowance.tokens(tier))
            if prefix is None or found.step == "original":
                return _Fitted(found)
            return self._net_of_cache(query, text, found, prefix)
        except Exception:
            logger.warning("a tool's output is left as it was", exc_info=True)
            return _Fitted(_original(text, 0))

    def _fitted(self, query: str, text: str, budget_tokens: int | None) -> Payload:
        return fit_payload(
            text,
            query=query,
            budget_tokens=budget_tokens,
            count=self._allowance.count,
            forms=self._forms,
            least_tokens=self._least_tokens,
            patterns=self._patterns,
        )

    def _net_of_cache(self, query: str, text: str, found: Payload, prefix: PrefixFacts) -> _Fitted:
        """As it was fitted; or, where the cache may make that a loss, in another form; or not."""
        candidates = [found]
        if found.step != "shape":
            candidates.append(self._fitted(query, text, None))
        for each in candidates:
            decided, in_nanos = verdict(
                each.tokens_before,
                each.tokens_after,
                prefix,
                model=self._allowance.model,
                provider=self._allowance.provider,
                book=self._prices or shared_prices(),
                at=datetime.now(UTC),
            )
            if decided.ok:
                return _Fitted(each, net_nanos=round(decided.net_nanos) if in_nanos else None)
        return _Fitted(_original(text, found.tokens_before), refused=True, net_nanos=0)

    def _report(
        self, fitted: _Fitted, tier: str, operation_id: str, trackers: Sequence[Tracker]
    ) -> None:
        found = fitted.payload
        detail = {
            "step": found.step,
            "form": found.form,
            "budget_tokens": self._allowance.tokens(tier),
            "dropped_fields": len(found.dropped_fields),
            **({"reason": "cache"} if fitted.refused else {}),
        }
        report_effect(
            LEVER,
            tokens_before=found.tokens_before,
            tokens_after=found.tokens_after,
            exact=self._allowance.exact,
            model=self._allowance.model,
            provider=self._allowance.provider,
            net_nanos=fitted.net_nanos,
            detail=detail,
            operation_id=operation_id,
            trackers=trackers,
        )


def _original(text: str, tokens: int) -> Payload:
    return Payload(
        text=text, tokens_before=tokens, tokens_after=tokens, step="original", form=ORIGINAL
    )
