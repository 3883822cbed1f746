"""`frugal whatif --sweep` and `--prices` more than once: what is printed, written and refused."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from frugal_chains import Ledger
from frugal_chains.cli import main
from frugal_chains.ledger import left_behind
from frugal_chains.ledger._append import Entry
from frugal_chains.ledger._inbox import Inbox
from frugal_chains.replay import read_setup
from frugal_chains.usage import Usage
from tests.core.report.sample_books import attempt
from tests.core.report.test_report_whatif import _alone, recorded

__all__ = ["_alone"]

MODELS = ("--sweep", "routing.by_task.faq=openai:gpt-4o-mini,openai:gpt-4.1-nano,none")
SHEET = """
prices_on = 2026-11-20
calls = 1_000_000
[shape]
input_tokens = 4_000
output_tokens = 300
[[model]]
name = "gpt-4o"
[[scenario]]
name = "small"
[[scenario.model]]
name = "{model}"
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["whatif", *arguments])


def run_json(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def words(text: str) -> str:
    return " ".join(text.split())


def priced(name: str, discount: float) -> str:
    Path(name).write_text(
        f'[[multiplier]]\nprovider = "openai"\nmodel = "gpt-4o"\ndiscount = {discount}\n'
    )
    return name


# -- sweeps ----------------------------------------------------------------------------------------


def test_the_lowest_bill_stands_first_and_is_written() -> None:
    """21 calls of 1,000 and 200 tokens: $0.0045 each on gpt-4o, $0.00027 on gpt-4o-mini, $0.00018
    on gpt-4.1-nano (2.50 and 10, 0.15 and 0.60, 0.10 and 0.40 USD a million, 2026-11)."""
    result = run(recorded("t.jsonl"), *MODELS, "--out", "frugal.toml")
    assert result.exit_code == 0, result.output
    text = words(result.stdout)
    assert "3 ways to set routing.by_task.faq" in text
    assert "bill, no lever $0.0945" in text
    assert "recommended routing.by_task.faq = openai:gpt-4.1-nano" in text
    table = text[text.index("faq bill saved share +- cached") :]
    nano = table.index("openai:gpt-4.1-nano $0.00378 $0.09072 96.0%")
    mini = table.index("openai:gpt-4o-mini $0.00567 $0.08883 94.0%")
    usual = table.index("none $0.0945 $0.00 0%")
    assert nano < mini < usual
    assert "best" in table[nano:mini]
    assert "best" not in table[mini:].replace("best:", "")
    assert "as it is set" in table[usual:]
    setup = read_setup("frugal.toml")
    assert setup.routing is not None
    assert dict(setup.routing.by_task) == {"faq": ("openai", "gpt-4.1-nano")}


def test_the_sweep_for_machines() -> None:
    found = run_json(recorded("t.jsonl"), *MODELS)
    assert found["calls"] == found["with_text"] == 21
    assert found["keys"] == ["routing.by_task.faq"]
    first, second, usual = found["points"]
    assert found["best"] == 0
    assert first["values"] == {"routing.by_task.faq": "openai:gpt-4.1-nano"}
    assert usual["values"] == {"routing.by_task.faq": None}
    assert [each["as_set"] for each in found["points"]] == [False, False, True]
    assert Decimal(first["bill"]["usd"]) == 21 * Decimal("0.00018")
    assert Decimal(second["saved_usd"]) == Decimal("0.0945") - 21 * Decimal("0.00027")
    assert second["saved_share"] == pytest.approx(0.94)
    assert [each["surely_dearer_than_lowest"] for each in found["points"]] == [False, True, True]
    assert "[routing.by_task]" in found["recommended"]


def test_a_sweep_of_two_keys_is_their_product() -> None:
    found = run_json(
        recorded("t.jsonl"),
        *("--sweep", "memory.keep_tokens=500,1000", "--sweep", "compression.budget_tokens=200,400"),
    )
    assert len(found["points"]) == 5  # and as it is set
    assert found["best"] is None
    assert found["recommended"] == ""  # none of them changes anything


def test_what_no_value_changes_is_not_recommended() -> None:
    text = words(run(recorded("t.jsonl"), "--sweep", "memory.keep_tokens=500,900").stdout)
    assert "recommended no lever: no setup is surely cheaper" in text
    assert "None is surely the best" in text
    assert "500 $0.0945 $0.00" in text
    assert "the same bill" in text


def test_what_saves_is_kept_where_no_value_is_surely_better() -> None:
    arguments = (recorded("t.jsonl"), "--route", "faq=openai:gpt-4o-mini")
    swept = ("--sweep", "memory.keep_tokens=500,900", "--out", "frugal.toml")
    text = words(run(*arguments, *swept).stdout)
    assert "recommended as it is set: no other is surely cheaper $0.08883 less (94.0%)" in text
    assert read_setup("frugal.toml").on == ("memory", "compression", "routing", "prompt_cache")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_sweep_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = run(recorded("t.jsonl"), "--sweep", "memory.keep_tokens=500,1000").stdout
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "\N{HORIZONTAL ELLIPSIS}" not in text


# -- price lists -----------------------------------------------------------------------------------


def test_a_recording_at_two_price_lists() -> None:
    lists = ("--prices", priced("now.toml", 1.0), "--prices", priced("new.toml", 0.05))
    arguments = (recorded("t.jsonl"), "--route", "faq=openai:gpt-4o-mini", *lists)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    text = words(result.stdout)
    # 21 x 0.0045 and a twentieth of it; 21 x 0.00027 on gpt-4o-mini, at either list.
    assert "The same traffic at 2 price lists" in text
    assert "now.toml $0.0945 $0.00567 $0.08883 94.0%" in text
    assert "new.toml $0.004725 $0.00567 -$0.000945 -20.0%" in text
    assert "routing $0.08883 -$0.000945" in text
    assert "Best together now.toml routing: $0.00567" in text
    assert "new.toml no lever" in text
    now, new = run_json(*arguments)["price_lists"]
    assert (now["prices"], new["prices"]) == ("now.toml", "new.toml")
    assert (now["before"]["usd"], new["before"]["usd"]) == ("0.0945", "0.004725")
    assert (now["recommended"], new["recommended"]) == (["routing"], [])
    alone = run_json(*arguments[:3], "--prices", "new.toml")
    assert new == {"prices": "new.toml", **alone}


def test_a_ledger_at_two_price_lists() -> None:
    with Ledger.open("books.db") as books:
        for number in range(30):
            usage = Usage(input_tokens=1_000, output_tokens=200)
            books.record(attempt(day=number, usage=usage, tags={"feature": "faq"}))
    lists = ("--prices", priced("now.toml", 1.0), "--prices", priced("new.toml", 0.5))
    found = run_json("--ledger", "books.db", "--batch", "faq", *lists)
    assert [each["calls"] for each in found["price_lists"]] == [30, 30]
    assert [each["before"]["usd"] for each in found["price_lists"]] == ["0.135", "0.0675"]
    assert [each["after"]["usd"] for each in found["price_lists"]] == ["0.0675", "0.03375"]


def test_a_sheet_at_two_price_lists() -> None:
    Path("sheet.toml").write_text(SHEET.format(model="gpt-4o-mini"))
    # 1M x (4,000 x 2.50 + 300 x 10) / 1M = 13,000, a twentieth: 650; 600 + 180 = 780 on mini.
    lists = ("--prices", priced("now.toml", 1.0), "--prices", priced("new.toml", 0.05))
    text = words(run("sheet.toml", *lists).stdout)
    assert "a month, by prices now.toml new.toml" in text
    assert "baseline $13,000.00 $650.00 small $780.00 $780.00" in text
    assert "saved, by prices now.toml new.toml" in text
    assert "small $12,220.00 94% -$130.00 -20%" in text
    assert "Cheapest now.toml small: $780.00 a month new.toml baseline: $650.00 a month" in text
    found = run_json("sheet.toml", *lists)
    assert [each["prices"] for each in found["compared"]] == ["now.toml", "new.toml"]
    assert [each["workloads"][1]["saved_usd"] for each in found["compared"]] == ["12220", "-130"]
    assert found["workloads"][0]["cost_usd"] == "13000"
    assert run_json("sheet.toml", "--prices", "now.toml")["compared"] == []


# -- what is refused, and what is told -------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["t.jsonl", "--sweep", "memory.keep=5"], "memory.keep_tokens"),
        (["t.jsonl", "--sweep", "memory.keep_tokens=x"], "a whole number"),
        (["t.jsonl", "--sweep", f"memory.keep_tokens={','.join(map(str, range(99)))}"], "99"),
        (["t.jsonl", "--sweep", "memory.keep_tokens=5", "--tasks"], "--tasks"),
        (["t.jsonl", "--since", "7d"], "--since"),
        (["t.jsonl", "--ledger", "books.db"], "--ledger"),
        (["t.jsonl", "--prices", "p.toml", "--prices", "p.toml", "--out", "f.toml"], "--out"),
        (["t.jsonl", "--prices", "p.toml", "--prices", "p.toml", "--tasks"], "--tasks"),
        (
            ["t.jsonl", "--prices", "p.toml", "--prices", "p.toml",
             "--sweep", "memory.keep_tokens=5"],
            "--sweep",
        ),
        (["sheet.toml", "--sweep", "memory.keep_tokens=5"], "no calls to replay"),
        (["sheet.toml", "--out", "f.toml"], "no calls to replay"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together(arguments: list[str], said: str) -> None:
    recorded("t.jsonl")
    priced("p.toml", 1)
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert said in words(result.output)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_sheet_with_a_model_without_a_price_is_printed_and_told_by_the_exit_code(
    form: list[str],
) -> None:
    Path("sheet.toml").write_text(SHEET.format(model="nonsense-9"))
    result = run("sheet.toml", *form)
    assert result.exit_code == 1
    assert "13000" in result.stdout.replace(",", "")
    assert result.stderr == "frugal: no price for 'nonsense-9': totals with it are not known\n"
    # One of the lists knows it.
    Path("ours.toml").write_text(
        '[[price]]\nprovider = "openai"\nmodel = "nonsense-9"\ninput = 1\noutput = 1\n'
    )
    Path("plain.toml").write_text("")
    Path("sheet.toml").write_text(SHEET.format(model="nonsense-9") + 'provider = "openai"\n')
    assert run("sheet.toml", *form, "--prices", "ours.toml").exit_code == 0
    both = run("sheet.toml", *form, "--prices", "ours.toml", "--prices", "plain.toml")
    assert both.exit_code == 1
    if not form:
        text = words(both.stdout)
        assert "plain.toml: nonsense-9, standard" in text
        assert "plain.toml not known: something in it is unpriced" in text


def test_the_help_says_so() -> None:
    text = words(run("--help").stdout)
    assert "without a price" in text
    assert "routing.by_task, prompt_cache, batch" in text.replace(" │ │ ", " ")


# -- ledgers that others write ---------------------------------------------------------------------


def left_by_a_killed_process(books: str) -> None:
    killed = Inbox(Path(books))
    usage = Usage(input_tokens=1_000, output_tokens=200)
    killed.put(Entry(attempt(usage=usage), reservation_id=None))
    killed.let_go()


def test_what_a_killed_process_left_is_taken_in() -> None:
    Ledger.open("books.db").close()
    left_by_a_killed_process("books.db")
    assert run_json("--ledger", "books.db")["calls"] == 1
    assert left_behind(Path("books.db")) == ()


def test_what_cannot_be_taken_in_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger.open("books.db").close()
    left_by_a_killed_process("books.db")
    monkeypatch.setattr("frugal_chains.cli._whatif_input.take_in_what_waits", lambda url: None)
    result = run("--ledger", "books.db")
    assert result.exit_code == 0
    (waiting,) = left_behind(Path("books.db").absolute())
    assert result.stderr == f"frugal: not in it: attempts that wait in {waiting}\n"
