"""What the inventory looks at in one call, recorded or booked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from frugal_chains.facts import RequestFacts
from frugal_chains.ledger import Attempt
from frugal_chains.pricing import PriceBook
from frugal_chains.replay._traffic import RecordedCall
from frugal_chains.tokens import TokenCounter
from frugal_chains.usage import Usage

_LEFT_OUT: Final = "embed"
"""Embeddings write nothing, and no routing chooses among their models."""


class Look(NamedTuple):
    """One call: what it adds to the sums of its group, and its signals."""

    counts: tuple[int, ...]
    """By the fields of `Sums`."""
    signals: tuple[int | None, ...]
    """By `SIGNALS`; None: not known."""
    model: str
    example: tuple[int, str]


class Looks:
    """Looks at calls. What has no price yet is priced, what has no usage is counted."""

    def __init__(
        self, book: PriceBook, counter: TokenCounter | None = None, at_us: int | None = None
    ) -> None:
        self._book = book
        self._counter = counter
        self._at_us = time.time_ns() // 1000 if at_us is None else at_us

    def of(self, call: RecordedCall | Attempt) -> Look:
        if isinstance(call, Attempt):
            return self._of_attempt(call)
        return self._of_recorded(call)

    def _of_attempt(self, attempt: Attempt) -> Look:
        usage, nanos = attempt.usage, attempt.price.nanos
        sized = bool(usage.input_tokens or usage.output_tokens)
        return Look(
            counts=_counts(
                usage if sized else None,
                failed=attempt.status != "ok",
                estimated=sized and usage.source != "provider",
                nanos=nanos,
                unpriced=nanos is None and (sized or attempt.status == "ok"),
            ),
            signals=_signals(usage if sized else None, None),
            model=attempt.model,
            example=(0, attempt.id),
        )

    def _of_recorded(self, call: RecordedCall) -> Look:
        usage = call.usage
        if usage is None and call.status == "ok":
            usage = self._counted(call)
        nanos = call.nanos
        if nanos is None and usage is not None:
            nanos = self._book.price_at(
                self._at_us if call.at_us is None else call.at_us,
                usage,
                model=call.model,
                provider=call.provider or None,
                tier=call.tier,
            ).nanos
        return Look(
            counts=_counts(
                usage,
                failed=call.status != "ok",
                estimated=usage is not None and usage.source != "provider",
                nanos=nanos,
                unpriced=nanos is None and (usage is not None or call.status == "ok"),
            ),
            signals=_signals(usage, call.request),
            model=call.model,
            example=(call.line, ""),
        )

    def _counted(self, call: RecordedCall) -> Usage | None:
        """The tokens of the recorded texts; None: there are none."""
        if call.request is None:
            return None
        counter = self._counter = self._counter or TokenCounter()
        provider = call.provider or None
        sent = counter.count_request(call.request, model=call.model, provider=provider)
        written = 0
        if call.answer is not None:
            texts = [call.answer.text]
            texts += [f"{asked.name}{asked.arguments}" for asked in call.answer.tool_calls]
            written = sum(
                counter.count_text(text, model=call.model, provider=provider).tokens
                for text in texts
            )
        return Usage(input_tokens=sent.tokens, output_tokens=written, source="estimated")


def is_left_out(call: RecordedCall | Attempt) -> bool:
    """Embeddings, and answers that came from a cache of the application's: no model was asked."""
    return call.purpose == _LEFT_OUT or call.status == "cached"


def _counts(
    usage: Usage | None, *, failed: bool, estimated: bool, nanos: int | None, unpriced: bool
) -> tuple[int, ...]:
    read = usage or Usage()
    return (
        1,
        int(failed),
        int(usage is None),
        int(estimated),
        int(unpriced),
        read.input_tokens,
        read.cache_read_tokens,
        read.output_tokens,
        read.reasoning_tokens,
        nanos or 0,
    )


def _signals(usage: Usage | None, request: RequestFacts | None) -> tuple[int | None, ...]:
    found: dict[str, int] = {}
    if usage is not None:
        found["reasoning_tokens"] = usage.reasoning_tokens
        found["output_tokens"] = usage.output_tokens
        found["input_tokens"] = usage.input_tokens
    if request is not None:
        found.update(_of_request(request))
    return tuple(map(found.get, _ORDER))


def _of_request(request: RequestFacts) -> Mapping[str, int]:
    results = turns = longest = media = 0
    for message in request.messages:
        role = message.role
        results += role == "tool"
        turns += role == "user"
        media += message.images + message.audio
        if role != "system":
            longest = max(longest, len(message.text))
    return {
        "tools": len(request.tools),
        "tool_results": results,
        "turns": turns,
        "longest_chars": longest,
        "media": media,
    }


_ORDER: Final = (
    "reasoning_tokens",
    "tool_results",
    "tools",
    "output_tokens",
    "input_tokens",
    "longest_chars",
    "turns",
    "media",
)
"""That of `SIGNALS`, which a test holds this against."""
