"""A page: one inbox file, mapped into memory, and the lock that says whose it is."""

from __future__ import annotations

import errno
import mmap
import os
import sys
from pathlib import Path

if sys.platform != "win32":  # which refuses to delete an open file: that serves as well
    import fcntl


class Page:
    """One inbox file of ours: locked, its space taken up front, mapped into memory.

    What is written ends at the first zero byte; a line without its end was never acknowledged.
    """

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, size)
        self.size = size
        self.end = 0

    @classmethod
    def create(cls, path: Path, size: int) -> Page:
        """Raises `OSError` when the folder takes no such file."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            # Locked by nobody else: one that was faster would have found it empty, and deleted it.
            if not is_ours(descriptor):
                raise OSError(f"{path} was taken by another process")
            zeros = bytes(size)  # written out: a hole would be filled later, if there is space
            if os.write(descriptor, zeros) != size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return cls(path, descriptor, size)
        except BaseException:
            delete_file(path, descriptor)
            raise

    def write(self, line: bytes) -> bool:
        """Add a line. False when there is no room."""
        end = self.end + len(line)
        if end >= self.size:  # the last byte stays zero
            return False
        self._memory[self.end : end] = line
        self.end = end
        return True

    def clear(self) -> None:
        self._memory[: self.end] = bytes(self.end)
        self.end = 0

    def close(self) -> None:
        """Give up the lock and leave the file."""
        self._memory.close()
        os.close(self._descriptor)

    def delete(self) -> None:
        self._memory.close()
        delete_file(self._path, self._descriptor)


def is_ours(descriptor: int) -> bool:
    """Whether no other holder has the file, and nobody has taken it in and deleted it."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


def delete_file(path: Path, descriptor: int) -> None:
    """Delete a file of ours, and only then give up its lock: nobody takes in what is going."""
    if sys.platform == "win32":
        os.close(descriptor)
        path.unlink(missing_ok=True)
    else:
        path.unlink(missing_ok=True)
        os.close(descriptor)
