"""The shipped sheets: their figures by hand, their claims, and what is printed of them.

`expected/` has the output of each, as text of 100 columns and as JSON. After a wanted change:
`python -m tests.core.replay.sheet.write_expected`, and read the difference.
"""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest

from frugal_chains.pricing import PriceBook
from frugal_chains.replay.sheet import SheetBill, read_sheet, sheet_bill
from tests.core.replay.sheet.sheets import EXAMPLES, expected_path, printed, printed_json

USD = 1_000_000_000
BOOK = PriceBook()


def bill_of(name: str) -> SheetBill:
    (path,) = (path for path in EXAMPLES if path.stem == name)
    return sheet_bill(read_sheet(path), BOOK)


def test_there_is_an_expected_output_for_each_sheet_and_no_other():
    kept = {path.name for path in expected_path(EXAMPLES[0], ".txt").parent.iterdir()}
    assert kept == {path.stem + end for path in EXAMPLES for end in (".txt", ".json")}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_shipped_sheet_prints_what_is_expected(path: Path):
    bill = sheet_bill(read_sheet(path), BOOK)
    assert printed(bill) == expected_path(path, ".txt").read_text(encoding="utf-8")
    assert printed_json(bill) == expected_path(path, ".json").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_shipped_sheet_has_a_price_for_everything(path: Path):
    bill = sheet_bill(read_sheet(path), BOOK)
    assert all(each.nanos is not None for each in bill.workloads)


def test_five_million_calls():
    # 5M x 800 x 2.50 / 1M + 5M x 300 x 10 / 1M = 10,000 + 15,000; gpt-4o-mini, at 0.15 and 0.60:
    # 600 + 900; Gemini 1.5 Flash, at 0.075 and 0.30: 300 + 450.
    large, mini, flash = 25_000, 1_500, 750
    bill = bill_of("five_million_calls")
    conservative, routed = bill.scenarios
    assert bill.baseline.nanos == large * USD
    assert conservative.nanos == (45 * large + 40 * mini + 15 * flash) * USD // 100
    assert conservative.nanos == 11_962_500_000_000
    assert routed.nanos == (10 * large + 65 * mini + 25 * flash) * USD // 100
    assert routed.nanos == 3_662_500_000_000
    assert conservative.saved_share == Fraction(5_215, 10_000)  # 52 %


def test_the_inferred_mixes_are_the_only_ones_in_twentieths():
    found = {
        (large, mini, 20 - large - mini): large * 25_000 + mini * 1_500 + (20 - large - mini) * 750
        for large, mini in product(range(21), repeat=2)
        if large + mini <= 20
    }
    assert [mix for mix, usd in found.items() if usd == 20 * 11_962.5] == [(9, 8, 3)]
    assert [mix for mix, usd in found.items() if usd == 20 * 3_662.5] == [(2, 13, 5)]


def test_the_claims_of_the_source_documents_are_named_with_both_figures():
    checks = [check for path in EXAMPLES for check in bill_of(path.stem).claims]
    assert {check.verdict for check in checks} == {"wrong"}
    assert [(check.claim.figure, check.claim.claimed, check.real) for check in checks] == [
        ("share_of_input", Fraction(1, 2), Fraction(1, 10)),
        ("cost_usd", 17_500, 25_000),
        ("cost_usd", 4_200, Fraction("3662.5")),
        ("cost_usd", 7_000, Fraction("11962.5")),
        ("saved_share", Fraction(3, 5), Fraction("0.5215")),
        ("usd_per_mtok", Fraction("1.75"), 30),
    ]
    assert checks[0].others == (("cache_write_5m", Fraction(5, 4)), ("cache_write_1h", 2))
    assert checks[-1].price_of == Fraction("1.75")  # gpt-5.2's


def test_a_thousand_messages_on_gpt_4():
    # 1M x 30 / 1M + 0.5M x 60 / 1M; of gpt-5.2 1M x 1.75 / 1M + 0.5M x 14 / 1M.
    bill = bill_of("gpt4_per_message")
    assert [each.nanos for each in bill.workloads] == [60 * USD, 8_750_000_000]


def test_a_long_prompt_on_claude():
    # 1M calls of 5,500 tokens at 3 and 300 at 15: 16,500 + 4,500. Cached: 500 x 3 fresh, 5,000 at
    # 0.30 for hits and at 3.75 or 6 for misses.
    bill = bill_of("anthropic_cache")
    rest = 1_500 + 4_500
    assert [each.nanos for each in bill.workloads] == [
        21_000 * USD,
        (rest + 1_350 + 1_875) * USD,
        (rest + 1_470 + 600) * USD,
        (rest + 300 + 15_000) * USD,
        (rest + 600 + 18_000) * USD,
    ]


def test_the_support_assistant_routed_cached_and_in_batches():
    bill = bill_of("support_assistant")
    # 1,020,000 x (5,000 x 3 + 250 x 15) / 1M, of the lowest range 816,000 x (4,500 x 3 + 180 x 15).
    assert bill.baseline.nanos == 1_020_000 * (15_000 + 3_750) * 1_000
    assert bill.baseline.interval is not None
    assert bill.baseline.interval.low == 816_000 * (13_500 + 2_700) * 1_000
    assert bill.baseline.interval.high == 1_530_000 * (17_700 + 6_000) * 1_000
    # Live and in batches at half, for each model; the classifier beside them.
    steps = [each for each in bill.scenarios if each.name.endswith("batch")]
    (last,) = steps
    nanos = {(p.role, p.model, p.tier): p.nanos for p in last.parts}
    live, batch = Fraction(3, 4), Fraction(1, 4)
    mini = 1_240 * 250 + 2_560 * (Fraction(4, 5) * 25 + Fraction(1, 5) * 250) + 250 * 2_000
    sonnet = 1_200 * 3_000 + 2_600 * (Fraction(4, 5) * 300 + Fraction(1, 5) * 3_750) + 250 * 15_000
    drafts, again = 816_000, 97_920
    assert nanos["answer", "gpt-5-mini", "standard"] == drafts * live * mini
    assert nanos["answer", "gpt-5-mini", "batch"] == drafts * batch * mini / 2
    assert nanos["escalation", "claude-sonnet-4-6", "standard"] == again * live * sonnet
    assert nanos["escalation", "claude-sonnet-4-6", "batch"] == again * batch * sonnet / 2
    assert nanos["classifier", "gpt-5-nano", "standard"] == 1_000_000 * (140 * 50 + 4 * 400)


def test_the_expected_json_adds_up():
    """Lines sum to parts, parts to workloads, and a saving is a difference."""
    for path in EXAMPLES:
        document = json.loads(expected_path(path, ".json").read_text(encoding="utf-8"))
        baseline = Fraction(document["workloads"][0]["cost_usd"])
        for each in document["workloads"]:
            parts = each["parts"]
            cost = Fraction(each["cost_usd"])
            assert cost == sum(Fraction(part["cost_usd"]) for part in parts)
            if each["saved_usd"] is not None:
                assert Fraction(each["saved_usd"]) == baseline - cost
            for part in parts:
                assert Fraction(part["cost_usd"]) == sum(
                    Fraction(line["calls"])
                    * line["tokens"]
                    * Fraction(line["usd_per_mtok"])
                    / 10**6
                    for line in part["lines"]
                )
