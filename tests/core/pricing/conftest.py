from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from frugal_chains.pricing import PriceBook

LoadPrices = Callable[[str], PriceBook]


@pytest.fixture
def load_prices(tmp_path: Path) -> LoadPrices:
    """A price book with this `prices.toml` in front."""

    def load(text: str) -> PriceBook:
        path = tmp_path / "prices.toml"
        path.write_text(text)
        return PriceBook.load(path)

    return load


@pytest.fixture(autouse=True)
def _no_price_file_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests must not read the developer's own prices."""
    monkeypatch.delenv("FRUGAL_PRICES", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
