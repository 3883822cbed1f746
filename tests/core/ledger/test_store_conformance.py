"""The conformance suite on every store there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from frugal_chains.ledger import _file
from tests.core.ledger.conformance import StoreConformance
from tests.core.ledger.stores import InFile, InMemory


class TestMemory(InMemory, StoreConformance):
    pass


class TestMemoryFoldedOften(InMemory, StoreConformance):
    """The rollup takes in rows all the time, so that nearly every total is read from it."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _fold_often(cls) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_file, "FOLD_EVERY", 3)
            patch.setattr(_file, "FOLD_AT_ONCE", 2)
            yield


class TestFile(InFile, StoreConformance):
    pass
