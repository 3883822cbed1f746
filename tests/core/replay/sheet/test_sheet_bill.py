"""What workloads cost, against arithmetic by hand and against the price book call by call.

List prices, USD per 1,000,000 tokens on 2026-11-20 (openai.com/api/pricing, docs.anthropic.com):
gpt-4o 2.50 in, 1.25 read, 10 out, half of it in batches (reads are not cheaper there);
gpt-4o-mini 0.15 in, 0.60 out; claude-sonnet-4-6 3 in, 0.30 read, 3.75 and 6 written, 15 out, half
of each in batches.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.pricing import PriceBook, Priced
from frugal_chains.replay.sheet import SheetBill, WorkloadBill, exact_decimal, sheet_bill
from frugal_chains.usage import Usage
from tests.core.replay.sheet.sheets import SMALL, sheet_of

USD = 1_000_000_000
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
BOOK = PriceBook()


def bill_of(text: str, book: PriceBook = BOOK) -> SheetBill:
    return sheet_bill(sheet_of(text), book)


def lines_of(bill: WorkloadBill) -> list[tuple[str, str, str, Fraction, int, int]]:
    return [
        (part.role, part.model, line.bucket, line.calls, line.tokens, line.nanos)
        for part in bill.parts
        for line in part.lines
    ]


def test_calls_times_tokens_times_price():
    # 1M x 4,000 x 2.50 / 1M = 10,000; 1M x 300 x 10 / 1M = 3,000.
    assert lines_of(bill_of(SMALL).baseline) == [
        ("answer", "gpt-4o", "input", 1_000_000, 4_000, 10_000 * USD),
        ("answer", "gpt-4o", "output", 1_000_000, 300, 3_000 * USD),
    ]


def test_hits_read_and_misses_write():
    # 80 % of a million calls read 2,000 tokens: 800,000 x 2,000 x 0.30 / 1M = 480.
    # The rest write them: 200,000 x 2,000 x 3.75 / 1M = 1,500; for an hour at 6: 2,400.
    # Fresh: 1M x 2,000 x 3 / 1M = 6,000. Out: 1M x 300 x 15 / 1M = 4,500.
    text = SMALL.replace("gpt-4o", "claude-sonnet-4-6")
    bill = bill_of(
        f'{text}[[scenario]]\nname = "5m"\ncache_hit_rate = 0.8\n'
        '[[scenario]]\nname = "1h"\nbased_on = "5m"\ncache_writes = "1h"\n'
        '[[scenario]]\nname = "free writes"\nbased_on = "5m"\ncache_writes = "input"\n'
    )
    assert bill.baseline.nanos == (12_000 + 4_500) * USD
    assert [each.nanos for each in bill.scenarios] == [
        (6_000 + 480 + 1_500 + 4_500) * USD,
        (6_000 + 480 + 2_400 + 4_500) * USD,
        (6_000 + 480 + 1_200 + 4_500) * USD,
    ]
    assert bill.scenarios[0].saved_nanos == (16_500 - 12_480) * USD
    assert bill.scenarios[0].saved_share == Fraction(16_500 - 12_480, 16_500)


def test_openai_reads_whole_steps_of_128_tokens():
    # 2,000 tokens are 15 whole steps of 128: 1,920. Half of the calls read them:
    # 500,000 x 1,920 x 1.25 / 1M = 1,200; the others pay them as input: 500,000 x 1,920 x 2.50.
    bill = bill_of(f"cache_hit_rate = 0.5\n{SMALL}").baseline
    found = {line[2]: (line[4], line[5]) for line in lines_of(bill)}
    assert found["cache_read"] == (1_920, 1_200 * USD)
    assert found["cache_write_5m"] == (1_920, 2_400 * USD)
    assert found["input"] == (2_080, 5_200 * USD)


def test_what_is_shorter_than_the_provider_keeps_is_not_cached():
    text = SMALL.replace("static_tokens = 2_000", "static_tokens = 1_023")
    bill = bill_of(f"cache_hit_rate = 0.9\n{text}").baseline
    assert bill.nanos == bill_of(SMALL).baseline.nanos
    assert "below 1,024 tokens" in bill.parts[0].note


def test_a_batch_share_is_billed_at_the_price_books_batch_price():
    # A quarter in batches: 250,000 x (4,000 x 1.25 + 300 x 5) / 1M = 1,250 + 375.
    bill = bill_of(f"batch_share = 0.25\n{SMALL}").baseline
    tiers = {part.tier: part.nanos for part in bill.parts}
    assert tiers == {"standard": (7_500 + 2_250) * USD, "batch": (1_250 + 375) * USD}


def test_no_discount_is_made_up_where_the_list_has_none():
    # DeepSeek has no batch prices.
    bill = bill_of(f"batch_share = 0.25\n{SMALL}".replace("gpt-4o", "deepseek-v4-flash")).baseline
    assert bill.nanos is None
    assert [part.tier for part in bill.unpriced] == ["batch"]
    assert "no batch price known" in bill.unpriced[0].reason


def test_what_is_drafted_and_asked_again_is_paid_twice():
    # Drafts: 1M x (4,000 x 0.15 + 300 x 0.60) / 1M = 600 + 180. A tenth again on gpt-4o:
    # 100,000 x (4,000 x 2.50 + 300 x 10) / 1M = 1,000 + 300.
    bill = bill_of(
        SMALL.replace("gpt-4o", "gpt-4o-mini")
        + 'escalation_rate = 0.1\nescalates_to = "gpt-4o"\nescalates_to_provider = "openai"\n'
    ).baseline
    assert [(p.role, p.model, p.nanos) for p in bill.parts] == [
        ("answer", "gpt-4o-mini", 780 * USD),
        ("escalation", "gpt-4o", 1_300 * USD),
    ]


def test_retries_are_paid_in_full():
    # 2 % of 13,000 is 260.
    assert bill_of(f"retry_rate = 0.02\n{SMALL}").baseline.nanos == 13_260 * USD


def test_a_classifier_is_paid_for_each_call_and_not_retried():
    # 1M x (100 x 0.15 + 5 x 0.60) / 1M = 15 + 3.
    text = (
        f"retry_rate = 0.02\n{SMALL}"
        '[classifier]\nmodel = "gpt-4o-mini"\ninput_tokens = 100\noutput_tokens = 5\n'
    )
    bill = bill_of(f'{text}[[scenario]]\nname = "half"\n[scenario.classifier]\nshare = 0.5\n')
    assert bill.baseline.parts[0].role == "classifier"
    assert bill.baseline.nanos == (13_260 + 18) * USD
    assert bill.scenarios[0].nanos == (13_260 + 9) * USD


def test_a_models_own_numbers_win_over_the_scenarios_and_these_over_the_sheets():
    text = f"""
batch_share = 0.5
{SMALL}
share = 0.5
batch_share = 0
[[model]]
name = "gpt-4o-mini"
share = 0.5
[model.shape]
output_tokens = 0
[[scenario]]
name = "all in batches"
batch_share = 1
"""
    baseline, scenario = bill_of(text).workloads
    assert [(p.model, p.tier) for p in baseline.parts] == [
        ("gpt-4o", "standard"), ("gpt-4o-mini", "standard"), ("gpt-4o-mini", "batch"),
    ]  # fmt: skip
    # 500,000 x (4,000 x 2.50 + 300 x 10) / 1M; 250,000 x 4,000 x 0.15 / 1M, and half of it.
    assert [p.nanos for p in baseline.parts] == [6_500 * USD, 150 * USD, 75 * USD]
    assert [(p.model, p.tier) for p in scenario.parts] == [
        ("gpt-4o", "standard"), ("gpt-4o-mini", "batch"),
    ]  # fmt: skip


def test_a_scenario_changes_the_parts_it_names():
    text = SMALL.replace("input_tokens = 4_000", "system_tokens = 2_500\nhistory_tokens = 1_500")
    bill = bill_of(
        f'{text}[[scenario]]\nname = "short"\n[scenario.shape]\nhistory_tokens = 500\n'
        '[[scenario]]\nname = "whole"\n[scenario.shape]\ninput_tokens = 2_000\n'
    )
    inputs = [each.parts[0].lines[0].tokens for each in bill.workloads]
    assert inputs == [4_000, 3_000, 2_000]


def test_a_scenario_with_parts_replaces_the_whole_input():
    bill = bill_of(
        f'{SMALL}[[scenario]]\nname = "parts"\n[scenario.shape]\nhistory_tokens = 3_000\n'
        "question_tokens = 500\n"
    )
    assert bill.scenarios[0].parts[0].lines[0].tokens == 3_500


def test_a_static_share_is_of_the_input_in_whole_tokens():
    # 0.5 of 4,001 tokens is 2,000, and Claude keeps them as they are.
    text = SMALL.replace("static_tokens = 2_000", "static_share = 0.5").replace("4_000", "4_001")
    text = text.replace("gpt-4o", "claude-sonnet-4-6")
    (part,) = bill_of(f"cache_hit_rate = 0.5\n{text}").baseline.parts
    assert [(line.bucket, line.tokens) for line in part.lines[:2]] == [
        ("input", 2_001), ("cache_read", 2_000),
    ]  # fmt: skip


@pytest.mark.parametrize(("static", "sure"), [(4_095, False), (4_096, True)])
def test_a_minimum_that_is_not_sure_is_noted(static: int, sure: bool):
    # Claude Opus 4.7 keeps 2,048 or 4,096 tokens: both have been said.
    text = SMALL.replace("4_000", "5_000").replace("= 2_000", f"= {static}")
    text = text.replace("gpt-4o", "claude-opus-4-7")
    (part,) = bill_of(f"cache_hit_rate = 0.5\n{text}").baseline.parts
    assert part.cached_tokens == static
    assert ("perhaps not cached" in part.note) is not sure


def test_a_long_request_pays_the_higher_price_for_all_its_tokens():
    # gpt-6-sol: 2 in and 10 out up to 272,000 tokens, 4 and 15 above.
    text = 'prices_on = 2026-11-20\ncalls = 1\n[[model]]\nname = "gpt-6-sol"\n[shape]\n'
    at, above = (
        bill_of(f"{text}output_tokens = 100\ninput_tokens = {n}\n").baseline.nanos
        for n in (272_000, 272_001)
    )
    assert at == 272_000 * 2_000 + 100 * 10_000
    assert above == 272_001 * 4_000 + 100 * 15_000


def test_an_unknown_model_is_unpriced_and_so_is_what_rests_on_it():
    bill = bill_of(
        f'{SMALL}[[scenario]]\nname = "new"\n[[scenario.model]]\nname = "gpt-4o"\nshare = 0.5\n'
        '[[scenario.model]]\nname = "nonsense-9"\nshare = 0.5\n'
        '[[claim]]\ntext = "it costs $1"\nscenario = "new"\ncost_usd = 1\n'
    )
    scenario = bill.scenarios[0]
    assert (scenario.nanos, scenario.saved_nanos, scenario.saved_share) == (None, None, None)
    assert scenario.priced_nanos == 6_500 * USD
    assert "no provider known for model 'nonsense-9'" in scenario.unpriced[0].reason
    (check,) = bill.claims
    assert (check.verdict, check.real) == ("unknown", None)
    assert check.reason == "no price for nonsense-9"


def test_a_write_without_a_price_is_not_free():
    text = f"cache_hit_rate = 0.5\n{SMALL}".replace("gpt-4o", "mistral-small-latest")
    text = text.replace("static_tokens = 2_000", "static_tokens = 3_000")
    bill = bill_of(text)
    assert bill.baseline.nanos is None
    assert 'cache_writes = "input"' in bill.baseline.unpriced[0].reason
    assert bill_of(f'cache_writes = "input"\n{text}').baseline.nanos is not None


def test_a_users_own_prices_and_free_models_count(tmp_path: Path):
    path = tmp_path / "prices.toml"
    path.write_text(
        '[[price]]\nprovider = "openai"\nmodel = "gpt-4o"\ninput = 2\noutput = 8\n'
        '[[free]]\nprovider = "home"\n'
    )
    book = PriceBook.load(path)
    # 1M x (4,000 x 2 + 300 x 8) / 1M
    assert bill_of(SMALL, book).baseline.nanos == 10_400 * USD
    free = bill_of(f'{SMALL}provider = "home"\n', book).baseline
    assert (free.nanos, free.parts[0].free) == (0, True)


def test_another_moment_may_be_asked_about():
    sheet = sheet_of(SMALL.replace("gpt-4o", "claude-sonnet-4-6"))
    assert sheet_bill(sheet, BOOK).at == NOON
    naive = sheet_bill(sheet, BOOK, at=datetime(2026, 3, 1))
    assert naive.at == datetime(2026, 3, 1, tzinfo=UTC)


def test_an_interval_is_that_of_the_corners_and_a_saving_is_of_the_same_corner():
    # Per million calls 13,000; half of it in batches saves a quarter, whatever the calls are.
    text = SMALL.replace("calls = 1_000_000", "calls = [500_000, 1_000_000, 3_000_000]")
    bill = bill_of(f'{text}[[scenario]]\nname = "batches"\nbatch_share = 0.5\n')
    assert bill.baseline.interval == (6_500 * USD, 39_000 * USD)
    (batches,) = bill.scenarios
    assert batches.interval == (4_875 * USD, 29_250 * USD)
    assert batches.saved_interval == (1_625 * USD, 9_750 * USD)
    assert batches.saved_share_interval == (Fraction(1, 4), Fraction(1, 4))
    assert not bill.baseline.steps


def test_a_range_of_shares_takes_from_the_rest():
    text = f'{SMALL}share = "rest"\n[[model]]\nname = "gpt-4o-mini"\nshare = [0.2, 0.5, 0.6]\n'
    bill = bill_of(text).baseline
    # 13,000 for all on gpt-4o, 780 on gpt-4o-mini.
    assert bill.nanos == (6_500 + 390) * USD
    assert bill.interval == ((5_200 + 468) * USD, (10_400 + 156) * USD)


def test_a_price_step_inside_a_range_is_told():
    text = SMALL.replace("gpt-4o", "gpt-6-sol").replace("4_000", "[200_000, 250_000, 300_000]")
    assert bill_of(text).baseline.steps
    text = SMALL.replace("static_tokens = 2_000", "static_tokens = [500, 2_000, 3_000]")
    assert bill_of(f"cache_hit_rate = 0.5\n{text}").baseline.steps


def test_a_claim_that_rounds_is_right_and_one_inside_the_interval_too():
    claims = "".join(f'[[claim]]\ntext = "{n}"\ncost_usd = {n}\n' for n in (12_900, 12_800))
    near, far = bill_of(f"{SMALL}{claims}").claims
    assert (near.verdict, far.verdict, far.real) == ("right", "wrong", 13_000)
    ranged = SMALL.replace("calls = 1_000_000", "calls = [500_000, 1_000_000, 3_000_000]")
    assert [check.verdict for check in bill_of(f"{ranged}{claims}").claims] == ["right", "right"]


models = st.sampled_from(["gpt-4o", "claude-sonnet-4-6", "gpt-4o-mini", "claude-haiku-4-5"])
tenths = st.integers(0, 10).map(lambda n: n / 10)


@st.composite
def workloads(draw: st.DrawFn) -> str:
    """A sheet without ranges, of two models."""
    static = draw(st.integers(0, 5_000))
    share = draw(tenths)
    return f"""
prices_on = 2026-11-20
calls = CALLS
cache_hit_rate = {draw(tenths)}
cache_writes = "{draw(st.sampled_from(["5m", "1h", "input"]))}"
batch_share = {draw(tenths)}
[shape]
input_tokens = {static + draw(st.integers(1, 5_000))}
static_tokens = {static}
output_tokens = {draw(st.integers(0, 2_000))}
[[model]]
name = "{draw(models)}"
share = {share}
[[model]]
name = "{draw(models)}"
share = {round(1 - share, 1)}
"""


@settings(max_examples=60, deadline=None)
@given(workloads(), st.integers(1, 50), st.integers(1, 50))
def test_a_bill_is_linear_in_calls(text: str, one: int, other: int):
    # Thousands of calls: shares of tenths of tenths of tenths are whole calls, so nothing rounds.
    first, second, both = (
        bill_of(text.replace("CALLS", str(1_000 * n))).baseline.nanos
        for n in (one, other, one + other)
    )
    assert first is not None
    assert second is not None
    assert first + second == both


@settings(max_examples=60, deadline=None)
@given(workloads(), st.integers(1, 1_000_000))
def test_shares_and_tiers_part_the_calls(text: str, calls: int):
    sheet = sheet_of(text.replace("CALLS", str(calls)))
    bill = sheet_bill(sheet, BOOK).baseline
    asked = sheet.baseline.entries[0].shape.at({})
    assert sum(part.calls for part in bill.parts) == calls
    for part in bill.parts:
        taken = {"input": Fraction(0), "output": Fraction(0)}
        for line in part.lines:
            taken["output" if line.bucket == "output" else "input"] += line.calls * line.tokens
        assert taken == {"input": part.calls * asked.input, "output": part.calls * asked.output}
        assert sum(line.nanos for line in part.lines) == part.nanos


@settings(max_examples=60, deadline=None)
@given(workloads())
def test_each_call_is_billed_as_the_price_book_bills_it(text: str):
    """The same sum in another way: whole calls as `Usage`, each priced by `PriceBook.price`."""
    sheet = sheet_of(text.replace("CALLS", "10_000"))
    bill = sheet_bill(sheet, BOOK).baseline
    entry = sheet.baseline.entries[0]
    assert entry.cache_hit_rate is not None
    shape, hit_rate = entry.shape.at({}), entry.cache_hit_rate.likely
    total = Fraction(0)
    for part in bill.parts:
        cached = part.cached_tokens
        written = {"5m": "cache_write_5m_tokens", "1h": "cache_write_1h_tokens"}
        miss = {written[entry.cache_writes]: cached} if entry.cache_writes in written else {}
        for share, buckets in ((hit_rate, {"cache_read_tokens": cached}), (1 - hit_rate, miss)):
            usage = Usage(input_tokens=shape.input, output_tokens=shape.output, **buckets)
            price = BOOK.price(usage, model=part.model, tier=part.tier, at=NOON)
            assert isinstance(price, Priced)
            total += part.calls * share * price.nanos
    assert total == bill.nanos


@settings(max_examples=40, deadline=None)
@given(workloads(), st.integers(1, 10**9))
def test_a_scenario_that_changes_nothing_saves_exactly_nothing(text: str, calls: int):
    ranged = text.replace("CALLS", f"[1, {calls}, {2 * calls}]")
    (same,) = bill_of(f'{ranged}[[scenario]]\nname = "same"\n').scenarios
    assert same.saved_nanos == 0
    assert same.saved_interval in ((0, 0), None)


ranges = st.tuples(*[st.integers(0, 1_000)] * 3).map(sorted)


@settings(max_examples=40, deadline=None)
@given(st.data(), ranges, ranges, ranges, ranges)
def test_every_choice_within_the_ranges_lies_within_the_interval(
    data: st.DataObject, calls: list[int], output: list[int], hits: list[int], share: list[int]
):
    def text(*values: object) -> str:
        return """
prices_on = 2026-11-20
calls = {}
cache_hit_rate = {}
[shape]
input_tokens = 6_000
static_tokens = 4_096
output_tokens = {}
[[model]]
name = "claude-sonnet-4-6"
share = {}
[[model]]
name = "gpt-4o-mini"
share = "rest"
[[scenario]]
name = "batches"
batch_share = 0.5
""".format(*values)

    calls = [1_000 * (n + 1) for n in calls]
    rates = [[n / 1_000 for n in given] for given in (hits, share)]
    whole = bill_of(text(calls, rates[0], output, rates[1]))

    def chosen(given: list[int]) -> int:
        return data.draw(st.integers(given[0], given[2]))

    one = bill_of(text(chosen(calls), chosen(hits) / 1_000, chosen(output), chosen(share) / 1_000))
    slack = 20  # nano-USD: each line is rounded
    for ranged, fixed in zip(whole.workloads, one.workloads, strict=True):
        assert ranged.nanos is not None
        assert fixed.nanos is not None
        low, high = ranged.interval or (ranged.nanos, ranged.nanos)
        assert low <= ranged.nanos <= high
        assert low - slack <= fixed.nanos <= high + slack


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(0), "0"),
        (Fraction(-5, 4), "-1.25"),
        (Fraction(1, 8), "0.125"),
        (Fraction(7, 5**4), "0.0112"),
        (Fraction(123 * 10**20), "12300000000000000000000"),
        (Fraction(2, 3), "0.666666666666"),
        (Fraction(-2, 3), "-0.666666666666"),
    ],
)
def test_fractions_whose_decimals_end_are_exact(value: Fraction, text: str):
    assert exact_decimal(value) == Decimal(text)
