"""Fingerprints of requests in the ledger: kept with their attempts, and no room where there are
none."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.ledger import Attempt, Ledger, _open
from frugal_chains.ledger._append import Entry
from frugal_chains.ledger._codec import attempt_from_json, attempt_to_json
from frugal_chains.ledger._line import arrival_of, line_of
from tests.core.ledger.books import NOON, attempt
from tests.core.ledger.children import Child, needs_fork

PRINTS: dict[str, Any] = {"v": 1, "m": "", "n": 3, "h": "0fR%j", "r": {"type": "cache_hit"}}
ODD: dict[str, Any] = {"v": 1, "x": "line\nbreak \0 and \x1f", "n": [1, None, {"deep": True}]}


def printed(offset_s: int = 0, prints: dict[str, Any] | None = PRINTS, **more: Any) -> Attempt:
    return attempt(NOON + timedelta(seconds=offset_s), prints=prints, **more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


def kept(path: Path, **options: Any) -> list[Any]:
    with Ledger.open(str(path), **options) as ledger:
        return [row.prints for row in ledger.attempts()]


@pytest.mark.parametrize("where", ["memory", "file"])
def test_they_come_back_with_their_attempts(where: str, path: Path) -> None:
    rows = [printed(0), printed(1, None), printed(2, ODD)]
    with Ledger.open("memory://" if where == "memory" else str(path)) as ledger:
        for row in rows:
            ledger.record(row)
        ledger.record(rows[0])  # the same attempt twice is one row
        assert list(ledger.attempts()) == rows
        assert list(ledger.attempts(model="no such")) == []
        assert ledger.totals()[0].attempts == 3


def test_the_true_end_of_a_call_brings_its_own(path: Path) -> None:
    late = printed()
    with Ledger.open(str(path)) as ledger:
        ledger.record(late._replace(prints=None, status="aborted", error_kind="cancelled"))
        assert [row.prints for row in ledger.attempts()] == [None]
        ledger.record(late)
        assert list(ledger.attempts()) == [late]


@pytest.mark.parametrize("prints", [None, PRINTS, ODD])
def test_a_line_of_the_inbox_and_plain_json_hold_them(prints: dict[str, Any] | None) -> None:
    row = printed(prints=prints, note="two\nlines")
    for each in (row, row._replace(note="")):
        line = line_of(Entry(each))
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert b"\0" not in line
        assert arrival_of(line[:-1]) == Entry(each, reservation_id=each.id)
        assert attempt_from_json(attempt_to_json(each)) == each


def test_a_line_without_them_is_as_it_was() -> None:
    """Ledgers of before have such lines beside them, and are read."""
    row = printed(prints=None)
    assert line_of(Entry(row)).startswith(row.id.encode())
    assert "prints" not in attempt_to_json(row)


@given(st.binary(max_size=200))
def test_any_damage_of_a_line_is_an_error_that_the_inbox_knows(damage: bytes) -> None:
    line = line_of(Entry(printed()))[:-1]
    for broken in (line[: len(line) // 2] + damage, b"[" + damage, line + damage):
        with suppress(ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError):
            arrival_of(broken)


def test_rows_without_them_need_no_more_room_than_before(tmp_path: Path) -> None:
    """The same rows in a file of the version before, and in one of today."""
    rows = [printed(n, None) for n in range(400)]
    sizes = []
    for migrations in (_open.MIGRATIONS[:2], _open.MIGRATIONS):
        file = tmp_path / f"{len(migrations)}.db"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_open, "MIGRATIONS", migrations)
            with Ledger.open(str(file)) as ledger:
                for row in rows:
                    ledger.record(row)
        with closing(sqlite3.connect(file)) as db:
            db.execute("VACUUM")
        sizes.append(file.stat().st_size)
    assert sizes[1] - sizes[0] <= 2 * _open.PAGE_BYTES  # the empty table


# -- files of before ---------------------------------------------------------------------------


@pytest.fixture
def of_version_2(path: Path) -> list[Attempt]:
    rows = [printed(n, None) for n in range(50)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_open, "MIGRATIONS", _open.MIGRATIONS[:2])
        with Ledger.open(str(path)) as ledger:
            for row in rows:
                ledger.record(row)
    assert version(path) == 2
    return rows


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def test_an_older_file_is_migrated_and_takes_them(path: Path, of_version_2: list[Attempt]) -> None:
    new = printed(100)
    with Ledger.open(str(path)) as ledger:
        ledger.record(new)
        assert list(ledger.attempts()) == [*of_version_2, new]
        assert ledger.store.health().problems == ()
    assert version(path) == len(_open.MIGRATIONS) >= 3


def test_an_older_file_is_read_as_it_is(path: Path, of_version_2: list[Attempt]) -> None:
    with Ledger.open(str(path), read_only=True) as ledger:
        assert list(ledger.attempts()) == of_version_2
    assert version(path) == 2


# -- other processes ---------------------------------------------------------------------------


def test_they_survive_kill_9(path: Path) -> None:
    needs_fork()

    def work(out: IO[str]) -> None:
        ledger = Ledger.open(str(path))
        for n in range(10_000):
            row = printed(n, {"v": 1, "n": n})
            ledger.record(row)
            out.write(f"{row.id} {n}\n")

    child = Child(work)
    seen = [child.out.readline() for _ in range(200)]
    acknowledged = [line.split() for line in (*seen, *child.kill())]
    with Ledger.open(str(path)) as ledger:
        found = {row.id: row.prints for row in ledger.attempts()}
    assert len(acknowledged) >= 200
    assert all(found[id_] == {"v": 1, "n": int(n)} for id_, n in acknowledged)


def test_a_note_that_is_kept_once_is_the_same_for_all(path: Path) -> None:
    needs_fork()
    with Ledger.open(str(path)):
        pass

    def work_of(n: int) -> Callable[[IO[str]], None]:
        def work(out: IO[str]) -> None:
            with Ledger.open(str(path)) as ledger:
                out.write(f"{ledger.store.note_once('key', str(n))}\n")

        return work

    children = [Child(work_of(n)) for n in range(5)]
    lines = [line for child in children for line in child.wait()]
    with Ledger.open(str(path)) as ledger:
        first = ledger.store.read_note("key")
        assert ledger.store.note_once("key", "late") == first
    assert lines == [first] * 5
