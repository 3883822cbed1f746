"""A ledger file that is missing, foreign, damaged, newer, read-only, or on a full disk."""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings

from frugal_chains.errors import LedgerCorrupt, LedgerError, LedgerTooNew, LedgerUnavailable
from frugal_chains.ledger import (
    Attempt,
    Ledger,
    Meter,
    MeterFacts,
    _file,
    _inbox,
    _open,
    rolling_window,
)
from frugal_chains.ledger._append import Entry
from frugal_chains.ledger._line import line_of
from frugal_chains.usage import Usage
from tests.core.ledger.books import NOON, attempt, attempts
from tests.core.ledger.children import with_disks_of_its_own, without_root


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


def write(path: Path, rows: int) -> list[str]:
    with Ledger.open(str(path)) as ledger:
        written = [attempt(NOON + timedelta(seconds=i)) for i in range(rows)]
        for row in written:
            ledger.record(row)
    return [row.id for row in written]


def read(path: Path) -> list[str]:
    with Ledger.open(str(path)) as ledger:
        return [row.id for row in ledger.attempts()]


# -- where it is -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///here.db", "here.db"),
        ("sqlite:///{folder}/a/b/there.db", "a/b/there.db"),
        ("{folder}/plain.db", "plain.db"),
        ("with space.db", "with space.db"),
        ("[a-c].db", "[a-c].db"),
        (None, "from-environment.db"),
    ],
)
def test_a_url_names_its_file(
    url: str | None, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRUGAL_LEDGER", "sqlite:///from-environment.db")
    Ledger.open(url and url.format(folder=tmp_path)).close()
    assert (tmp_path / file).is_file()


@pytest.mark.parametrize("url", ["postgres://host/db", "sqlite://", "sqlite:///", "sqlite://x.db"])
def test_a_url_of_no_known_kind_is_refused(url: str) -> None:
    with pytest.raises(LedgerError, match="memory://"):
        Ledger.open(url)


def test_a_relative_file_stays_where_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_file, "FLUSH_WAIT_S", 0.01)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    ledger, row = Ledger.open("sqlite:///books.db"), attempt()
    other = sqlite3.connect("books.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.chdir(tmp_path / "elsewhere")
    ledger.record(row)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert len(list(tmp_path.glob("books.db.*.inbox"))) == 1
    other.execute("ROLLBACK")
    other.close()
    ledger.close()
    assert read(tmp_path / "books.db") == [row.id]


# -- what it is --------------------------------------------------------------------------------


def noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(5000))


def another_programs(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE users (name TEXT)")


def cut_off_head(path: Path) -> None:
    write(path, 10)
    path.write_bytes(path.read_bytes()[:300])


def newer(path: Path) -> None:
    write(path, 1)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")


def unreadable_schema(path: Path) -> None:
    """SQLite quotes it in its message, and Python cannot decode that."""
    write(path, 1)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute(
            "UPDATE sqlite_master SET sql = 'CREATE TABLE', name = CAST(X'e8e8' AS TEXT) "
            "WHERE name = 'meters'"
        )


def folder(path: Path) -> None:
    path.mkdir()


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("in the way")


BAD_FILES: list[tuple[Callable[[Path], None], type[LedgerError], str]] = [
    (noise, LedgerCorrupt, r"file is not a database.*move it aside.*\.recover"),
    (another_programs, LedgerCorrupt, r"another program.*FRUGAL_LEDGER"),
    (cut_off_head, LedgerCorrupt, r"move it aside"),
    (unreadable_schema, LedgerCorrupt, r"move it aside"),
    (newer, LedgerTooNew, r"version 99.*Upgrade frugal-chains"),
    (folder, LedgerUnavailable, r"cannot be opened.*FRUGAL_LEDGER"),
    (below_a_file, LedgerUnavailable, r"Check that its folder exists"),
]


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("spoil", "error", "says"), BAD_FILES, ids=lambda x: getattr(x, "__name__", "")
)
def test_a_bad_file_is_refused_with_the_way_out(
    path: Path, spoil: Callable[[Path], None], error: type[LedgerError], says: str, read_only: bool
) -> None:
    spoil(path)
    if read_only and spoil is below_a_file:
        says = "there is no ledger"
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(error, match=says) as raised:
        Ledger.open(str(path), read_only=read_only)
    assert str(path) in str(raised.value)
    if before:
        assert path.read_bytes() == before, "a file that is not ours must not be touched"


def test_an_older_ledger_is_not_read_as_if_it_were_new(path: Path) -> None:
    write(path, 1)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 0")
    with pytest.raises(LedgerError, match="open it once for writing"):
        Ledger.open(str(path), read_only=True)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def first_pages(path: Path) -> None:
    """Where the tables begin."""
    overwrite(path, range(1, 40))


def overwrite(path: Path, pages: Iterable[int]) -> None:
    with path.open("r+b") as file:
        for page in pages:
            file.seek(page * _open.PAGE_BYTES)
            file.write(random.Random(page).randbytes(_open.PAGE_BYTES))


def pages_with(path: Path, ids: Iterable[str]) -> set[int]:
    """The pages that hold these attempts or their index."""
    content = path.read_bytes()
    return {content.find(bytes.fromhex(i)) // _open.PAGE_BYTES for i in ids} | {
        content.rfind(bytes.fromhex(i)) // _open.PAGE_BYTES for i in ids
    }


@pytest.mark.parametrize("spoil", [cut_in_half, first_pages])
def test_a_damaged_ledger_is_refused_when_it_is_opened(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    write(path, 2000)
    spoil(path)
    with pytest.raises(LedgerCorrupt, match="move it aside"):
        Ledger.open(str(path))


def test_damage_deeper_inside_loses_no_new_row_and_is_named(
    path: Path,
) -> None:
    written = write(path, 2000)
    overwrite(path, pages_with(path, written[500:1500]))
    rows = [attempt() for _ in range(20)]
    meter, now = Meter(window=rolling_window(timedelta(minutes=9))), NOON + timedelta(minutes=20)
    with Ledger.open(str(path)) as ledger:
        for row in rows:
            ledger.record(row)
            ledger.store.flush()
        with pytest.raises(LedgerCorrupt, match="move it aside"):
            list(ledger.attempts())
        with pytest.raises(LedgerCorrupt, match="move it aside"):
            ledger.store.meter_states([(meter, meter.key(MeterFacts(at=now)))], now=now)
        assert "move it aside" in " ".join(ledger.store.health().problems)
    assert list(path.parent.glob("books.db.*.inbox")), "no row met the damage"
    old = path.rename(path.with_name("damaged.db")).read_bytes()
    kept = set(read(path))
    for row in rows:  # in the sound part of the old file, or in the new one
        assert bytes.fromhex(row.id) in old or row.id in kept


# -- may it be written -------------------------------------------------------------------------


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that nobody may enter and leave, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)
        os.chmod(name, 0o777)


def test_a_read_only_ledger_says_so_and_can_still_be_read(open_folder: Path) -> None:
    path = open_folder / "books.db"
    written = write(path, 3)
    path.chmod(0o444)
    open_folder.chmod(0o555)
    with without_root():
        with pytest.raises(LedgerUnavailable, match=r"readonly|unable to open"):
            Ledger.open(str(path))
        with Ledger.open(str(path), read_only=True) as ledger:
            assert [row.id for row in ledger.attempts()] == written
            assert sum(line.attempts for line in ledger.totals(["day"])) == 3
            with pytest.raises(LedgerError, match="read only"):
                ledger.record(attempt())
            with pytest.raises(LedgerUnavailable):
                ledger.store.register([Meter(window="day")])
            assert ledger.store.health().attempts == 3


def test_a_folder_that_may_not_be_written_is_named(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    with without_root(), pytest.raises(LedgerUnavailable, match=r"new.db.*is writable"):
        Ledger.open(str(open_folder / "new.db"))


FULL_DISK = """
import logging, subprocess, sys
from pathlib import Path
sys.path[:0] = [{root!r}]
from frugal_chains.errors import LedgerUnavailable
from frugal_chains.ledger import Ledger, _inbox
from tests.core.ledger.books import attempt

disk, spare = Path({disk!r}), Path({spare!r})
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=800k", "tmpfs", disk], check=True)
logging.disable()
ledger = Ledger.open(str(disk / "books.db"))
rows = [attempt(note="x" * 400) for _ in range(900)]
for n, row in enumerate(rows):
    ledger.record(row)
    if not n % 10:
        ledger.store.flush()
assert not ledger.store.flush(), "the disk was not full"
assert list(spare.rglob("*.inbox")), "the disk was not full"
assert ledger.store.health().attempts < len(rows)
if {both!r}:
    def full(*_):
        raise OSError(28, "No space left on device")
    _inbox.Page.create, _inbox.Page.write = full, lambda *_: False
    ledger.record(attempt())
    try:
        ledger.close()
    except LedgerUnavailable as error:
        assert "1 attempts could not be written" in str(error), error
    else:
        raise AssertionError("closed as if nothing was missing")
subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
if not {both!r}:
    rows.append(attempt())
    ledger.record(rows[-1])
    ledger.close()
again = Ledger.open(str(disk / "books.db"))
assert sorted(row.id for row in again.attempts()) == sorted(row.id for row in rows)
assert again.store.health().problems == ()
again.close()
assert not [*spare.rglob("*.inbox"), *disk.rglob("*.inbox")]
print("all there")
"""


@pytest.mark.parametrize("both", [False, True], ids=["disk", "disk-and-spare"])
def test_a_full_disk_loses_nothing(tmp_path: Path, both: bool) -> None:
    disk, spare = tmp_path / "disk", tmp_path / "spare"
    disk.mkdir()
    spare.mkdir()
    root = str(Path(__file__).parents[3])
    code = FULL_DISK.format(root=root, disk=str(disk), spare=str(spare), both=both)
    assert with_disks_of_its_own(code, TMPDIR=str(spare)) == "all there\n"


# -- what waits beside it ----------------------------------------------------------------------


def leave_inbox(path: Path, content: bytes, name: str = "books.db.dead.inbox") -> Path:
    inbox = path.parent / name
    inbox.write_bytes(content)
    return inbox


def line(row: Attempt) -> bytes:
    return line_of(Entry(row, reservation_id=None))


def test_an_inbox_is_read_to_its_end_and_no_further(path: Path) -> None:
    """After the last line come zeros; a line without its end was never acknowledged."""
    rows = [attempt(), attempt()]
    half = line(attempt())[:-10]
    leave_inbox(path, b"".join(map(line, rows)) + half + bytes(1000))
    with Ledger.open(str(path)) as ledger:
        assert [row.id for row in ledger.attempts()] == sorted(row.id for row in rows)
        assert ledger.store.health().problems == ()
    assert list(path.parent.glob("*.inbox")) == []


def test_a_damaged_line_costs_only_itself_and_is_kept_for_a_person(path: Path) -> None:
    before, after = attempt(), attempt()
    half = line(attempt())[:80] + b"\n"
    not_one = b"(1, 2)\n[]\n\xff\n7\nimport os\n"
    leave_inbox(path, line(before) + half + not_one + line(after))
    with Ledger.open(str(path)) as ledger:
        assert [row.id for row in ledger.attempts()] == sorted([before.id, after.id])
        (problem,) = ledger.store.health().problems
        assert ".damaged" in problem
    (kept,) = path.parent.glob("*.damaged")
    assert half in kept.read_bytes()
    assert len(read(path)) == 2, "and it is not taken in again"


def test_a_waiting_row_that_cannot_be_written_is_kept_too(path: Path) -> None:
    good = attempt()
    too_big = line(attempt(usage=Usage(input_tokens=10**30)))
    leave_inbox(path, too_big + line(good))
    assert read(path) == [good.id]
    (kept,) = path.parent.glob("*.damaged")
    assert str(10**30).encode() in kept.read_bytes()


def test_inboxes_of_other_ledgers_are_left_alone(path: Path) -> None:
    row = attempt()
    mine = leave_inbox(path, line(row), "books.db.1.inbox")
    others = [
        leave_inbox(path, line(attempt()), name)
        for name in (
            "other-books.db.1.inbox",
            "books.db.old.1.inbox",
            "books.db2.1.inbox",
            "books_db.1.inbox",
            "books.db.1.inbox.bak",
        )
    ]
    assert read(path) == [row.id]
    assert not mine.exists()
    assert all(other.exists() for other in others)
    assert _inbox.left_behind(path) == ()


def test_an_inbox_that_was_deleted_is_nobodys(tmp_path: Path) -> None:
    """Between creating and locking one, another process may have taken it in, empty."""
    descriptor = os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT)
    assert _inbox.is_ours(descriptor)
    (tmp_path / "x").unlink()
    assert not _inbox.is_ours(descriptor)
    os.close(descriptor)


def test_an_empty_inbox_is_nothing(path: Path) -> None:
    inbox = leave_inbox(path, b"")
    assert read(path) == []
    assert not inbox.exists()


@given(attempts())
@settings(max_examples=60, deadline=None)
def test_a_line_says_everything_about_an_attempt(row: Attempt) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = leave_inbox(Path(folder) / "x.db", line(row))
        descriptor = os.open(path, os.O_RDONLY)
        entries, damaged = _inbox._read(descriptor, path)
        os.close(descriptor)
    assert not damaged
    assert [entry.attempt for entry in entries] == [row]


def test_a_spare_folder_of_another_user_is_not_trusted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(path.parent))
    _, spare = _inbox._folders(path)
    spare.mkdir()
    (spare / "books.db.1.inbox").write_bytes(line(attempt()))
    if os.geteuid() != 0:
        pytest.skip("giving a folder away needs root")
    os.chown(spare, 65534, 65534)
    assert read(path) == []
