"""Prices against an independent oracle, and the time of a price once its rates are compiled.

    python benchmarks/bench_prices.py

Every row of `_oracle_prices.py` is priced for token counts that reach each of its buckets and both
sides of its long-context threshold; the answer must agree to the nano-dollar. What no price list
answers must come back unpriced. genai-prices answers the same questions beside it: it is the list
underneath, called as its documentation shows. Writes `benchmarks/results/prices.json`.
"""

from __future__ import annotations

import gc
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _oracle_prices import ROWS, UNKNOWN, Counts, Row, expected_nanos, usages
from rich.console import Console
from rich.table import Table

from frugal_chains.pricing import PriceBook, Priced, Rates, Unpriced
from frugal_chains.usage import Usage

RESULT = Path(__file__).resolve().parent / "results" / "prices.json"
ASKED_US = 2.0
PASSES = 40

_GENAI_KEYS = {
    "reasoning_tokens": "output_reasoning_tokens",
    "file_searches": "storage_searches",
}
_GENAI_CONTEXTS = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"service_tier": "fast"},
}


@dataclass(frozen=True, slots=True)
class Case:
    row: Row
    counts: Counts
    usage: Usage
    nanos: int


def _usage(counts: Mapping[str, int]) -> Usage:
    return Usage(**counts)  # type: ignore[arg-type]  # none of them is the source


def cases() -> list[Case]:
    return [
        Case(row, counts, _usage(counts), expected_nanos(row, counts))
        for row in ROWS
        for counts in usages(row)
    ]


def wrong_prices(book: PriceBook, asked: Sequence[Case]) -> Iterator[tuple[Case, object]]:
    for case in asked:
        row = case.row
        got = book.price(
            case.usage, model=row.model, provider=row.provider, tier=row.tier, at=row.at
        )
        if not isinstance(got, Priced) or got.nanos != case.nanos:
            yield case, got


def unpriced_as_asked(book: PriceBook) -> int:
    return sum(
        isinstance(
            book.price(_usage(u.counts), model=u.model, provider=u.provider, tier=u.tier, at=u.at),
            Unpriced,
        )
        for u in UNKNOWN
    )


def genai_answer(
    model: str, provider: str | None, tier: str, at: Any, counts: Counts
) -> int | None:
    """What `genai_prices.calc_price` says, in nano-USD; None when it raises."""
    from genai_prices import Usage as GenaiUsage
    from genai_prices import calc_price

    renamed = {_GENAI_KEYS.get(name, name): count for name, count in counts.items()}
    renamed["cache_write_tokens"] = counts.get("cache_write_5m_tokens", 0) + counts.get(
        "cache_write_1h_tokens", 0
    )
    context = _GENAI_CONTEXTS.get(tier, {"processing": tier} if tier != "standard" else None)
    try:
        price = calc_price(
            GenaiUsage(**renamed), model, provider_id=provider, genai_request_timestamp=at,
            price_context=context,
        )  # fmt: skip
    except (LookupError, ValueError):
        return None
    return round(price.total_price * 1_000_000_000)


def best_us(run: Callable[[], object], calls: int, passes: int = PASSES) -> float:
    """Microseconds a call in the best of several passes: the others measure the machine."""
    gc.collect()
    gc.disable()
    try:
        times = []
        for _ in range(passes):
            start = time.perf_counter_ns()
            run()
            times.append(time.perf_counter_ns() - start)
    finally:
        gc.enable()
    return min(times) / calls / 1_000


def speeds(book: PriceBook, asked: Sequence[Case]) -> dict[str, float]:
    whole = [(c.usage, c.row.model, c.row.provider, c.row.tier, c.row.at) for c in asked]
    compiled = [
        (rates, c.usage)
        for c in asked
        if isinstance(
            rates := book.rates(
                model=c.row.model, provider=c.row.provider, tier=c.row.tier,  # type: ignore[arg-type]
                at=c.row.at,
            ),
            Rates,
        )
    ]  # fmt: skip

    def price_all() -> None:
        price = book.price
        for usage, model, provider, tier, at in whole:
            price(usage, model=model, provider=provider, tier=tier, at=at)

    def rates_all() -> None:
        for rates, usage in compiled:
            rates.price(usage)

    def compile_all() -> None:
        fresh = PriceBook()
        for row in ROWS:
            fresh.rates(model=row.model, provider=row.provider, tier=row.tier, at=row.at)  # type: ignore[arg-type]

    def genai_all() -> None:
        for c in asked[::10]:
            genai_answer(c.row.model, c.row.provider, c.row.tier, c.row.at, c.counts)

    return {
        "price_us": best_us(price_all, len(whole)),
        "rates_us": best_us(rates_all, len(compiled)),
        "compile_us": best_us(compile_all, len(ROWS), passes=5),
        "genai_us": best_us(genai_all, len(asked[::10]), passes=5),
    }


def figure(value: float, asked: float | None, better: str, unit: str) -> dict[str, object]:
    return {"value": value, "asked": asked, "better": better, "unit": unit}


def main() -> int:
    book, console = PriceBook(), Console()
    asked = cases()
    wrong = list(wrong_prices(book, asked))
    for case, got in wrong:
        row = case.row
        asked_for = f"{row.provider}/{row.model} {row.tier} {row.at:%Y-%m-%d %H:%M} {case.counts}"
        console.print(f"WRONG {asked_for}: {case.nanos} in {row.source}, got {got}")
    genai_wrong = sum(
        genai_answer(c.row.model, c.row.provider, c.row.tier, c.row.at, c.counts) != c.nanos
        for c in asked
    )
    genai_unpriced = sum(
        genai_answer(u.model, u.provider, u.tier, u.at, u.counts) is None for u in UNKNOWN
    )
    right = unpriced_as_asked(book)
    took = speeds(book, asked)
    models = {(row.provider, row.model) for row in ROWS}
    figures = {
        "models": figure(len(models), 40, "higher", "models"),
        "prices_compared": figure(len(asked), None, "higher", "prices"),
        "wrong": figure(len(wrong), 0, "lower", "prices"),
        "unpriced_where_unknown": figure(right, len(UNKNOWN), "higher", "questions"),
        "price_us": figure(round(took["price_us"], 3), ASKED_US, "lower", "us/price"),
        "rates_price_us": figure(round(took["rates_us"], 3), ASKED_US, "lower", "us/price"),
        "compile_us": figure(round(took["compile_us"], 1), None, "lower", "us/model and day"),
        "genai_prices_wrong": figure(genai_wrong, None, "lower", "prices"),
        "genai_prices_unpriced_where_unknown": figure(
            genai_unpriced, None, "higher", "questions"),
        "genai_prices_us": figure(round(took["genai_us"], 1), None, "lower", "us/price"),
    }  # fmt: skip
    show(console, asked, figures)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "name": "prices",
        "versions": {
            "frugal-chains": version("frugal-chains"),
            "genai-prices": version("genai-prices"),
            "python": platform.python_version(),
        },
        "seed": None,
        "figures": figures,
    }
    RESULT.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if wrong or right < len(UNKNOWN) else 0


def show(console: Console, asked: Sequence[Case], figures: dict[str, dict[str, object]]) -> None:
    tiers = Counter(case.row.tier for case in asked)
    sellers = Counter(case.row.provider for case in asked)
    console.print(f"by tier: {dict(tiers)}; by provider: {dict(sellers)}")
    table = Table("figure", "value", "asked", "unit", title="prices")
    for name, row in figures.items():
        asked_for = "" if row["asked"] is None else str(row["asked"])
        table.add_row(name, str(row["value"]), asked_for, str(row["unit"]))
    console.print(table)
    ours, theirs = (float(str(figures[name]["value"])) for name in ("price_us", "genai_prices_us"))
    console.print(f"genai-prices takes {theirs / ours:.0f} times as long for the same price")


if __name__ == "__main__":
    sys.exit(main())
