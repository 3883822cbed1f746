"""`Archive`: originals of texts that were shortened, to be fetched again by their handle."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from frugal_chains.archive._file import ArchiveFile
from frugal_chains.archive._handle import (
    as_handle,
    decoded,
    digest_of,
    encoded,
    handle_of_digest,
)
from frugal_chains.errors import ArchiveError, ArchiveMiss
from frugal_chains.sqlite import path_of_url

logger = logging.getLogger("frugal_chains.archive")

DEFAULT_URL: Final = "sqlite:///frugal-archive.db"
DEFAULT_MAX_BYTES: Final = 256 << 20
"""As many tokens as a thousand conversations of the largest context there is (64M, at 4 bytes)."""
ENTRY_BYTES: Final = 128
"""What an entry counts beside its text, so that many small ones are bounded too."""
_SHOWN_CHARS: Final = 60


class Archive:
    """Texts by handle, in one file of this machine.

        with Archive.open("sqlite:///originals.db", max_bytes=50_000_000) as archive:
            handle = archive.put(tool_output)
            assert archive.get(handle) == tool_output

    **It stores the user's text**, as it is, in a file that its owner alone may read (mode 0600).
    Nothing in this library opens one by itself: without an archive of yours no text is kept.

    The same text has the same handle in every process and archive (`handle_of`). A text that was
    put survives `kill -9`, and is checked against its hash whenever it is read. When the archive
    grows beyond `max_bytes`, the texts that were put longest ago are evicted; to put a text again
    makes it the newest. Safe for threads, processes and forks.
    """

    def __init__(self, file: ArchiveFile, url: str, max_bytes: int) -> None:
        self.url = url
        self.max_bytes = max_bytes
        self._file = file

    @classmethod
    def open(cls, url: str | None = None, *, max_bytes: int = DEFAULT_MAX_BYTES) -> Self:
        """Open or create an archive.

        Args:
            url: `sqlite:///relative.db`, `sqlite:////absolute.db`, a plain path, or `memory://`.
                None: `$FRUGAL_ARCHIVE`, else `sqlite:///frugal-archive.db` in the working
                directory.
            max_bytes: Texts as UTF-8, and 128 bytes for each, may come to so much; the file is a
                little larger. It holds at every `put` of this opener.

        Raises:
            ArchiveError: the URL is of no known kind, the file is another program's, or it cannot
                be opened for writing.
        """
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes <= 0:
            raise ArchiveError(f"max_bytes is {max_bytes!r}: give a whole number of bytes above 0")
        url = url or os.environ.get("FRUGAL_ARCHIVE") or DEFAULT_URL
        return cls(ArchiveFile(_path_of(url)), url, max_bytes)

    def put(self, text: str) -> str:
        """Keep a text, and return its handle. On return it survives this process.

        Raises:
            ArchiveError: it is larger than the whole archive may be, or the file cannot be
                written; nothing has changed then.
        """
        data = encoded(text)
        digest = digest_of(data)
        handle = handle_of_digest(digest)
        size = len(data) + ENTRY_BYTES
        if size > self.max_bytes:
            raise ArchiveError(
                f"a text of {len(data):,} bytes is more than this archive may hold "
                f"({self.max_bytes:,} with its entry): raise max_bytes, or keep the text whole"
            )

        def write(db: sqlite3.Connection) -> None:
            db.execute("UPDATE state SET turn = turn + 1")
            (turn,) = db.execute("SELECT turn FROM state").fetchone()
            if _touch(db, handle, digest, turn):
                return
            insert = "INSERT INTO entries (handle, digest, bytes, turn) VALUES (?, ?, ?, ?)"
            entry = db.execute(insert, (handle, digest, size, turn)).lastrowid
            db.execute("INSERT INTO texts VALUES (?, ?)", (entry, data))
            db.execute("UPDATE state SET bytes = bytes + ?", (size,))
            _evict(db, self.max_bytes)

        self._file.run(write, write=True)
        return handle

    def get(self, handle: str) -> str:
        """The text that was put, every character of it.

        Blanks, quotes and brackets around the handle do no harm, nor do capitals: models copy them
        along.

        Raises:
            ArchiveMiss: no text is kept under this handle: never put here, evicted, forgotten, or
                damaged since. A damaged one is forgotten, so that it can be put again.
            ArchiveError: the file cannot be read.
        """
        known = as_handle(handle)
        if known is None:
            raise ArchiveMiss(
                f"{_shown(handle)} is no handle: give one as it was written, such as "
                "fc1-abcdefghijklmnopqrst"
            )
        query = "SELECT t.text, e.digest FROM entries e JOIN texts t USING (id) WHERE e.handle = ?"
        found = self._file.run(lambda db: db.execute(query, (known,)).fetchone())
        if found is None:
            raise ArchiveMiss(
                f"no text is kept under {known}: it was evicted (at most {self.max_bytes:,} bytes "
                "are kept, the oldest go first), or put into another archive. Put it again, or "
                "raise max_bytes."
            )
        data, digest = found
        if digest_of(data) != digest or handle_of_digest(digest) != known:
            logger.warning("the text under %s in archive %s is damaged", known, self._file)
            with suppress(ArchiveError):
                self.forget(known)
            raise ArchiveMiss(
                f"the text under {known} was damaged in archive {self._file}: put it again"
            )
        return decoded(data)

    def forget(self, handle: str) -> bool:
        """Delete a text, overwriting it; whether there was one.

        Raises:
            ArchiveError: the file cannot be written.
        """
        known = as_handle(handle)
        return known is not None and self._file.run(lambda db: _forget(db, known), write=True)

    def close(self) -> None:
        """Let go of the file. Texts in `memory://` are gone then."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Archive({self.url!r}, max_bytes={self.max_bytes})"


def _touch(db: sqlite3.Connection, handle: str, digest: bytes, turn: int) -> bool:
    """Make an entry that is there the newest; whether it is there."""
    found = db.execute("SELECT digest FROM entries WHERE handle = ?", (handle,)).fetchone()
    if found is None:
        return False
    if found[0] != digest:
        raise ArchiveError(
            f"another text is kept under {handle}: forget that one, or keep this text whole"
        )
    db.execute("UPDATE entries SET turn = ? WHERE handle = ?", (turn, handle))
    return True


def _evict(db: sqlite3.Connection, max_bytes: int) -> None:
    """Delete the entries put longest ago until the others fit."""
    (total,) = db.execute("SELECT bytes FROM state").fetchone()
    while total > max_bytes:
        oldest = "SELECT handle, bytes FROM entries ORDER BY turn LIMIT 1"
        handle, size = db.execute(oldest).fetchone()
        _forget(db, handle)
        total -= size


def _forget(db: sqlite3.Connection, handle: str) -> bool:
    query = "SELECT id, bytes FROM entries WHERE handle = ?"
    found = db.execute(query, (handle,)).fetchone()
    if found is None:
        return False
    entry, size = found
    db.execute("DELETE FROM texts WHERE id = ?", (entry,))
    db.execute("DELETE FROM entries WHERE id = ?", (entry,))
    db.execute("UPDATE state SET bytes = bytes - ?", (size,))
    return True


def _path_of(url: str) -> Path | None:
    """The absolute path of the file a URL names; None for memory."""
    try:
        return path_of_url(url)
    except ValueError as error:
        kind = url.partition("://")[0]  # the rest of another program's may hold a password
        raise ArchiveError(f"archive URL of kind {kind!r}: {error}") from None
    except FileNotFoundError as error:
        raise ArchiveError(
            "the working directory was deleted: change to another one, or give an absolute path"
        ) from error


def _shown(handle: str) -> str:
    text = repr(handle)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
