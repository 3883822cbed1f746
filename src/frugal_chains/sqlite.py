"""What every SQLite file here needs: its path, whose it is, turns with others, and to mind forks.

SQLite's locks do not survive a fork, in the parent nor in the child: the child's connections would
believe in locks that only the parent holds, and rows would go to a log that the parent has deleted
(sqlite.org/howtocorrupt.html, section 2.6, read 2026-11-21). So every file is closed before, and
each side opens it again when it next needs it.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")


def path_of_url(url: str) -> Path | None:
    """The absolute path of the file a URL names; None for memory.

    Raises:
        ValueError: the URL is of no known kind.
        FileNotFoundError: it is relative, and the working directory is gone.
    """
    if url in ("memory://", ":memory:"):
        return None
    scheme, separator, rest = url.partition("://")
    if separator and (scheme != "sqlite" or not rest.startswith("/") or len(rest) == 1):
        raise ValueError("expected sqlite:///relative.db, sqlite:////absolute.db or memory://")
    return Path(rest[1:] if separator else url).absolute()  # the working directory may change


class Header(NamedTuple):
    """What a file says of itself."""

    owner: int
    """`application_id`: the program that made it; 0 where none has said so."""
    version: int
    """`user_version`: of its tables; 0 where there are none yet."""
    tables: int
    """How many tables and indexes it has."""


def header_of(db: sqlite3.Connection) -> Header:
    # One statement is one snapshot: between two, another process may create the tables.
    owner, version, tables = db.execute(
        "SELECT application_id, user_version, (SELECT COUNT(*) FROM sqlite_master) "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    return Header(int(owner), int(version), int(tables))


# -- turns with other processes ----------------------------------------------------------------


def transacted(
    db: sqlite3.Connection, work: Callable[[sqlite3.Connection], T], *, wait_s: float = 0.0
) -> T:
    """`work` in one write transaction, undone if it raises.

    Other writers are waited for as long as the connection does (its `timeout`), and then at most
    `wait_s` more.
    """
    try:
        begin(db, wait_s=wait_s)
        result = work(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return result


def begin(db: sqlite3.Connection, *, wait_s: float) -> None:
    """Start a write transaction, waiting for other writers at most `wait_s`.

    Raises `sqlite3.OperationalError` when they do not finish in time.
    """
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if not is_busy(error) or not wait_s:
            raise
        pause()
        retrying(lambda: db.execute("BEGIN IMMEDIATE"), wait_s=wait_s)


def retrying(work: Callable[[], T], *, wait_s: float) -> T:
    """Do `work` again while other processes hold the file, at most `wait_s`."""
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline_s:
                raise
        pause()


def pause() -> None:
    """Wait a little before the next try.

    Our own waits instead of SQLite's: those grow to 100 ms, and the longest waiter is starved by
    those who came last.
    """
    time.sleep(random.uniform(0.0002, 0.002))


def is_busy(error: Exception) -> bool:
    """Whether another process holds the file for the moment."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )


def is_damage(error: Exception) -> bool:
    """Whether SQLite finds the file damaged."""
    # Python's `sqlite3` decodes SQLite's messages, which quote a damaged file as it is.
    return type(error) in (sqlite3.DatabaseError, UnicodeDecodeError)


# -- forks -------------------------------------------------------------------------------------


class LetsGo(Protocol):
    """Something that must not be open across a fork."""

    def before_fork(self) -> None:
        """Finish what is under way, let nobody in and close the file."""

    def after_fork(self, *, in_child: bool) -> None:
        """Let others in again."""


F = TypeVar("F", bound=LetsGo)


class LetGoAtForks(Generic[F]):
    """Every open file of one kind, told before and after each fork of this process.

    One for each kind, made with its module: to list one's own never waits for another's.
    """

    def __init__(self) -> None:
        self._files: weakref.WeakSet[F] = weakref.WeakSet()
        # While one thread looks at all of them another may open one.
        self._lock = threading.RLock()
        self._forking: list[F] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before,
                after_in_parent=partial(self._after, in_child=False),
                after_in_child=partial(self._after, in_child=True),
            )

    def add(self, file: F) -> None:
        """Tell `file` too, as long as it lives."""
        with self._lock:
            self._files.add(file)

    def living(self) -> list[F]:
        with self._lock:
            return list(self._files)

    def _before(self) -> None:
        # Held until after the fork: the child must not inherit it held by another thread.
        self._lock.acquire()
        self._forking[:] = self._files
        for file in self._forking:
            file.before_fork()

    def _after(self, *, in_child: bool) -> None:
        for file in self._forking:
            file.after_fork(in_child=in_child)
        self._forking.clear()
        self._lock.release()
