"""Arithmetic: exact, rounded once, parts that add up. Judged by fractions, not by the code."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.pricing import Priced, Unpriced
from frugal_chains.pricing._rates import compile_rates
from frugal_chains.pricing._tables import BUCKETS, FEES, PriceList, price_list
from frugal_chains.usage import COUNT_FIELDS, Usage

PARTS = ("input_nanos", "cache_read_nanos", "cache_write_nanos", "output_nanos", "fee_nanos")
FULL = {
    "input": "3", "cache_read": "0.3", "cache_write_5m": "3.75", "cache_write_1h": "6",
    "input_audio": "40", "cache_read_audio": "2.5", "input_image": "5", "output": "15",
    "reasoning": "3", "output_audio": "80", "output_image": "30",
}  # fmt: skip
FEE_PRICES = {"web_search": "10", "code_execution": "5", "file_search": "2.5", "request": "0.1"}


def usage_of(**counts: int) -> Usage:
    return Usage(**counts)


def priced(prices: PriceList, usage: Usage) -> Priced:
    got = compile_rates(prices, price_id="test").price(usage)
    assert isinstance(got, Priced), got
    return got


def by_hand(per_mtok: Mapping[str, str], fees: Mapping[str, str], usage: Usage) -> Fraction:
    """The bill in nano-USD, as an exact fraction: every token in the one bucket it falls in."""
    audio = usage.input_audio_tokens - usage.cache_read_audio_tokens
    counts = {
        "cache_read": usage.cache_read_tokens - usage.cache_read_audio_tokens,
        "cache_read_audio": usage.cache_read_audio_tokens,
        "cache_write_5m": usage.cache_write_5m_tokens,
        "cache_write_1h": usage.cache_write_1h_tokens,
        "input_audio": audio,
        "input_image": usage.input_image_tokens,
        "input": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
        - audio - usage.input_image_tokens,
        "reasoning": usage.reasoning_tokens,
        "output_audio": usage.output_audio_tokens,
        "output_image": usage.output_image_tokens,
        "output": usage.output_tokens - usage.reasoning_tokens - usage.output_audio_tokens
        - usage.output_image_tokens,
    }  # fmt: skip
    nanos = sum(Fraction(per_mtok[bucket]) * 1000 * n for bucket, n in counts.items())
    calls = {
        "web_search": usage.web_searches, "code_execution": usage.code_executions,
        "file_search": usage.file_searches, "request": 1,
    }  # fmt: skip
    return nanos + sum(Fraction(fees[fee]) * 1_000_000 * n for fee, n in calls.items())


tokens = st.integers(0, 3_000_000)
usd = st.decimals(0, 1000, places=6).map(str)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Usages whose buckets do not overlap, so that the bill is not ambiguous."""
    free = {name: draw(tokens) for name in ("text", "read", "w5", "w1", "audio", "out", "think")}
    speech, picture = draw(tokens), draw(tokens)
    cached_audio = draw(st.integers(0, min(free["read"], free["audio"])))
    uncached_audio = free["audio"] - cached_audio
    return Usage(
        input_tokens=free["text"] + free["read"] + free["w5"] + free["w1"] + uncached_audio,
        cache_read_tokens=free["read"],
        cache_write_5m_tokens=free["w5"],
        cache_write_1h_tokens=free["w1"],
        input_audio_tokens=free["audio"],
        cache_read_audio_tokens=cached_audio,
        output_tokens=free["out"] + free["think"] + speech + picture,
        reasoning_tokens=free["think"],
        output_audio_tokens=speech,
        output_image_tokens=picture,
        web_searches=draw(st.integers(0, 9)),
        code_executions=draw(st.integers(0, 9)),
        file_searches=draw(st.integers(0, 9)),
    )


@given(st.fixed_dictionaries(dict.fromkeys(BUCKETS, usd)),
       st.fixed_dictionaries(dict.fromkeys(FEES, usd)), usages())  # fmt: skip
def test_the_total_is_the_exact_bill_rounded_once(per_mtok, fees, usage: Usage) -> None:
    got = priced(price_list(per_mtok, fees=fees), usage)
    assert got.nanos == round(by_hand(per_mtok, fees, usage))  # Fraction rounds half to even


@given(st.fixed_dictionaries(dict.fromkeys(BUCKETS, usd)), usages())
def test_the_parts_sum_to_the_total_and_none_is_off_by_a_nano(per_mtok, usage: Usage) -> None:
    got = priced(price_list(per_mtok, fees=FEE_PRICES), usage)
    assert sum(getattr(got, part) for part in PARTS) == got.nanos
    fees = dict.fromkeys(FEES, "0")
    output = replace_all(usage, keep=("output_tokens", "reasoning_tokens", "output_audio_tokens",
                                      "output_image_tokens"))  # fmt: skip
    assert abs(got.output_nanos - by_hand(per_mtok, fees, output)) <= 1
    assert all(getattr(got, part) >= 0 for part in PARTS)


def replace_all(usage: Usage, *, keep: tuple[str, ...]) -> Usage:
    return Usage(**{name: getattr(usage, name) if name in keep else 0 for name in COUNT_FIELDS})


GROWTH = (
    ("input_tokens",), ("input_tokens", "cache_read_tokens"),
    ("input_tokens", "cache_write_5m_tokens"), ("input_tokens", "cache_write_1h_tokens"),
    ("input_tokens", "input_audio_tokens"), ("output_tokens",),
    ("output_tokens", "reasoning_tokens"), ("output_tokens", "output_audio_tokens"),
    ("output_tokens", "output_image_tokens"), ("web_searches",), ("code_executions",),
    ("file_searches",),
)  # fmt: skip


@given(usages(), st.sampled_from(GROWTH), st.integers(1, 1_000_000))
def test_more_of_anything_never_costs_less(usage: Usage, buckets, more: int) -> None:
    above = {bucket: str(2 * Decimal(price)) for bucket, price in FULL.items()}
    prices = price_list(FULL, (200_000, above), fees=FEE_PRICES)
    grown = usage._replace(**{name: getattr(usage, name) + more for name in buckets})
    assert priced(prices, grown).nanos >= priced(prices, usage).nanos


@pytest.mark.parametrize(
    ("output_tokens", "nanos"),
    [(1, 0), (2, 1), (3, 2), (5, 2), (6, 3), (7, 4)],
    ids=["0.5 down to even", "1", "1.5 up to even", "2.5 down to even", "3", "3.5 up to even"],
)
def test_a_tie_goes_to_the_even_nano(output_tokens: int, nanos: int) -> None:
    # $0.0005 per 1,000,000 tokens is half a nano-dollar a token.
    prices = price_list({"input": "1", "output": "0.0005"})
    assert priced(prices, Usage(output_tokens=output_tokens)).nanos == nanos


def test_parts_of_a_nano_are_not_lost_one_by_one() -> None:
    # Three parts of 0.4 nano each: 1.2, so 1; rounded apart they would be 0.
    prices = price_list({"input": "0.0004", "cache_read": "0.0004", "output": "0.0004"})
    got = priced(prices, Usage(input_tokens=2, cache_read_tokens=1, output_tokens=1))
    assert (got.nanos, sum(getattr(got, part) for part in PARTS)) == (1, 1)


def test_a_band_prices_the_whole_request() -> None:
    prices = price_list({"input": "1", "output": "2"}, (10, {"input": "3", "output": "4"}),
                        (20, {"input": "5", "output": "6"}))  # fmt: skip
    bills = [priced(prices, Usage(input_tokens=n, output_tokens=1)).nanos for n in (10, 11, 20, 21)]
    assert bills == [12_000, 37_000, 64_000, 111_000]


GAPS = (
    ("input", {"input_tokens": 3}),
    ("cache_read", {"input_tokens": 3, "cache_read_tokens": 3}),
    ("cache_write_5m", {"input_tokens": 3, "cache_write_5m_tokens": 3}),
    ("cache_write_1h", {"input_tokens": 3, "cache_write_1h_tokens": 3}),
    ("input_audio", {"input_tokens": 3, "input_audio_tokens": 3}),
    ("cache_read_audio", {"input_tokens": 3, "input_audio_tokens": 3, "cache_read_tokens": 3,
                          "cache_read_audio_tokens": 3}),
    ("input_image", {"input_tokens": 3, "input_image_tokens": 3}),
    ("output", {"output_tokens": 3}),
    ("output_audio", {"output_tokens": 3, "output_audio_tokens": 3}),
    ("output_image", {"output_tokens": 3, "output_image_tokens": 3}),
    ("web_search", {"web_searches": 3}),
    ("code_execution", {"code_executions": 3}),
    ("file_search", {"file_searches": 3}),
)  # fmt: skip


@pytest.mark.parametrize(("bucket", "counts"), GAPS, ids=[bucket for bucket, _ in GAPS])
def test_a_used_bucket_without_a_price_is_named_never_dropped(bucket: str, counts) -> None:
    prices = price_list(
        {b: p for b, p in FULL.items() if b != bucket},
        fees={f: p for f, p in FEE_PRICES.items() if f != bucket},
        gaps={bucket: "the reason"},
    )
    got = compile_rates(prices, price_id="test").price(Usage(**counts))
    assert got == Unpriced(reason=f"3 {bucket}: the reason; give one in prices.toml (test)")
    unused = {"input": Usage(output_tokens=1), "output": Usage(input_tokens=1)}
    assert isinstance(
        compile_rates(prices, price_id="test").price(
            unused.get(bucket, Usage(input_tokens=1, output_tokens=1))
        ),
        Priced,
    )


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"input_tokens": 100, "cache_read_tokens": 60, "input_audio_tokens": 70}, "70 audio"),
        ({"input_tokens": 100, "cache_read_tokens": 10, "input_image_tokens": 20}, "20 image"),
    ],
    ids=["more audio than is uncached", "images beside cached tokens"],
)
def test_media_that_may_be_cached_has_two_bills(counts: dict[str, int], told: str) -> None:
    got = compile_rates(price_list(FULL), price_id="test").price(Usage(**counts))
    assert isinstance(got, Unpriced)
    assert told in got.reason
    assert f"{counts['cache_read_tokens']} cached ones" in got.reason


def test_images_at_the_text_price_have_one_bill() -> None:
    usage = Usage(input_tokens=100, cache_read_tokens=60, input_image_tokens=70)
    alike = price_list({**FULL, "input_image": FULL["input"]})
    assert priced(alike, usage).nanos == 40 * 3_000 + 60 * 300


def test_a_price_with_many_digits_stays_exact() -> None:
    prices = price_list({"input": "0.003625", "output": "1"}).times(Decimal("0.123456789"))
    # 0.003625 x 0.123456789 USD/MTok x 1e12 tokens = 447.530860125 USD
    assert priced(prices, Usage(input_tokens=10**12)).cost_usd == Decimal("447.530860125")
