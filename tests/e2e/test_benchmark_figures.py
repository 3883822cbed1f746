"""What the benchmarks' figures claim: that every bucket is asked, and that a miss is a miss."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from frugal_chains.usage import COUNT_FIELDS

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _load("bench_budget", monkeypatch)


def _load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)
    module = import_module(name)
    for added in {name, "_figures", "_oracle_prices"} - before:
        sys.modules.pop(added, None)
    return module


def _outcome(bench: ModuleType, **change: int) -> object:
    facts = {
        "spent_nanos": 7_990_000_000,
        "most_nanos": 7_999_999_999,
        "left_held_nanos": 0,
        "calls": 3,
        "refused": 1,
        "admit_us": [1.0],
        "record_us": [1.0],
        "took_s": 1.0,
    }
    return bench.Outcome(**{**facts, **change})


@pytest.mark.parametrize(
    ("change", "overshoot"),
    [
        ({}, 0),
        ({"spent_nanos": 8_000_000_000, "most_nanos": 8_000_000_000}, 0),
        ({"spent_nanos": 8_000_000_001}, 1),
        ({"most_nanos": 8_000_000_003}, 3),
    ],
)
def test_a_budget_overshot_by_one_nano_dollar_is_missed(
    bench: ModuleType, change: dict[str, int], overshoot: int
) -> None:
    size = bench.Size(limit_usd=8, call_s=0)
    found = bench.report(size, _outcome(bench, **change), _outcome(bench))["overshoot_nanos"]
    assert (found.value, found.asked, found.reached) == (overshoot, 0, overshoot == 0)


def test_the_price_oracle_asks_about_every_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = _load("_oracle_prices", monkeypatch)
    assert set(oracle._ALL_COUNTS) == set(COUNT_FIELDS)
    asked = {name for row in oracle.ROWS for counts in oracle.usages(row)
             for name, count in counts.items() if count}  # fmt: skip
    # Code execution is billed by the container hour: no list has a price for a call.
    assert set(COUNT_FIELDS) - asked == {"code_executions"}


def test_a_wrong_answer_of_the_other_library_is_told_from_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = _load("bench_prices", monkeypatch)
    asked = bench.cases()[:3]
    answers = iter([asked[0].nanos, asked[1].nanos + 1, None])
    monkeypatch.setattr(bench, "genai_answer", lambda *_: next(answers, None))
    figures = bench.genai_figures(asked)
    assert figures["genai_prices_wrong"].value == 1
    assert figures["genai_prices_refused"].value == 1
