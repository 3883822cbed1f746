"""What is printed of a sheet beside the shipped ones."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest
from rich.cells import cell_len

from frugal_chains.pricing import PriceBook
from frugal_chains.replay.sheet import Line, SheetBill, read_sheet, sheet_bill
from frugal_chains.report._json_sheet import sheet_json
from frugal_chains.report._sheet_texts import line_text, percent_text
from tests.core.replay.sheet.sheets import EXAMPLES, SMALL, printed, sheet_of

BOOK = PriceBook()


def bill_of(text: str, book: PriceBook = BOOK) -> SheetBill:
    return sheet_bill(sheet_of(text), book)


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_arithmetic_is_shown():
    text = words(printed(bill_of(f"retry_rate = 0.02\nbatch_share = 0.5\n{SMALL}")))
    assert "1,000,000 calls x 1.02 with retries x 0.5 not in batches = 510,000 calls" in text
    assert "input 510,000 calls x 4,000 tokens x $2.50 / 1M = $5,100.00" in text
    assert "gpt-4o, batch tier: 1,000,000 calls x 1.02 with retries x 0.5 in batches" in text
    assert "output 510,000 calls x 300 tokens x $5.00 / 1M = $765.00" in text


def test_a_fee_for_each_call_is_shown_as_it_is_billed(tmp_path: Path):
    path = tmp_path / "prices.toml"
    path.write_text('[[price]]\nprovider = "x"\nmodel = "m"\ninput = 1\noutput = 2\nrequest = 5\n')
    bill = bill_of(SMALL.replace("gpt-4o", "m") + 'provider = "x"\n', PriceBook.load(path))
    # 1M x 4,000 x 1 / 1M + 1M x 300 x 2 / 1M + 1M x 5 / 1,000
    assert bill.baseline.nanos == (4_000 + 600 + 5_000) * 1_000_000_000
    assert "request 1,000,000 calls x $5.00 / 1,000 = $5,000.00" in words(printed(bill))


def test_a_free_model_says_so(tmp_path: Path):
    path = tmp_path / "prices.toml"
    path.write_text('[[free]]\nprovider = "home"\n')
    bill = bill_of(f'{SMALL}provider = "home"\n', PriceBook.load(path))
    assert "baseline: $0.00 a month" in printed(bill)
    assert "free: known to cost nothing" in printed(bill)
    assert sheet_json(bill)["workloads"][0]["parts"][0]["outcome"] == "free"


def test_what_has_no_price_is_not_a_low_one():
    bill = bill_of(
        f'{SMALL}share = 0.5\n[[model]]\nname = "nonsense-9"\nshare = 0.5\n'
        '[[scenario]]\nname = "cached"\ncache_hit_rate = 0.5\n'
        '[[claim]]\ntext = "It costs $1."\ncost_usd = 1\n'
    )
    text = words(printed(bill))
    assert "baseline unpriced - -" in text
    assert "baseline: not known; $6,500.00 a month without what is unpriced" in text
    assert "nonsense-9, standard: no provider known for model 'nonsense-9'" in text
    assert (
        "UNKNOWN: It costs $1. Claimed: $1.00 a month. It cannot be checked: no price for "
        "nonsense-9." in text
    )
    (baseline, cached), (claim,) = sheet_json(bill)["workloads"], sheet_json(bill)["claims"]
    assert (baseline["cost_usd"], baseline["priced_usd"]) == (None, "6500")
    assert (cached["saved_usd"], cached["saved_share"]) == (None, None)
    assert (claim["verdict"], claim["real"]) == ("unknown", None)


def test_a_scenario_that_costs_more_says_so():
    bill = bill_of(f'{SMALL}[[scenario]]\nname = "again"\nretry_rate = 1.5\n')
    assert "again: $32,500.00 a month, costs more by $19,500.00 (150%)" in printed(bill)
    assert "-$19,500.00" in printed(bill)
    assert "-150%" in printed(bill)


def test_a_right_claim_is_confirmed():
    bill = bill_of(f'{SMALL}[[claim]]\ntext = "About 13k"\nsource = "a memo"\ncost_usd = 13_100\n')
    assert "RIGHT: About 13k. Claimed: $13,100.00 a month. It is $13,000.00 a month." in words(
        printed(bill)
    )
    assert "source: a memo" in printed(bill)


def test_several_price_lists_stand_side_by_side(tmp_path: Path):
    path = tmp_path / "prices.toml"
    path.write_text('[[multiplier]]\nprovider = "openai"\ndiscount = 0.9\n')
    sheet = sheet_of(f'{SMALL}[[scenario]]\nname = "batches"\nbatch_share = 1\n')
    list_prices, ours = sheet_bill(sheet, BOOK), sheet_bill(sheet, PriceBook.load(path))
    text = words(printed(list_prices, [("ours", ours)]))
    assert "baseline $13,000.00 $11,700.00 batches $6,500.00 $5,850.00" in text
    (compared,) = sheet_json(list_prices, [("ours", ours)])["compared"]
    assert compared["prices"] == "ours"
    assert [each["cost_usd"] for each in compared["workloads"]] == ["11700", "5850"]


def test_another_day_than_the_sheets_is_told():
    bill = sheet_bill(sheet_of(SMALL), BOOK, at=datetime(2026, 3, 1, tzinfo=UTC))
    assert "prices of 2026-03-01 00:00 UTC, not of 2026-11-20 as the sheet asks" in printed(bill)


def test_steps_inside_a_range_are_told():
    text = SMALL.replace("gpt-4o", "gpt-6-sol").replace("4_000", "[200_000, 250_000, 300_000]")
    assert "baseline: a price step" in printed(bill_of(text))


def test_a_name_cannot_command_the_terminal():
    text = SMALL.replace('"gpt-4o"', '"gpt\\u001b[31m"') + '[[claim]]\ntext = "a\\u0007"\n'
    shown = printed(bill_of(f'title = "\\u001b[2J"\n{text}cost_usd = 1\n'))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "gpt\\x1b[31m" in shown


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("width", [60, 80, 200])
def test_lines_fit_the_terminal_and_no_figure_is_cut(width: int, path: Path):
    text = printed(sheet_bill(read_sheet(path), BOOK), width=width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "\N{HORIZONTAL ELLIPSIS}" not in text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (Fraction(5_215, 10_000), "52.15%"),
        (Fraction(1, 3), "33.33%"),
        (Fraction(0), "0%"),
        (Fraction(1), "100%"),
        (Fraction(1, 10**6), "<0.01%"),
        (Fraction(-1, 10**6), "-<0.01%"),
        (1 - Fraction(1, 10**6), ">99.99%"),
        (Fraction(-3, 2), "-150%"),
        (Fraction(2), "200%"),
    ],
)
def test_shares_hide_nothing_small(share: Fraction, text: str):
    assert percent_text(share) == text


def test_a_line_with_odd_numbers_is_exact():
    line = Line(
        "output",
        Fraction(2_001, 2),
        3,
        BOOK.explain("gpt-4o").bands[0].per_mtok["output"],
        30_015_000,
    )
    assert line_text(line) == "1,000.5 calls x 3 tokens x $10.00 / 1M = $0.030015"
