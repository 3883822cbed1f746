"""The archive: every text back as it was, whoever puts beside it, and bounded."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugal_chains.archive import Archive, _archive, _file, handle_of
from frugal_chains.errors import ArchiveError, ArchiveMiss, FrugalError
from tests.core.ledger.children import Child, all_at_once, needs_fork, with_disks_of_its_own

ROOT = Path(__file__).parents[3]
ENTRY = 128
"""What the docstring of `open` says that each text counts beside its bytes."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "originals.db"


@pytest.fixture(scope="module")
def shared() -> Iterator[Archive]:
    with Archive.open("memory://") as archive:
        yield archive


# -- there and back ----------------------------------------------------------------------------

any_text = st.text(st.characters(codec=None, exclude_categories=[]), max_size=200)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(any_text)
def test_any_text_comes_back_as_it_was(shared: Archive, text: str) -> None:
    handle = shared.put(text)
    assert handle == handle_of(text)
    assert shared.get(handle) == text


TEXTS = {
    "empty": "",
    "nul": "a\0b\0\0",
    "lines": "a\r\nb\rc\n",
    "lone surrogates": "\ud800 and \udfff",
    "a pair in two halves": "\ud83d\ude00",
    "the same as one": "\U0001f600",
    "one form": "\u00e9",
    "another form": "e\u0301",
    "5 MB": "Zürich, 12:30 \0\ud83d" * 280_000,
}


def test_hard_texts_come_back_from_a_file_and_are_told_apart(path: Path) -> None:
    with Archive.open(str(path)) as archive:
        handles = {name: archive.put(text) for name, text in TEXTS.items()}
    assert len(TEXTS["5 MB"].encode("utf-8", "surrogatepass")) > 5_000_000
    assert len(set(handles.values())) == len(TEXTS)
    with Archive.open(f"sqlite:///{path}") as archive:
        assert {name: archive.get(handle) for name, handle in handles.items()} == TEXTS


def test_a_handle_is_the_sha256_in_base32_in_every_process() -> None:
    # printf abc | sha256sum | cut -d' ' -f1 | xxd -r -p | base32
    assert handle_of("abc") == "fc1-" + "XJ4BNP4PAHH6UQKBIDPF3LRCEO"[:20].lower()
    code = (
        "from frugal_chains.archive import Archive, handle_of\n"
        "print(handle_of('Zürich'), Archive.open('memory://').put('Zürich'))"
    )
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert done.stdout.split() == [handle_of("Zürich")] * 2, done.stderr


@pytest.mark.parametrize("around", ["{}", " {}\n", "`{}`", "[{}]", '"{}".', "<{}>,"])
def test_a_handle_is_found_however_a_model_copied_it(shared: Archive, around: str) -> None:
    handle = shared.put("some text")
    assert shared.get(around.format(handle)) == "some text"
    assert shared.get(around.format(handle.upper())) == "some text"


@pytest.mark.parametrize(
    "wrong", ["", "fc1-", "fc1-abc", "fc2-" + "a" * 20, "fc1-" + "1" * 20, "x" * 10_000, "\0", None]
)
def test_what_is_no_handle_is_a_miss_with_the_way_out(shared: Archive, wrong: Any) -> None:
    with pytest.raises(ArchiveMiss, match="is no handle: give one as it was written") as raised:
        shared.get(wrong)
    assert len(str(raised.value)) < 200
    assert isinstance(raised.value, FrugalError)
    assert isinstance(raised.value, LookupError)
    assert not shared.forget(wrong)


def test_a_text_that_is_not_there_is_a_miss_with_the_way_out(shared: Archive) -> None:
    with pytest.raises(ArchiveMiss, match=r"evicted \(at most 268,435,456 bytes.*raise max_bytes"):
        shared.get(handle_of("never put"))


def test_a_forgotten_text_is_gone_from_the_file_too(path: Path) -> None:
    secret, kept = "a secret of the user " * 50, "another text " * 50
    with Archive.open(str(path)) as archive:
        handle, other = archive.put(secret), archive.put(kept)
        assert archive.forget(handle)
        assert not archive.forget(handle)
        with pytest.raises(ArchiveMiss):
            archive.get(handle)
        assert archive.get(other) == kept
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"another text" in content
    assert b"a secret of the user" not in content


# -- bounded -----------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 400)), max_size=40),
    st.integers(ENTRY, 1500),
)
def test_the_oldest_go_first_and_the_rest_is_never_more_than_allowed(
    puts: list[tuple[int, int]], most: int
) -> None:
    kept: OrderedDict[str, None] = OrderedDict()
    with Archive.open("memory://", max_bytes=most) as archive:
        for number, size in puts:
            text = f"{number}:" + "é" * size
            if len(text.encode()) + ENTRY > most:
                with pytest.raises(ArchiveError, match="raise max_bytes"):
                    archive.put(text)
                continue
            archive.put(text)
            kept[text] = None
            kept.move_to_end(text)
            while sum(len(one.encode()) + ENTRY for one in kept) > most:
                kept.popitem(last=False)
            for number_, size_ in puts:
                one = f"{number_}:" + "é" * size_
                try:
                    assert archive.get(handle_of(one)) == one
                    assert one in kept
                except ArchiveMiss:
                    assert one not in kept


def test_the_file_stays_near_the_bound_and_what_was_evicted_is_overwritten(path: Path) -> None:
    most = 1_000_000
    with Archive.open(str(path), max_bytes=most) as archive:
        for number in range(150):
            archive.put(f"text number {number:03} " * 2500)
        largest = sum(file.stat().st_size for file in path.parent.iterdir())
        assert archive.get(handle_of("text number 149 " * 2500))
    assert largest < most + _file.LOG_BYTES
    content = path.read_bytes()
    assert len(content) < 1.3 * most
    assert b"text number 149" in content
    assert b"text number 010" not in content


def test_a_smaller_bound_holds_from_the_next_put_on(path: Path) -> None:
    with Archive.open(str(path)) as archive:
        first = [archive.put(f"{number} " * 300) for number in range(10)]
    with Archive.open(str(path), max_bytes=3000) as archive:
        assert archive.get(first[0])
        last = archive.put("one more")
        assert archive.get(last) == "one more"
        with pytest.raises(ArchiveMiss):
            archive.get(first[0])
        assert archive.get(first[9])


# -- many at once ------------------------------------------------------------------------------


def test_threads_put_and_get_beside_each_other(path: Path) -> None:
    with Archive.open(str(path)) as archive:

        def work(number: int) -> None:
            text = f"text {number % 40} " * (number % 40 + 1)
            assert archive.get(archive.put(text)) == text

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(400)))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT COUNT(*) FROM entries").fetchone() == (40,)
        assert sound(db)


def sound(db: sqlite3.Connection) -> bool:
    """Every entry has its text, and the sum that bounds them is theirs."""
    (check,) = db.execute("PRAGMA integrity_check").fetchone()
    (total,) = db.execute("SELECT bytes FROM state").fetchone()
    query = "SELECT e.bytes, LENGTH(t.text) FROM entries e LEFT JOIN texts t USING (id)"
    sizes = db.execute(query).fetchall()
    (texts,) = db.execute("SELECT COUNT(*) FROM texts").fetchone()
    return bool(
        check == "ok"
        and texts == len(sizes)
        and total == sum(size for size, _ in sizes)
        and all(size == length + ENTRY for size, length in sizes)
    )


def test_processes_create_one_archive_and_share_it(path: Path) -> None:
    needs_fork()

    def work_of(child: int) -> Callable[[IO[str]], None]:
        def work(out: IO[str]) -> None:
            with Archive.open(str(path), max_bytes=60_000) as archive:
                for number in range(40):
                    text = f"of {child if number % 2 else 'all'}: {number} " * 60
                    assert archive.get(archive.put(text)) == text

        return work

    all_at_once([work_of(child) for child in range(4)])
    with closing(sqlite3.connect(path)) as db:
        assert sound(db)
        assert db.execute("SELECT bytes FROM state").fetchone()[0] <= 60_000


@pytest.mark.parametrize("url", ["file", "memory"])
def test_parent_and_child_go_on_after_a_fork_while_others_put(path: Path, url: str) -> None:
    needs_fork()
    done = threading.Event()
    with Archive.open(str(path) if url == "file" else "memory://") as archive:
        before = archive.put("put before the fork")

        def keep_putting() -> None:
            number = 0
            while not done.wait(0.0005):
                number += 1
                archive.put(f"{number} " * 500)

        threads = [threading.Thread(target=keep_putting) for _ in range(2)]
        for thread in threads:
            thread.start()

        def work(out: IO[str]) -> None:
            assert archive.get(before) == "put before the fork"
            assert archive.get(archive.put(f"of the child {os.getpid()}"))

        for child in [Child(work) for _ in range(8)]:
            child.wait()
        done.set()
        for thread in threads:
            thread.join()
        assert archive.get(archive.put("of the parent")) == "of the parent"
        assert archive.get(before)
    if url == "file":
        with closing(sqlite3.connect(path)) as db:
            assert sound(db)


def test_a_parent_that_closes_takes_no_log_from_its_child(path: Path) -> None:
    """A connection of before the fork believes in locks that only the parent holds: the parent
    would delete the log that the child goes on to write."""
    needs_fork()
    closed, say_closed = os.pipe()
    archive = Archive.open(str(path))
    first = archive.put("before the fork")

    def work(out: IO[str]) -> None:
        out.write(f"{archive.put('before the parent closed')}\n")
        os.read(closed, 1)
        out.write(f"{archive.put('after the parent closed')}\n")
        os._exit(0)  # without closing anything, as one that is killed

    child = Child(work)
    second = child.out.readline().strip()
    archive.close()
    os.write(say_closed, b"!")
    (third,) = child.wait()
    os.close(closed)
    os.close(say_closed)
    with Archive.open(str(path)) as again:
        assert [again.get(handle) for handle in (first, second, third)] == [
            "before the fork", "before the parent closed", "after the parent closed",
        ]  # fmt: skip


@pytest.mark.parametrize("round_", range(3))
def test_what_was_put_survives_kill_9_and_nothing_is_broken(path: Path, round_: int) -> None:
    needs_fork()

    def work(out: IO[str]) -> None:
        archive = Archive.open(str(path))
        number = 0
        while True:
            number += 1
            out.write(f"{archive.put(f'{number} ' * (number * 977 % 30_000))} {number}\n")

    child = Child(work)
    lines = [child.out.readline().strip() for _ in range(40 + 7 * round_)]
    lines += child.kill()
    with closing(sqlite3.connect(path)) as db:
        assert sound(db)
    with Archive.open(str(path)) as archive:
        for handle, number in (line.split() for line in lines):
            assert archive.get(handle) == f"{number} " * (int(number) * 977 % 30_000)


FULL_DISK = """
import subprocess, sys
from pathlib import Path
from frugal_chains.archive import Archive, handle_of
from frugal_chains.errors import ArchiveError, ArchiveMiss
disk = Path({disk!r})
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
archive = Archive.open(str(disk / "originals.db"))
texts = [f"text {{number}} " * 9000 for number in range(60)]
kept = []
for text in texts:
    try:
        kept.append((archive.put(text), text))
    except ArchiveError as error:
        assert "free disk space" in str(error), error
        break
else:
    raise AssertionError("the disk was not full")
assert kept
assert all(archive.get(handle) == text for handle, text in kept)
try:
    archive.get(handle_of(text))
except ArchiveMiss:
    pass
else:
    raise AssertionError("what was refused is there")
subprocess.run(["mount", "-o", "remount,size=40m", disk], check=True)
assert archive.get(archive.put(text)) == text
archive.close()
again = Archive.open(str(disk / "originals.db"))
assert all(again.get(handle) == text for handle, text in kept)
again.close()
print("all there")
"""


def test_a_full_disk_leaves_no_broken_entry(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    code = FULL_DISK.format(disk=str(disk))
    assert with_disks_of_its_own(code, PYTHONPATH=str(ROOT / "src")) == "all there\n"


# -- damage ------------------------------------------------------------------------------------


def test_a_damaged_text_is_found_out_and_can_be_put_again(path: Path) -> None:
    text, other = "the original " * 3000, "untouched " * 3000
    with Archive.open(str(path)) as archive:
        handle, sound_one = archive.put(text), archive.put(other)
    content = path.read_bytes()
    where = content.rindex(b"the original") + 4
    path.write_bytes(content[:where] + b"0" + content[where + 1 :])
    with Archive.open(str(path)) as archive:
        with pytest.raises(ArchiveMiss, match=r"was damaged in archive .*put it again"):
            archive.get(handle)
        assert archive.get(sound_one) == other
        assert archive.put(text) == handle
        assert archive.get(handle) == text


def test_two_texts_under_one_handle_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hundred bits are not collided by trying, so the handles are made to."""
    monkeypatch.setattr(_archive, "handle_of_digest", lambda _: "fc1-" + "a" * 20)
    with Archive.open("memory://") as archive:
        handle = archive.put("the first")
        with pytest.raises(ArchiveError, match="another text is kept under"):
            archive.put("the second")
        assert archive.get(handle) == "the first"


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 40)


def another_programs(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE users (name TEXT)")


def newer(path: Path) -> None:
    Archive.open(str(path)).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def cut_off(path: Path) -> None:
    with Archive.open(str(path)) as archive:
        archive.put("text " * 9000)
    os.truncate(path, 5000)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (noise, "move it aside"),
        (another_programs, "another program, no archive: give another path"),
        (newer, "version 99.*upgrade frugal-chains"),
        (cut_off, "move it aside"),
        (Path.mkdir, "give another path"),
    ],
)
def test_a_file_that_is_no_archive_is_refused_and_left_alone(
    path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(ArchiveError, match=says) as raised:
        Archive.open(str(path)).get(handle_of("x"))
    assert str(path) in str(raised.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


# -- opening and closing -----------------------------------------------------------------------


@pytest.mark.parametrize("url", ["postgresql://me:secret@host/x", "sqlite://", "sqlite:///"])
def test_a_url_of_no_known_kind_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ArchiveError, match="expected sqlite:///relative") as raised:
        Archive.open(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("most", [0, -1, True, 1.5, None])
def test_a_bound_that_is_none_is_refused(most: Any) -> None:
    with pytest.raises(ArchiveError, match="whole number of bytes above 0"):
        Archive.open("memory://", max_bytes=most)


def test_without_a_url_it_is_where_the_environment_says_or_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FRUGAL_ARCHIVE", raising=False)
    with Archive.open() as archive:
        handle = archive.put("here")
        monkeypatch.chdir("/")
        assert archive.get(handle) == "here"
    assert (tmp_path / "frugal-archive.db").exists()
    monkeypatch.setenv("FRUGAL_ARCHIVE", str(tmp_path / "deep" / "down" / "texts.db"))
    with Archive.open() as archive:
        archive.put("there")
    assert (tmp_path / "deep" / "down" / "texts.db").exists()


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def test_only_its_user_may_read_it_its_log_included(path: Path) -> None:
    before = os.umask(0)
    try:
        with Archive.open(str(path)) as archive:
            archive.put("private")
            assert len(list(path.parent.iterdir())) == 3  # the file, its log, their shared index
            assert modes(path.parent) == {0o600}
        path.chmod(0o644)
        with Archive.open(str(path)) as archive:
            archive.put("private too")
            assert modes(path.parent) == {0o600}
    finally:
        os.umask(before)


@pytest.mark.parametrize("url", ["file", "memory"])
def test_a_closed_archive_says_so_and_closing_twice_is_nothing(path: Path, url: str) -> None:
    archive = Archive.open(str(path) if url == "file" else "memory://")
    handle = archive.put("text")
    archive.close()
    archive.close()
    for use in (lambda: archive.put("x"), lambda: archive.get(handle)):
        with pytest.raises(ArchiveError, match="was closed: open it again"):
            use()
    assert list(path.parent.glob("*-wal")) == []


def test_it_is_private_from_the_first_moment_and_so_is_its_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes_of_new: list[int] = []
    opened = os.open

    def spied(path: Any, flags: int, mode: int = 0o777) -> int:
        modes_of_new.append(mode)
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", spied)
    before = os.umask(0)
    try:
        Archive.open(str(tmp_path / "new" / "texts.db")).close()
    finally:
        os.umask(before)
    assert modes_of_new == [0o600]
    assert modes(tmp_path) == {0o700}


def test_a_put_that_fails_half_way_has_changed_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(db: sqlite3.Connection, max_bytes: int) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with Archive.open("memory://") as archive:
        kept = archive.put("kept")
        monkeypatch.setattr(_archive, "_evict", broken)  # comes after all that a put writes
        with pytest.raises(ArchiveError, match="disk I/O error"):
            archive.put("other")
        with pytest.raises(ArchiveMiss):
            archive.get(handle_of("other"))
        assert archive.get(kept) == "kept"
