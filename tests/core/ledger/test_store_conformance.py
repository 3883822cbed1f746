"""The conformance suite on every store there is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from frugal_chains.ledger import Ledger, _sqlite
from tests.core.ledger.conformance import StoreConformance


class TestMemory(StoreConformance):
    def fresh(self) -> Ledger:
        return Ledger.open("memory://")


class TestMemoryFoldedOften(StoreConformance):
    """The rollup takes in rows all the time, so that nearly every total is read from it."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _fold_often(cls) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_sqlite, "FOLD_EVERY", 3)
            yield

    def fresh(self) -> Ledger:
        return Ledger.open("memory://")


class TestFile(StoreConformance):
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
