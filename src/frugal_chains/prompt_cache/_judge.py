"""Two requests in a row: what the second could have read, what it did read, and why not more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from frugal_chains.pricing import CacheTerms
from frugal_chains.prompt_cache._compare import Difference, first_difference
from frugal_chains.prompt_cache._diagnosis import Cause, Diagnosis, SentRequest
from frugal_chains.prompt_cache._terms import shortest_and_longest
from frugal_chains.providers import CacheControls

_CLOSE: Final = 0.02
"""Of what could have been read: our counts of tokens differ from the provider's by as much."""


def judge(
    before: SentRequest,
    after: SentRequest,
    controls: CacheControls,
    terms: Mapping[str, CacheTerms],
) -> Diagnosis:
    """Of the later request alone: since when it has been so is not told."""
    short, long = (terms[name] for name in shortest_and_longest(controls, terms))
    reusable = min(_left(before, controls, short), after.usage.input_tokens)
    read = after.usage.cache_read_tokens
    missed = max(0, reusable - read)
    changed = first_difference(before.print, after.print, controls.resets)
    if reusable and missed < max(1, controls.interval_tokens, short.step_tokens):
        return Diagnosis(
            cause="hit", difference=changed, reusable_tokens=reusable, read_tokens=read
        )
    if not reusable:
        return Diagnosis(cause=_never_kept(before, after, controls, short), read_tokens=read)
    matters = changed is not None and _in_front_of(changed, before, reusable)
    return Diagnosis(
        cause=changed.change if changed and matters else _unseen(before, after, controls),
        difference=changed,
        reusable_tokens=reusable,
        read_tokens=read,
        missed_tokens=missed,
        cost_nanos=_cost(after, missed, short, long),
    )


def _left(before: SentRequest, controls: CacheControls, terms: CacheTerms) -> int:
    """What a request has left in the cache: what it read and wrote, where the provider reports
    writes (OpenAI's `comparison_reusable_tokens` is the same sum); else all of it."""
    usage = before.usage
    if controls.most_markers:
        return usage.cache_read_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    return terms.read_tokens(usage.input_tokens, usage.input_tokens)


def _never_kept(
    before: SentRequest, after: SentRequest, controls: CacheControls, terms: CacheTerms
) -> Cause:
    if after.usage.cache_read_tokens:
        return "hit"
    if before.usage.input_tokens < terms.min_tokens:
        return "below-minimum"
    return "unmarked" if controls.most_markers else "evicted"


def _in_front_of(changed: Difference, before: SentRequest, reusable: int) -> bool:
    """Whether a change lies in what could have been read, and not behind it."""
    counted = before.print.tokens
    if not counted:
        return True
    same = changed.same_tokens * before.usage.input_tokens / counted
    return same < reusable * (1 - _CLOSE)


def _unseen(before: SentRequest, after: SentRequest, controls: CacheControls) -> Cause:
    """Nothing has changed, and yet it was not read."""
    gap = after.at_s - before.at_s
    if controls.ttls and gap >= controls.ttl_s(before.ttl):
        return "expired"
    if before.answered_s is not None and after.at_s < before.answered_s:
        return "parallel"
    if after.marked is not None and controls.most_markers and not controls.writes_unasked:
        if not after.marked:
            return "unmarked"
        if before.marked and controls.lookback and not _near(before, after, controls.lookback):
            return "look-back"
    return "evicted"


def _near(before: SentRequest, after: SentRequest, lookback: int) -> bool:
    last = max(before.marked or (0,))
    return any(0 <= mark - last < lookback for mark in after.marked or ())


def _cost(after: SentRequest, missed: int, short: CacheTerms, long: CacheTerms) -> int:
    """Nanos: of what was missed, as much as was written at the price of writing, the long time to
    live first as it stands in front; the rest as fresh."""
    usage, prices = after.usage, short.prices
    for_long = min(missed, usage.cache_write_1h_tokens)
    for_short = min(missed - for_long, usage.cache_write_5m_tokens)
    fresh = missed - for_long - for_short
    paid = for_long * long.prices.cache_write + for_short * prices.cache_write
    return round(paid + fresh * prices.fresh - missed * prices.cache_read)
