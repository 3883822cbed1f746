"""`frugal export` from the outside."""

from __future__ import annotations

import csv
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from frugal_chains.cli._export import export
from frugal_chains.ledger import Ledger
from tests.core.report.sample_books import sample


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.delenv("FRUGAL_LEDGER", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def books(tmp_path) -> str:
    with Ledger.open(str(tmp_path / "books.db")) as ledger:
        for each in sample():
            ledger.record(each)
    return str(tmp_path / "books.db")


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(export)
    return CliRunner().invoke(app, list(arguments))


def rows_of(name: str) -> list[dict[str, str]]:
    with open(name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_attempt_is_a_row_in_the_order_of_time(books):
    result = run("--csv", "out.csv", "--ledger", books)
    assert (result.exit_code, result.stdout) == (0, "9 attempts written to out.csv\n")
    rows = rows_of("out.csv")
    assert [row["started_at"] for row in rows] == sorted(row["started_at"] for row in rows)
    assert sum(int(row["cost_nanos"] or 0) for row in rows) == sum(
        each.price.nanos or 0 for each in sample()
    )


def test_a_period_is_what_the_report_takes(books):
    assert run("--csv", "out.csv", "--ledger", books, "--since", "2026-11-02").exit_code == 0
    assert {row["started_at"][:10] for row in rows_of("out.csv")} == {"2026-11-02", "2026-11-03"}
    period = ("--since", "2026-11-02", "--until", "2026-11-03")
    assert run("--csv", "out.csv", "--ledger", books, *period).exit_code == 0
    assert {row["started_at"][:10] for row in rows_of("out.csv")} == {"2026-11-02"}


@pytest.mark.parametrize(
    "arguments",
    [[], ["--csv", "out.csv", "--since", "soon"], ["--prometheus", "70000"],
     ["--prometheus", "0", "--csv", "out.csv"], ["--prometheus", "0", "--since", "7d"],
     ["--csv", "out.csv", "--since", "2026-11-02", "--until", "2026-11-01"]],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_refused(books, arguments):
    assert run(*arguments, "--ledger", books).exit_code == 2
    assert not Path("out.csv").exists()


def test_what_cannot_be_done_is_one_sentence(books):
    for arguments in (["--csv", "nowhere/out.csv", "--ledger", books],
                      ["--csv", "out.csv", "--ledger", "nowhere.db"]):  # fmt: skip
        result = run(*arguments)
        assert result.exit_code == 1
        assert result.stderr.startswith("frugal: ")
        assert "nowhere" in result.stderr
        assert "Traceback" not in result.stderr
    assert not Path("out.csv").exists()


def test_the_ledger_is_not_changed(books):
    before = Path(books).read_bytes()
    assert run("--csv", "out.csv", "--ledger", books).exit_code == 0
    assert Path(books).read_bytes() == before


_SERVE = """
import sys, typer
from frugal_chains.cli._export import export
app = typer.Typer(); app.command()(export)
sys.argv = ["frugal", "--prometheus", "0", "--ledger", sys.argv[1]]
app()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send there")
def test_prometheus_is_served_until_interrupted(books):
    serving = subprocess.Popen(
        [sys.executable, "-u", "-c", _SERVE, books],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert serving.stdout is not None
        line = serving.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+/metrics", line)
        assert url is not None, line
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url[0], timeout=5) as answer:
            assert "frugal_attempts_total" in answer.read().decode()
        serving.send_signal(signal.SIGINT)
        _, err = serving.communicate(timeout=10)
        assert (serving.returncode, err) == (0, "")
    finally:
        serving.kill()
        serving.wait()
