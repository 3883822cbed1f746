"""What a call used and cost, from the facts of its start and end; and what it can cost at most.

Usage that no provider returned is estimated and flagged, and never zero for a call that was sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from frugal_chains.facts import RequestFacts
from frugal_chains.money import nanos_from_usd
from frugal_chains.pricing import Free, Price, PriceBook, Priced, Unpriced
from frugal_chains.providers import max_output_tokens
from frugal_chains.tokens import TokenCount, TokenCounter, worst_case_tokens
from frugal_chains.tracking._call import CallEnd, CallStart
from frugal_chains.usage import Usage

ASSUMED_OUTPUT_CAP_TOKENS = 32_768
"""Held for a call that sets no output cap, on a model whose own cap is not in our table."""
_ASKED_FOR_1H = "the time to live of cache writes did not come back: the request asked for 1h"
_WRITES_UNASKED = frozenset({"openai"})
"""Providers that may bill cache writes without a marker in the request (OpenAI from GPT-5.6:
developers.openai.com, guide on prompt caching, read 2026-11-21)."""


def usage_of(
    start: CallStart, end: CallEnd, counter: TokenCounter, *, streamed: bool
) -> tuple[Usage, Sequence[str]]:
    """The usage of a finished call, and notes on why it is not the provider's word."""
    reading = end.reading
    if end.status == "cached" or (reading is None and not end.sent):
        return Usage(), ()
    if reading is None:
        return _counted_here(start, end, counter), ["no usage came back: tokens were counted here"]
    usage, notes = reading.usage, reading.problems
    if usage.input_tokens == 0 and usage.output_tokens > 0:
        # Every request has input. Zero means that it was reported where nobody reads it:
        # langchain-anthropic streams drop `message_start`, which carries Anthropic's input counts.
        counted = _count_input(start, end.provider or start.provider, counter)
        usage = usage._replace(input_tokens=counted, source="mixed")
        notes = *notes, "input tokens did not come back: they were counted here"
    if streamed and usage.cache_write_5m_tokens and start.request().cache_ttl == "1h":
        # Anthropic's streams sum cache writes over all times to live (MessageDeltaUsage has one
        # `cache_creation_input_tokens`), and the longer one costs more.
        usage = usage._replace(
            cache_write_5m_tokens=0,
            cache_write_1h_tokens=usage.cache_write_tokens,
            source="mixed",
        )
        notes = *notes, _ASKED_FOR_1H
    return usage, notes


def _counted_here(start: CallStart, end: CallEnd, counter: TokenCounter) -> Usage:
    model, provider = end.model or start.model, end.provider or start.provider
    produced = counter.count_text(end.output_text(), model=model, provider=provider)
    return Usage(
        input_tokens=_count_input(start, provider, counter),
        output_tokens=produced.tokens,
        source="estimated",
    )


def _count_input(start: CallStart, provider: str, counter: TokenCounter) -> int:
    return counter.count_request(start.request(), model=start.model, provider=provider).tokens


def price_of(
    start: CallStart, end: CallEnd, usage: Usage, prices: PriceBook, *, at_us: int
) -> Price:
    """The price of a finished call. The provider's own charge comes before any list."""
    reading = end.reading
    if end.status == "cached":
        return Free(price_id="response cache")
    if reading is None and not end.sent:
        return Free(price_id="not billed: answered with an error")
    tier = (reading and reading.service_tier) or start.service_tier
    model, provider = end.model or start.model, end.provider or start.provider
    price = prices.price_at(at_us, usage, model=model, provider=provider, tier=tier)
    if type(price) is Unpriced and start.model and start.model != model:
        # An answer may name a snapshot or deployment that no list has; the asked name may be known.
        asked = prices.price_at(at_us, usage, model=start.model, provider=provider, tier=tier)
        price = price if isinstance(asked, Unpriced) else asked
    if reading is not None and reading.billed_usd is not None:
        return _billed(reading.billed_usd, price, provider)
    return price


def _billed(usd: str, listed: Price, provider: str) -> Priced:
    """The charge in the response, split over its parts as the list would split it."""
    nanos = nanos_from_usd(usd)
    price_id = f"billed by {provider}"
    if not isinstance(listed, Priced) or not listed.nanos:
        return Priced(nanos=nanos, output_nanos=nanos, price_id=price_id)
    names = ("input_nanos", "cache_read_nanos", "cache_write_nanos", "fee_nanos")
    parts = {name: getattr(listed, name) * nanos // listed.nanos for name in names}
    rest = nanos - sum(parts.values())
    return Priced(nanos=nanos, **parts, output_nanos=rest, price_id=price_id)


def worst_case(
    start: CallStart, request: RequestFacts, counted: TokenCount, prices: PriceBook
) -> Price:
    """The most a call can cost: its input at its dearest, its output up to the cap."""
    output_tokens = start.output_cap_tokens
    if output_tokens is None:
        own_cap = max_output_tokens(start.model) or ASSUMED_OUTPUT_CAP_TOKENS
        output_tokens = own_cap * start.answers
    if start.purpose == "embed":
        output_tokens = 0
    plain = Usage(
        input_tokens=worst_case_tokens(counted), output_tokens=output_tokens, source="estimated"
    )
    listed = _list_price(start, plain, prices)
    if not isinstance(listed, Priced):
        return listed
    dearest = listed
    for usage in _written_shapes(start, request, plain):
        price = _list_price(start, usage, prices)
        if isinstance(price, Priced) and price.nanos > dearest.nanos:
            dearest = price
    return dearest


def _list_price(start: CallStart, usage: Usage, prices: PriceBook) -> Price:
    return prices.price(usage, model=start.model, provider=start.provider, tier=start.service_tier)


def _written_shapes(start: CallStart, request: RequestFacts, plain: Usage) -> list[Usage]:
    """The same input, all of it written to the provider's cache, where that can happen."""
    if request.cache_ttl == "1h":
        return [plain._replace(cache_write_1h_tokens=plain.input_tokens)]
    if request.cache_ttl == "5m" or start.provider in _WRITES_UNASKED:
        return [plain._replace(cache_write_5m_tokens=plain.input_tokens)]
    return []
