"""The `frugal` command from the outside: what it prints, its exit codes, its start-up."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import closing
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from frugal_chains.cli import main
from frugal_chains.ledger import Attempt, Ledger, _sqlite, left_behind
from frugal_chains.ledger._append import Entry
from frugal_chains.ledger._inbox import Inbox
from frugal_chains.usage import Usage
from tests.core.ledger.children import without_root
from tests.core.report.sample_books import FIRST_DAY, HINT, attempt, cost_of, sample

COMMANDS = (
    "report", "watch", "whatif", "cache", "prices", "doctor", "calibrate", "reconcile", "export",
)  # fmt: skip
FILES = Path(__file__).parent
TAKES = {
    "traffic.jsonl": FILES.parents[1] / "examples" / "traffic" / "openai.jsonl",
    "completions_usage_2026-11-01_2026-11-30.csv": FILES / "reconcile/fixtures/openai_usage.csv",
}
"""Files that examples in `--help` name."""


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    """No ledger or price file of the machine the tests run on."""
    for name in ("FRUGAL_LEDGER", "FRUGAL_PRICES", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def run_json(*arguments: str) -> dict:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def write_books(path: Path, attempts: list[Attempt]) -> str:
    with Ledger.open(str(path)) as books:
        for each in attempts:
            books.record(each)
    return str(path)


@pytest.fixture
def attempts() -> list[Attempt]:
    return sample()


@pytest.fixture
def books(tmp_path, attempts) -> str:
    return write_books(tmp_path / "books.db", attempts)


def left_by_a_killed_process(books: str, row: Attempt) -> list[str]:
    killed = Inbox(Path(books))
    killed.put(Entry(row, reservation_id=None))
    killed.let_go()
    return [str(path) for path in left_behind(Path(books))]


def failed(result: Result, *words: str) -> None:
    """A clear message on the error stream, exit code 1, and nothing else."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("frugal: ")
    for word in words:
        assert word in result.stderr


# -- report ----------------------------------------------------------------------------------------


def test_report_prints_the_exact_cost_and_what_it_leaves_out(books, attempts):
    result = run("report", "--ledger", books)
    assert result.exit_code == 0
    unpriced = sum(a.cost_usd is None for a in attempts)
    estimated = sum(a.usage.source != "provider" for a in attempts)
    cost = str(cost_of(attempts)).rstrip("0")
    assert f"${cost} + {unpriced} calls unpriced, {estimated} estimated" in result.stdout
    for head in ("by model", "by feature", "by day"):
        assert head in result.stdout
    assert HINT in " ".join(result.stdout.split())


def test_report_json_is_the_sum_of_the_attempts(books, attempts):
    document = run_json("report", "--ledger", books)
    assert document["ledger"] == books
    total = document["total"]
    assert Decimal(total["cost_usd"]) == cost_of(attempts)
    assert isinstance(total["cost_usd"], str)
    assert total["attempts"] == len(attempts)
    assert total["usage"]["output_tokens"] == sum(a.usage.output_tokens for a in attempts)
    for table in document["tables"]:
        costs = [Decimal(row["cost_usd"]) for row in table["rows"] if row["cost_usd"] is not None]
        assert sum(costs) == cost_of(attempts)
        assert sum(row["attempts"] for row in table["rows"]) == len(attempts)


def test_report_groups_by_what_is_asked(books, attempts):
    document = run_json("report", "--ledger", books, "--by", "model", "--by", "feature")
    (table,) = document["tables"]
    assert table["by"] == ["model", "feature"]
    groups: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for each in attempts:
        groups[(each.model, each.tags.get("feature", ""))].append(each)
    assert {
        (row["key"]["model"], row["key"]["feature"]): row["usage"]["input_tokens"]
        for row in table["rows"]
    } == {key: sum(a.usage.input_tokens for a in group) for key, group in groups.items()}


@pytest.mark.parametrize(
    ("period", "days"),
    [
        (["--since", "2026-11-02"], {1, 2}),
        (["--until", "2026-11-02"], {0}),
        (["--since", "2026-11-02", "--until", "2026-11-03"], {1}),
        (["--since", "2026-11-02T09:30:00"], {1, 2}),
        (["--since", "2026-11-02T09:30:01"], {2}),
        (["--since", "2026-11-02T11:30+02:00"], {1, 2}),
    ],
)
def test_report_covers_the_period_asked_for(books, attempts, period, days):
    inside = [a for a in attempts if (a.at - FIRST_DAY).days in days]
    document = run_json("report", "--ledger", books, *period)
    assert document["total"]["attempts"] == len(inside)
    cost = document["total"]["cost_usd"]
    assert (Decimal(0) if cost is None else Decimal(cost)) == cost_of(inside)
    notes = {note["note"]: note["attempts"] for note in document["estimated_notes"]}
    assert sum(notes.values()) == sum(a.usage.source != "provider" for a in inside)


def test_report_reads_ages(tmp_path):
    from datetime import UTC, datetime, timedelta

    days_ago = (datetime.now(UTC) - FIRST_DAY) / timedelta(days=1)
    path = write_books(tmp_path / "recent.db", [attempt(day=days_ago - n, nanos=1) for n in (1, 9)])
    assert run_json("report", "--ledger", path, "--since", "7d")["total"]["attempts"] == 1
    assert run_json("report", "--ledger", path, "--since", "2w")["total"]["attempts"] == 2


def test_report_finds_the_ledger_as_the_application_does(books, tmp_path, monkeypatch):
    failed(run("report"), "frugal.db", "$FRUGAL_LEDGER")
    write_books(tmp_path / "frugal.db", [attempt(nanos=7)])
    assert run_json("report")["total"]["cost_usd"] == "0.000000007"
    monkeypatch.setenv("FRUGAL_LEDGER", f"sqlite:///{books}")
    assert run_json("report")["total"]["attempts"] == len(sample())


def cached_calls(count: int, day: int, read: int) -> list[Attempt]:
    usage = Usage(input_tokens=4_000, cache_read_tokens=read)
    return [attempt(day=day, nanos=1, usage=usage) for _ in range(count)]


def test_report_warns_of_a_prompt_cache_that_is_hardly_read_and_says_since_when(tmp_path):
    days = [row for n in range(7) for row in cached_calls(3, n, 3_600)]
    path = write_books(tmp_path / "cached.db", [*days, *cached_calls(60, 7, 400)])
    text = " ".join(run("report", "--ledger", path).stdout.split())
    # 21 calls read 3,600 of 4,000 and 60 read 400; 224,400 tokens at 2.50 - 1.25 per million.
    assert "Warning: gpt-4o (openai) read 30.7% of its input from the prompt cache" in text
    assert "cost: up to $0.28 more than if all of it had been read" in text
    assert "since 2026-11-08: 90.0% to 10.0%" in text
    (cache,) = run_json("report", "--ledger", path)["cache"]["models"]
    assert (cache["saved_up_to_usd"], cache["drop"]["since"]) == ("0.2805", "2026-11-08")
    (last,) = run_json("report", "--ledger", path, "--since", "2026-11-08")["cache"]["models"]
    assert (last["read_share"], last["drop"]) == (0.1, None)
    (first,) = run_json("report", "--ledger", path, "--until", "2026-11-08")["cache"]["models"]
    assert (first["state"], first["drop"]) == ("well", None)


def test_report_needs_no_prices_to_tell_of_a_prompt_cache(tmp_path, monkeypatch):
    path = write_books(tmp_path / "cached.db", cached_calls(20, 0, 400))
    (tmp_path / "prices.toml").write_text("not a price file")
    for name in ("", str(tmp_path / "nowhere.toml")):
        if name:
            monkeypatch.setenv("FRUGAL_PRICES", name)
        (cache,) = run_json("report", "--ledger", path)["cache"]["models"]
        assert (cache["warning"], cache["saved_up_to_usd"]) == (True, None)


def test_report_does_not_change_the_ledger(books):
    before = hashlib.sha256(Path(books).read_bytes()).digest()
    assert run("report", "--ledger", books).exit_code == 0
    assert hashlib.sha256(Path(books).read_bytes()).digest() == before


def test_report_tells_of_attempts_that_are_not_in_the_file(books, attempts, monkeypatch):
    monkeypatch.setattr(_sqlite, "RESERVE_WAIT_S", 0.01)
    (inbox,) = left_by_a_killed_process(books, attempt(nanos=7))
    with closing(sqlite3.connect(books, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        assert "Not in this report" in run("report", "--ledger", books).stdout
        document = run_json("report", "--ledger", books)
    assert document["waiting"] == [inbox]
    assert document["total"]["attempts"] == len(attempts)


def test_report_takes_in_what_a_killed_process_left(books, attempts):
    left_by_a_killed_process(books, attempt(nanos=7))
    document = run_json("report", "--ledger", books)
    assert (document["total"]["attempts"], document["waiting"]) == (len(attempts) + 1, [])


def test_report_leaves_the_inbox_of_a_living_process_alone(books, attempts):
    living = Inbox(Path(books))
    living.put(Entry(attempt(nanos=7), reservation_id=None))
    document = run_json("report", "--ledger", books)
    assert (document["total"]["attempts"], document["waiting"]) == (len(attempts), [])
    living.let_go()
    assert run_json("report", "--ledger", books)["total"]["attempts"] == len(attempts) + 1


def test_a_missing_ledger_is_named_and_not_created(tmp_path):
    failed(run("report", "--ledger", "sqlite:///nowhere.db"), "nowhere.db", "$FRUGAL_LEDGER")
    failed(run("report", "--ledger", "nowhere.db", "--json"), "nowhere.db")
    assert not (tmp_path / "nowhere.db").exists()


def test_an_empty_ledger_says_how_to_fill_it(tmp_path):
    path = write_books(tmp_path / "empty.db", [])
    for books in (path, "memory://"):
        result = run("report", "--ledger", books)
        assert result.exit_code == 0
        for word in ("No attempt has been booked yet", "CostCallbackHandler", "track_cost"):
            assert word in " ".join(result.stdout.split())
        total = run_json("report", "--ledger", books)["total"]
        assert (total["attempts"], total["cost_usd"]) == (0, "0")


def test_a_period_without_attempts_says_so(books):
    result = run("report", "--ledger", books, "--since", "2030-01-01")
    assert result.exit_code == 0
    assert "No attempt since 2030-01-01" in result.stdout
    document = run_json("report", "--ledger", books, "--since", "2030-01-01", "--by", "feature")
    assert (document["total"]["attempts"], document["total"]["cost_usd"]) == (0, "0")
    assert document["tables"] == [{"by": ["feature"], "rows": []}]


def test_report_and_doctor_tell_of_attempts_that_no_ledger_can_hold(books, attempts):
    left_by_a_killed_process(books, attempt(usage=Usage(input_tokens=10**30)))
    document = run_json("report", "--ledger", books)
    (kept,) = Path(books).parent.glob("*.damaged")
    assert (document["waiting"], document["damaged"]) == ([], [str(kept)])
    assert document["total"]["attempts"] == len(attempts)
    text = run("report", "--ledger", books).stdout
    assert "could not be taken in" in " ".join(text.split())
    _, warning = findings(run_json("doctor", "--ledger", books), "ledger")
    assert str(kept) in warning["text"]
    assert "no ledger can hold" in warning["text"]


def test_an_empty_file_is_no_ledger_yet_and_a_folder_never_is(tmp_path):
    (tmp_path / "empty.db").touch()
    failed(run("report", "--ledger", "empty.db"), "empty file, no ledger yet")
    (ledger,) = findings(run_json("doctor", "--ledger", "empty.db"), "ledger")
    assert (ledger["level"], "none yet" in ledger["text"]) == ("note", True)
    (tmp_path / "folder.db").mkdir()
    failed(run("report", "--ledger", "folder.db"), "it is a folder", "$FRUGAL_LEDGER")
    assert "it is a folder" in " ".join(run("doctor", "--ledger", "folder.db").stdout.split())


def test_a_deleted_working_directory_is_no_traceback(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        failed(run("report"), "working directory was deleted", "absolute")
        result = run("doctor")
    finally:
        monkeypatch.chdir(tmp_path)
    assert isinstance(result.exception, SystemExit)
    assert "working directory was deleted" in " ".join(result.stdout.split())


def test_a_folder_that_may_not_be_looked_into_is_no_traceback(monkeypatch):
    with tempfile.TemporaryDirectory() as name:
        closed = Path(name) / "closed"
        closed.mkdir(mode=0)
        monkeypatch.setenv("HOME", str(closed))
        for command in COMMANDS:  # imported before root is given up: the checkout may be root's
            run(command, *{"prices": ["gpt-4o"], "watch": ["--help"]}.get(command, []))
        monkeypatch.chdir(name)
        with without_root():
            failed(run("report", "--ledger", f"{closed}/books.db"), "Permission denied")
            failed(run("prices", "gpt-4o"), "Permission denied")
            result = run("doctor", "--ledger", f"{closed}/books.db")
        monkeypatch.chdir("/")
    assert isinstance(result.exception, SystemExit)
    assert "2 broken" in result.stdout


def test_a_password_is_not_printed():
    url = "postgresql://svc:hunter2@db/books"
    for command in ("report", "doctor"):
        for more in ((), ("--json",)):
            output = run(command, "--ledger", url, *more).output
            assert "postgresql://***@db/books" in "".join(output.split())
            assert "hunter2" not in output


def test_a_file_that_is_no_ledger_is_refused(tmp_path):
    (tmp_path / "text.db").write_text("this is no database, only a longer line of plain text" * 9)
    failed(run("report", "--ledger", "text.db"), "text.db", "not a readable ledger", "recover")
    with sqlite3.connect(tmp_path / "other.db") as db:
        db.execute("CREATE TABLE cats (name)")
    failed(run("report", "--ledger", "other.db"), "another program")


def test_a_newer_ledger_asks_for_an_upgrade(books):
    with sqlite3.connect(books) as db:
        db.execute("PRAGMA user_version = 99")
    failed(run("report", "--ledger", books), "version 99", "Upgrade frugal-chains")


def test_a_damaged_page_is_no_traceback(tmp_path, attempts):
    path = Path(write_books(tmp_path / "torn.db", attempts * 200))
    content = bytearray(path.read_bytes())
    content[1024 : len(content)] = os.urandom(len(content) - 1024)
    path.write_bytes(content)
    failed(run("report", "--ledger", str(path)), "")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--ledger", "postgres://nowhere/x"], "postgres://nowhere/x"),
        (["--by", "modle"], "modle"),
        (["--by", "day", "--by", "hour"], "hour"),
    ],
)
def test_what_cannot_be_read_is_said_plainly(books, arguments, word):
    ledger = [] if "--ledger" in arguments else ["--ledger", books]
    failed(run("report", *ledger, *arguments), word)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["report", "--since", "yesterday"], "yesterday"),
        (["report", "--until", "7x"], "7x"),
        (["report", "--since", "2026-11-02", "--until", "2026-11-01"], "not before"),
        (["prices", "gpt-4o", "--tier", "Batch"], "Batch"),
        (["report", "--since", "0001-01-01T00:00+05:00"], "0001-01-01"),
        (["prices", "gpt-4o", "--at", "soon"], "soon"),
        (["prices"], "model"),
    ],
)
def test_a_wrong_argument_is_explained(arguments, word):
    result = run(*arguments)
    assert result.exit_code == 2
    assert word in result.stderr
    assert "Traceback" not in result.output


# -- prices ----------------------------------------------------------------------------------------


def test_prices_tells_what_is_charged_and_why():
    # gpt-4o: 2.50 in, 1.25 cached, 10 out (developers.openai.com/api/docs/pricing, 2026-11-21).
    document = run_json("prices", "gpt-4o", "--input", "1000000", "--cache-read", "400000",
                        "--output", "1000")  # fmt: skip
    assert document["bands"][0]["usd_per_mtok"]["input"] == "2.5"
    assert document["price_id"] == f"genai-prices {version('genai-prices')}"
    assert document["example"]["cost_usd"] == str(
        Decimal("0.6") * Decimal("2.5") + Decimal("0.4") * Decimal("1.25") + Decimal("0.01")
    ).rstrip("0")
    text = run("prices", "gpt-4o", "--input", "1000000").stdout
    assert re.search(r"input\s+\$2\.50", text)
    assert "genai-prices" in text


def test_prices_knows_tiers_providers_and_days():
    assert _input(run_json("prices", "gpt-4o", "--tier", "batch")) == "1.25"
    # Until 2024-10-03 the name was gpt-4o-2024-05-13 at 5 dollars.
    assert _input(run_json("prices", "gpt-4o", "--at", "2024-10-02")) == "5"
    bedrock = run_json(
        "prices", "anthropic.claude-sonnet-4-5-20250929-v1:0", "--provider", "bedrock"
    )
    assert bedrock["provider"] == "aws"


def _input(document: dict) -> str:
    return document["bands"][0]["usd_per_mtok"]["input"]


def test_prices_reads_the_users_own_file(tmp_path, monkeypatch):
    own = tmp_path / "own.toml"
    own.write_text('[[price]]\nprovider = "acme"\nmodel = "in-house"\ninput = 3\noutput = 9\n')
    monkeypatch.setenv("FRUGAL_PRICES", str(own))
    document = run_json("prices", "in-house", "--provider", "acme", "--input", "1000")
    assert _input(document) == "3"
    assert document["price_file"] == str(own)
    assert document["price_id"].startswith("prices.toml")
    assert document["example"]["cost_usd"] == "0.003"


def test_an_unpriced_model_exits_1_with_the_reason_and_a_snippet():
    result = run("prices", "in-house", "--provider", "acme")
    assert result.exit_code == 1
    assert "UNPRICED" in result.stdout
    assert 'model = "in-house"' in result.stdout
    document = json.loads(run("prices", "in-house", "--provider", "acme", "--json").stdout)
    assert document["outcome"] == "unpriced"
    assert document["reason"]
    assert "[[price]]" in document["snippet"]


def test_a_free_model_exits_0():
    document = run_json("prices", "llama3", "--provider", "ollama", "--input", "5")
    assert document["outcome"] == "free"
    assert document["example"]["cost_usd"] == "0"


def test_impossible_tokens_are_refused():
    failed(run("prices", "gpt-4o", "--input", "5", "--cache-read", "6"), "6", "5")
    failed(run("prices", "gpt-4o", "--input", "-1"), "-1")


def test_a_malformed_price_file_names_its_line(tmp_path):
    (tmp_path / "prices.toml").write_text(
        '[[price]]\nprovider = "acme"\nmodel = "x"\ninput = "a"\n'
    )
    failed(run("prices", "gpt-4o"), "prices.toml:4", "input")


# -- doctor ----------------------------------------------------------------------------------------


def findings(document: dict, subject: str) -> list[dict]:
    return [found for found in document["findings"] if found["subject"] == subject]


def test_doctor_reads_the_real_installation(books, attempts):
    document = run_json("doctor", "--ledger", books)
    assert document["broken"] == 0
    for package in ("frugal-chains", "genai-prices", "langchain-core", "llama-index-core"):
        assert document["versions"][package] == version(package)
    (ledger,) = findings(document, "ledger")
    assert ledger["level"] == "ok"
    assert f"{len(attempts)} attempts" in ledger["text"]
    assert f"{Path(books).stat().st_size:,} bytes" in ledger["text"]
    assert "nothing to fix" in run("doctor", "--ledger", books).stdout


def test_doctor_says_where_the_ledger_would_be(monkeypatch):
    (ledger,) = findings(run_json("doctor"), "ledger")
    assert "sqlite:///frugal.db (the default)" in ledger["text"]
    monkeypatch.setenv("FRUGAL_LEDGER", "sqlite:///mine.db")
    (ledger,) = findings(run_json("doctor"), "ledger")
    assert "sqlite:///mine.db ($FRUGAL_LEDGER)" in ledger["text"]
    assert not Path("frugal.db").exists()


def test_doctor_warns_of_waiting_attempts_and_exits_0(books):
    Path(f"{books}.7.inbox").write_text("something\n")
    Path(f"{books}.8.inbox").write_bytes(bytes(100))  # nothing waits in it
    document = run_json("doctor", "--ledger", books)
    assert (document["broken"], document["warnings"]) == (0, 1)


@pytest.mark.parametrize("trouble", ["text", "damaged", "newer", "url"])
def test_doctor_exits_1_for_a_broken_ledger(tmp_path, attempts, trouble):
    path = Path(write_books(tmp_path / "books.db", attempts * 100))
    match trouble:
        case "text":
            path.write_text("no ledger at all, but a text that is long enough for a header" * 9)
        case "damaged":
            content = bytearray(path.read_bytes())
            content[2048:] = os.urandom(len(content) - 2048)
            path.write_bytes(content)
        case "newer":
            with sqlite3.connect(path) as db:
                db.execute("PRAGMA user_version = 99")
        case "url":
            path = "ftp://books"
    result = run("doctor", "--ledger", str(path))
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "broken" in result.stdout
    assert "fix: " in result.stdout


def test_doctor_exits_1_for_a_malformed_price_file(tmp_path):
    (tmp_path / "prices.toml").write_text("[[price]]\nprice = 1\n")
    result = run("doctor", "--json")
    assert result.exit_code == 1
    (found,) = findings(json.loads(result.stdout), "prices.toml")
    assert found["level"] == "broken"
    assert "prices.toml:" in found["text"]


# -- the command itself ----------------------------------------------------------------------------


def test_a_page_is_written_instead(books):
    result = run("report", "--ledger", books, "--html", "out.html", "--budget", "500/month")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "written: out.html" in result.stderr
    page = Path("out.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "$500" in page
    wrong = run("report", "--ledger", books, "--html", "out.html", "--budget", "much")
    assert wrong.exit_code == 2
    assert "--budget" in wrong.stderr


def test_alerts_are_told_with_the_way_out(tmp_path):
    url = f"sqlite:///{tmp_path}/b.db"
    with Ledger.open(url) as ledger:
        for number in range(40):
            failed = number % 4 == 0
            kind = {"status": "error", "error_kind": "rate_limit"} if failed else {}
            ledger.record(attempt(nanos=1_000_000, **kind))
    text = " ".join(run("report", "--ledger", url).stdout.split())
    assert "rate limit" in text
    assert "what to do:" in text
    told = json.loads(run("report", "--ledger", url, "--json").stdout)["alerts"]
    assert any("rate" in json.dumps(alert) for alert in told)


def test_the_commands_are_those_that_exist():
    assert {command.name or command.callback.__name__ for command in main.registered_commands} == {
        *COMMANDS
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_that_runs(command, books, monkeypatch):
    monkeypatch.setenv("FRUGAL_LEDGER", books)
    text = " ".join(run(command, "--help").stdout.split())
    (example,) = re.findall(r"Example: frugal ([^╭│]+?) (?=╭|Options|\+-)", text)
    monkeypatch.setenv("COLUMNS", "200")
    arguments = example.replace("--since 7d", "--since 2026-11-01").split()
    arguments = [books if a.startswith("sqlite:") else a for a in arguments]
    assert arguments[0] == command
    Path("answers.jsonl").write_text("".join(map(_scored, range(240))), encoding="utf-8")
    for name, file in TAKES.items():
        Path(name).write_bytes(file.read_bytes())

    def stopped(_: float) -> None:
        raise KeyboardInterrupt

    if command == "watch":  # as a person ends it
        monkeypatch.setattr("time.sleep", stopped)
    differs = command == "reconcile"  # the export is of other calls than these books
    assert run(*arguments).exit_code == (3 if differs else 0)


def _scored(index: int) -> str:
    """Two rows of a log in which the small model fails at every other question."""
    prompt = f"{'Translate' if index % 2 else 'Prove'} number {index}."
    rows = (("small", index % 2, 0.0002), ("large", 1, 0.008))
    return "".join(
        json.dumps({"prompt": prompt, "model": model, "score": score, "cost_usd": usd}) + "\n"
        for model, score, usd in rows
    )


def frugal(*arguments: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """The installed program, in a process of its own."""
    program = Path(sys.executable).parent / "frugal"
    return subprocess.run(
        [program, *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_the_program_prints_plain_text_that_fits_60_columns(books):
    done = frugal("report", "--ledger", books, COLUMNS="60", NO_COLOR="1")
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert "\x1b" not in text
    assert "by model" in text
    assert max(map(len, text.splitlines())) <= 60


def test_the_program_survives_an_ascii_terminal(tmp_path):
    path = write_books(tmp_path / "books.db", [attempt(model="modèle-模型", nanos=1)])
    ascii = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "COLUMNS": "60"}
    done = frugal("report", "--ledger", path, **ascii)
    assert done.returncode == 0, done.stderr
    assert b"mod\\xe8le" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 60


def test_it_is_a_module_too(books):
    command = [sys.executable, "-m", "frugal_chains.cli", "report", "--ledger", books, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["total"]["attempts"] == len(sample())


def test_the_program_reports_trouble_on_the_error_stream():
    done = frugal("report", "--ledger", "nowhere.db")
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"nowhere.db" in done.stderr
    assert b"Traceback" not in done.stderr


HEAVY = ("genai_prices", "pydantic", "tiktoken", "langchain_core", "llama_index")


def test_help_starts_without_what_it_does_not_need():
    code = (
        "import resource, sys; from frugal_chains.cli import main;"
        "main(['--help'], standalone_mode=False);"
        f"print([name for name in {HEAVY} if name in sys.modules],"
        "sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), file=sys.stderr)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    loaded, _, _ = runs[0].stderr.strip().rpartition(" ")
    assert loaded == "[]"
    # Processor time, the best of three: the clock on the wall belongs to whoever else is running.
    assert min(float(done.stderr.rpartition(" ")[2]) for done in runs) < 0.5


def test_doctor_imports_no_framework():
    code = (
        "import sys; from frugal_chains.cli import main; main(['doctor'], standalone_mode=False);"
        "print([m for m in ('langchain_core', 'llama_index.core', 'openai', 'anthropic')"
        " if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
