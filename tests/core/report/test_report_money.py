"""Figures as text: exact, readable, and never zero for what is not zero."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.money import usd_text
from frugal_chains.report._money import (
    aligned,
    count_text,
    exact_text,
    plain_text,
    share_text,
)

nanos = st.integers(-(10**24), 10**24)


def usd(amount_nanos: int) -> Decimal:
    return Decimal(amount_nanos).scaleb(-9)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("0E-9", "$0.00"),
        ("0.000132", "$0.000132"),
        ("0.000000001", "$0.000000001"),
        ("1E-9", "$0.000000001"),
        ("1.500000000", "$1.50"),
        ("1250", "$1,250.00"),
        ("1E+6", "$1,000,000.00"),
        ("12345678.901234567", "$12,345,678.901234567"),
        ("-0.5", "-$0.50"),
    ],
)
def test_usd_reads_as_money(amount, text):
    assert usd_text(Decimal(amount)) == text


@settings(deadline=None)
@given(nanos)
def test_usd_parses_back_to_the_exact_amount(amount):
    text = usd_text(usd(amount))
    assert Decimal(text.replace("$", "").replace(",", "")) == usd(amount)
    assert len(text.partition(".")[2]) >= 2
    assert (text.strip("-$") == "0.00") == (amount == 0)


@settings(deadline=None)
@given(nanos)
def test_machine_text_is_exact_and_plain(amount):
    text = exact_text(usd(amount))
    assert Decimal(text) == usd(amount)
    assert "E" not in text
    assert not ("." in text and text.endswith("0"))


@settings(deadline=None)
@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_share_is_all_or_nothing_only_when_it_is(a, b):
    part, whole = min(a, b), max(a, b)
    text = share_text(part, whole)
    if whole == 0:
        assert text == "-"
        return
    assert (text == "0%") == (part == 0)
    assert (text == "100%") == (part == whole)
    assert text not in ("0.0%", "100.0%")
    if text[0] not in "<>" and 0 < part < whole:
        assert abs(Decimal(text.rstrip("%")) - Decimal(100 * part) / whole) <= Decimal("0.0500001")


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (1, 8, "12.5%"),
        (1, 3, "33.3%"),
        (2, 3, "66.7%"),
        (1, 1_000_000, "<0.1%"),
        (999_999, 1_000_000, ">99.9%"),
        (0, 5, "0%"),
        (5, 5, "100%"),
        (0, 0, "-"),
    ],
)
def test_a_share_reads_as_percent(part, whole, text):
    assert share_text(part, whole) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10.0k"),
        (12_345, "12.3k"),
        (999_949, "999.9k"),
        (999_950, "1.0M"),
        (2_340_000, "2.3M"),
        (5_000_000_000, "5.0B"),
        (7_654_000_000_000, "7,654.0B"),
    ],
)
def test_a_count_is_short(count, text):
    assert count_text(count) == text


@settings(deadline=None)
@given(st.integers(0, 10**15))
def test_a_short_count_is_within_five_percent(count):
    text = count_text(count).replace(",", "")
    units = {"k": 10**3, "M": 10**6, "B": 10**9}
    size = units.get(text[-1], 1)
    assert abs(Decimal(text.rstrip("kMB")) * size - count) <= Decimal(count) / 20


@settings(deadline=None)
@given(st.lists(nanos, min_size=1))
def test_aligned_amounts_keep_their_text_and_share_a_point(amounts):
    texts = [usd_text(usd(a)) for a in amounts]
    cells = aligned([*texts, "unpriced"])
    assert [cell.strip() for cell in cells] == [*texts, "unpriced"]
    assert len({len(cell) for cell in cells}) == 1
    assert len({cell.index(".") for cell in cells[:-1]}) == 1


@settings(deadline=None)
@given(st.text())
def test_names_reach_the_terminal_without_control_characters(name):
    assert plain_text(name).isprintable()


def test_printable_names_are_left_alone():
    assert plain_text("modèle [bold] 模型") == "modèle [bold] 模型"
    assert plain_text("a\x1b[31mb\n") == "a\\x1b[31mb\\n"
