"""What waits beside a ledger: safe before it is written, and gone from there once it is."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import pytest

from frugal_chains.ledger import (
    Attempt,
    Ledger,
    Meter,
    Refusal,
    Reservation,
    _append,
    _file,
    _inbox,
    _writer,
    left_behind,
    new_id,
)
from tests.core.ledger.books import NOON, attempt
from tests.core.ledger.children import Child, needs_fork
from tests.core.ledger.conformance import claim


@pytest.fixture(autouse=True)
def _idle_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is flushed but by what the test itself does."""
    monkeypatch.setattr(_writer, "GATHER_S", 1000)
    monkeypatch.setattr(_file, "FLUSH_WAIT_S", 0.005)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


def read(path: Path) -> list[str]:
    with Ledger.open(str(path)) as ledger:
        assert ledger.store.health().problems == ()
        return [row.id for row in ledger.attempts()]


def in_the_file(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT COUNT(*) FROM attempts").fetchone()[0])


def inboxes(path: Path) -> list[Path]:
    return list(path.parent.glob("*.inbox"))


def on_disk(path: Path) -> set[str]:
    """What would be taken in if this process were killed now."""
    found = set()
    for name in inboxes(path):
        with name.open("rb") as file:
            entries, damaged = _inbox._read(file.fileno(), name)
        assert not damaged
        found |= {entry.attempt.id for entry in entries}
    return found


Lock = Callable[[], Callable[[], None]]


@pytest.fixture
def lock(path: Path) -> Iterator[Lock]:
    """Call it, and another program holds the file until what it returned is called."""
    Ledger.open(str(path)).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:

        def lock_it() -> Callable[[], None]:
            other.execute("BEGIN IMMEDIATE")
            return lambda: other.rollback()

        yield lock_it


# -- safe before it is written -----------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2000], ids=["one", "several-files"])
def test_an_attempt_is_safe_before_the_writer_has_seen_it(path: Path, rows: int) -> None:
    needs_fork()

    def work(out: IO[str]) -> None:
        ledger = Ledger.open(str(path))
        for _ in range(rows):
            row = attempt()
            ledger.record(row)
            out.write(f"{row.id}\n")
        os.kill(os.getpid(), signal.SIGKILL)

    acknowledged = Child(work).killed()
    assert len(acknowledged) == rows
    assert in_the_file(path) == 0
    assert len(left_behind(path)) == len(inboxes(path))
    assert (len(inboxes(path)) > 1) == (rows > 1)
    assert read(path) == sorted(acknowledged)
    assert inboxes(path) == []


def test_more_than_a_file_of_rows_waits_while_the_ledger_is_locked(path: Path, lock: Lock) -> None:
    ledger = Ledger.open(str(path))
    let_go = lock()
    size = _inbox.FILE_BYTES
    rows = [attempt(note="y" * 900) for _ in range(2 * size // 1000)]
    rows.append(attempt(note="z" * 2 * size))  # more than a file on its own
    rows.append(attempt())
    for n, row in enumerate(rows):
        ledger.record(row)
        if n % 100 == 0:
            assert not ledger.store.flush()  # type: ignore[attr-defined]
    assert on_disk(path) == {row.id for row in rows}
    assert len(inboxes(path)) >= 4
    let_go()
    assert ledger.store.flush()  # type: ignore[attr-defined]
    assert on_disk(path) == set()
    assert len(inboxes(path)) <= 2
    ledger.close()
    assert inboxes(path) == []
    assert read(path) == sorted(row.id for row in rows)


def test_more_rows_than_memory_keeps_count_in_the_next_budget(
    path: Path, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in no memory and not in the file: a limit must not be blind to them."""
    monkeypatch.setattr(_inbox, "KEPT_IN_MEMORY", 20)
    meter, rows = Meter(window="day"), [attempt(nanos=2) for _ in range(75)]
    ledger = Ledger.open(str(path))
    ledger.store.register([meter])
    ledger.store.meter_states([(meter, claim(meter, rows[0], 0, limit=None).key)], now=NOON)
    let_go = lock()
    for row in rows:
        ledger.record(row)
    assert on_disk(path) == {row.id for row in rows}
    let_go()
    wanted = Reservation(
        claims=(claim(meter, attempt(), 1, limit=150),),
        expires_at=NOON + timedelta(hours=1),
        if_lost=attempt(),
    )
    assert isinstance(ledger.store.reserve(wanted, now=NOON), Refusal)
    ledger.close()
    assert inboxes(path) == []
    assert read(path) == sorted(row.id for row in rows)


# -- whose it is -------------------------------------------------------------------------------


def test_nothing_is_left_beside_a_closed_ledger(path: Path) -> None:
    with Ledger.open(str(path)) as ledger:
        for _ in range(5):
            ledger.record(attempt())
        ledger.store.flush()  # type: ignore[attr-defined]
        ledger.record(attempt())
    assert list(path.parent.iterdir()) == [path]


def test_two_open_ledgers_on_one_file_in_one_process(path: Path) -> None:
    """Neither takes the other's inbox; both end in the same books."""
    one, two = Ledger.open(str(path)), Ledger.open(str(path))
    rows = [attempt() for _ in range(10)]
    for i, row in enumerate(rows):
        (one, two)[i % 2].record(row)
    assert left_behind(path) == ()
    for ledger in (one, two):
        assert [row.id for row in ledger.attempts()] == sorted(row.id for row in rows)
    two.record(late := attempt())
    one.close()
    two.record(last := attempt())
    two.close()
    assert inboxes(path) == []
    assert read(path) == sorted(row.id for row in [*rows, late, last])


def test_a_fork_while_rows_wait_loses_and_leaves_nothing(path: Path, lock: Lock) -> None:
    """The files are let go for the fork; what waits in them is still the parent's to see to."""
    needs_fork()
    ledger, rows = Ledger.open(str(path)), [attempt() for _ in range(3)]
    ledger.record(rows[0])

    def work(out: IO[str]) -> None:
        ledger.record(rows[1])
        os.kill(os.getpid(), signal.SIGKILL)

    Child(work).killed()
    assert on_disk(path) == {rows[0].id, rows[1].id}
    ledger.record(rows[2])
    ledger.close()
    assert inboxes(path) == []
    assert in_the_file(path) == 3
    assert read(path) == sorted(row.id for row in rows)


def test_ids_differ_between_threads_and_forked_processes() -> None:
    """All of one microsecond, from processes that began with the same memory."""
    needs_fork()
    found = [new_id(0)]

    def work(out: IO[str]) -> None:
        for line in Child(lambda inner: inner.writelines(f"{new_id(0)}\n" for _ in "abc")).wait():
            out.write(f"{line}\n")
        out.writelines(f"{new_id(0)}\n" for _ in range(100))

    children = [Child(work) for _ in range(5)]
    threads = [
        threading.Thread(target=lambda: found.extend([new_id(0) for _ in range(5000)]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for child in children:
        found += child.wait()
    assert len(set(found)) == len(found) == 1 + 4 * 5000 + 5 * 103


# -- in the middle of things -------------------------------------------------------------------


class Abandoned:
    """A stream that reports its end when it is collected, wherever that happens."""

    def __init__(self, ledger: Ledger, row: Attempt) -> None:
        self.ledger, self.row, self.cycle = ledger, row, self

    def __del__(self) -> None:
        self.ledger.record(self.row)


PLACES: list[tuple[Any, str]] = [
    (_inbox, "line_of"),
    (_inbox.Page, "write"),
    (_inbox.Page, "clear"),
    (_inbox.Page, "create"),
    (_inbox.Page, "delete"),
    (_file, "book_all"),
    (_append, "book"),
]


@pytest.mark.parametrize(("owner", "name"), PLACES, ids=[name for _, name in PLACES])
def test_a_finalizer_may_write_in_the_middle_of_anything(
    path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    """Before and after each step; what it wrote is on disk or in the file when it matters."""
    monkeypatch.setattr(_inbox, "FILE_BYTES", 300)  # so that every step is taken
    ledger = Ledger.open(str(path))
    ledger.store.register([Meter(window="day")])
    rows, late = [attempt() for _ in range(12)], [attempt() for _ in range(6)]
    to_come, collecting, real = [*late], [], getattr(owner, name)

    def collect() -> None:
        if to_come and not collecting:  # the collector does not run inside itself
            collecting.append(True)
            Abandoned(ledger, to_come.pop())
            gc.collect()
            collecting.clear()

    def collected_meanwhile(*arguments: Any) -> Any:
        collect()
        result = real(*arguments)
        collect()
        return result

    faulthandler.dump_traceback_later(120, exit=True)  # a deadlock must not hang the suite
    monkeypatch.setattr(owner, name, collected_meanwhile)
    for n, row in enumerate(rows):
        ledger.record(row)
        if n % 4 == 3:
            ledger.store.flush()  # type: ignore[attr-defined]
        with closing(sqlite3.connect(path)) as db:
            booked = {i.hex() for (i,) in db.execute("SELECT id FROM attempts")}
        reported = {r.id for r in rows[: n + 1]} | {r.id for r in late[len(to_come) :]}
        assert reported <= on_disk(path) | booked
    ledger.close()
    assert to_come == []
    faulthandler.cancel_dump_traceback_later()
    assert read(path) == sorted(row.id for row in [*rows, *late])


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_an_interrupted_report_harms_no_other(
    path: Path, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    """Ctrl-C in the middle of `record`: the attempt may be there, once, and the others are."""
    rows, real = [attempt() for _ in range(3)], _inbox.Page.write
    ledger = Ledger.open(str(path))
    ledger.record(rows[0])

    def write(page: Any, line: bytes) -> bool:
        monkeypatch.setattr(_inbox.Page, "write", real)
        if done:
            real(page, line)
        raise KeyboardInterrupt

    monkeypatch.setattr(_inbox.Page, "write", write)
    with suppress(KeyboardInterrupt):
        ledger.record(rows[1])
    ledger.record(rows[2])
    assert {rows[0].id, rows[2].id} <= on_disk(path)
    assert [row.id for row in ledger.attempts()] == sorted(row.id for row in rows)
    ledger.close()
    assert inboxes(path) == []
