"""`frugal whatif`: what is printed and written, and its exit codes."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from frugal_chains import Ledger
from frugal_chains.cli import main
from frugal_chains.replay import read_setup
from frugal_chains.usage import Usage
from tests.core.report.sample_books import attempt

TRAFFIC = Path(__file__).parents[3] / "examples" / "traffic" / "openai.jsonl"
ROUTE = ("--route", "faq=openai:gpt-4o-mini")


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FRUGAL_LEDGER", "FRUGAL_PRICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.chdir(tmp_path)


def call(number: int, *, task: str = "faq") -> dict[str, object]:
    """1,000 tokens in and 200 out on gpt-4o: $0.0045 (2.50 and 10 USD a million, 2026-11)."""
    return {
        "timestamp": f"2026-10-{1 + number:02d}T00:00:00Z",
        "conversation": f"c{number}",
        "task": task,
        "request": {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": "Where is my parcel? " * 240}],
        },
        "response": {
            "model": "gpt-4o",
            "choices": [{"message": {"role": "assistant", "content": "On its way."}}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200},
        },
    }


def recorded(name: str, *more: str) -> str:
    lines = [json.dumps(call(number)) for number in range(21)]
    Path(name).write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
    return name


def told(*arguments: str) -> dict[str, object]:
    result = CliRunner().invoke(main, ["whatif", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_every_figure_is_that_of_list_prices() -> None:
    found = told(recorded("t.jsonl"), *ROUTE, "--batch", "faq")
    levers = {each["lever"]: each for each in found["levers"]}  # type: ignore[attr-defined]
    assert found["calls"] == found["with_text"] == 21
    assert found["before"]["usd"] == found["recorded"]["usd"] == "0.0945"  # type: ignore[index]
    assert found["simulated_over_recorded"] == 0
    assert Decimal(levers["batch"]["alone_usd"]) == Decimal("0.0945") / 2
    # gpt-4o-mini: 1,000 x 0.15 + 200 x 0.60 USD a million; its tokenizer is gpt-4o's.
    assert Decimal(levers["routing"]["alone_usd"]) == Decimal("0.0945") - 21 * Decimal("0.00027")
    assert sum(Decimal(each["step_usd"]) for each in levers.values()) == Decimal(
        found["saved_usd"]  # type: ignore[arg-type]
    )
    assert found["recommended"] == ["routing", "batch"]
    assert found["month_factor"] == pytest.approx(30.4375 / 21)


def test_the_table_and_the_file_of_what_is_best() -> None:
    result = CliRunner().invoke(
        main, ["whatif", recorded("t.jsonl"), *ROUTE, "--out", "frugal.toml"]
    )
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "bill, recorded $0.0945" in text
    assert "best together routing" in text
    assert "routing $0.08883" in text
    assert "Quality is not measured here" in text
    setup = read_setup("frugal.toml")
    assert setup.on == ("routing",)
    again = CliRunner().invoke(main, ["whatif", "t.jsonl", "--setup", "frugal.toml"])
    assert again.exit_code == 0


def test_lines_that_are_skipped_are_told_and_the_exit_code_is_3() -> None:
    name = recorded("t.jsonl", "{broken", '{"no": "call"}')
    result = CliRunner().invoke(main, ["whatif", name])
    assert result.exit_code == 3
    assert "line 22" in result.stderr
    assert "broken" not in result.stderr


def test_a_ledger_is_replayed_by_its_sizes() -> None:
    with Ledger.open("books.db") as books:
        for number in range(30):
            usage = Usage(input_tokens=1_000, output_tokens=200)
            books.record(attempt(day=number, usage=usage, tags={"feature": "faq"}))
    found = told("--ledger", "books.db", *ROUTE)
    assert found["calls"] == 30
    assert found["with_text"] == 0
    levers = {each["lever"]: each["alone_usd"] for each in found["levers"]}  # type: ignore[attr-defined]
    assert levers == {
        # No conversation has a name, and there are no texts: unknown, which is not nothing.
        "memory": None, "compression": None, "prompt_cache": None,
        "routing": "0.1269",  # 30 x (0.0045 - 0.00027)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere.jsonl"], 1, "nowhere.jsonl"),
        (["nowhere.toml"], 1, "nowhere.toml"),
        (["--route", "faq"], 2, "TASK=PROVIDER:MODEL"),
        (["--setup", "nowhere.toml"], 1, "nowhere.toml"),
        (["--ledger", "nowhere.db"], 1, "nowhere.db"),
    ],
)
def test_what_cannot_be_read_is_said(arguments: list[str], code: int, said: str) -> None:
    result = CliRunner().invoke(main, ["whatif", *arguments])
    assert result.exit_code == code
    assert said in result.output


def test_the_tasks_instead_of_a_replay() -> None:
    found = told(recorded("t.jsonl"), "--tasks")
    (group,) = found["groups"]  # type: ignore[misc]
    assert group["name"] == "faq"
    assert group["sums"]["calls"] == 21
    result = CliRunner().invoke(main, ["whatif", "t.jsonl", "--tasks"])
    assert "faq" in result.stdout


def test_the_example_traffic_runs() -> None:
    assert told(str(TRAFFIC))["calls"] == 12


def test_a_month_is_known_no_better_than_the_recording() -> None:
    """$10 +- $2 in a thirtieth of a month: $300, and 2 x sqrt(30^2 + 30) = 61."""
    from frugal_chains.report._whatif_texts import month_text

    said = month_text(10 * 10**9, 2e9, 30)
    assert said == "$300.00 saved, +- $61.00 by chance (95 %)"
