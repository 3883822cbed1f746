"""Opening a ledger file: is it one, is it sound, which version, may it be written."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from frugal_chains.errors import LedgerCorrupt, LedgerError, LedgerTooNew, LedgerUnavailable
from frugal_chains.ledger._ids import first_id
from frugal_chains.ledger._inbox import DAMAGED, left_behind
from frugal_chains.ledger._schema import APPLICATION_ID, MIGRATIONS, READABLE_FROM
from frugal_chains.ledger._store import Health
from frugal_chains.sqlite import header_of, is_busy, is_damage, retrying, transacted

PAGE_BYTES = 1024
"""A commit writes whole pages to the log: small pages cost a third less per attempt (measured)."""
CHECKPOINT_PAGES = 4000
"""The log is copied into the file, and synced, every 4 MB instead of SQLite's 1000 pages: a page
that changed several times is copied once (a tenth less processor time per attempt, measured)."""
PRUNE_AFTER_US = 40 * 86_400_000_000
"""Sums of closed windows are dropped after 40 days; they can be counted from the books again."""
T = TypeVar("T")


def connect(path: Path | None, *, read_only: bool, wait_s: float) -> sqlite3.Connection:
    """An open, migrated connection in autocommit mode; waits for other writers at most `wait_s`.

    Raises:
        LedgerCorrupt: the file is no SQLite database, is damaged, or is another program's.
        LedgerTooNew: a newer version of this library wrote it.
        LedgerUnavailable: it cannot be created, read or written.
    """
    complaint = _unreadable if read_only else _unavailable
    try:
        if path is None:
            return _prepared(_raw(":memory:"), None, wait_s=wait_s)
        if path.is_dir():
            raise LedgerUnavailable(
                f"ledger {path} cannot be opened: it is a folder. Set $FRUGAL_LEDGER or pass the "
                "URL of a file."
            )
        if read_only:
            return _connect_read_only(path, wait_s=wait_s)
        path.parent.mkdir(parents=True, exist_ok=True)
        return _prepared(_raw(str(path)), path, wait_s=wait_s)
    except sqlite3.OperationalError as error:
        raise LedgerUnavailable(complaint(path, error)) from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise corrupt(path, error) from error
    except OSError as error:
        raise LedgerUnavailable(complaint(path, error)) from error


def _raw(target: str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(
        target,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        timeout=0,
        uri=uri,
    )


def _prepared(db: sqlite3.Connection, path: Path | None, *, wait_s: float) -> sqlite3.Connection:
    try:
        version, journal = retrying(lambda: (_version(db, path), _journal(db)), wait_s=wait_s)
        if version < len(MIGRATIONS) or journal not in ("wal", "memory"):
            db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            retrying(lambda: db.execute("PRAGMA journal_mode = WAL"), wait_s=wait_s)
            transacted(db, lambda db: _migrate(db, path), wait_s=wait_s)
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    except BaseException:
        db.close()
        raise
    return db


def _migrate(db: sqlite3.Connection, path: Path | None) -> None:
    """Inside the caller's write transaction."""
    for script in MIGRATIONS[_version(db, path) :]:  # another process may have been faster
        for statement in script.split(";"):
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(db: sqlite3.Connection, path: Path | None) -> int:
    owner, version, tables = header_of(db)
    if tables and owner != APPLICATION_ID:
        raise LedgerCorrupt(
            f"{path} is an SQLite database of another program, not a ledger; set $FRUGAL_LEDGER "
            "or pass the URL of another file"
        )
    if version > len(MIGRATIONS):
        raise LedgerTooNew(
            f"{path} is a ledger of version {version}; this library knows up to "
            f"{len(MIGRATIONS)}. Upgrade frugal-chains, or open another file."
        )
    return version


def _journal(db: sqlite3.Connection) -> str:
    return str(db.execute("PRAGMA journal_mode").fetchone()[0])


def _connect_read_only(path: Path, *, wait_s: float) -> sqlite3.Connection:
    if not path.exists():
        raise LedgerUnavailable(f"there is no ledger at {path}; set $FRUGAL_LEDGER or pass its URL")
    if not path.stat().st_size:
        raise LedgerUnavailable(
            f"{path} is an empty file, no ledger yet: the first tracked call makes it one"
        )
    quoted = path.absolute().as_uri()
    db = _raw(f"{quoted}?mode=ro", uri=True)
    try:
        version = retrying(lambda: _version(db, path), wait_s=wait_s)
    except sqlite3.OperationalError as error:
        # A WAL file in a folder we may not write has no shared memory: read the file alone, if
        # that is all there is.
        db.close()
        if is_busy(error):
            raise
        _must_have_no_log(path)
        db = _raw(f"{quoted}?immutable=1", uri=True)
        version = _version(db, path)
    if version < READABLE_FROM:
        raise LedgerError(
            f"{path} is a ledger of version {version}, older than {READABLE_FROM}: open it once "
            "for writing to migrate it"
        )
    return db


def _must_have_no_log(path: Path) -> None:
    """A log that is left aside would leave its attempts out of every sum, unseen."""
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise LedgerUnavailable(
            f"{path} cannot be read whole: its latest attempts are in {log.name}, which SQLite "
            "does not read in a folder that this user may not write to. Copy both files to a "
            "folder of your own and open the copy."
        )


def corrupt(path: Path | None, error: Exception) -> LedgerCorrupt:
    """The error for a file that SQLite cannot make sense of."""
    return LedgerCorrupt(f"{path} is not a readable ledger ({error}): {_way_out(path)}")


def _way_out(path: Path | None) -> str:
    return f"move it aside to start a new one, or recover it with: sqlite3 {path} .recover"


def _unavailable(path: Path | None, error: Exception) -> str:
    return (
        f"ledger {path or 'memory'} cannot be opened for writing: {error}. Check that its folder "
        "exists, is writable and has space, or set $FRUGAL_LEDGER to another place."
    )


def _unreadable(path: Path | None, error: Exception) -> str:
    return (
        f"ledger {path} cannot be opened: {error}. Check that this user may read it, or set "
        "$FRUGAL_LEDGER to another place."
    )


def snapshot(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """`work` on the books as they are at one moment."""
    try:
        db.execute("BEGIN")
        return work(db)
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def blames_the_file(error: Exception) -> bool:
    """Whether the file cannot be used, rather than one attempt cannot be written."""
    return is_damage(error) or isinstance(error, (sqlite3.OperationalError, sqlite3.InternalError))


def prune(db: sqlite3.Connection) -> None:
    """Drop the sums of windows long closed; inside the caller's write transaction."""
    oldest_us = time.time_ns() // 1000 - PRUNE_AFTER_US
    db.execute(
        "DELETE FROM meter_sums WHERE touched_us < ? AND reserved_nanos = 0 "
        "AND key NOT LIKE 'lifetime|%' AND key NOT LIKE 'rolling:%'",
        (oldest_us,),
    )
    # Kept for calls that were given up, in case they end after all.
    db.execute("DELETE FROM claims WHERE nanos = 0 AND reservation < ?", (first_id(oldest_us),))


_WAITING = {
    False: "attempts wait there; they are taken in when the ledger is next opened for writing",
    True: "attempts that could not be taken in wait there for a person: their lines cannot be "
    "read, or no ledger can hold what they say",
}


def health(db: sqlite3.Connection, path: Path | None) -> Health:
    """Size, version and soundness; reads the whole file."""
    attempts = version = 0
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (attempts,) = db.execute("SELECT COUNT(*) FROM attempts").fetchone()
        found = " ".join(text for (text,) in db.execute("PRAGMA quick_check(5)"))
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        found = str(error)
    problems = [] if found == "ok" else [f"{' '.join(found.split())}: {_way_out(path)}"]
    waiting = tuple(map(str, left_behind(path))) if path is not None else ()
    problems += [f"{file}: {_WAITING[file.endswith(DAMAGED)]}" for file in waiting]
    size = path.stat().st_size if path is not None else 0
    return Health(
        location=str(path) if path else "memory",
        version=version,
        attempts=attempts,
        bytes=size,
        problems=tuple(problems),
        inbox_files=waiting,
    )
