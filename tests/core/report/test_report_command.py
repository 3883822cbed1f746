"""`frugal report`: the next lever, sums of one moment, and a page that cannot be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from frugal_chains.cli import main
from frugal_chains.ledger import Ledger
from tests.core.report.html.pages import Page
from tests.core.report.levers.test_next_lever import MIXED, TALKS
from tests.core.report.sample_books import attempt


@pytest.fixture
def books(tmp_path: Path) -> str:
    path = str(tmp_path / "books.db")
    with Ledger.open(path) as ledger:
        for row in sorted([*TALKS, *MIXED], key=lambda row: row.id):
            ledger.record(row)
    return path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["report", *arguments])


def test_the_next_lever_is_the_same_everywhere(books: str, tmp_path: Path) -> None:
    document = json.loads(run("--ledger", books, "--json").stdout)["next_lever"]
    assert document["best"]["lever"] == "prompt_cache"
    month = f"${float(document['best']['usd']):.2f} a month"
    assert f"prompt cache markers would save {month}" in " ".join(
        run("--ledger", books).stdout.split()
    )
    page = tmp_path / "out.html"
    assert run("--ledger", books, "--html", str(page)).exit_code == 0
    text = Page(page.read_text(encoding="utf-8")).text
    assert f"What would save most next: prompt cache markers {month}" in text
    assert "Modelled: 560 attempts were replayed" in text


def test_alerts_and_sums_are_of_one_moment(books: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Ledger.read_period

    def read_and_write(ledger: Ledger, *arguments: Any) -> Any:
        found = read(ledger, *arguments)
        with Ledger.open(books) as other:
            other.record(attempt(nanos=10**12))
        return found

    monkeypatch.setattr(Ledger, "read_period", read_and_write)
    document = json.loads(run("--ledger", books, "--json").stdout)
    assert document["total"]["attempts"] == len(TALKS) + len(MIXED)
    assert document["alerts"] == []


@pytest.mark.parametrize(
    ("path", "word"), [("none/out.html", "No such file"), (".", "Is a directory")]
)
def test_a_page_that_cannot_be_written(
    books: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("--ledger", books, "--html", path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"frugal: the report cannot be written to {path}: {word}")
    assert "--html" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="this system has no such device")
def test_a_page_may_go_to_a_pipe(books: str) -> None:
    command = [sys.executable, "-m", "frugal_chains.cli", "report", "--ledger", books]
    done = subprocess.run(
        [*command, "--html", "/dev/stdout"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("<!doctype html>")
    assert done.stdout.rstrip().endswith("</html>")
