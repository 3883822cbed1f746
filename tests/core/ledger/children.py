"""Other processes for a ledger or an archive to live with: forked, so that they start at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
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


def all_at_once(works: Sequence[Callable[[IO[str]], None]]) -> None:
    """Each in a child, all let go at the same moment; returns when they have ended well."""
    gate, open_gate = os.pipe()

    def waiting(work: Callable[[IO[str]], None]) -> Callable[[IO[str]], None]:
        def wait_and_work(out: IO[str]) -> None:
            os.read(gate, 1)
            work(out)

        return wait_and_work

    children = [Child(waiting(work)) for work in works]
    os.write(open_gate, b"!" * len(children))
    for child in children:
        child.wait()
    os.close(gate)
    os.close(open_gate)


def with_disks_of_its_own(code: str, **environment: str) -> str:
    """What a Python process prints that may mount disks, which only it sees; it has to end well."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("a small disk of its own needs root and unshare")
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "mount" in done.stderr and "denied" in done.stderr:
        pytest.skip("mounting is not permitted here")
    assert done.returncode == 0, done.stderr
    return done.stdout


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
