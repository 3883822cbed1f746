"""Writers that get in each other's way inside one process; none may lose another's row."""

from __future__ import annotations

import faulthandler
import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from frugal_chains.errors import LedgerUnavailable
from frugal_chains.ledger import Attempt, Ledger, Meter, MeterFacts, _sqlite
from frugal_chains.usage import Usage
from tests.core.ledger.books import NOON, attempt


@pytest.fixture(params=["file", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    url = f"sqlite:///{tmp_path}/books.db" if request.param == "file" else "memory://"
    with Ledger.open(url) as opened:
        yield opened


def ids(ledger: Ledger) -> list[str]:
    return [row.id for row in ledger.attempts()]


def test_threads_write_every_row_once(ledger: Ledger) -> None:
    rows = [attempt() for _ in range(400)]

    def write(mine: list[Attempt]) -> None:
        for row in mine:
            ledger.record(row)

    threads = [threading.Thread(target=write, args=(rows[i::8],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ids(ledger) == sorted(row.id for row in rows)


BAD: list[dict[str, Any]] = [
    {"note": object()},  # no type of SQLite's
    {"usage": Usage(input_tokens=2**63)},  # no integer of SQLite's
]


@pytest.mark.parametrize("bad", BAD, ids=["type", "size"])
def test_an_attempt_that_cannot_be_written_takes_no_other_along(
    ledger: Ledger, bad: dict[str, Any]
) -> None:
    """They queue behind a lock, and are written together by whoever gets it."""
    rows = [attempt(), attempt(**bad), attempt()]
    failed: list[str] = []

    def write(row: Attempt) -> None:
        try:
            ledger.record(row)
        except Exception:
            failed.append(row.id)

    threads = [threading.Thread(target=write, args=(row,)) for row in rows]
    with ledger.store._lock:  # type: ignore[attr-defined]
        for thread in threads:
            thread.start()
        while len(ledger.store._queue) < len(rows):  # type: ignore[attr-defined]
            pass
    for thread in threads:
        thread.join()
    assert failed == [rows[1].id]
    assert ids(ledger) == sorted([rows[0].id, rows[2].id])
    later = attempt()
    ledger.record(later)
    assert later.id in ids(ledger)


def test_an_interrupt_in_the_middle_leaves_the_row_to_the_next_writer(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    others, mine = attempt(), attempt()
    real, seen = _sqlite.book, []

    def book(*arguments: Any) -> None:
        seen.append(arguments)
        real(*arguments)
        if len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(_sqlite, "book", book)
    with ledger.store._lock:  # type: ignore[attr-defined]
        thread = threading.Thread(target=ledger.record, args=(others,))
        thread.start()
        while not ledger.store._queue:  # type: ignore[attr-defined]
            pass
        with pytest.raises(KeyboardInterrupt):
            ledger.record(mine)
    thread.join()
    assert ids(ledger) == sorted([others.id, mine.id])
    assert {row.model for row in ledger.attempts()} == {"gpt-4o"}


def test_a_rolled_back_label_is_not_remembered(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number goes to the next new label: remembered, one would be filed under the other."""
    real = _sqlite.book

    def book(*arguments: Any) -> None:
        real(*arguments)
        monkeypatch.setattr(_sqlite, "book", real)
        raise KeyboardInterrupt

    monkeypatch.setattr(_sqlite, "book", book)
    with pytest.raises(KeyboardInterrupt):
        ledger.record(attempt(model="first"))
    ledger.store._queue.clear()  # type: ignore[attr-defined]
    ledger.record(attempt(model="second"))
    ledger.record(attempt(model="first"))
    assert sorted(row.model for row in ledger.attempts()) == ["first", "second"]


class Abandoned:
    """A stream that reports its end when it is collected, wherever that happens."""

    def __init__(self, ledger: Ledger, row: Attempt) -> None:
        self.ledger, self.row, self.cycle = ledger, row, self

    def __del__(self) -> None:
        self.ledger.record(self.row)


def test_a_finalizer_may_write_while_its_own_thread_is_writing(ledger: Ledger) -> None:
    """The collector runs it in the middle of `record`, in the thread that holds the lock."""
    faulthandler.dump_traceback_later(20, exit=True)  # a deadlock must not hang the suite
    threshold = gc.get_threshold()
    gc.set_threshold(30)
    ledger.store.register([Meter(window="day")])
    expected = []
    try:
        for i in range(300):
            rows = [attempt(), attempt()]
            expected += [row.id for row in rows]
            Abandoned(ledger, rows[0])
            ledger.record(rows[1])
            if i % 10 == 0:
                ledger.totals(["model"])
                key = Meter(window="day").key(MeterFacts(at=NOON))
                ledger.store.meter_states([(Meter(window="day"), key)], now=NOON)
    finally:
        gc.set_threshold(*threshold)
        gc.collect()
        faulthandler.cancel_dump_traceback_later()
    assert ids(ledger) == sorted(expected)


def test_what_is_recorded_after_closing_is_found_at_the_next_opening(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url, row = f"sqlite:///{tmp_path}/books.db", attempt()
    ledger = Ledger.open(url)
    ledger.close()
    ledger.close()
    ledger.record(row)
    assert "was closed" in caplog.text
    with pytest.raises(LedgerUnavailable, match="was closed"):
        ledger.totals()
    with pytest.raises(LedgerUnavailable, match="was closed"):
        list(ledger.attempts())
    with Ledger.open(url) as again:
        assert ids(again) == [row.id]


def test_a_closed_ledger_in_memory_says_that_the_row_is_lost() -> None:
    ledger = Ledger.open("memory://")
    ledger.close()
    with pytest.raises(LedgerUnavailable, match="closed"):
        ledger.record(attempt())


def test_totals_are_of_one_moment_while_another_process_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows move from `attempts` to the rollup between two queries: none may be counted twice."""
    monkeypatch.setattr(_sqlite, "FOLD_EVERY", 10)
    url = f"sqlite:///{tmp_path}/books.db"
    with Ledger.open(url) as reader, Ledger.open(url) as writer:
        for _ in range(9):
            writer.record(attempt())

        def fold_now(statement: str) -> None:
            if "daily" in statement:
                writer.record(attempt())

        reader.store._db.set_trace_callback(fold_now)  # type: ignore[attr-defined]
        assert sum(line.attempts for line in reader.totals(["model"])) == 9
        reader.store._db.set_trace_callback(None)  # type: ignore[attr-defined]
        assert sum(line.attempts for line in reader.totals(["model"])) == 10


def test_a_rollup_that_fails_stops_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_sqlite, "FOLD_EVERY", 2)
    huge = Usage(input_tokens=2**62)  # two of them are more than an integer of SQLite's holds
    rows = [attempt(usage=huge) for _ in range(5)]
    with Ledger.open(f"sqlite:///{tmp_path}/books.db") as ledger:
        for row in rows:
            ledger.record(row)
        assert "rollup" in caplog.text
        assert ids(ledger) == sorted(row.id for row in rows)


def test_labels_that_differ_for_every_call_do_not_fill_the_memory(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = ledger.store._ids  # type: ignore[attr-defined]
    monkeypatch.setattr(type(labels), "MOST", 10)
    for i in range(40):
        ledger.record(attempt(tags={"request": str(i)}))
    assert sorted(int(row.tags["request"]) for row in ledger.attempts()) == list(range(40))
    assert len(labels._ids) <= 10
    assert len(labels._labels) <= 10


def test_processes_that_write_little_do_not_leave_the_rollup_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite, "FOLD_EVERY", 20)
    url = f"sqlite:///{tmp_path}/books.db"
    for _ in range(12):
        with Ledger.open(url) as ledger:
            for _ in range(5):
                ledger.record(attempt())
    with Ledger.open(url, read_only=True) as ledger:
        query = "SELECT (SELECT MAX(seq) FROM attempts) - seq FROM folded"
        (behind,) = ledger.store._db.execute(query).fetchone()  # type: ignore[attr-defined]
        assert behind <= 20
        assert sum(line.attempts for line in ledger.totals()) == 60
