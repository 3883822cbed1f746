"""The arithmetic of the prompt cache, against caches that are replayed token by token."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from frugal_chains.errors import PriceError
from frugal_chains.pricing import CacheTerms, PriceBook, TokenPrices
from frugal_chains.providers import CacheRule, cache_rule
from tests.core.pricing.replayed_cache import ReplayedCache, cache_terms

AT = datetime(2026, 11, 20, tzinfo=UTC)
BOOK = PriceBook()
SONNET = TokenPrices(fresh=3_000, cache_read=300, cache_write=3_750, output=15_000)

price = st.integers(0, 400)
terms_of = st.builds(
    lambda fresh, read, write, least, step: cache_terms(fresh, read, write, least=least, step=step),
    fresh=price,
    read=price,
    write=price,
    least=st.sampled_from([0, 16, 48, 96]),
    step=st.sampled_from([1, 1, 4, 16]),
)
"""Of a small provider: 96 tokens for 4,096, steps of 16 for 128."""


def prompts(tokens: int, growth: int, calls: int) -> list[list[int]]:
    return [list(range(tokens + n * growth)) for n in range(calls)]


@given(
    terms_of, st.integers(0, 120), st.integers(0, 40), st.integers(0, 30), st.integers(0, 40),
)  # fmt: skip
@example(cache_terms(100, 10, step=16, least=48), 47, 5, 20, 0)
@example(cache_terms(100, 10, 125, least=96), 0, 7, 40, 0)
def test_a_conversation_costs_what_a_replay_of_it_costs(
    terms: CacheTerms, tokens: int, growth: int, calls: int, warmed: int
) -> None:
    """Call by call and all at once, whatever another conversation has left in the cache. Prices may
    be in any order."""
    cache = ReplayedCache(terms)
    before = list(range(min(warmed, tokens)))
    cache.bill(before)
    each, shared, nanos = 0.0, len(before), 0.0
    for prompt in prompts(tokens, growth, calls):
        each += terms.call_nanos(len(prompt), shared)
        nanos += cache.bill(prompt)
        shared = len(prompt)
    assert each == nanos
    assert nanos == terms.conversation_nanos(tokens, len(before), calls=calls, growth_tokens=growth)


@given(terms_of, st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12))
def test_calls_that_change_the_end_of_a_prompt(
    terms: CacheTerms, turns: list[tuple[int, int]]
) -> None:
    """Each keeps some of the prompt before it and says something else from there on; only with
    steps is a beginning found that no request ended with."""
    cache, prompt = ReplayedCache(terms), list[int]()
    for number, (keep, more) in enumerate(turns):
        kept = prompt[:keep]
        shared = len(kept) if terms.step_tokens > 1 or len(kept) == len(prompt) else 0
        prompt = kept + [1000 * (number + 1) + each for each in range(more)]
        cache.kept = cache.kept[-1:]
        assert terms.call_nanos(len(prompt), shared) == cache.bill(prompt)


def test_by_hand() -> None:
    """Of 1,500 tokens 1,100 came before: in steps of 128 that is 8 of them, 1,024."""
    openai = cache_terms(2_500, 250, step=128)
    assert openai.call_nanos(1_500, 1_100) == 1_024 * 250 + 476 * 2_500
    assert openai.call_nanos(1_500, 1_023) == 1_500 * 2_500
    assert openai.call_nanos(1_000, 1_000) == 1_000 * 2_500
    claude = CacheTerms(prices=SONNET)
    assert claude.call_nanos(1_500, 1_100) == 1_100 * 300 + 400 * 3_750
    # More is shared than the prompt has: it was cut.
    assert openai.call_nanos(1_200, 2_000) == 1_152 * 250 + 48 * 2_500


def test_a_long_forecast_takes_no_longer() -> None:
    """10^12 calls, in closed form: too many to add up one by one."""
    terms = cache_terms(2_500, 250, step=128)
    calls = 10**12
    first = 2_000 * 2_500 + (calls - 1) * (1_920 * 250 + 80 * 2_500)
    assert terms.conversation_nanos(2_000, calls=calls) == pytest.approx(first)


def test_without_a_cache_all_input_is_fresh() -> None:
    terms = CacheTerms.of(SONNET, None)
    assert terms.call_nanos(5_000, 5_000) == 5_000 * 3_000
    assert terms.conversation_nanos(100, 100, calls=3, growth_tokens=10) == 330 * 3_000
    assert terms.prices.output == 15_000


def test_by_the_rule_of_a_provider() -> None:
    haiku = CacheTerms.of(SONNET, cache_rule("anthropic", "claude-haiku-4-5"))
    assert (haiku.min_tokens, haiku.step_tokens) == (4096, 1)
    openai = CacheTerms.of(SONNET, cache_rule("openai", "gpt-4o"))
    assert (openai.min_tokens, openai.step_tokens) == (1024, 128)
    # Up to a whole number of steps.
    rule = CacheRule(automatic=True, min_tokens=1000, ttl_s=300, step_tokens=128)
    assert CacheTerms.of(SONNET, rule).min_tokens == 1024
    assert CacheTerms.of(SONNET, rule, min_tokens=1025).min_tokens == 1152


@pytest.mark.parametrize(
    "bad",
    [
        lambda: cache_terms(1, 0, step=0),
        lambda: cache_terms(1, 0, least=-8),
        lambda: cache_terms(1, 0, least=90, step=8),
        lambda: cache_terms(math.nan, 0),
        lambda: cache_terms(1, -1),
        lambda: TokenPrices(fresh=1, cache_read=0, cache_write=math.inf),
        lambda: TokenPrices(fresh=1, cache_read=0, cache_write=1, output=-1),
    ],
)
def test_numbers_that_cannot_be(bad: Any) -> None:
    with pytest.raises(PriceError, match="expected"):
        bad()


# -- prices of the book ------------------------------------------------------------------------


def test_prices_of_the_book() -> None:
    """$3 and $15 per million, reads a tenth, writes 1.25 and 2 times (claude.com/pricing)."""
    made = TokenPrices.of(BOOK, model="claude-sonnet-4-5", provider="anthropic", at=AT, ttl="5m")
    assert made == SONNET
    hour = TokenPrices.of(BOOK, model="claude-sonnet-4-5", provider="anthropic", at=AT, ttl="1h")
    assert hour is not None
    assert hour.cache_write == 6_000
    # OpenAI before 5.6 writes for free; $2.50 and $1.25 (openai.com/api/pricing).
    gpt = TokenPrices.of(BOOK, model="gpt-4o", provider="openai", at=AT)
    assert gpt is not None
    assert (gpt.fresh, gpt.cache_read, gpt.cache_write) == (2_500, 1_250, 2_500)
    assert TokenPrices.of(BOOK, model="no-such-model", at=AT) is None


def test_a_local_model_costs_nothing() -> None:
    free = TokenPrices(fresh=0, cache_read=0, cache_write=0)
    assert TokenPrices.of(BOOK, model="llama3.1:8b", provider="ollama", at=AT) == free


def test_a_write_that_is_listed_below_input_is_input() -> None:
    """OpenRouter lists .0833 for a write of Gemini: five minutes of storage at $1 an hour."""
    model = "google/gemini-2.5-flash"
    made = TokenPrices.of(BOOK, model=model, provider="openrouter", at=AT)
    assert made is not None
    assert (made.fresh, made.cache_read, made.cache_write) == (300, 30, 300)
