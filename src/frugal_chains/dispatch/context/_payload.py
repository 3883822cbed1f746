"""`PayloadCompressor`: what a tool returned, brought to a budget once, for both adapters."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from frugal_chains.archive import Archive
from frugal_chains.compression import ContextBudget
from frugal_chains.compression.payload import LEAST_TOKENS, Payload, fit_payload
from frugal_chains.compression.shape import LOSSLESS_FORMS, ORIGINAL
from frugal_chains.dispatch._allowance import Allowance
from frugal_chains.dispatch._prefix import PrefixFacts, fewest, verdict
from frugal_chains.dispatch.context._in_front import in_front
from frugal_chains.dispatch.context._originals import (
    check_room,
    fit_with_marker,
    kept_in,
    marker_of,
)
from frugal_chains.errors import wordless
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker, report_effect, shared_prices

logger = logging.getLogger("frugal_chains.dispatch")

Prefix = PrefixFacts | Callable[[], PrefixFacts | None]
"""What stands in front of an output, or what tells it when that matters."""

LEVER: Final = "compression.payload"
_LONG_CHARS: Final = 100_000
"""From here on the work takes tens of milliseconds: not those of an event loop."""


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A payload, and what is known of the bill."""

    payload: Payload
    refused: bool = False
    net_nanos: int | None = None
    budget_tokens: int | None = None


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
        archive: Where the originals of outputs are put from which something had to go.
        marked: With an archive: such an output ends with a line that names the handle of its
            original, for a model that has the tool `FETCH_ORIGINAL`. The line is part of the
            budget. Without room or an archive that takes the original there is none.
        counter: The token counter.
        prices: For budgets in dollars and what stands in a cache; None: list prices behind the
            user's `prices.toml`.

    Raises:
        CompressionError: a budget below 1 token, or below 64 where outputs are marked.
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
        archive: Archive | None = None,
        marked: bool = True,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        self._allowance = Allowance(budget, model, provider, counter, prices)
        self._forms, self._least_tokens = tuple(forms), least_tokens
        self._patterns, self._prices = tuple(patterns), prices
        self._archive, self._marked = archive, marked
        if archive is not None and marked and self._allowance.budget is not None:
            check_room(self._allowance.budget)

    def compress(
        self,
        query: str,
        text: str,
        *,
        tier: str = "",
        prefix: Prefix | None = None,
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> Payload:
        """Bring an output to the budget.

        Args:
            query: What it is for: the user's words, the tool and its arguments.
            text: The output.
            tier: Of the model that will answer, where it is known.
            prefix: What stands in front of the output, or what tells it: where compressing it to
                the budget may make the whole conversation dearer, net of the provider's cache, it
                is compressed less, or left as it was.
            operation_id: Of the calls that the effect belongs to, where an adapter knows it.
            trackers: Of handlers that an adapter finds on the call.
        """
        found = self._decided(query, text, tier, prefix)
        self._report(found, operation_id, trackers)
        return found.payload

    async def acompress(
        self,
        query: str,
        text: str,
        *,
        tier: str = "",
        prefix: Prefix | None = None,
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> Payload:
        """As `compress`."""
        if len(text) > _LONG_CHARS or self._archive is not None:  # which is a file
            found = await asyncio.to_thread(self._decided, query, text, tier, prefix)
        else:
            found = self._decided(query, text, tier, prefix)
        self._report(found, operation_id, trackers)
        return found.payload

    def in_front(
        self, facts: PrefixFacts, *, reported_tokens: int = 0, texts: Iterable[str] = ()
    ) -> PrefixFacts:
        """The facts with a lower bound of the tokens in front of an output: what the provider has
        counted of the latest request, or else what the texts of the messages so far have."""
        return in_front(
            facts,
            reported_tokens=reported_tokens,
            texts=texts,
            count=self._allowance.count,
            exact=self._allowance.exact,
        )

    def _decided(self, query: str, text: str, tier: str, prefix: Prefix | None) -> _Fitted:
        try:
            budget_tokens = self._allowance.tokens(tier)
            fitted = _Fitted(self._fitted(query, text, budget_tokens))
            if fitted.payload.step != "original":
                facts = prefix() if callable(prefix) else prefix
                if facts is not None:
                    fitted = self._net_of_cache(query, text, fitted.payload, facts)
            return replace(fitted, budget_tokens=budget_tokens)
        except Exception as error:
            logger.warning("a tool's output is left as it was", exc_info=wordless(error))
            return _Fitted(_original(text, 0))

    def _fitted(self, query: str, text: str, budget_tokens: int | None) -> Payload:
        """To the budget; with a line for the original where something had to go."""
        fit = partial(self._fit, query, text)
        if self._archive is None or budget_tokens is None:
            return fit(budget_tokens)
        whole = fit(None)
        if whole.tokens_after <= budget_tokens or whole.tokens_before < self._least_tokens:
            return whole
        handle = kept_in(self._archive, text)
        if not (handle and self._marked):
            return fit(budget_tokens)
        marker = marker_of(handle)
        found = fit_with_marker(
            fit, marker, budget_tokens=budget_tokens, count=self._allowance.count
        )
        shorter = found.tokens_after < found.tokens_before
        return found if shorter else _original(text, found.tokens_before)

    def _fit(self, query: str, text: str, budget_tokens: int | None) -> Payload:
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
        """As it was fitted; where the cache may make that a loss, less short; or not at all."""
        known: dict[str, Any] = {
            "model": self._allowance.model,
            "provider": self._allowance.provider,
            "book": self._prices or shared_prices(),
            "at": datetime.now(UTC),
        }
        for each in self._ways(query, text, found, partial(fewest, facts=prefix, **known)):
            decided, in_nanos = verdict(each.tokens_before, each.tokens_after, prefix, **known)
            if decided.ok:
                return _Fitted(each, net_nanos=round(decided.net_nanos) if in_nanos else None)
        return _Fitted(_original(text, found.tokens_before), refused=True, net_nanos=0)

    def _ways(
        self, query: str, text: str, found: Payload, few: Callable[[int, int], int | None]
    ) -> Iterator[Payload]:
        yield found
        if found.step == "shape":
            return
        tokens = few(found.tokens_before, found.tokens_after)
        if tokens is not None:
            less = self._fitted(query, text, tokens)
            yield less
            # It was refused: the last part that did not fit has left more room than is common.
            yield self._fitted(query, text, 2 * tokens - less.tokens_after)
        yield self._fit(query, text, None)

    def _report(self, fitted: _Fitted, operation_id: str, trackers: Sequence[Tracker]) -> None:
        found = fitted.payload
        detail = {
            "step": found.step,
            "form": found.form,
            "budget_tokens": fitted.budget_tokens,
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
            # What is sent as it was has saved nothing and cost nothing, whatever the prices.
            net_nanos=0 if found.step == "original" else fitted.net_nanos,
            detail=detail,
            operation_id=operation_id,
            trackers=trackers,
        )


def _original(text: str, tokens: int) -> Payload:
    return Payload(
        text=text, tokens_before=tokens, tokens_after=tokens, step="original", form=ORIGINAL
    )
