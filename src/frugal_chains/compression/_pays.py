"""Whether compressing pays net of the provider's prompt cache: sure of it, or not at all.

A provider bills what a request shares with an earlier one at a fraction of the price, from the
first token on, but only where what is shared is long enough, and at some only in whole steps. So
fewer tokens can cost more:

- *minimum*: a prompt that was shortened below the least the provider keeps pays its full price on
  every call, where the longer one would have been read from the cache;
- *steps*: where whole steps of 128 tokens are read, 10 tokens less can be a step less.

What a conversation will be is not known when a text enters it, and what was sent is frozen. So the
decision is made against the worst that may follow: a text is compressed where no growth and no
number of calls (up to a bound, where there is one) makes the conversation dearer than it would have
been with nothing compressed. Caches that go cold in between only help: the shorter prompt is
written anew for less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from frugal_chains.errors import CompressionError
from frugal_chains.pricing import CacheTerms

_MOST_EXPECTED = 1e6
"""Calls: no conversation has more, and sums stay numbers."""

Reason = Literal["pays", "no cache", "not shorter", "minimum", "steps", "rewriting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """Where a text enters, and what is known of what follows.

    Raises:
        CompressionError: a number below 0, or no calls.
    """

    prefix_tokens: int
    """In front of the text, as they are sent. Too low a number is safe; too high a one is not."""
    calls: float = 1
    """That will carry the text, expected: for `expected_nanos_*` alone."""
    most_calls: int | None = None
    """Never more than this will carry it; None: not known."""
    growth_tokens: int = 0
    """From call to call, expected: for `expected_nanos_*` alone."""
    most_tokens: int | None = None
    """Of the longest prompt of this conversation, uncompressed; None: not known."""
    saved_tokens: int = 0
    """What compression has kept out of the prefix so far."""
    banked_nanos: float = 0.0
    """What it has saved so far, net: a lower bound."""

    def __post_init__(self) -> None:
        least = min(self.prefix_tokens, self.growth_tokens, self.saved_tokens)
        calls = self.most_calls if self.most_calls is not None else 1
        if least < 0 or calls < 1 or not (math.isfinite(self.calls) and self.calls >= 1):
            raise CompressionError("expected numbers of 0 or more, and 1 call or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether to compress."""

    ok: bool
    reason: Reason
    """What stands against it: the provider's minimum or its steps, where both allow it `pays`."""
    expected_nanos_before: float
    """Input of the expected calls, uncompressed;"""
    expected_nanos_after: float
    """and compressed."""

    @property
    def net_nanos(self) -> float:
        """What the compressed text saves, as expected; negative: what it costs."""
        return self.expected_nanos_before - self.expected_nanos_after


def pays(before_tokens: int, after_tokens: int, terms: CacheTerms | None, ahead: Ahead) -> Verdict:
    """Whether a text that enters a conversation may be sent compressed, now and from now on.

    Args:
        before_tokens: Of the text.
        after_tokens: Of its compressed form.
        terms: Of the provider; None: nothing is cached.
        ahead: What is known of the conversation.

    Raises:
        CompressionError: a read dearer than fresh input, or a write cheaper.
    """
    _check(terms)
    if after_tokens >= before_tokens:
        return _verdict("not shorter", before_tokens, after_tokens, terms, ahead)
    reason: Reason = "no cache"
    if terms is not None:
        reason = _reason(before_tokens, after_tokens, terms, ahead)
    return _verdict(reason, before_tokens, after_tokens, terms, ahead)


def pays_rewriting(
    before_tokens: int,
    after_tokens: int,
    terms: CacheTerms | None,
    ahead: Ahead,
    *,
    behind_tokens: int,
    shared_tokens: int = 0,
    warm: bool = True,
    least_calls: int = 1,
) -> Verdict:
    """Whether a text that stands in a cached prompt may be replaced by its compressed form.

    Everything behind the text is written anew, once; then each call reads less. It is weighed on
    the fewest calls that will surely follow, and on the worst of the steps.

    Args:
        before_tokens: Of the text.
        after_tokens: Of its compressed form.
        terms: Of the provider; None: nothing is cached.
        ahead: `prefix_tokens` stand in front of the text; `calls` as expected, this one counted.
        behind_tokens: Behind the text, in the cache with it.
        shared_tokens: In front of the text, that will still be read: all of it where the provider
            compares prompts, up to the end of an earlier request where it has breakpoints.
        warm: The cache still has the prompt. If not there is nothing to lose.
        least_calls: That will surely follow, this one counted.

    Raises:
        CompressionError: as `pays`.
    """
    _check(terms)
    entering = replace(ahead, prefix_tokens=ahead.prefix_tokens + behind_tokens)
    if terms is None or not warm or after_tokens >= before_tokens:
        # As if the text entered now: what is behind it is sent in full in either case.
        return pays(before_tokens, after_tokens, terms, entering)
    saved = before_tokens - after_tokens
    stands = behind_tokens, shared_tokens
    whole = ahead.prefix_tokens + before_tokens + behind_tokens
    if whole - saved < terms.min_tokens <= whole:
        return _verdict("minimum", before_tokens, after_tokens, terms, ahead, stands)
    if whole < terms.min_tokens:
        return pays(before_tokens, after_tokens, terms, entering)
    now = terms.call_nanos(whole, whole) - terms.call_nanos(whole - saved, shared_tokens)
    later = -_step_loss(saved, terms)
    calls = least_calls if later >= 0 else ahead.most_calls
    sure = calls is not None and now + (calls - 1) * later > 0
    reason: Reason = "pays" if sure else "rewriting"
    return _verdict(reason, before_tokens, after_tokens, terms, ahead, stands)


def _check(terms: CacheTerms | None) -> None:
    """What is sure is so for caches that save: a text that is not written anew costs less."""
    if terms is None:
        return
    prices = terms.prices
    if not prices.cache_read <= prices.fresh <= prices.cache_write:
        raise CompressionError(f"prices are {prices}: expected read <= fresh <= write")


def _reason(before_tokens: int, after_tokens: int, terms: CacheTerms, ahead: Ahead) -> Reason:
    """`pays` where the sum of what is gained for sure and of the worst that may follow is 0 or
    more; all against the conversation with nothing compressed."""
    saved = before_tokens - after_tokens
    out = ahead.saved_tokens + saved
    later = None if ahead.most_calls is None else ahead.most_calls - 1
    steps = _step_loss(out, terms)
    start, least, prices = ahead.prefix_tokens + after_tokens, terms.min_tokens, terms.prices
    # The text itself is new to the cache; what was kept out before may have cost it a step.
    gained = ahead.banked_nanos + saved * prices.cache_write - _step_loss(ahead.saved_tokens, terms)
    was_kept = ahead.prefix_tokens < least <= ahead.prefix_tokens + ahead.saved_tokens
    if start >= least and not was_kept:
        return "pays" if _covers(gained, steps, later) else "steps"
    if ahead.most_tokens is not None and ahead.most_tokens < least:
        return "pays"
    # Uncompressed it is read from the cache, compressed it is one token too short for that.
    short = (least - 1) * (prices.fresh - prices.cache_read) - out * prices.cache_read
    # The call in which it becomes long enough, and is written, comes once.
    writes = (least - 1) * (prices.cache_write - prices.cache_read) - out * prices.cache_read
    if was_kept:
        gained, later = ahead.banked_nanos, None if later is None else later + 1
    else:
        gained = ahead.banked_nanos + saved * prices.cache_write
        gained += start * (prices.cache_write - prices.fresh)
    worst = max(short, steps, 0.0)
    once = max(0.0, writes - worst) if later != 0 else 0.0
    return "pays" if _covers(gained - once, worst, later) else "minimum"


def _covers(gained: float, loss: float, calls: int | None) -> bool:
    """Whether a gain is at least what so many calls can lose; None: any number of calls."""
    if loss <= 0 or calls == 0:
        return gained >= 0
    return calls is not None and gained >= calls * loss


def _step_loss(out_tokens: int, terms: CacheTerms) -> float:
    """The most a later call can cost more for tokens kept out of it; negative: it saves.

    They are not billed, but whole steps of what is read may be missing, and are billed in full.
    """
    missing = -(-out_tokens // terms.step_tokens) * terms.step_tokens
    write, read = terms.prices.cache_write, terms.prices.cache_read
    return missing * (write - read) - out_tokens * write


def _verdict(
    reason: Reason,
    before_tokens: int,
    after_tokens: int,
    terms: CacheTerms | None,
    ahead: Ahead,
    stands: tuple[int, int] | None = None,
) -> Verdict:
    """With the bill of the expected calls; `stands`: tokens behind a text in a cached prompt, and
    those in front of it that will be read when it is replaced."""
    bills = []
    for text_tokens in (before_tokens, after_tokens):
        tokens, shared = ahead.prefix_tokens + text_tokens, ahead.prefix_tokens
        if stands is not None:
            tokens += stands[0]
            shared = tokens if text_tokens == before_tokens else stands[1]
        bills.append(_expected(tokens, shared, terms, ahead))
    return Verdict(
        ok=reason in ("pays", "no cache"),
        reason=reason,
        expected_nanos_before=bills[0],
        expected_nanos_after=bills[1],
    )


def _expected(tokens: int, shared: int, terms: CacheTerms | None, ahead: Ahead) -> float:
    """Nanos of the expected calls, the first of `tokens`."""
    if terms is None:
        return 0.0
    whole, part = divmod(min(ahead.calls, _MOST_EXPECTED), 1)
    sure, maybe = (
        terms.conversation_nanos(tokens, shared, calls=calls, growth_tokens=ahead.growth_tokens)
        for calls in (int(whole), int(whole) + 1)
    )
    return sure + part * (maybe - sure)
