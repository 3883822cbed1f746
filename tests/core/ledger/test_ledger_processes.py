"""One ledger file under many processes: killed, forked, racing, locked out."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pytest

from frugal_chains.ledger import (
    Claim,
    Ledger,
    Meter,
    MeterFacts,
    Refusal,
    Reservation,
    _file,
    _open,
    _reserve,
    _writer,
)
from frugal_chains.ledger._append import Entry
from tests.core.ledger.books import NOON, SlowBooks, as_lines, attempt
from tests.core.ledger.children import Child, all_at_once
from tests.core.ledger.conformance import claim, hold

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


def ids(path: Path) -> list[str]:
    """Every attempt in a ledger that nobody else uses any more; it must be sound."""
    with Ledger.open(str(path)) as ledger:
        health = ledger.store.health()
        assert not [p for p in health.problems if ".inbox" not in p], health.problems
        return [row.id for row in ledger.attempts()]


def write_for_ever(path: Path, threads: int) -> Callable[[IO[str]], None]:
    def work(out: IO[str]) -> None:
        ledger = Ledger.open(str(path))

        def write() -> None:
            while True:
                row = attempt()
                ledger.record(row)
                out.write(f"{row.id}\n")

        for _ in range(threads - 1):
            threading.Thread(target=write).start()
        write()

    return work


@pytest.mark.parametrize("threads", [1, 4])
def test_every_acknowledged_attempt_survives_kill_9(path: Path, threads: int) -> None:
    child = Child(write_for_ever(path, threads))
    acknowledged = [child.out.readline().strip() for _ in range(300)]
    acknowledged += child.kill()
    found = ids(path)
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found)) <= len(acknowledged) + threads


def test_killing_one_writer_does_not_disturb_the_others(path: Path) -> None:
    victims = [Child(write_for_ever(path, 2)) for _ in range(2)]
    acknowledged = [v.out.readline().strip() for v in victims for _ in range(30)]
    with Ledger.open(str(path)) as ledger:
        for victim in victims:
            acknowledged += victim.kill()
            row = attempt()
            ledger.record(row)
            acknowledged.append(row.id)
    assert set(acknowledged) <= set(ids(path))


@pytest.mark.parametrize("dies", ["before its commit", "after its commit"])
@pytest.mark.parametrize("folds", [1, 4])
def test_killed_while_rows_go_into_the_rollups_every_row_counts_once(
    path: Path, dies: str, folds: int
) -> None:
    """A backlog takes several transactions: the death is in the one numbered `folds`."""
    rows = [attempt(NOON + timedelta(hours=n % 50), nanos=n) for n in range(1000)]

    def work(out: IO[str]) -> None:
        fold, transact, count = _file.fold, _file.LedgerFile.transact, 0

        def folding(db: sqlite3.Connection, **_: int) -> int:
            nonlocal count
            count += 1
            left = fold(db, at_least=1, at_most=100)
            if count == folds and dies == "before its commit":
                os.kill(os.getpid(), signal.SIGKILL)
            return left

        def committing(*arguments: Any, **named: Any) -> Any:
            result = transact(*arguments, **named)
            if count == folds and dies == "after its commit":
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        ledger = Ledger.open(str(path))
        ledger.store._writer.stop()  # type: ignore[attr-defined]
        ledger.store._file.write([Entry(row) for row in rows])  # type: ignore[attr-defined]
        _file.fold, _file.LedgerFile.transact = folding, committing  # type: ignore[method-assign]
        ledger.close()

    Child(work).killed()
    with sqlite3.connect(path) as db:
        (folded,) = db.execute("SELECT seq FROM folded").fetchone()
    assert folded == 100 * (folds - (dies == "before its commit"))
    expected = SlowBooks(rows)
    for _ in range(2):  # what the dead one left, and what the next one folds
        with Ledger.open(str(path), read_only=True) as reader:
            for by in (["hour"], ["day", "model"], ["tenant"], []):
                assert as_lines(reader.totals(by)) == expected.totals(by, None, None)
        with Ledger.open(str(path)):
            pass
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT seq FROM folded").fetchone() == (1000,)


def opens_and_writes(path: Path, rows: int) -> None:
    with Ledger.open(str(path)) as ledger:
        for _ in range(rows):
            ledger.record(attempt())


@pytest.mark.parametrize("round_", range(5))
def test_many_processes_create_the_same_file_at_once(path: Path, round_: int) -> None:
    all_at_once([lambda out: opens_and_writes(path, 5)] * 6)
    assert len(ids(path)) == 30


def test_many_processes_migrate_the_same_file_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens_and_writes(path, 3)
    monkeypatch.setattr(_open, "MIGRATIONS", (*_open.MIGRATIONS, "CREATE TABLE later (x)"))
    all_at_once([lambda out: opens_and_writes(path, 2)] * 5)
    assert len(ids(path)) == 3 + 5 * 2
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(_open.MIGRATIONS),)


def test_parent_and_child_both_write_after_a_fork(path: Path) -> None:
    """The parent closes last-but-one: SQLite would then delete a log that the child still uses."""
    ledger = Ledger.open(str(path))
    ledger.record(attempt())
    closed, say_closed = os.pipe()

    def work(out: IO[str]) -> None:
        ledger.record(attempt())
        out.write("wrote\n")
        os.read(closed, 1)
        for _ in range(50):
            ledger.record(attempt())
        ledger.close()

    child = Child(work)
    for _ in range(20):
        ledger.record(attempt())
    assert child.out.readline() == "wrote\n"
    ledger.close()
    opens_and_writes(path, 1)
    os.write(say_closed, b"!")
    child.wait()
    assert len(ids(path)) == 1 + 1 + 50 + 20 + 1


def test_a_fork_while_other_threads_write(path: Path) -> None:
    ledger = Ledger.open(str(path))
    stop = threading.Event()
    written: list[str] = []

    def write() -> None:
        while not stop.is_set():
            row = attempt()
            ledger.record(row)
            written.append(row.id)
            time.sleep(0.001)

    def work(out: IO[str]) -> None:
        rows = [attempt(), attempt()]
        ledger.record(rows[0])
        other_thread = threading.Thread(target=ledger.record, args=(rows[1],), daemon=True)
        other_thread.start()
        other_thread.join(timeout=5)
        out.write("".join(f"{row.id}\n" for row in rows))

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    children = [Child(work) for _ in range(5)]
    from_children = [line for child in children for line in child.wait()]
    stop.set()
    for thread in threads:
        thread.join()
    ledger.close()
    assert sorted(ids(path)) == sorted(written + from_children)


def test_a_ledger_in_memory_goes_on_in_the_child_as_a_copy() -> None:
    ledger = Ledger.open("memory://")
    ledger.record(attempt())

    def work(out: IO[str]) -> None:
        ledger.record(attempt())
        out.write(f"{sum(1 for _ in ledger.attempts())}\n")

    assert Child(work).wait() == ["2"]
    assert sum(1 for _ in ledger.attempts()) == 1


# -- locked out --------------------------------------------------------------------------------


Hold = Callable[[], Callable[[], None]]


@pytest.fixture
def locked(path: Path) -> Iterator[Hold]:
    """Call it, and another program holds the file until what it returned is called."""
    Ledger.open(str(path)).close()
    release, say_release = os.pipe()

    def work(out: IO[str]) -> None:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("BEGIN EXCLUSIVE")
        out.write("held\n")
        os.read(release, 1)
        db.execute("COMMIT")
        db.close()

    child: list[Child] = []

    def hold_it() -> Callable[[], None]:
        child.append(Child(work))
        assert child[0].out.readline() == "held\n"
        return let_go

    def let_go() -> None:
        if child:
            os.write(say_release, b"!")
            child.pop().wait()

    yield hold_it
    let_go()


def inboxes(path: Path) -> list[Path]:
    """Inbox files in which something waits, beside the ledger."""
    return [file for file in path.parent.glob("*.inbox") if file.read_bytes().strip(b"\0")]


def test_a_locked_ledger_does_not_hold_up_the_call_and_loses_nothing(
    path: Path, locked: Hold, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_file, "FLUSH_WAIT_S", 0.05)
    ledger, rows = Ledger.open(str(path)), [attempt() for _ in range(6)]
    ledger.record(rows[0])
    ledger.store.flush()
    let_go = locked()
    took = []
    for row in rows[1:5]:
        start = time.perf_counter()
        ledger.record(row)
        took.append(time.perf_counter() - start)
        time.sleep(0.03)
    assert max(took) < 0.1
    ledger.record(rows[1])  # a second report of one that waits already
    assert not ledger.store.flush()
    assert len(inboxes(path)) == 1
    assert caplog.text.count("attempts wait beside it") == 1, "said once, not for every attempt"
    let_go()
    ledger.record(rows[5])
    assert [row.id for row in ledger.attempts()] == sorted(row.id for row in rows)
    ledger.close()
    assert list(path.parent.glob("*.inbox")) == []
    assert ids(path) == sorted(row.id for row in rows)


def test_what_waited_for_the_lock_is_tried_again_without_being_asked_for(
    path: Path, locked: Hold, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_file, "FLUSH_WAIT_S", 0.01)
    monkeypatch.setattr(_writer, "GATHER_S", 0.01)
    ledger, row = Ledger.open(str(path)), attempt()
    let_go = locked()
    ledger.record(row)
    deadline_s = time.monotonic() + 5
    while "attempts wait beside it" not in caplog.text:  # the first try has failed
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    let_go()
    deadline_s = time.monotonic() + 5
    with sqlite3.connect(path) as db:
        while not db.execute("SELECT COUNT(*) FROM attempts").fetchone()[0]:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
    ledger.close()


@pytest.mark.parametrize("asks", ["totals", "attempts", "states", "health"])
def test_reports_and_budgets_see_what_was_just_recorded(path: Path, asks: str) -> None:
    meter = Meter(window="lifetime")
    facts = MeterFacts(at=NOON)
    answers: dict[str, Callable[[Ledger], int]] = {
        "totals": lambda ledger: sum(line.nanos for line in ledger.totals()),
        "attempts": lambda ledger: sum(row.price.nanos or 0 for row in ledger.attempts()),
        "states": lambda ledger: (
            ledger.store.meter_states([(meter, meter.key(facts))], now=NOON)[0].spent_nanos
        ),
        "health": lambda ledger: 7 * ledger.store.health().attempts,
    }
    with Ledger.open(str(path)) as ledger:
        ledger.store._writer.stop()  # type: ignore[attr-defined]
        ledger.store.register([meter])
        for n in (1, 2, 3):
            ledger.record(attempt(nanos=7))
            with Ledger.open(str(path)) as reader:
                assert answers[asks](reader) == 7 * n, "opened anew"
            assert answers[asks](ledger) == 7 * n


def test_closing_takes_in_what_waits(
    path: Path, locked: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_file, "FLUSH_WAIT_S", 0.01)
    ledger, row = Ledger.open(str(path)), attempt()
    let_go = locked()
    ledger.record(row)
    let_go()
    ledger.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT id FROM attempts").fetchall() == [(bytes.fromhex(row.id),)]
    assert list(path.parent.glob("*.inbox")) == []


def test_closing_a_locked_ledger_leaves_its_attempts_for_the_next(
    path: Path, locked: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_file, "FLUSH_WAIT_S", 0.01)
    ledger, row = Ledger.open(str(path)), attempt()
    let_go = locked()
    ledger.record(row)
    ledger.close()
    let_go()
    assert ids(path) == [row.id]


def test_a_held_amount_is_settled_when_its_row_comes_in_later(
    path: Path, locked: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_file, "FLUSH_WAIT_S", 0.01)
    now = datetime.now(UTC)  # opening drops what was last touched long before now
    meter, row = Meter(window="run"), attempt(now, nanos=30)
    ledger = Ledger.open(str(path))
    hold(ledger, row, [meter], 100, run="r")
    let_go = locked()
    ledger.record(row, reservation_id=row.id)
    ledger.close()
    let_go()
    with Ledger.open(str(path)) as again:
        key = meter.key(MeterFacts(at=now, run_id="r"))
        (state,) = again.store.meter_states([(meter, key)], now=now)
        assert (state.spent_nanos, state.reserved_nanos) == (30, 0)


def test_the_inbox_of_a_living_process_is_its_own_and_of_a_dead_one_anybodys(path: Path) -> None:
    ledger, row = Ledger.open(str(path)), attempt()

    def record_and_wait(out: IO[str]) -> None:
        _file.FLUSH_WAIT_S = 0
        ledger.store._writer.stop()  # type: ignore[attr-defined]
        ledger.record(row)
        out.write("recorded\n")
        time.sleep(60)

    child = Child(record_and_wait)
    assert child.out.readline() == "recorded\n"
    assert len(inboxes(path)) == 1
    assert ids(path) == [], "its writer is alive and may be adding to it"
    assert len(inboxes(path)) == 1
    child.kill()
    assert [found.id for found in ledger.attempts()] == [row.id], "without opening it anew"
    assert list(path.parent.glob("*.inbox")) == []
    ledger.close()


def test_what_a_dead_process_had_spent_makes_room_for_others(path: Path) -> None:
    """It held 80 and its row, which says 10, had not reached the file when it was killed."""
    meter, row = Meter(window="lifetime"), attempt(nanos=10)
    with Ledger.open(str(path)) as ledger:

        def hold_record_and_wait(out: IO[str]) -> None:
            hold(ledger, row, [meter], 80)
            ledger.store._writer.stop()  # type: ignore[attr-defined]
            ledger.record(row, reservation_id=row.id)
            out.write("recorded\n")
            time.sleep(60)

        child = Child(hold_record_and_wait)
        assert child.out.readline() == "recorded\n"
        wanted = Reservation(
            claims=(claim(meter, attempt(), 50, limit=100),),
            expires_at=NOON + timedelta(hours=1),
            if_lost=attempt(),
        )
        assert isinstance(ledger.store.reserve(wanted, now=NOON), Refusal)
        child.kill()
        assert not isinstance(ledger.store.reserve(wanted, now=NOON), Refusal)


def test_a_budget_that_waits_for_the_file_does_not_hold_up_finished_calls(
    path: Path, locked: Hold
) -> None:
    ledger = Ledger.open(str(path))
    let_go = locked()
    waiting = threading.Thread(target=lambda: ledger.store.release(attempt().id))
    waiting.start()
    time.sleep(0.1)
    start = time.perf_counter()
    ledger.record(attempt())
    took = time.perf_counter() - start
    let_go()
    waiting.join()
    ledger.close()
    assert took < 1.0
    assert len(ids(path)) == 1


def test_a_budget_counts_what_other_processes_write(path: Path) -> None:
    meter = Meter(window="day", tag="tenant")
    with Ledger.open(str(path)) as ledger:
        ledger.store.register([meter])
        facts = MeterFacts(at=NOON, tags={"tenant": "a"})
        seeded = ledger.store.meter_states([(meter, meter.key(facts))], now=NOON)

        def work(out: IO[str]) -> None:
            with Ledger.open(str(path)) as theirs:
                for tenant in "aab":
                    theirs.record(attempt(nanos=5, tags={"tenant": tenant}))

        Child(work).wait()
        after = ledger.store.meter_states([(meter, meter.key(facts))], now=NOON)
        assert (seeded[0].spent_nanos, after[0].spent_nanos) == (0, 10)


def test_two_openers_of_one_file_never_admit_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two connections, as two processes have: the second comes in the middle of the first."""
    meter, results, reached = Meter(window="lifetime"), [], threading.Event()
    look = _reserve._current

    def slow_look(*args: Any, **kwargs: Any) -> Any:
        state = look(*args, **kwargs)
        reached.set()
        time.sleep(0.3)
        return state

    def ask(ledger: Ledger) -> None:
        row = attempt(status="aborted", error_kind="lease_expired", nanos=0)
        claim = Claim(meter=meter, key=meter.key(MeterFacts(at=NOON)), nanos=6, limit_nanos=10)
        wanted = Reservation(claims=(claim,), expires_at=NOON + timedelta(hours=1), if_lost=row)
        results.append(isinstance(ledger.store.reserve(wanted, now=NOON), Refusal))

    with Ledger.open(str(tmp_path / "b.db")) as one, Ledger.open(str(tmp_path / "b.db")) as two:
        one.store.register([meter])
        one.store.meter_states([(meter, meter.key(MeterFacts(at=NOON)))], now=NOON)
        monkeypatch.setattr(_reserve, "_current", slow_look)
        # In one process openers of a file wait for each other here; processes have only the file.
        monkeypatch.setattr(type(one.store), "_flush_siblings", lambda store: None)
        threads = [threading.Thread(target=ask, args=(ledger,)) for ledger in (one, two)]
        threads[0].start()
        assert reached.wait(5)
        threads[1].start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [False, True], "one is admitted, the other sees what it holds"
