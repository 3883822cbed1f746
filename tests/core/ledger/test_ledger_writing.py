"""Writers that get in each other's way inside one process; none may lose another's row."""

from __future__ import annotations

import faulthandler
import gc
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from frugal_chains import sqlite
from frugal_chains.errors import LedgerUnavailable
from frugal_chains.ledger import (
    Attempt,
    Ledger,
    Meter,
    MeterFacts,
    _append,
    _file,
    _inbox,
    _page,
    _series,
    _sqlite,
    _writer,
)
from frugal_chains.ledger._append import Entry
from frugal_chains.ledger._inbox import Inbox
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
    {"usage": Usage(output_tokens=2**62)},  # one of SQLite's, but no sum of two
]


@pytest.mark.parametrize("bad", BAD, ids=["type", "size", "sum"])
def test_an_attempt_that_cannot_be_written_takes_no_other_along(
    tmp_path: Path, bad: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """They are written together; the bad one is kept for a person."""
    rows = [attempt(), attempt(**bad), attempt()]
    with Ledger.open(f"sqlite:///{tmp_path}/books.db") as ledger:
        with ledger.store._lock:  # type: ignore[attr-defined]
            for row in rows:
                ledger.record(row)
        assert ids(ledger) == [rows[0].id, rows[2].id]
        later = attempt()
        ledger.record(later)
        assert later.id in ids(ledger)
        (problem,) = ledger.store.health().problems
    (kept,) = tmp_path.glob("*.damaged")
    assert kept.name in problem
    assert rows[1].id.encode() in kept.read_bytes()
    assert f"{rows[1].id!r}" in caplog.text


@pytest.mark.parametrize("bad", BAD, ids=["type", "size", "sum"])
def test_in_memory_the_attempt_that_cannot_be_written_is_refused(bad: dict[str, Any]) -> None:
    with Ledger.open("memory://") as ledger:
        good = attempt()
        ledger.record(good)
        with pytest.raises((sqlite3.Error, OverflowError)):
            ledger.record(attempt(**bad))
        assert ids(ledger) == [good.id]


@pytest.fixture
def unhurried(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger file that is written only when it is read, in this thread."""
    with Ledger.open(f"sqlite:///{tmp_path}/books.db") as opened:
        opened.store._writer.stop()  # type: ignore[attr-defined]
        yield opened


def interrupt_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next commit of attempts is interrupted just before it."""
    real = _file.book_all

    def book_all(*arguments: Any) -> None:
        monkeypatch.setattr(_file, "book_all", real)
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(_file, "book_all", book_all)


def test_an_interrupt_in_the_middle_leaves_the_rows_to_the_next_writer(
    unhurried: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [attempt(), attempt()]
    for row in rows:
        unhurried.record(row)
    interrupt_once(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        unhurried.totals()
    assert ids(unhurried) == [row.id for row in rows]


def test_a_rolled_back_label_is_not_remembered(
    unhurried: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number goes to the next new label: remembered, one would be filed under the other."""
    first, second = attempt(model="first"), attempt(model="second")
    unhurried.record(first)
    interrupt_once(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        unhurried.totals()
    with Ledger.open(unhurried.url) as other:
        other.record(second)
    assert [row.model for row in unhurried.attempts()] == ["first", "second"]


class Abandoned:
    """A stream that reports its end when it is collected, wherever that happens."""

    def __init__(self, ledger: Ledger, row: Attempt) -> None:
        self.ledger, self.row, self.cycle = ledger, row, self

    def __del__(self) -> None:
        self.ledger.record(self.row)


def test_a_finalizer_may_write_while_its_own_thread_is_writing(ledger: Ledger) -> None:
    """The collector runs it in the middle of `record`, in the thread that holds the lock."""
    faulthandler.dump_traceback_later(120, exit=True)  # a deadlock must not hang the suite
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
    tmp_path: Path,
) -> None:
    url, row = f"sqlite:///{tmp_path}/books.db", attempt()
    ledger = Ledger.open(url)
    ledger.close()
    ledger.close()
    ledger.record(row)
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
    monkeypatch.setattr(_file, "FOLD_EVERY", 10)
    url = f"sqlite:///{tmp_path}/books.db"
    with Ledger.open(url) as reader, Ledger.open(url) as writer:
        for _ in range(9):
            writer.record(attempt())
        writer.store.flush()

        def fold_now(statement: str) -> None:
            if "daily" in statement:
                writer.record(attempt())
                writer.store.flush()

        reader.store._file._db.set_trace_callback(fold_now)  # type: ignore[attr-defined]
        assert sum(line.attempts for line in reader.totals(["model"])) == 9
        reader.store._file._db.set_trace_callback(None)  # type: ignore[attr-defined]
        assert sum(line.attempts for line in reader.totals(["model"])) == 10


def test_a_rollup_that_fails_stops_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_file, "FOLD_EVERY", 2)
    monkeypatch.setattr(_append, "LARGEST", 2**63)
    huge = Usage(input_tokens=2**62)  # two of them are more than an integer of SQLite's holds
    rows = [attempt(usage=huge) for _ in range(5)]
    with Ledger.open(f"sqlite:///{tmp_path}/books.db") as ledger:
        for row in rows:
            ledger.record(row)
            ledger.store.flush()
        assert "rollup" in caplog.text
        assert ids(ledger) == sorted(row.id for row in rows)


def test_labels_that_differ_for_every_call_do_not_fill_the_memory(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = ledger.store._file.ids  # type: ignore[attr-defined]
    monkeypatch.setattr(type(labels), "MOST", 10)
    for i in range(40):
        ledger.record(attempt(tags={"request": str(i)}))
        ledger.store.flush()
        assert len(labels._ids) <= 10
    assert sorted(int(row.tags["request"]) for row in ledger.attempts()) == list(range(40))
    assert len(labels._labels) <= 10


def test_totals_by_a_tag_take_as_many_statements_for_any_number_of_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement for each value took most of the time where a tag had 20,000 of them."""
    url = f"sqlite:///{tmp_path}/books.db"
    with Ledger.open(url) as ledger:
        for number in range(700):
            ledger.record(attempt(tags={"user": f"u{number % 600}", "other": "x"}, nanos=number))
    monkeypatch.setattr(_series, "_AT_ONCE", 100)
    with Ledger.open(url, read_only=True) as reader:
        statements: list[str] = []
        reader.store._file._db.set_trace_callback(statements.append)  # type: ignore[attr-defined]
        found = {line.key["user"]: line.nanos for line in reader.totals(["user"])}
        assert len(statements) < 15
        assert found == {f"u{n}": n + (n + 600 if n < 100 else 0) for n in range(600)}
        statements.clear()
        assert len({row.tags["user"] for row in reader.attempts()}) == 600
        assert len(statements) < 15


def test_processes_that_write_little_do_not_leave_the_rollup_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_file, "FOLD_EVERY", 20)
    url = f"sqlite:///{tmp_path}/books.db"
    for _ in range(12):
        with Ledger.open(url) as ledger:
            for _ in range(5):
                ledger.record(attempt())
    with Ledger.open(url, read_only=True) as ledger:
        query = "SELECT (SELECT MAX(seq) FROM attempts) - seq FROM folded"
        (behind,) = ledger.store._file._db.execute(query).fetchone()  # type: ignore[attr-defined]
        assert behind <= 20
        assert sum(line.attempts for line in ledger.totals()) == 60


def behind(url: str) -> int:
    """Rows of a file that its rollups do not have yet."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as db:
        query = "SELECT (SELECT MAX(seq) FROM attempts) - seq FROM folded"
        return int(db.execute(query).fetchone()[0])


@pytest.mark.parametrize("closes", [True, False])
def test_rows_that_came_too_fast_for_the_memory_are_in_the_rollup_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closes: bool
) -> None:
    """More than are kept in memory wait in files alone; they are taken in from there."""
    monkeypatch.setattr(_inbox, "KEPT_IN_MEMORY", 30)
    monkeypatch.setattr(_file, "FOLD_EVERY", 20)
    monkeypatch.setattr(_file, "FOLD_AT_ONCE", 50)
    url = f"sqlite:///{tmp_path}/books.db"
    ledger = Ledger.open(url)
    ledger.store._writer.stop()  # type: ignore[attr-defined]
    for _ in range(16 * 31):  # the last of them is the last that fills the memory
        ledger.record(attempt())
    assert not ledger.store._inbox.waiting  # type: ignore[attr-defined]
    ledger.close() if closes else ledger.totals()
    assert behind(url) < 20
    with Ledger.open(url, read_only=True) as reader:
        assert sum(line.attempts for line in reader.totals()) == 16 * 31
    ledger.close()


def test_what_could_not_be_folded_is_due_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_file, "FOLD_EVERY", 20)
    url = f"sqlite:///{tmp_path}/books.db"
    ledger = Ledger.open(url)
    ledger.store._writer.stop()  # type: ignore[attr-defined]
    with monkeypatch.context() as busy:

        def is_busy(*_: object, **__: object) -> int:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error

        busy.setattr(_file, "fold", is_busy)
        for _ in range(30):
            ledger.record(attempt())
        ledger.store.flush()
        assert behind(url) == 30
    ledger.close()
    assert behind(url) == 0


def test_closing_and_opening_fold_for_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FOLD_S", "OPEN_FOLD_S", "CLOSE_FOLD_S"):
        monkeypatch.setattr(_sqlite, name, -1)
    monkeypatch.setattr(_file, "FOLD_AT_ONCE", 50)
    url, seen = f"sqlite:///{tmp_path}/books.db", []
    ledger = Ledger.open(url)
    ledger.store._writer.stop()  # type: ignore[attr-defined]
    for _ in range(1000):
        ledger.record(attempt())
    ledger.close()
    while (left := behind(url)) not in seen:
        seen.append(left)
        with Ledger.open(url) as again:
            assert sum(line.attempts for line in again.totals()) == 1000
    assert seen == sorted(seen, reverse=True)
    assert len(seen) > 2
    assert seen[-1] < _file.FOLD_EVERY


# -- the inbox ---------------------------------------------------------------------------------


class FinalizerAtEveryLine:
    """Reports an attempt at every line of the inbox's code, as a garbage collector might."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.put: list[str] = []

    def __call__(self, frame: Any, event: str, argument: object) -> Any:
        if frame.f_code.co_filename not in (_inbox.__file__, _page.__file__):
            return None
        if event == "line" and len(self.put) < 3000:
            row = attempt()
            self.inbox.put(Entry(row, reservation_id=None))
            self.put.append(row.id)
        return self


def on_disk(folder: Path) -> set[str]:
    found = set()
    for path in folder.glob("*.inbox"):
        descriptor = os.open(path, os.O_RDONLY)
        entries, damaged = _inbox._read(descriptor, path)
        os.close(descriptor)
        assert not damaged, path.read_bytes()[:500]
        found |= {entry.attempt.id for entry in entries}
    return found


def test_a_finalizer_at_any_line_of_the_inbox_loses_nothing(tmp_path: Path) -> None:
    """Were this process killed at the end, its files must hold what is not in the ledger."""
    inbox = Inbox(tmp_path / "books.db")
    tracer = FinalizerAtEveryLine(inbox)
    booked: list[str] = []
    sys.settrace(tracer)
    try:
        for step in range(6):
            inbox.put(Entry(row := attempt(), reservation_id=None))
            tracer.put.append(row.id)
            taken = inbox.take()
            inbox.put(Entry(row := attempt(), reservation_id=None))
            tracer.put.append(row.id)
            if step % 3 == 1:
                inbox.put_back(taken)
            else:
                inbox.done()
                booked += [entry.attempt.id for entry in taken]
    finally:
        sys.settrace(None)
    waiting = {entry.attempt.id for entry in inbox.take()}
    assert len(tracer.put) > 100
    assert waiting | set(booked) == set(tracer.put)
    assert waiting <= on_disk(tmp_path)
    inbox.put_back([])
    inbox.let_go()


def test_attempts_that_never_stop_coming_do_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is never a moment at which nothing waits."""
    monkeypatch.setattr(_inbox, "FILE_BYTES", 4096)
    inbox = Inbox(tmp_path / "books.db")
    for _ in range(60):
        for _ in range(3):
            inbox.put(Entry(attempt(), reservation_id=None))
        inbox.take()
        inbox.put(Entry(attempt(), reservation_id=None))
        inbox.done()
        assert len(list(tmp_path.glob("*.inbox"))) <= 3
    inbox.take()
    inbox.done()
    inbox.let_go()
    assert list(tmp_path.iterdir()) == []


def test_a_locked_ledger_does_not_spread_over_many_inboxes(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "books.db")
    for _ in range(20):
        inbox.put(Entry(attempt(), reservation_id=None))
        taken = inbox.take()
        inbox.put(Entry(attempt(), reservation_id=None))
        inbox.put_back(taken)
    assert len(list(tmp_path.glob("*.inbox"))) == 1
    assert len(inbox.take()) == len(on_disk(tmp_path)) == 40
    inbox.done()
    inbox.let_go()


def test_what_is_too_much_for_the_memory_is_taken_in_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_inbox, "KEPT_IN_MEMORY", 10)
    rows = [attempt() for _ in range(35)]
    with Ledger.open(f"sqlite:///{tmp_path}/books.db") as ledger:
        with ledger.store._lock:  # type: ignore[attr-defined]  # the writer waits
            for row in rows:
                ledger.record(row)
            assert len(ledger.store._inbox._waiting) <= 11  # type: ignore[attr-defined]
        deadline_s = time.monotonic() + 5
        while ledger.store._inbox.set_down:  # type: ignore[attr-defined]
            assert time.monotonic() < deadline_s, "nobody takes it in"
            time.sleep(0.01)
        assert ids(ledger) == [row.id for row in rows]
    assert not list(tmp_path.glob("*.inbox"))


def test_what_is_set_down_while_others_are_written_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_inbox, "FILE_BYTES", 1000)
    inbox = Inbox(tmp_path / "books.db")
    rows = [attempt() for _ in range(12)]
    for row in rows[:6]:
        inbox.put(Entry(row, reservation_id=None))
    inbox.take()
    monkeypatch.setattr(_inbox, "KEPT_IN_MEMORY", 3)
    for row in rows[6:]:
        inbox.put(Entry(row, reservation_id=None))
    assert inbox.set_down
    inbox.done()
    assert {row.id for row in rows[6:]} <= on_disk(tmp_path)
    inbox.let_go()


# -- the writer --------------------------------------------------------------------------------


def until(true: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def written(path: Path) -> int:
    with sqlite3.connect(path) as db:
        return int(db.execute("SELECT COUNT(*) FROM attempts").fetchone()[0])


def test_what_is_recorded_reaches_the_file_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with Ledger.open(str(path)) as ledger:
        for n in range(1, 4):
            ledger.record(attempt())
            until(lambda n=n: written(path) == n)


def test_the_writer_goes_on_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_writer, "TRY_AGAIN_S", 0.01)
    path = tmp_path / "books.db"
    with Ledger.open(str(path)) as ledger:
        real, failed = ledger.store._file.fold, []  # type: ignore[attr-defined]

        def fail(**_: object) -> None:
            failed.append(1)
            raise RuntimeError("unheard of")

        monkeypatch.setattr(_file, "FOLD_EVERY", 1)
        monkeypatch.setattr(ledger.store._file, "fold", fail)
        ledger.record(attempt())
        until(lambda: failed)
        monkeypatch.setattr(ledger.store._file, "fold", real)
        ledger.record(attempt())
        until(lambda: written(path) == 2)
    assert "unheard of" in caplog.text


def test_operations_that_span_the_rows_of_many_statements_count_once(unhurried: Ledger) -> None:
    """Rows of one statement do not see each other, and 150 rows take several statements."""
    rows = [attempt(operation_id=f"op {n % 40}") for n in range(150)]
    for row in rows:
        unhurried.record(row)
    (line,) = unhurried.totals()
    assert (line.attempts, line.operations) == (150, 40)
    assert ids(unhurried) == sorted(row.id for row in rows)


def test_a_thread_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of threads may be reached for a moment only."""
    path = tmp_path / "books.db"

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with Ledger.open(str(path)) as ledger:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            ledger.record(attempt())
            assert written(path) == 1, "nobody else will write it"
        ledger.record(attempt())
        until(lambda: written(path) == 2)


def test_an_interrupt_as_a_transaction_begins_leaves_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "books.db"
    with Ledger.open(str(path)) as ledger:
        real = sqlite.begin

        def begin(*args: Any, **kwargs: Any) -> None:
            real(*args, **kwargs)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(sqlite, "begin", begin)
            with pytest.raises(KeyboardInterrupt):
                ledger.store.write_note("n", "x")
        with closing(sqlite3.connect(path, timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        ledger.store.write_note("n", "y")
        assert ledger.store.read_note("n") == "y"


def test_stores_that_open_and_close_meanwhile_disturb_no_reader(tmp_path: Path) -> None:
    ended, opened = threading.Event(), 0

    def open_and_close() -> None:
        nonlocal opened
        while not ended.is_set():
            Ledger.open("memory://").close()
            opened += 1

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    keep = [Ledger.open("memory://") for _ in range(20)]
    thread = threading.Thread(target=open_and_close)
    thread.start()
    try:
        with Ledger.open(f"sqlite:///{tmp_path}/books.db") as ledger:
            for _ in range(3000):
                ledger.store._flush_siblings()  # type: ignore[attr-defined]
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert opened
    for other in keep:
        other.close()


def test_a_forgotten_ledger_ends_its_thread_and_leaves_its_attempts(tmp_path: Path) -> None:
    def writers() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "frugal-ledger"}

    url, before = f"sqlite:///{tmp_path}/books.db", writers()
    ledger, rows = Ledger.open(url), [attempt() for _ in range(3)]
    with ledger.store._lock:  # type: ignore[attr-defined]  # the writer cannot write them
        for row in rows:
            ledger.record(row)
        ledger.store._writer.stop()  # type: ignore[attr-defined]
    del ledger
    until(lambda: writers() <= before)
    path, ledger = tmp_path / "books.db", Ledger.open(url)
    had = written(path)
    ledger.record(attempt())
    until(lambda: written(path) > had)
    assert writers() - before, "it waits for the next attempt"
    del ledger
    until(lambda: writers() <= before)
    with Ledger.open(url) as again:
        assert set(ids(again)) > {row.id for row in rows}
