"""A ledger file that is missing, foreign, damaged, newer, read-only, or on a full disk."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from frugal_chains.errors import LedgerCorrupt, LedgerError, LedgerTooNew, LedgerUnavailable
from frugal_chains.ledger import (
    Ledger,
    Meter,
    MeterFacts,
    _open,
    _spill,
    _sqlite,
    rolling_window,
)
from tests.core.ledger.books import NOON, attempt
from tests.core.ledger.children import without_root


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
    monkeypatch.setattr(_sqlite, "APPEND_WAIT_S", 0.01)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    ledger, row = Ledger.open("sqlite:///books.db"), attempt()
    other = sqlite3.connect("books.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.chdir(tmp_path / "elsewhere")
    ledger.record(row)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert len(list(tmp_path.glob("books.db.spill.*"))) == 1
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


def folder(path: Path) -> None:
    path.mkdir()


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("in the way")


BAD_FILES: list[tuple[Callable[[Path], None], type[LedgerError], str]] = [
    (noise, LedgerCorrupt, r"file is not a database.*move it aside.*\.recover"),
    (another_programs, LedgerCorrupt, r"another program.*FRUGAL_LEDGER"),
    (cut_off_head, LedgerCorrupt, r"move it aside"),
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
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite, "RETRY_AFTER_S", 0.0)
    written = write(path, 2000)
    overwrite(path, pages_with(path, written[500:1500]))
    rows = [attempt() for _ in range(20)]
    meter, now = Meter(window=rolling_window(timedelta(minutes=9))), NOON + timedelta(minutes=20)
    with Ledger.open(str(path)) as ledger:
        for row in rows:
            ledger.record(row)
        with pytest.raises(LedgerCorrupt, match="move it aside"):
            list(ledger.attempts())
        with pytest.raises(LedgerCorrupt, match="move it aside"):
            ledger.store.meter_states([(meter, meter.key(MeterFacts(at=now)))], now=now)
        assert "move it aside" in " ".join(ledger.store.health().problems)
    assert list(path.parent.glob("books.db.spill.*")), "no row met the damage"
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
import logging, os, subprocess, sys
from pathlib import Path
sys.path[:0] = [{root!r}]
from frugal_chains.errors import LedgerUnavailable
from frugal_chains.ledger import Ledger, _sqlite, _spill
from tests.core.ledger.books import attempt

disk = Path({disk!r})
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], check=True)
logging.disable()
_sqlite.RETRY_AFTER_S = 0
ledger = Ledger.open(str(disk / "books.db"))
rows = [attempt(note="x" * 400) for _ in range(400)]
for row in rows:
    ledger.record(row)
aside = [Path(name) for name in ledger.store.inbox_files()]
assert any(Path({spare!r}) in name.parents for name in aside), "the disk was not full"
assert ledger.store.health().attempts < len(rows)
if {both!r}:
    _spill.os.write = lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    rows.append(attempt())
    ledger.record(rows[-1])
    try:
        ledger.close()
    except LedgerUnavailable as error:
        assert "1 attempts could not be written" in str(error), error
    else:
        raise AssertionError("closed as if nothing was missing")
    rows.pop()
subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
if not {both!r}:
    rows.append(attempt())
    ledger.record(rows[-1])
    ledger.close()
again = Ledger.open(str(disk / "books.db"))
assert sorted(row.id for row in again.attempts()) == sorted(row.id for row in rows)
assert again.store.health().problems == ()
print("all there")
"""


@pytest.mark.parametrize("both", [False, True], ids=["disk", "disk-and-spare"])
def test_a_full_disk_loses_nothing(tmp_path: Path, both: bool) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("a small disk of its own needs root and unshare")
    disk, spare = tmp_path / "disk", tmp_path / "spare"
    disk.mkdir()
    spare.mkdir()
    root = str(Path(__file__).parents[3])
    code = FULL_DISK.format(root=root, disk=str(disk), spare=str(spare), both=both)
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(spare)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "mount" in done.stderr and "denied" in done.stderr:
        pytest.skip("mounting is not permitted here")
    assert (done.returncode, done.stdout) == (0, "all there\n"), done.stderr


# -- what waits beside it ----------------------------------------------------------------------


def leave_spill(path: Path, lines: str, name: str = "books.db.dead.inbox") -> Path:
    spill = path.parent / name
    spill.write_text(lines)
    return spill


def line_of(row: object) -> str:
    spill = _spill.Spill(Path(tempfile.mkdtemp()) / "x.db")
    spill.put([row])  # type: ignore[list-item]
    (file,) = _spill.inbox_files(spill._ledger_path)
    spill.let_go()
    return file.read_text()


def test_a_damaged_line_costs_only_itself_and_is_kept_for_a_person(path: Path) -> None:
    before, after = attempt(), attempt()
    half = line_of(attempt())[:80] + "\n"
    not_one = '{"id": "x"}\n[]\n\xff\n7\n'
    leave_spill(path, line_of(before) + half + not_one + line_of(after))
    with Ledger.open(str(path)) as ledger:
        assert [row.id for row in ledger.attempts()] == sorted([before.id, after.id])
        (problem,) = ledger.store.health().problems
        assert ".damaged" in problem
    (kept,) = path.parent.glob("*.damaged")
    assert half in kept.read_text()
    assert len(read(path)) == 2, "and it is not taken in again"


def test_a_spilled_row_that_cannot_be_written_is_kept_too(path: Path) -> None:
    good = attempt()
    too_big = line_of(attempt()).replace('"input_tokens":100', f'"input_tokens":{10**30}')
    leave_spill(path, too_big + line_of(good))
    assert read(path) == [good.id]
    (kept,) = path.parent.glob("*.damaged")
    assert str(10**30) in kept.read_text()


def test_spills_of_other_ledgers_are_left_alone(path: Path) -> None:
    row = attempt()
    mine = leave_spill(path, line_of(row), "books.db.1.inbox")
    other = leave_spill(path, line_of(attempt()), "other-books.db.1.inbox")
    assert read(path) == [row.id]
    assert (mine.exists(), other.exists()) == (False, True)


def test_an_empty_spill_is_nothing(path: Path) -> None:
    spill = leave_spill(path, "")
    assert read(path) == []
    assert not spill.exists()


def test_a_spare_folder_of_another_user_is_not_trusted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(path.parent))
    _, spare = _spill._folders(path)
    spare.mkdir()
    (spare / "books.db.1.inbox").write_text(line_of(attempt()))
    if os.geteuid() != 0:
        pytest.skip("giving a folder away needs root")
    os.chown(spare, 65534, 65534)
    assert read(path) == []
