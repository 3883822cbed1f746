"""`frugal watch`: a look at a ledger, against sums by hand, and while another process writes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import IO, Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from frugal_chains.cli._watch import _Looks, _show, watch
from frugal_chains.errors import LedgerUnavailable
from frugal_chains.ledger import Attempt, Ledger, microseconds, new_id
from frugal_chains.pricing import Priced, Unpriced
from frugal_chains.report import WatchFacts, budget_of, watch_facts, watch_view
from frugal_chains.usage import Usage
from tests.core.ledger.children import Child

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def attempt(
    ago: timedelta, *, nanos: int | None = 10**9, now: datetime = NOW, **more: Any
) -> Attempt:
    us = microseconds(now - ago)
    price = Unpriced(reason="x") if nanos is None else Priced(nanos=nanos)
    return Attempt(
        **{
            "id": new_id(us),
            "operation_id": new_id(us),
            "at_us": us,
            "framework": "langchain",
            "provider": "openai",
            "model": "gpt-4o",
            "usage": Usage(input_tokens=100, cache_read_tokens=25, output_tokens=10),
            "price": price,
            **more,
        }
    )


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


SAMPLE = [
    attempt(seconds(5)),
    attempt(seconds(30), model="gpt-4o-mini", nanos=50_000, latency_s=1.25),
    attempt(seconds(50), status="error", error_kind="rate_limit", nanos=None, usage=Usage()),
    attempt(timedelta(minutes=30), purpose="summary", nanos=2 * 10**9),
    attempt(timedelta(hours=5), nanos=4 * 10**9),
    attempt(timedelta(hours=13), nanos=8 * 10**9),  # yesterday
    attempt(timedelta(days=30), nanos=16 * 10**9),  # last month
]


def looked_at(
    attempts: list[Attempt], *, now: datetime = NOW, limits: tuple[str, ...] = ()
) -> WatchFacts:
    with Ledger.open("memory://") as books:
        for each in attempts:
            books.record(each)
        return watch_facts(books, now=now, limits=[budget_of(text) for text in limits])


def text_of(facts: WatchFacts, width: int = 80) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(watch_view(facts, width=width))
    return console.export_text()


def test_spans_end_now_and_begin_as_they_say():
    facts = looked_at(SAMPLE)
    assert [(s.name, s.total.attempts, s.total.nanos, s.failed) for s in facts.spans] == [
        ("last minute", 3, 10**9 + 50_000, 1),
        ("last hour", 4, 3 * 10**9 + 50_000, 1),
        ("today", 5, 7 * 10**9 + 50_000, 1),
    ]
    assert facts.calls_per_s == 3 / 60
    assert [(m.key["model"], m.attempts) for m in facts.models] == [
        ("gpt-4o", 4),
        ("gpt-4o-mini", 1),
    ]
    (failed,) = facts.outcomes
    assert (failed.key["error_kind"], failed.attempts) == ("rate_limit", 1)


def test_the_last_calls_are_newest_first_and_few():
    facts = looked_at(SAMPLE)
    assert [(NOW - call.at).total_seconds() for call in facts.last] == [
        5, 30, 50, 1_800, 18_000,
    ]  # fmt: skip
    assert facts.last[1].latency_s == 1.25
    assert facts.last[2].cost_usd is None
    many = [attempt(seconds(1 + n / 100)) for n in range(1_000)]
    facts = looked_at(many)
    assert [(NOW - call.at).total_seconds() for call in facts.last] == [
        pytest.approx(1 + n / 100) for n in range(8)
    ]


@pytest.mark.parametrize(
    ("text", "spent", "left"),
    [("10/day", "7.00005", "2.99995"), ("1/hour", "0", "1"), ("20/month", "15.00005", "4.99995"),
     ("$31.5/lifetime", "31.00005", "0.49995"), ("7/day", "7.00005", "0")],
)  # fmt: skip
def test_budgets_are_counted_from_the_window_they_name(text, spent, left):
    # This hour began at NOW: nothing is in it.
    (line,) = looked_at(SAMPLE, limits=(text,)).budgets
    assert (line.spent_usd, line.left_usd) == (Decimal(spent), Decimal(left))


@pytest.mark.parametrize("text", ["", "20", "20/week", "-1/day", "1e3/day", "20/Day", "nan/day"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(ValueError, match="20/day"):
        budget_of(text)


def test_the_view_shows_it_all_in_80_columns():
    text = text_of(looked_at(SAMPLE, limits=("10/day",)))
    for word in ("last minute", "last hour", "today", "0.05 over the last minute", "rate_limit",
                 "$7.0000", "gpt-4o-mini", "25.0%", "ok (summary)", "70.0%", "$3.0000", "unpriced",
                 "<$0.0001"):  # fmt: skip
        assert word in text, word
    assert max(map(len, text.splitlines())) <= 80


def test_a_narrow_view_leaves_out_figures_and_no_digits():
    text = text_of(looked_at(SAMPLE, limits=("10/day",)), width=60)
    assert "…" not in text
    assert "<$0.0001" in text
    assert "error: rate_limit" in text
    assert "unpriced" in text
    assert "cached" not in text.split("last calls")[1]
    assert max(map(len, text.splitlines())) <= 60


def test_names_cannot_steer_a_terminal_and_nothing_is_no_error():
    odd = attempt(seconds(1), model="\x1b[2Jgone", status="error", error_kind="\x07")
    assert "\x1b" not in text_of(looked_at([odd]))
    assert "No call today." in text_of(looked_at([]))
    morning = [attempt(timedelta(hours=2, seconds=n)) for n in range(600)]
    assert "No call in the last hour." in text_of(looked_at(morning))


def test_a_look_that_fails_shows_the_one_before(monkeypatch):
    from frugal_chains import report

    with Ledger.open("memory://") as books:
        looks = _Looks(books, [])
        first = looks.next()

        def busy(*_: Any, **__: Any) -> WatchFacts:
            raise LedgerUnavailable("busy")

        monkeypatch.setattr(report, "watch_facts", busy)
        again = looks.next()
        assert (again.at, "busy" in again.note) == (first.at, True)
        with pytest.raises(LedgerUnavailable):
            _Looks(books, []).next()


class Stop(Exception):
    """Stands for Ctrl-C."""


def test_it_shows_what_another_process_is_writing(tmp_path):
    path = str(tmp_path / "books.db")
    Ledger.open(path).close()

    def work(out: IO[str]) -> None:
        with Ledger.open(path) as books:
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                books.record(attempt(seconds(0), now=datetime.now(UTC), nanos=1))
                out.write("1\n")
                time.sleep(0.005)

    writer = Child(work)
    seen: list[int] = []
    waits: list[float] = []

    def look() -> WatchFacts:
        facts = looks.next()
        seen.append(facts.spans[0].total.attempts)
        return facts

    def wait(every_s: float) -> None:
        waits.append(every_s)
        time.sleep(0.1)
        if len(waits) == 12:
            raise Stop

    screen = Console(file=open("/dev/null", "w"), force_terminal=True, width=80)  # noqa: SIM115
    with Ledger.open(path, read_only=True) as books:
        looks = _Looks(books, [])
        with pytest.raises(Stop):
            _show(screen, look, every_s=0.1, wait=wait)
        written = len(writer.wait())
        assert looks.next().spans[0].total.attempts == written
    assert seen == sorted(seen)
    assert 0 < max(seen) <= written
    assert len(set(seen)) > 2
    assert waits == [0.1] * 12


_WATCH = """
import sys, typer
from frugal_chains.cli._watch import watch
app = typer.Typer(); app.command()(watch)
sys.argv = ["frugal", "--every", "0.1s", "--ledger", sys.argv[1]]
app()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send there")
def test_ctrl_c_ends_it_with_exit_code_0(tmp_path):
    with Ledger.open(str(tmp_path / "books.db")) as books:
        books.record(attempt(seconds(1), now=datetime.now(UTC)))
    watching = subprocess.Popen(
        [sys.executable, "-u", "-c", _WATCH, str(tmp_path / "books.db")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "COLUMNS": "300"},
    )  # fmt: skip
    try:
        assert watching.stdout is not None
        lines = [watching.stdout.readline() for _ in range(3)]
        assert "books.db" in lines[0]
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=10)
        assert (watching.returncode, err) == (0, "")
    finally:
        watching.kill()
        watching.wait()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--every", "0.01s"], 2), (["--every", "soon"], 2), (["--budget", "20"], 2),
     (["--ledger", "nowhere.db"], 1)],
)  # fmt: skip
def test_wrong_arguments_are_refused(tmp_path, monkeypatch, arguments, code):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FRUGAL_LEDGER", raising=False)
    app = typer.Typer()
    app.command()(watch)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code
    assert "Traceback" not in result.output
