"""What the report reads off a ledger beside its totals: tags, notes, waiting attempts."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from frugal_chains.errors import LedgerError, LedgerUnavailable
from frugal_chains.ledger import Ledger, _sqlite, ledger_path, shown_url
from frugal_chains.ledger._inbox import _folders
from frugal_chains.usage import Usage
from tests.core.ledger.children import without_root
from tests.core.report.sample_books import FIRST_DAY, attempt

GUESS = Usage(input_tokens=1, source="estimated")


def test_tag_names_are_those_of_any_attempt():
    with Ledger.open("memory://") as books:
        assert books.tag_names() == []
        books.record(attempt(tags={"tenant": "acme", "feature": "chat"}))
        books.record(attempt(day=1, tags={'a key, with "marks"': "x", "tenant": "b"}))
        books.record(attempt(day=2))
        assert books.tag_names() == ['a key, with "marks"', "feature", "tenant"]


@pytest.fixture
def noted() -> Ledger:
    books = Ledger.open("memory://")
    for day, note, usage in [
        (0, "first", GUESS),
        (1, "often", GUESS),
        (2, "often", Usage(input_tokens=1, source="mixed")),
        (2, "the provider's word", Usage(input_tokens=1)),
        (3, "last", GUESS),
        (3, "", GUESS),
    ]:
        books.record(attempt(day=day, note=note, usage=usage))
    return books


def test_notes_are_counted_on_estimated_attempts_alone(noted):
    assert noted.estimated_notes() == [("often", 2), ("first", 1), ("last", 1)]
    assert noted.estimated_notes(limit=1) == [("often", 2)]


def test_notes_of_a_period_include_its_first_moment_and_not_its_end(noted):
    second = FIRST_DAY.replace(day=2)
    fourth = FIRST_DAY.replace(day=4)
    assert noted.estimated_notes(since=second, until=fourth) == [("often", 2)]
    assert noted.estimated_notes(since=fourth) == [("last", 1)]
    assert noted.estimated_notes(until=datetime(2026, 11, 1, tzinfo=UTC)) == []


def test_totals_together_agree_while_others_write(tmp_path):
    path = str(tmp_path / "busy.db")
    done = threading.Event()

    def keep_writing() -> None:
        with Ledger.open(path) as own:
            while not done.wait(0.0005):  # without a pause it writes more than can be read
                own.record(attempt(nanos=3))

    with Ledger.open(path) as books:
        books.record(attempt(nanos=3))
        writer = threading.Thread(target=keep_writing)
        writer.start()
        try:
            seen, counts = [], set()
            deadline_s = time.monotonic() + 10
            while len(seen) < 60 or (len(counts) < 5 and time.monotonic() < deadline_s):
                seen.append(books.totals_together([(), ("model",), ("day",)]))
                counts.add(seen[-1][0][0].attempts)
        finally:
            done.set()
            writer.join()
    assert len(counts) >= 5, "too few rows came meanwhile to show anything"
    for whole, models, days in seen:
        assert whole[0].nanos == 3 * whole[0].attempts
        for lines in (models, days):
            assert sum(line.attempts for line in lines) == whole[0].attempts
            assert sum(line.nanos for line in lines) == whole[0].nanos


def test_inboxes_beside_the_ledger_are_found_whatever_its_name(tmp_path):
    path = tmp_path / "books [1].db"
    with Ledger.open(f"sqlite:///{path}") as books:
        books.record(attempt())
    inbox = tmp_path / "books [1].db.7.inbox"
    inbox.write_text("something\n")
    (tmp_path / "books [1].db.8.inbox").write_bytes(bytes(100))  # nothing waits in it
    (tmp_path / "books [1].db-wal.other").write_text("")
    with Ledger.open(f"sqlite:///{path}", read_only=True) as books:
        assert books.store.inbox_files() == (str(inbox),)
        health = books.store.health()
        assert health.inbox_files == (str(inbox),)
        assert any(problem.startswith(str(inbox)) for problem in health.problems)


def test_inboxes_in_the_systems_folder_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "frugal.db"
    with Ledger.open(str(path)) as books:
        books.record(attempt())
    folder = _folders(path)[1]
    folder.mkdir()
    (folder / "frugal.db.9.inbox").write_text("something\n")
    with Ledger.open(str(path), read_only=True) as books:
        assert [Path(file).name for file in books.store.inbox_files()] == ["frugal.db.9.inbox"]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("memory://", None),
        ("sqlite:///frugal.db", Path.cwd() / "frugal.db"),
        ("sqlite:////var/lib/frugal.db", Path("/var/lib/frugal.db")),
        ("books/frugal.db", Path.cwd() / "books/frugal.db"),
        ("a:b@c.db", Path.cwd() / "a:b@c.db"),
    ],
)
def test_a_url_names_its_file(url, path):
    assert ledger_path(url) == path


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://svc:hunter2@db:5432/books", "postgresql://***@db:5432/books"),
        ("postgresql://svc:hun/t@er2@db/books", "postgresql://***@db/books"),
        ("mysql://db/x?user=me&password=hunter2&ssl=1", "mysql://db/x?user=me&password=***&ssl=1"),
        ("sqlite:////home/me@work/books.db", "sqlite:////home/me@work/books.db"),
        ("a:b@c.db", "a:b@c.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert shown_url(url) == shown
    if "hunter2" in url:
        with pytest.raises(LedgerError, match="expected sqlite:///") as raised:
            ledger_path(url)
        assert "hunter2" not in str(raised.value)


def copied(path: Path, to: Path) -> Path:
    """A backup of a ledger in use: the file and its log, and no shared memory."""
    to.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        shutil.copy(path.with_name(name), to / name)
        (to / name).chmod(0o644)
    to.chmod(0o555)
    return to / path.name


def test_a_copy_whose_log_cannot_be_read_is_refused_and_a_folded_one_is_read():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Ledger.open(str(folder / "books.db")) as books:
            books.record(attempt(nanos=7))
            books.store.flush()
            live = copied(folder / "books.db", folder / "live")
        (folder / "books.db-wal").write_bytes(b"")  # closing the ledger has folded it in
        still = copied(folder / "books.db", folder / "still")
        with without_root():
            with pytest.raises(LedgerUnavailable, match=r"books.db-wal.*Copy both files"):
                Ledger.open(str(live), read_only=True)
            with Ledger.open(str(still), read_only=True) as books:
                assert books.totals()[0].nanos == 7
        shutil.copytree(live.parent, folder / "own", copy_function=shutil.copy)
        (folder / "own").chmod(0o755)
        with Ledger.open(str(folder / "own" / "books.db"), read_only=True) as books:
            assert books.totals()[0].nanos == 7, "the way out works"


def test_a_busy_file_is_waited_for_and_not_read_without_its_log(tmp_path, monkeypatch):
    path = tmp_path / "books.db"
    with Ledger.open(str(path)) as books:
        books.record(attempt(nanos=7))
    monkeypatch.setattr(_sqlite, "OPEN_WAIT_S", 0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as busy:
        busy.execute("PRAGMA locking_mode = EXCLUSIVE")
        busy.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerUnavailable, match="locked"):
            Ledger.open(str(path), read_only=True)
