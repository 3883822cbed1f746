"""The archive's SQLite file: opened when needed, private to its user, closed while forking.

A commit in WAL mode is in the operating system's page cache when it returns: it survives the death
of the process, and one that was interrupted never happened (sqlite.org/wal.html and
sqlite.org/atomiccommit.html, read 2026-11-22).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from frugal_chains.errors import ArchiveError
from frugal_chains.sqlite import LetGoAtForks, header_of, is_damage, retrying, transacted

T = TypeVar("T")

APPLICATION_ID: Final = 0x4652_4152  # "FRAR", kept in the SQLite header: this file is an archive
WAIT_S: Final = 10.0
"""How long one operation waits for other processes."""
LOG_BYTES: Final = 8 << 20
"""What the write-ahead log is cut to: one large text would leave it as large for good."""
_SCHEMA: Final = (
    "CREATE TABLE entries (id INTEGER PRIMARY KEY, handle TEXT NOT NULL UNIQUE, "
    "digest BLOB NOT NULL, bytes INTEGER NOT NULL, turn INTEGER NOT NULL)",
    "CREATE INDEX entries_turn ON entries (turn)",
    # Apart from its entry, which is written anew whenever the text is put again.
    "CREATE TABLE texts (id INTEGER PRIMARY KEY, text BLOB NOT NULL)",
    "CREATE TABLE state (bytes INTEGER NOT NULL, turn INTEGER NOT NULL)",
    "INSERT INTO state VALUES (0, 0)",
)
VERSION: Final = 1


class ArchiveFile:
    """One connection, for one thread at a time. `path` None is memory."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._closed = False
        _files.add(self)
        self.run(lambda db: None)

    def run(self, work: Callable[[sqlite3.Connection], T], *, write: bool = False) -> T:
        """`work`, alone in this process; in one transaction that waits for others if it writes.

        Raises:
            ArchiveError: the file cannot be opened, read or written; nothing has changed then.
        """
        with self._lock:
            try:
                if self._db is None:
                    self._db = self._connected()
                return transacted(self._db, work) if write else work(self._db)
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                raise ArchiveError(f"archive {self} {_trouble(error)}") from error

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._disconnect()

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _connected(self) -> sqlite3.Connection:
        if self._closed:
            raise ArchiveError(f"archive {self} was closed: open it again")
        if self._path is None:
            db = _raw(":memory:")
            transacted(db, _create)
            return db
        self._make(self._path)
        db = _raw(str(self._path))
        try:
            self._prepare(db, self._path)
        except BaseException:
            db.close()
            raise
        return db

    def _make(self, path: Path) -> None:
        """An empty file that its user alone may read, if there is none."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only what was not there before: closing a descriptor of an open database would give up
        # this process's locks on it (sqlite.org/howtocorrupt.html, section 2.2).
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def _prepare(self, db: sqlite3.Connection, path: Path) -> None:
        self._must_be_ours(db)
        for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
            with suppress(FileNotFoundError):
                if file.stat().st_mode & 0o077:
                    file.chmod(0o600)
        retrying(lambda: db.execute("PRAGMA journal_mode = WAL"), wait_s=WAIT_S)
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA secure_delete = ON")  # what was evicted is gone, not only unlisted
        db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        if not header_of(db).version:
            transacted(db, _create)

    def _must_be_ours(self, db: sqlite3.Connection) -> None:
        owner, version, tables = retrying(lambda: header_of(db), wait_s=WAIT_S)
        if tables and owner != APPLICATION_ID:
            raise ArchiveError(
                f"{self} is an SQLite database of another program, no archive: give another path"
            )
        if version > VERSION:
            raise ArchiveError(
                f"archive {self} is of version {version}, this library knows up to {VERSION}: "
                "upgrade frugal-chains, or give another path"
            )

    def before_fork(self) -> None:
        self._lock.acquire()
        if self._path is not None:
            self._disconnect()

    def after_fork(self, *, in_child: bool) -> None:
        if in_child:
            self._lock = threading.RLock()
        else:
            self._lock.release()

    def __str__(self) -> str:
        return str(self._path or "in memory")


def _raw(target: str) -> sqlite3.Connection:
    return sqlite3.connect(target, isolation_level=None, check_same_thread=False, timeout=WAIT_S)


def _create(db: sqlite3.Connection) -> None:
    if header_of(db).version:  # another process was faster
        return
    for statement in _SCHEMA:
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")


def _trouble(error: Exception) -> str:
    if is_damage(error):
        return f"cannot be read ({error}): move it aside, a new one is made"
    return (
        f"cannot be used ({error}): free disk space, check that its folder may be written, or give "
        "another path"
    )


_files: LetGoAtForks[ArchiveFile] = LetGoAtForks()
