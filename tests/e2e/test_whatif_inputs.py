"""`frugal whatif` over its three kinds of input: the whole output, and its figures by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.core.replay.sheet.sheets import expected_path
from tests.e2e.whatif_inputs import (
    CHAT,
    EXPECTED,
    FAILED,
    FAQ,
    HOUSE,
    INPUTS,
    NIGHTLY,
    ROOT,
    chat_usage,
    place,
    printed,
)

MICRO = Decimal(1) / 10**6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("inputs")
    place(made)
    return made


def told(folder: Path, name: str) -> Any:
    return json.loads(printed(folder, *INPUTS[name], "--json"))


def lever(found: Any, name: str) -> Decimal | None:
    (alone,) = (each["alone_usd"] for each in found["levers"] if each["lever"] == name)
    return None if alone is None else Decimal(alone)


@pytest.mark.parametrize("name", INPUTS)
def test_the_whole_output_is_what_is_expected(name: str, folder: Path) -> None:
    expected = (EXPECTED / f"whatif_{name}.txt").read_text(encoding="utf-8")
    assert printed(folder, *INPUTS[name]) == expected


def test_there_is_an_expected_output_for_each_and_no_other() -> None:
    kept = {path.name for path in EXPECTED.glob("whatif_*")}
    assert kept == {f"whatif_{name}.txt" for name in INPUTS}


def test_a_sheet_is_printed_by_the_command_as_by_its_view() -> None:
    text = (EXPECTED / "whatif_sheet.txt").read_text(encoding="utf-8")
    sheet = ROOT / "examples" / "workloads" / "five_million_calls.toml"
    assert text == expected_path(sheet, ".txt").read_text(encoding="utf-8")


def raw(name: str) -> list[dict[str, Any]]:
    path = ROOT / "examples" / "traffic" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


OPENAI = {"gpt-4o": (2.5, 10), "gpt-4o-mini": (0.15, 0.6), "gpt-5-mini": (0.25, 2)}
"""USD a million (openai.com/api/pricing, 2025-11); the calls of gpt-5-mini are flex, at half."""


def test_the_bill_of_the_openai_example_is_its_usage_at_list_prices(folder: Path) -> None:
    bill = mail = Decimal(0)
    for line in raw("openai"):
        usage = line.get("response", {}).get("usage")
        if usage is None:
            continue  # an error
        asked, answered = (
            usage.get(f"{chat}_tokens", usage.get(f"{other}_tokens"))
            for chat, other in (("prompt", "input"), ("completion", "output"))
        )
        model = line["request"]["model"]
        share = Decimal("0.5") if model == "gpt-5-mini" else 1
        usd_in, usd_out = (Decimal(str(usd)) * share * MICRO for usd in OPENAI[model])
        bill += asked * usd_in + answered * usd_out
        if line.get("task") == "sort mail":  # the same tokenizer: as many tokens
            small_in, small_out = (Decimal(str(usd)) * MICRO for usd in OPENAI["gpt-4o-mini"])
            mail += asked * (usd_in - small_in) + answered * (usd_out - small_out)
    found = told(folder, "openai")
    assert Decimal(found["recorded"]["usd"]) == bill == Decimal("0.0026454")
    assert found["before"]["usd"] == found["recorded"]["usd"]
    assert lever(found, "routing") == mail == Decimal("0.0005123")


def test_the_bill_of_the_anthropic_example_is_its_usage_at_list_prices(folder: Path) -> None:
    """Sonnet 4.5 at 3 and 15 USD a million, written for an hour at 6, read at 0.30; Haiku 4.5 in a
    batch at 0.50 and 2.50 (platform.claude.com pricing, 2025-11)."""
    bill = Decimal(0)
    for line in raw("anthropic"):
        message = line.get("response") or line["result"]["message"]
        usage, is_batch = message["usage"], "result" in line
        usd_in, usd_out = (Decimal("0.5"), Decimal("2.5")) if is_batch else (3, 15)
        bill += usage["input_tokens"] * usd_in + usage["output_tokens"] * usd_out
        bill += usage["cache_creation"]["ephemeral_1h_input_tokens"] * 6
        bill += usage["cache_read_input_tokens"] * Decimal("0.3")
    found = told(folder, "anthropic")
    assert Decimal(found["recorded"]["usd"]) == bill * MICRO == Decimal("0.0175665")
    assert abs(found["simulated_over_recorded"]) < 0.025


def test_the_bill_of_the_ledger_is_what_was_booked_and_levers_are_list_prices(
    folder: Path,
) -> None:
    found = told(folder, "ledger")
    faq = FAQ * (1_200 * Decimal("2.5") + 150 * 10)
    talk = sum((chat_usage(turn).input_tokens * 3 + 250 * 15 for turn in range(8)), start=0)
    nightly = NIGHTLY * (3_000 * Decimal("0.4") + 400 * Decimal("1.6"))
    bill = (faq + CHAT // 8 * talk + nightly) * MICRO
    assert found["calls"] == FAQ + CHAT + NIGHTLY + FAILED + HOUSE
    assert (found["with_text"], found["recorded"]["unpriced"]) == (0, HOUSE)
    assert Decimal(found["recorded"]["usd"]) == bill
    assert lever(found, "batch") == nightly * MICRO / 2
    assert lever(found, "routing") == (
        # The house's calls are routed too: what they have cost is not known, so that is no saving.
        faq * MICRO - (FAQ + HOUSE) * (1_200 * Decimal("0.15") + 150 * Decimal("0.6")) * MICRO
    )
    steps = [each["step_usd"] for each in found["levers"] if each["step_usd"] is not None]
    assert sum(map(Decimal, steps)) == Decimal(found["saved_usd"])
    assert lever(found, "compression") is None


def test_half_the_price_of_one_model_is_half_of_its_part(folder: Path) -> None:
    now, new = told(folder, "openai_prices")["price_lists"]
    large = (716 * Decimal("2.5") + 68 * 10) * MICRO  # the calls of gpt-4o, added up by hand
    assert Decimal(now["before"]["usd"]) - Decimal(new["before"]["usd"]) == large / 2
    assert [each["recommended"] for each in (now, new)] == [["routing"], ["routing"]]
    compared = told(folder, "sheet_prices")["compared"]
    # 5M x (800 x 2.50 + 300 x 10) / 1M = 25,000, at half 12,500; mixes keep 45 and 10 % of it.
    assert [[load["cost_usd"] for load in each["workloads"]] for each in compared] == [
        ["25000", "11962.5", "3662.5"],
        ["12500", "6337.5", "2412.5"],
    ]
