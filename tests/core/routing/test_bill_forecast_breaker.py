"""The expected bill, forecasts of output, and circuits.

Prices as in `requests.py`: gpt-4o-mini $0.15 in, $0.075 cached, $0.60 out; claude-opus-4-5 $5 in,
$0.50 cached, $6.25 and $10 for writes of 5 minutes and an hour, $25 out, per million tokens.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.pricing import PriceBook
from frugal_chains.routing import (
    Breaker,
    Candidate,
    ConversationFacts,
    OutputForecasts,
    WarmPrefix,
    expected_bill,
)
from tests.core.routing.requests import CHEAP, STRONG, facts, request

PRICES = PriceBook()


def nanos(candidate: Candidate, **more: Any) -> int | None:
    about = more.pop("about", "hello")
    return expected_bill(candidate, facts(about, **more), PRICES).nanos


def warm(name: str, tokens: int, age_s: float) -> ConversationFacts:
    return ConversationFacts(warm={name: WarmPrefix(tokens=tokens, age_s=age_s)})


def test_input_is_what_was_counted_and_output_what_is_expected() -> None:
    assert nanos(CHEAP) == 1000 * 150 + 256 * 600
    assert nanos(CHEAP, output_tokens={"gatekeeper": 100}) == 1000 * 150 + 100 * 600
    assert nanos(CHEAP, output_tokens={"gatekeeper": 100}, output_cap_tokens=10) == 156_000
    assert nanos(replace(CHEAP, max_output_tokens=10)) == 156_000
    assert nanos(CHEAP, input_tokens={}) is None


@pytest.mark.parametrize(
    ("tokens", "age_s", "cached"),
    [(4000, 0, 4000), (9000, 299, 5000), (4000, 300, 0), (1023, 0, 0), (1024, 0, 1024)],
)
def test_a_warm_prefix_is_read_at_the_price_of_a_cached_one(
    tokens: int, age_s: float, cached: int
) -> None:
    known: dict[str, Any] = {
        "input_tokens": {"gatekeeper": 5000},
        "conversation": warm("gatekeeper", tokens, age_s),
    }
    assert nanos(CHEAP, **known) == (5000 - cached) * 150 + cached * 75 + 256 * 600


@pytest.mark.parametrize(("ttl", "write"), [("", 5000), ("5m", 6250), ("1h", 10_000)])
def test_what_the_request_asks_to_be_kept_is_billed_as_a_write(ttl: Any, write: int) -> None:
    about = request("hello", cache_ttl=ttl)
    tokens = {"specialist": 5000}
    assert nanos(STRONG, about=about, input_tokens=tokens) == 5000 * write + 256 * 25_000
    kept = warm("specialist", 4500, 600)  # ten minutes: gone, unless kept for an hour
    read = 4500 if ttl == "1h" else 0
    expected = (5000 - read) * write + read * 500 + 256 * 25_000
    assert nanos(STRONG, about=about, input_tokens=tokens, conversation=kept) == expected


@pytest.mark.parametrize(("tokens", "read"), [(4095, 0), (4096, 4096)])
def test_a_prefix_is_warm_if_it_is_as_long_as_the_model_keeps(tokens: int, read: int) -> None:
    """Claude Opus 4.5: 4,096 (platform.claude.com, prompt caching)."""
    known: dict[str, Any] = {
        "input_tokens": {"specialist": 5000},
        "conversation": warm("specialist", tokens, 0),
    }
    assert nanos(STRONG, **known) == (5000 - read) * 5000 + read * 500 + 256 * 25_000


def test_an_unknown_model_has_no_bill_and_a_local_one_a_free_one() -> None:
    unknown = Candidate(name="gatekeeper", tier="gatekeeper", model="zeta-9000", provider="house")
    assert nanos(unknown) is None
    assert nanos(replace(unknown, provider="ollama")) == 0


def test_each_model_counts_in_its_own_tokenizer() -> None:
    tokens = {"gatekeeper": 1000, "specialist": 1500}
    assert nanos(CHEAP, input_tokens=tokens) == 1000 * 150 + 256 * 600
    assert nanos(STRONG, input_tokens=tokens) == 1500 * 5000 + 256 * 25_000


def test_the_bill_is_of_the_service_tier_and_of_the_day() -> None:
    # gpt-5 $1.25 and $10, flex at half of it; o3 $10 and $40 until it was cut to $2 and $8 on
    # 2025-06-10 (openai.com/api/pricing, read 2026-11-21).
    flex = replace(CHEAP, model="gpt-5", service_tier="flex")
    assert nanos(flex) == (1000 * 1250 + 256 * 10_000) // 2
    cut = replace(CHEAP, model="o3")
    assert nanos(cut) == 1000 * 2000 + 256 * 8000
    assert nanos(cut, at=datetime(2025, 5, 1, tzinfo=UTC)) == 1000 * 10_000 + 256 * 40_000


# -- forecasts ---------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 200_000), min_size=8, max_size=60))
def test_quantiles_are_right_to_a_tenth(lengths: list[int]) -> None:
    known = OutputForecasts.of(("m", length) for length in lengths)
    exact = sorted(lengths)[(len(lengths) - 1) // 2]
    half = known.quantile("m", 0.5)
    assert half is not None
    assert abs(half - exact) <= max(1, exact * 0.1)
    assert abs(known.expected()["m"] - sum(lengths) / len(lengths)) <= max(1, max(lengths) * 0.1)
    assert OutputForecasts.from_json(known.to_json()).expected() == known.expected()


def test_a_few_answers_say_nothing() -> None:
    known = OutputForecasts.of([("m", 100)] * 7)
    assert (known.expected(), known.quantile("m", 0.5), known.quantile("x", 0.5)) == (
        {},
        None,
        None,
    )


def test_a_forecast_follows_a_change() -> None:
    known = OutputForecasts.of([("m", 10)] * 100_000 + [("m", 1000)] * 8_000)
    assert known.quantile("m", 0.5) == pytest.approx(1000, rel=0.1)


def test_a_quantile_is_the_length_that_so_many_answers_do_not_pass() -> None:
    known = OutputForecasts.of([("m", 10)] * 60 + [("m", 100)] * 30 + [("m", 1000)] * 10)
    for share, length in ((0.1, 10), (0.6, 10), (0.61, 100), (0.9, 100), (0.95, 1000)):
        assert known.quantile("m", share) == pytest.approx(length, rel=0.1)


# -- circuits ----------------------------------------------------------------------------------


def test_a_circuit_opens_after_three_failures_and_tries_again() -> None:
    state = Breaker()
    for _ in range(2):
        state = state.failed(0.0)
    assert not state.is_open(0.0)
    state = state.failed(0.0)
    assert state.is_open(14.9)
    assert not state.is_open(15.0)
    again = state.failed(15.0)
    assert again.is_open(44.9), "twice as long"
    assert not again.is_open(45.0)
    assert state.succeeded() == Breaker()


def test_a_success_between_failures_keeps_it_closed() -> None:
    state = Breaker().failed(0).failed(0).succeeded().failed(0).failed(0)
    assert not state.is_open(0)


def test_the_providers_own_word_opens_it_at_once_for_as_long() -> None:
    state = Breaker().failed(100.0, retry_after_s=7.0)
    assert state.is_open(106.9)
    assert not state.is_open(107.0)


def test_pauses_do_not_grow_beyond_five_minutes() -> None:
    state, now_s = Breaker(), 0.0
    for _ in range(20):
        state = state.failed(now_s)
        now_s = max(now_s, state.open_until_s)
    assert state.failed(now_s).open_until_s - now_s == 300
