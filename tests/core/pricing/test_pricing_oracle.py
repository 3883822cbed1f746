"""Every row of the benchmark's oracle, which shares no code and no data with the price book."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from frugal_chains.pricing import PriceBook, Priced, Unpriced
from frugal_chains.usage import Usage

ORACLE = Path(__file__).parents[3] / "benchmarks" / "_oracle_prices.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_oracle_prices", ORACLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


oracle = _load()
BOOK = PriceBook()


@pytest.mark.parametrize(
    "row", oracle.ROWS, ids=lambda r: f"{r.provider}/{r.model}-{r.tier}-{r.at:%y%m%d%H%M}"
)
def test_a_listed_price_is_exact_to_the_nano_dollar(row) -> None:
    for counts in oracle.usages(row):
        got = BOOK.price(
            Usage(**counts), model=row.model, provider=row.provider, tier=row.tier, at=row.at
        )
        assert isinstance(got, Priced), (counts, got, row.source)
        assert got.nanos == oracle.expected_nanos(row, counts), (counts, row.source)


@pytest.mark.parametrize("question", oracle.UNKNOWN, ids=lambda q: f"{q.model}: {q.why}")
def test_what_no_price_list_answers_is_unpriced_with_a_way_out(question) -> None:
    got = BOOK.price(
        Usage(**question.counts),
        model=question.model,
        provider=question.provider,
        tier=question.tier,
        at=question.at,
    )
    assert isinstance(got, Unpriced)
    assert got.cost_usd is None
    ways_out = ("prices.toml", "expected one of", "use ", "name the provider", "not give")
    assert any(way in got.reason for way in ways_out), got.reason


def test_the_oracle_stands_alone() -> None:
    imported = {
        node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(ORACLE.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported <= {"__future__", "collections.abc", "dataclasses", "datetime", "fractions"}


def test_the_oracle_covers_what_it_claims() -> None:
    assert len({(row.provider, row.model) for row in oracle.ROWS}) >= 40
    assert {row.tier for row in oracle.ROWS} == {"standard", "batch", "flex", "priority", "fast"}
    named = {bucket for row in oracle.ROWS for bucket in row.prices}
    assert named >= {"input", "output", "cache_read", "cache_write_5m", "cache_write_1h",
                     "input_audio", "output_audio"}  # fmt: skip
    assert {fee for row in oracle.ROWS for fee in row.fees} >= {"web_search", "file_search"}
