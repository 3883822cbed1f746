"""The spill: where attempts wait while the ledger file cannot be written.

One file per process beside the ledger, one attempt per line, each line written by a single
`write` so that it survives the death of the process. Any process that can write the ledger again
takes in its own spill and those of processes that have ended.
"""

from __future__ import annotations

import glob
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from frugal_chains.ledger._attempt import Attempt
from frugal_chains.ledger._codec import attempt_from_json, attempt_to_json

logger = logging.getLogger("frugal_chains.ledger")


class Spill:
    """The attempts of this process that wait for the ledger file, on disk where there is one."""

    def __init__(self, ledger_path: Path) -> None:
        self._folders = _folders(ledger_path)
        self._stem = f"{ledger_path.name}.spill."
        self._pid = os.getpid()
        self._held: list[Attempt] = []
        self._written: set[Path] = set()

    @property
    def held(self) -> int:
        """Attempts that could be written nowhere and live in memory only."""
        return len(self._held)

    @property
    def waiting(self) -> bool:
        """Whether this process has attempts outside the ledger file."""
        return bool(self._held or self._written)

    def put(self, attempts: Sequence[Attempt]) -> None:
        """Keep attempts until `drain`; in memory only when no folder takes them."""
        self._held.extend(attempts)
        lines = [json.dumps(attempt_to_json(a), separators=(",", ":")) + "\n" for a in self._held]
        for folder in self._folders:
            path = folder / f"{self._stem}{self._pid}.jsonl"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                _append("".join(lines).encode(), path)
            except OSError:
                continue
            self._held.clear()
            self._written.add(path)
            return
        logger.error("%d attempts are held in memory: no spill folder takes them", len(self._held))

    def drain(self, take: Callable[[Sequence[Attempt]], None]) -> None:
        """Give every waiting attempt to `take`; a file goes only after `take` returned."""
        if self._held:
            take(tuple(self._held))
            self._held.clear()
        for path in list(self._files()):
            attempts, damaged = _read(path)
            take(attempts)
            if damaged:  # leave it for a person; nothing in it is deleted
                path.rename(path.with_suffix(".damaged"))
            else:
                path.unlink(missing_ok=True)
        self._written.clear()

    def _files(self) -> Iterator[Path]:
        """This process's spill, and those left by processes that are gone."""
        for folder in self._folders:
            for path in sorted(folder.glob(f"{self._stem}*.jsonl")):
                pid = path.name.removeprefix(self._stem).removesuffix(".jsonl")
                if pid.isdigit() and (int(pid) == self._pid or not _alive(int(pid))):
                    yield path


def spill_files(ledger_path: Path) -> tuple[Path, ...]:
    """Every spill of a ledger, of whichever process. One that ends in `.damaged` needs a person."""
    stem = glob.escape(f"{ledger_path.name}.spill.")
    return tuple(f for folder in _folders(ledger_path) for f in sorted(folder.glob(f"{stem}*")))


def _folders(ledger_path: Path) -> tuple[Path, Path]:
    """Beside the ledger; and, for a full or read-only disk, the system's folder for such files."""
    digest = blake2b(os.fsencode(ledger_path.absolute()), digest_size=6).hexdigest()
    return ledger_path.parent, Path(tempfile.gettempdir()) / f"frugal-spill-{digest}"


def _append(data: bytes, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        start = os.fstat(descriptor).st_size
        if os.write(descriptor, data) != len(data):
            os.ftruncate(descriptor, start)  # a half line would be lost; leave none
            raise OSError("disk full")
    finally:
        os.close(descriptor)


def _read(path: Path) -> tuple[tuple[Attempt, ...], bool]:
    """The attempts of a spill, and whether a line could not be read."""
    attempts, damaged = [], False
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            attempts.append(attempt_from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            damaged = True
            logger.error("a line of %s is not an attempt", path.name)
    return tuple(attempts), damaged


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
