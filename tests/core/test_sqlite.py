"""What the ledger's and the archive's files have in common."""

from __future__ import annotations

import gc
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from frugal_chains.sqlite import (
    LetGoAtForks,
    header_of,
    is_busy,
    is_damage,
    path_of_url,
    retrying,
    transacted,
)


def connected(path: Path, *, timeout: float = 0) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=timeout, check_same_thread=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


@pytest.fixture
def holder(path: Path) -> Iterator[sqlite3.Connection]:
    """Another connection, which has a write transaction open."""
    with closing(connected(path)) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("BEGIN IMMEDIATE")
        yield db


@pytest.fixture
def mine(path: Path, holder: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    with closing(connected(path)) as db:
        yield db


# -- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("sqlite:///a.db", "{here}/a.db"),
        ("sqlite:////var/a.db", "/var/a.db"),
        ("sqlite:///a b/c.db", "{here}/a b/c.db"),
        ("a.db", "{here}/a.db"),
        ("/var/a.db", "/var/a.db"),
        ("c:/a.db", "{here}/c:/a.db"),
        ("memory://", None),
        (":memory:", None),
    ],
)
def test_a_url_names_a_file_or_memory(
    url: str, named: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = named and Path(named.format(here=tmp_path))
    assert path_of_url(url) == expected


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite://a.db", "postgres://me@host/a"]
)
def test_a_url_of_another_kind_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"^expected sqlite:///relative\.db, ") as raised:
        path_of_url(url)
    assert "me@" not in str(raised.value)


# -- whose it is -------------------------------------------------------------------------------


def test_a_header_is_that_of_the_file(path: Path) -> None:
    with closing(connected(path)) as db:
        assert header_of(db) == (0, 0, 0)
        db.executescript(
            "CREATE TABLE t (x); CREATE INDEX i ON t (x); "
            "PRAGMA application_id = 1179797313; PRAGMA user_version = 7"
        )
        assert header_of(db) == (1179797313, 7, 2)
    # In the first 100 bytes of every SQLite file (sqlite.org/fileformat.html, section 1.3).
    head = path.read_bytes()[:100]
    assert (int.from_bytes(head[68:72]), int.from_bytes(head[60:64])) == (1179797313, 7)


# -- turns with others -------------------------------------------------------------------------


def test_a_transaction_is_whole_or_was_never(path: Path) -> None:
    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO t VALUES (2)")
        raise KeyboardInterrupt

    with closing(connected(path)) as db, closing(connected(path)) as other:
        db.execute("CREATE TABLE t (x)")
        added = transacted(db, lambda db: db.execute("INSERT INTO t VALUES (1)").rowcount)
        assert added == 1
        with pytest.raises(KeyboardInterrupt):
            transacted(db, half)
        assert not db.in_transaction
        assert other.execute("SELECT x FROM t").fetchall() == [(1,)]


def test_a_writer_waits_for_another_one_no_longer_than_it_may(
    mine: sqlite3.Connection, holder: sqlite3.Connection
) -> None:
    def add(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO t VALUES (1)")

    for wait_s in (0.0, 0.05):
        started_s = time.monotonic()
        with pytest.raises(sqlite3.OperationalError, match="locked") as raised:
            transacted(mine, add, wait_s=wait_s)
        assert is_busy(raised.value)
        assert not is_damage(raised.value)
        assert wait_s <= time.monotonic() - started_s < wait_s + 5
    later = threading.Timer(0.05, holder.execute, ["COMMIT"])
    later.start()
    transacted(mine, add, wait_s=10)
    later.join()
    assert mine.execute("SELECT COUNT(*) FROM t").fetchone() == (1,)


def test_what_is_no_lock_is_not_tried_again(path: Path) -> None:
    tries = []
    with closing(connected(path)) as db:

        def work() -> None:
            tries.append(1)
            db.execute("SELECT x FROM nowhere")

        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            retrying(work, wait_s=10)
    assert len(tries) == 1


def test_a_clock_that_is_set_back_does_not_prolong_the_wait_for_a_lock(
    mine: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    tries = []

    def work() -> None:
        tries.append(1)
        assert len(tries) < 2000, "waits for as long as the clock stands still"
        mine.execute("BEGIN IMMEDIATE")

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        retrying(work, wait_s=0.05)


def test_a_file_of_something_else_is_damage(path: Path) -> None:
    path.write_bytes(b"no database at all, " * 100)
    with closing(connected(path)) as db:
        with pytest.raises(sqlite3.DatabaseError, match="not a database") as raised:
            header_of(db)
        assert is_damage(raised.value)
        assert not is_busy(raised.value)


# -- forks (what comes of them is shown with the ledger and the archive) -------------------------


def test_a_file_is_minded_as_long_as_it_lives() -> None:
    class File:
        def before_fork(self) -> None: ...

        def after_fork(self, *, in_child: bool) -> None: ...

    file, files, others = File(), LetGoAtForks[File](), LetGoAtForks[File]()
    files.add(file)
    assert files.living() == [file]
    assert others.living() == []
    del file
    gc.collect()
    assert files.living() == []
