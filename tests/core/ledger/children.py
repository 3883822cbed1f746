"""Other processes for the ledger to live with: forked, so that they start at once."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

import pytest

NOBODY = 65534


class Child:
    """`work` in a forked process; what it writes to its pipe can be read line by line."""

    def __init__(self, work: Callable[[IO[str]], None]) -> None:
        read, write = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:  # pragma: no cover
            os.close(read)
            code = 1
            try:
                with open(write, "w", buffering=1) as out:
                    work(out)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)  # nothing of pytest's may run here
        os.close(write)
        self.out = open(read)  # noqa: SIM115 - closed by `wait`

    def kill(self) -> list[str]:
        """Kill it as `kill -9` does; the whole lines it had written."""
        os.kill(self.pid, signal.SIGKILL)
        lines = self.out.readlines()
        self._reap()
        return [line.rstrip("\n") for line in lines if line.endswith("\n")]

    def killed(self) -> list[str]:
        """Its lines, once it has killed itself as `kill -9` does."""
        lines = [line.rstrip("\n") for line in self.out.readlines()]
        assert self._reap() == signal.SIGKILL, "the child process failed, see stderr"
        return lines

    def wait(self) -> list[str]:
        """Its lines, once it has ended well."""
        lines = [line.rstrip("\n") for line in self.out.readlines()]
        assert self._reap() == 0, "the child process failed, see stderr"
        return lines

    def _reap(self) -> int:
        self.out.close()
        return os.waitpid(self.pid, 0)[1]


@contextmanager
def without_root() -> Iterator[None]:
    """Permissions mean nothing to root: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def needs_fork() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this platform cannot fork")
