"""From baseline to bill, as `frugal report` says it: the same facts on a screen and as JSON."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from decimal import Decimal

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from frugal_chains.cli import main
from frugal_chains.ledger import Ledger
from frugal_chains.report import report_json, report_view
from frugal_chains.savings import Step, Waterfall
from tests.core.report.sample_books import report_of, sample
from tests.core.savings.samples import PRICES, attempt, effect, routed

FOUND = Waterfall(
    bill_nanos=6_000_000_000,
    steps=(
        Step(name="memory", modelled_nanos=3_000_000_000, effects=12, attempts=2),
        Step(name="compression", effects=4, unknown_effects=4),
        Step(name="routing", modelled_nanos=2_000_000_000, attempts=9, unknown_attempts=1),
        Step(name="prompt_cache", measured_nanos=-500_000_000, effects=3, unknown_effects=1),
        Step(name="summaries", measured_nanos=-500_000_000, attempts=2),
    ),
    operations=40,
    covered_operations=10,
    covered_nanos=4_500_000_000,
    attempts=60,
    unpriced=2,
    loose_effects=1,
)
"""$10 came down to $6: by $3 and $2, and up by two times $0.50."""


def printed(found: Waterfall | None, *, width: int = 100, encoding: str = "utf-8") -> str:
    facts = replace(report_of(sample()), savings=found)
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False)
    console.print(report_view(facts, width=width, encoding=console.encoding))
    out.seek(0)
    _, _, section = out.read().partition("From baseline to bill")
    return section


def rows(section: str) -> list[list[str]]:
    return [line.split() for line in section.splitlines() if "$" in line or "unknown " in line]


def test_a_report_of_no_lever_has_no_waterfall():
    assert printed(None) == ""
    assert report_json(report_of(sample()))["savings"] is None


def test_every_step_has_its_sign_and_its_share_of_the_baseline():
    assert [row[:3] for row in rows(printed(FOUND)) if row[0] != "unknown:"] == [
        ["baseline", "$10.00", "100%"],
        ["memory", "+$3.00", "30.0%"],
        ["compression", "unknown", "-"],
        ["routing,", "cascade", "+$2.00"],
        ["prompt", "cache", "-$0.50"],
        ["summaries", "-$0.50", "-5.0%"],
        ["bill", "$6.00", "60.0%"],
    ]


def test_below_it_stands_what_is_known_and_how():
    text = " ".join(printed(FOUND).split())
    assert "coverage: 75.0% of the bill, 25.0% of operations (10 of 40)" in text
    # $5 of $6: gains and losses alike.
    assert "modelled: 83.3% of the amounts" in text
    assert (
        "unknown: 5 effects (compression 4, prompt cache 1), 1 attempt (routing, cascade 1), "
        "2 unpriced attempts; they are in no amount" in text
    )
    assert "of no operation with an attempt here: 1 effect;" in text


def test_bars_lie_where_their_amounts_do():
    """24 cells are $10, so $3 are 7.2 of them and $0.50 is 1.2: parts of a cell are a cell."""
    lines = [line for line in printed(FOUND, encoding="ascii").splitlines() if "$" in line]
    bars = [line[line.index("%") + 1 :][2:].rstrip() for line in lines]
    assert bars == [
        "#" * 24,
        " " * 16 + "#" * 8,
        " " * 12 + "#" * 5,
        " " * 12 + "=" * 2,
        " " * 13 + "=" * 2,
        "#" * 15,
    ]


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_it_fits_any_screen(width, encoding):
    long = replace(FOUND, bill_nanos=987_654_321_987_654_321)
    for found in (FOUND, long, replace(FOUND, bill_nanos=0), Waterfall(loose_effects=1)):
        text = printed(found, width=width, encoding=encoding)
        assert max(map(len, text.splitlines()[1:])) <= width
        assert "unknown" in text or not found.steps


def test_a_loss_beyond_the_bill_has_no_share_and_hides_nothing():
    lost = Waterfall(
        bill_nanos=100, steps=(Step(name="memory", modelled_nanos=-250, effects=1),), attempts=1
    )
    assert [row[:3] for row in rows(printed(lost))][:3] == [
        ["baseline", "-$0.00000015", "-"],
        ["memory", "-$0.00000025", "-"],
        ["bill", "$0.0000001", "-"],
    ]
    document = report_json(replace(report_of([]), savings=lost))["savings"]
    assert (document["baseline_usd"], document["steps"][0]["share"]) == ("-0.00000015", None)


def test_a_loss_may_be_larger_than_the_baseline():
    lost = Waterfall(
        bill_nanos=1_300, steps=(Step(name="memory", modelled_nanos=-1_200, effects=1),), attempts=1
    )
    assert "-1,200.0%" in printed(lost)


def test_without_any_price_both_ends_are_unpriced():
    unpriced = Waterfall(steps=FOUND.steps, attempts=3, unpriced=3)
    ends = [line.split() for line in printed(unpriced).splitlines() if "unpriced " in line]
    assert [line[:2] for line in ends[:2]] == [["baseline", "unpriced"], ["bill", "unpriced"]]
    document = report_json(replace(report_of([]), savings=unpriced))["savings"]
    assert (document["baseline_usd"], document["bill_usd"]) == (None, None)


def test_json_says_the_same_exactly():
    document = report_json(replace(report_of(sample()), savings=FOUND))["savings"]
    steps = {step["name"]: step for step in document["steps"]}
    assert list(steps) == ["memory", "compression", "routing", "prompt_cache", "summaries"]
    known = [Decimal(step["usd"]) for step in steps.values() if step["usd"] is not None]
    assert Decimal(document["baseline_usd"]) - Decimal(document["bill_usd"]) == sum(known) == 4
    assert steps["compression"] == {
        "name": "compression", "kind": "lever", "usd": None, "share": None, "measured_usd": "0",
        "modelled_usd": "0", "effects": 4, "attempts": 0, "unknown_effects": 4,
        "unknown_attempts": 0,
    }  # fmt: skip
    assert (steps["summaries"]["kind"], steps["summaries"]["share"]) == ("overhead", -0.05)
    del document["steps"]
    assert document == {
        "baseline_usd": "10", "bill_usd": "6", "saved_usd": "4", "measured_usd": "-1",
        "modelled_usd": "5", "modelled_share": 5 / 6, "operations": 40, "covered_operations": 10,
        "covered_usd": "4.5", "covered_share": 0.75, "attempts": 60, "unpriced": 2,
        "unknown_effects": 5, "unknown_attempts": 1, "loose_effects": 1,
    }  # fmt: skip


# -- the command -------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    """No ledger or price file of the machine the tests run on."""
    for name in ("FRUGAL_LEDGER", "FRUGAL_PRICES", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prices.toml").write_text(PRICES, encoding="utf-8")


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["report", "--ledger", "books.db", *arguments])
    assert result.exit_code == 0, result.output
    return result


def savings(*arguments: str) -> dict:
    return json.loads(run("--json", *arguments).stdout)["savings"]


def test_the_command_prints_it_of_the_period_asked_for():
    with Ledger.open("books.db") as books:
        books.record(routed())  # $0.00066, of `dear` $0.0066
        books.record(attempt(1, nanos=40_000, purpose="classify"))
        books.record_effect(effect("compression.shape", 260_000))
    document = savings("--baseline-model", "acme/big")
    assert [(step["name"], step["usd"]) for step in document["steps"]] == [
        ("compression", "0.00026"), ("routing", "0.00594"), ("classifiers", "-0.00004"),
    ]  # fmt: skip
    assert (document["baseline_usd"], document["bill_usd"]) == ("0.00686", "0.0007")
    assert "+$0.00594" in run("--baseline-model", "acme/big").stdout
    # Which model `dear` is, nothing in these books says.
    assert savings()["steps"][1]["usd"] is None
    assert savings("--since", "2026-11-11") is None


def test_a_baseline_that_has_no_price_is_refused_with_the_way_out():
    with Ledger.open("books.db") as books:
        books.record(routed())
    arguments = ["report", "--ledger", "books.db", "--baseline-model", "bigger"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "bigger" in result.stderr
    assert "prices.toml" in result.stderr


def test_the_command_says_nothing_of_savings_where_no_lever_was():
    with Ledger.open("books.db") as books:
        books.record(attempt())
        books.record(attempt(1, purpose="retry"))
    assert savings() is None
    assert "From baseline" not in run().stdout


def test_a_decision_alone_is_a_lever():
    with Ledger.open("books.db") as books:
        books.record(routed(chosen="dear"))
    assert savings()["saved_usd"] == "0"
