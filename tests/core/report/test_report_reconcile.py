"""How a comparison with an export is told, and `frugal reconcile` from the outside."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from frugal_chains.cli._reconcile import reconcile as command
from frugal_chains.ledger import Ledger
from frugal_chains.reconcile import read_export
from frugal_chains.report import reconcile_json, reconcile_view
from frugal_chains.report._terminal_reconcile import percent_text
from tests.core.reconcile.test_reconcile_compare import compared, openai_attempts

FIXTURES = Path(__file__).parents[1] / "reconcile" / "fixtures"
USAGE, COST = str(FIXTURES / "openai_usage.csv"), str(FIXTURES / "openai_cost.csv")
LIMIT = Decimal("2.5")


def text_of(found, *, width: int = 80, limit: Decimal = LIMIT) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(reconcile_view(found, within_percent=limit, width=width))
    return console.export_text()


@pytest.mark.parametrize(
    ("percent", "text"),
    [(None, "-"), ("0", "0%"), ("1.25", "+1.2%"), ("-1.5", "-1.5%"), ("0.01", "<+0.1%"),
     ("-0.04", ">-0.1%"), ("12345.6", "+12,345.6%"), ("100", "+100.0%")],
)  # fmt: skip
def test_percentages_hide_nothing_that_is_small(percent, text):
    assert percent_text(None if percent is None else Decimal(percent)) == text


def test_the_view_has_both_sides_and_the_verdict():
    found = compared(read_export([Path(USAGE)]), openai_attempts())
    text = text_of(found)
    assert "200,000" in text
    assert "197,000" in text
    assert "-3,000" in text
    assert "-1.5%" in text
    assert "gpt-4o-mini" in text
    assert "through azure: 1" in " ".join(text.split())
    assert "Within 2.5%." in text
    for width in (60, 80):
        narrow = text_of(found, width=width)
        assert "…" not in narrow
        assert max(map(len, narrow.splitlines())) <= width


def test_the_view_says_what_is_not_within():
    found = compared(read_export([Path(USAGE), Path(COST)]), openai_attempts())
    text = text_of(found, limit=Decimal("0.5"))
    # 20.4 thousandths of 221.4 are 9.2 %.
    assert "Not within 0.5%: cost (-9.2%), input tokens (-1.5%)." in text
    assert "$0.2214" in text
    assert "-$0.0204" in text


def test_names_from_outside_cannot_steer_a_terminal(tmp_path):
    file = tmp_path / "u.csv"
    file.write_text(
        "start_time,end_time,model,input_tokens,output_tokens\n"
        "1793491200,1793577600,\x1b[31mred,5,5\n"
    )
    assert "\x1b" not in text_of(compared(read_export([file]), []))


def test_many_days_are_shown_where_they_differ_most(tmp_path):
    file = tmp_path / "u.csv"
    rows = [f"{1793491200 + 86400 * n},gpt-4o,{100 + n},1" for n in range(20)]
    file.write_text("start_time,model,input_tokens,output_tokens\n" + "\n".join(rows) + "\n")
    text = text_of(compared(read_export([file]), []))
    assert "2026-11-20" in text
    assert "2026-11-06" not in text.split("by model")[0].split("by day")[1]
    assert "and 6 with smaller differences" in text


def test_json_has_exact_amounts_and_stable_keys():
    found = compared(read_export([Path(USAGE), Path(COST)]), openai_attempts())
    document = json.loads(json.dumps(reconcile_json(found, within_percent=LIMIT)))
    assert document["total"]["usd"] == {
        "export": "0.2214", "ledger": "0.201", "difference": "-0.0204", "percent": -9.2141,
    }  # fmt: skip
    assert document["within"] is False
    assert document["judged"] == ["usd", "input_tokens", "output_tokens"]
    assert document["error_bar"]["input_tokens"]["largest_day"] == "2026-11-01"
    assert {"kind", "text", "attempts"} == set(document["reasons"][0])
    assert set(document) == {
        "provider", "files", "first_day", "last_day", "measures", "judged", "within_percent",
        "within", "total", "days", "models", "cells", "error_bar", "reasons",
    }  # fmt: skip


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def books(tmp_path, monkeypatch) -> str:
    monkeypatch.delenv("FRUGAL_LEDGER", raising=False)
    monkeypatch.chdir(tmp_path)
    with Ledger.open(str(tmp_path / "books.db")) as ledger:
        for each in openai_attempts():
            ledger.record(each)
    return str(tmp_path / "books.db")


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([USAGE], 0),
        ([USAGE, "--within", "1.5"], 0),
        ([USAGE, "--within", "1.4"], 3),
        ([USAGE, COST], 3),
        ([USAGE, COST, "--within", "10"], 0),
        ([USAGE, "--since", "2026-11-02", "--within", "0"], 0),
        ([USAGE, "--until", "2026-11-02", "--within", "1.9"], 3),
        ([USAGE, "--provider", "anthropic"], 1),
        ([USAGE, "--provider", "acme"], 2),
        ([USAGE, "--within", "-1"], 2),
        ([USAGE, "--since", "soon"], 2),
        (["nowhere.csv"], 1),
        ([USAGE, "--since", "2027-01-01"], 1),
    ],
)
def test_exit_codes_say_whether_the_books_agree(books, arguments, code):
    result = run(*arguments, "--ledger", books)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    if code == 1:
        assert result.stderr.startswith("frugal: ")


def test_json_of_the_command_has_the_ledgers_days(books):
    result = run(USAGE, "--ledger", books, "--json")
    document = json.loads(result.stdout)
    assert document["total"]["input_tokens"]["ledger"] == 197_000
    assert document["within"] is True
    kinds = {reason["kind"] for reason in document["reasons"]}
    assert {"aborted", "other providers", "ledger begins"} <= kinds


def test_attempts_just_before_midnight_are_told(books):
    from tests.core.reconcile.test_reconcile_compare import attempt

    with Ledger.open(books) as ledger:
        for minute in (58, 40):
            at = datetime(2026, 11, 3, 23, minute, tzinfo=UTC)
            ledger.record(attempt(at, "gpt-4o"))
    document = json.loads(run(USAGE, "--ledger", books, "--json").stdout)
    (edges,) = [r["attempts"] for r in document["reasons"] if r["kind"] == "edges"]
    assert edges == 1
