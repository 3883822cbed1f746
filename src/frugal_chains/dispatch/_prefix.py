"""`PrefixFacts`: where a text enters a conversation, for a verdict net of the provider's cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from frugal_chains.compression import Ahead, Verdict, fewest_that_pay, pays
from frugal_chains.pricing import CacheTerms, PriceBook, TokenPrices
from frugal_chains.providers import cache_rule

CAREFUL: Final = TokenPrices(fresh=1.0, cache_read=0.02, cache_write=1.0, output=1.0)
"""For models without a price, in prices of a fresh token: the cheapest reads there are (DeepSeek),
with which most can be lost, and answers that cost no more than questions."""
_SHORT_TOKENS: Final = 8
"""By which a payload is shorter than its budget, mostly: 4 of 5 whose fields are left out
(docs/notes/compression-cache.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixFacts:
    """What stands in front of a text, and what may follow it."""

    ahead: Ahead
    """Tokens so far, calls expected, calls at most."""
    caches: bool = True
    """False: the provider keeps nothing unless asked, and these requests do not ask."""
    ttl: Literal["", "5m", "1h"] = ""
    """Of the requests' cache markers, if they have any: what writing costs."""
    min_tokens: int | None = None
    """What the provider keeps at least; None: by provider and model."""


def verdict(
    before_tokens: int,
    after_tokens: int,
    facts: PrefixFacts,
    *,
    model: str,
    provider: str,
    book: PriceBook,
    at: datetime,
) -> tuple[Verdict, bool]:
    """Whether a text may be compressed, and whether the verdict is in nanos: the model has a price.

    Args:
        before_tokens: Of the text.
        after_tokens: Of its compressed form.
        facts: Of the conversation.
        model: Who will read it.
        provider: Of the model; empty: not known.
        book: Of prices.
        at: The time of the prices.
    """
    terms, ahead, priced = _known(facts, model, provider, book, at)
    return pays(before_tokens, after_tokens, terms, ahead), priced


def fewest(
    before_tokens: int,
    after_tokens: int,
    facts: PrefixFacts,
    *,
    model: str,
    provider: str,
    book: PriceBook,
    at: datetime,
) -> int | None:
    """To how many tokens a text may be compressed, `after_tokens` or more; None: to none. Arguments
    as of `verdict`, which has to be asked again about what comes of it."""
    terms, ahead, _ = _known(facts, model, provider, book, at)
    return fewest_that_pay(before_tokens, after_tokens, terms, ahead, short_tokens=_SHORT_TOKENS)


def _known(
    facts: PrefixFacts, model: str, provider: str, book: PriceBook, at: datetime
) -> tuple[CacheTerms, Ahead, bool]:
    """Of the cache and of the conversation; and whether the model has a price."""
    prices = TokenPrices.of(book, model=model, provider=provider or None, at=at, ttl=facts.ttl)
    rule, ahead = cache_rule(provider, model), facts.ahead
    least = facts.min_tokens
    if least is None and rule.highest_min_tokens is not None:
        # That no prompt reaches a least which is only taken for the worst says nothing.
        least, ahead = rule.highest_min_tokens, replace(ahead, most_tokens=None)
    terms = CacheTerms.of(prices or CAREFUL, rule if facts.caches else None, min_tokens=least)
    return terms, ahead, prices is not None
