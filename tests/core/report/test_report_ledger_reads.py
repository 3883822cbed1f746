"""What the report reads off a ledger beside its totals: tags, notes, waiting attempts."""

from __future__ import annotations

import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from frugal_chains.ledger import Ledger, ledger_path
from frugal_chains.ledger._inbox import _folders
from frugal_chains.usage import Usage
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
        ("sqlite:///frugal.db", Path("frugal.db")),
        ("sqlite:////var/lib/frugal.db", Path("/var/lib/frugal.db")),
        ("books/frugal.db", Path("books/frugal.db")),
    ],
)
def test_a_url_names_its_file(url, path):
    assert ledger_path(url) == path
