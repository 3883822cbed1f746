"""Files that are whole or not there: written beside their place, and put there when done."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from frugal_chains.errors import ExportError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A new file to write to, which becomes `path` when the block ends well.

    Otherwise it is deleted, and what was at `path` stays as it was. A new file is the owner's
    alone, as a ledger is; one that is replaced keeps its mode.

    Raises:
        ExportError: the file cannot be written: no such folder, no permission, no space.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    try:
        mode = _mode_of(path)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield Path(name)
        _sync(name)
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from error
        raise


def _mode_of(path: Path) -> int:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0o600
    if not stat.S_ISREG(found.st_mode):
        raise ExportError(f"{path} is no file: give the name of one to write")
    return stat.S_IMODE(found.st_mode)


def _sync(name: str) -> None:
    """A full disk may only be noticed here."""
    with open(name, "r+b") as file:
        os.fsync(file.fileno())


def _unwritable(path: Path, error: OSError) -> ExportError:
    return ExportError(
        f"{path} cannot be written ({error.strerror or error}); nothing was changed. Choose a "
        "folder that exists, may be written and has room."
    )
