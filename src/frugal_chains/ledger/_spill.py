"""The spill: where attempts wait while the ledger file cannot be written.

One file per open ledger, beside it, one attempt per line, each write a whole number of lines so
that it survives the death of the process. The writer holds a lock on its file, which ends with the
process at the latest; whoever gets the lock may take the file in.
"""

from __future__ import annotations

import glob
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

from frugal_chains.ledger._attempt import Attempt
from frugal_chains.ledger._codec import attempt_from_json, attempt_to_json

if sys.platform != "win32":  # which refuses to delete an open file: that serves as well
    import fcntl

logger = logging.getLogger("frugal_chains.ledger")


class Spill:
    """The attempts that wait for one open ledger, on disk where there is one."""

    def __init__(self, ledger_path: Path) -> None:
        self._ledger_path = ledger_path
        self._held: list[Attempt] = []
        self._open: dict[Path, int] = {}
        """By folder: the file this process writes, as a locked descriptor."""
        self._written = False

    @property
    def held(self) -> int:
        """Attempts that could be written nowhere and live in memory only."""
        return len(self._held)

    @property
    def waiting(self) -> bool:
        """Whether attempts wait here that this process put aside."""
        return bool(self._held or self._written)

    def put(self, attempts: Sequence[Attempt]) -> None:
        """Keep attempts until `drain`; in memory only when no folder takes them."""
        self._held.extend(attempts)
        lines = [
            # Whatever an attempt holds, it must be written: there is no further place to go.
            json.dumps(attempt_to_json(a), separators=(",", ":"), default=str, skipkeys=True) + "\n"
            for a in self._held
        ]
        for folder in _folders(self._ledger_path):
            try:
                _append("".join(lines).encode(), self._file_in(folder))
            except OSError:
                continue
            self._held.clear()
            self._written = True
            return
        logger.error("%d attempts are held in memory: no spill folder takes them", len(self._held))

    def drain(self, take: Callable[[Sequence[Attempt]], bool]) -> None:
        """Give every waiting attempt to `take`; a file goes only after `take` returned.

        `take` says whether it could use them all. Files of living processes are left to them.
        """
        if self._held:
            take(tuple(self._held))
            self._held.clear()
        self.let_go()
        for path in spill_files(self._ledger_path):
            if path.suffix == ".jsonl":
                _take_in(path, take)
        self._written = False

    def let_go(self) -> None:
        """Close the files, so that any process may take them in."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _file_in(self, folder: Path) -> int:
        while folder not in self._open:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            name = f"{self._ledger_path.name}.spill.{os.urandom(6).hex()}.jsonl"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
            descriptor = os.open(folder / name, flags, 0o600)
            try:
                if _is_ours(descriptor):  # else taken in, empty, by one that was faster to lock it
                    self._open[folder] = descriptor
            finally:
                if folder not in self._open:
                    os.close(descriptor)
        return self._open[folder]


def spill_files(ledger_path: Path) -> tuple[Path, ...]:
    """Every spill of a ledger, of whichever process. One that ends in `.damaged` needs a person."""
    stem = glob.escape(f"{ledger_path.name}.spill.")
    return tuple(f for folder in _folders(ledger_path) for f in sorted(folder.glob(f"{stem}*")))


def _folders(ledger_path: Path) -> tuple[Path, ...]:
    """Beside the ledger; and, for a full or read-only disk, the system's folder for such files."""
    digest = blake2b(os.fsencode(ledger_path.absolute()), digest_size=6).hexdigest()
    shared = Path(tempfile.gettempdir()) / f"frugal-spill-{digest}"
    if sys.platform != "win32" and shared.exists() and shared.lstat().st_uid != os.getuid():
        return (ledger_path.parent,)  # another user's: neither to be read nor to be trusted
    return ledger_path.parent, shared


def _append(data: bytes, descriptor: int) -> None:
    start = os.fstat(descriptor).st_size
    if os.write(descriptor, data) != len(data):
        os.ftruncate(descriptor, start)  # a half line would be lost; leave none
        raise OSError("disk full")


def _is_ours(descriptor: int) -> bool:
    """Whether no other holder has the file, and nobody has taken it in and deleted it."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


def _take_in(path: Path, take: Callable[[Sequence[Attempt]], bool]) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except (FileNotFoundError, PermissionError):
        return  # taken in by another process, or another user's
    with open(descriptor, "rb") as file:
        if not _is_ours(descriptor):
            return
        attempts, damaged = _read(file.read().decode(errors="replace"), path)
        if not take(attempts) or damaged:  # leave it for a person; nothing in it is deleted
            path.rename(path.with_suffix(".damaged"))
        elif sys.platform != "win32":
            path.unlink()  # while the lock is held: a file without a name is nobody's to write
    if sys.platform == "win32":
        path.unlink(missing_ok=True)


def _read(text: str, path: Path) -> tuple[tuple[Attempt, ...], bool]:
    """The attempts of a spill, and whether a line could not be read."""
    attempts, damaged = [], False
    for line in text.splitlines():
        try:
            attempts.append(attempt_from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            damaged = True
            logger.error("a line of %s is not an attempt", path.name)
    return tuple(attempts), damaged
