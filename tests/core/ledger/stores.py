"""An empty ledger in each store there is, for the conformance suites."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from frugal_chains.ledger import Ledger


class InMemory:
    def fresh(self) -> Ledger:
        return Ledger.open("memory://")


class InFile:
    folder: Path

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _folder(cls) -> Iterator[None]:
        memory = Path("/dev/shm")  # where there is one: this is about answers, not about disks
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
            cls.folder = Path(folder)
            yield

    def fresh(self) -> Ledger:
        path = tempfile.mktemp(suffix=".db", dir=self.folder)
        return Ledger.open(f"sqlite:///{path}")
