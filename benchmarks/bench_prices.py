"""Prices against an independent oracle, and the time of a price once its rates are compiled.

    python benchmarks/bench_prices.py

Every row of `_oracle_prices.py` is priced for token counts that reach each of its buckets and both
sides of its long-context threshold; the answer must agree to the nano-dollar. What no price list
answers must come back unpriced. genai-prices answers the same questions beside it: it is the list
underneath, called as its documentation shows. Writes `benchmarks/results/prices.json`.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _figures import Figure, show, write_results
from _oracle_prices import ROWS, UNKNOWN, Counts, Row, expected_nanos, usages
from rich.console import Console

from frugal_chains.pricing import PriceBook, Priced, Rates, Unpriced
from frugal_chains.usage import Usage

ASKED_US = 2.0
PASSES = 40

_GENAI_KEYS = {
    "reasoning_tokens": "output_reasoning_tokens",
    "cache_read_audio_tokens": "cache_audio_read_tokens",
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


def main() -> int:
    book, console = PriceBook(), Console()
    asked = cases()
    wrong = list(wrong_prices(book, asked))
    for case, got in wrong:
        row = case.row
        asked_for = f"{row.provider}/{row.model} {row.tier} {row.at:%Y-%m-%d %H:%M} {case.counts}"
        console.print(f"WRONG {asked_for}: {case.nanos} in {row.source}, got {got}")
    models = {(row.provider, row.model) for row in ROWS}
    figures = {
        "models": Figure(value=len(models), asked=40, better="higher", unit="models"),
        "prices_compared": Figure(value=len(asked), better="higher", unit="prices"),
        "wrong": Figure(value=len(wrong), asked=0, better="lower", unit="prices"),
        "unpriced_where_unknown": Figure(
            value=unpriced_as_asked(book), asked=len(UNKNOWN), better="higher", unit="questions"
        ),
        **genai_figures(asked),
        **speed_figures(speeds(book, asked)),
    }
    show_cases(console, asked)
    show("prices", figures)
    ours, theirs = figures["price_us"].value, figures["genai_prices_us"].value
    console.print(f"genai-prices takes {theirs / ours:.0f} times as long for the same price")
    versions = {"genai-prices": version("genai-prices")}
    print(f"written: {write_results('prices', figures, versions=versions)}")
    return int(not all(figure.reached for figure in figures.values()))


def genai_figures(asked: Sequence[Case]) -> dict[str, Figure]:
    """What genai-prices answers: a wrong number and no number are different answers."""
    answers = [
        (genai_answer(c.row.model, c.row.provider, c.row.tier, c.row.at, c.counts), c.nanos)
        for c in asked
    ]
    wrong = sum(got is not None and got != nanos for got, nanos in answers)
    refused = sum(got is None for got, _ in answers)
    unpriced = sum(
        genai_answer(u.model, u.provider, u.tier, u.at, u.counts) is None for u in UNKNOWN
    )
    return {
        "genai_prices_wrong": Figure(value=wrong, better="lower", unit="prices"),
        "genai_prices_refused": Figure(value=refused, better="lower", unit="prices"),
        "genai_prices_unpriced_where_unknown": Figure(
            value=unpriced, better="higher", unit="questions"
        ),
    }


def speed_figures(took_us: Mapping[str, float]) -> dict[str, Figure]:
    def figure(name: str, digits: int, unit: str, asked: float | None = None) -> Figure:
        return Figure(value=round(took_us[name], digits), asked=asked, better="lower", unit=unit)

    return {
        "price_us": figure("price_us", 3, "us/price", ASKED_US),
        "rates_price_us": figure("rates_us", 3, "us/price", ASKED_US),
        "compile_us": figure("compile_us", 1, "us/model and day"),
        "genai_prices_us": figure("genai_us", 1, "us/price"),
    }


def show_cases(console: Console, asked: Sequence[Case]) -> None:
    tiers = Counter(case.row.tier for case in asked)
    sellers = Counter(case.row.provider for case in asked)
    console.print(f"by tier: {dict(tiers)}; by provider: {dict(sellers)}")


if __name__ == "__main__":
    sys.exit(main())
