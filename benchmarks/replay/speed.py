"""How fast recorded calls are replayed, and how much memory that takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from _figures import Figure

from frugal_chains.ledger import Ledger
from frugal_chains.pricing import PriceBook
from frugal_chains.replay import (
    Batch,
    Compression,
    Marks,
    Memory,
    Routing,
    Setup,
    ledger_calls,
    replay,
)
from replay.child import in_a_process
from replay.conversations import recorded_texts, runs
from replay.ledgers import START_US, Ledgers

COST_ONLY: Final = Setup(
    routing=Routing(by_task={"faq": ("openai", "gpt-4o-mini")}),
    batch=Batch(tasks=frozenset({"nightly"})),
)
COMPRESSING: Final = Setup(compression=Compression(budget_tokens=300))
LEVERS: Final = Setup(
    memory=Memory(), compression=Compression(budget_tokens=300), prompt_cache=Marks()
)
SHARE: Final = 10
"""A ledger of so many times fewer rows stands beside the large one."""


def speed(data: Path, ledgers: Ledgers, rows: int) -> dict[str, Figure]:
    book, figures = PriceBook(), dict[str, Figure]()
    few = rows // SHARE
    with Ledger.open(str(ledgers.path("tasks", few)), read_only=True) as ledger:
        took = _own_s(lambda: replay(
            ledger_calls(ledger.attempts()), [COST_ONLY], prices=book, now_us=START_US
        ))  # fmt: skip
        figures["cost-only, from a ledger"] = _rate(few / took, 20_000)
        calls = list(ledger_calls(ledger.attempts()))
    took = _own_s(lambda: replay(calls, [COST_ONLY], prices=book, now_us=START_US))
    figures["cost-only, from memory"] = _rate(len(calls) / took)
    try:
        texts = [call for run in runs(data) for call in recorded_texts(run)]
    except FileNotFoundError as absent:
        print(f"with texts: not run, {absent}")
        return figures
    for name, setup, asked in (
        ("with compression", COMPRESSING, 500.0),
        ("with memory, compression and markers", LEVERS, None),
    ):
        took = _own_s(lambda setup=setup: replay(texts, [setup], prices=book, now_us=START_US))
        figures[f"{name}, tau-bench"] = _rate(len(texts) / took, asked)
    return figures


def memory(_: Path, ledgers: Ledgers, rows: int) -> dict[str, Figure]:
    """In processes of their own: a resident size never falls."""
    few, many = (
        in_a_process("replay", ledgers.path("routed", count)).resident_mb
        for count in (rows // SHARE, rows)
    )
    return {
        f"resident, {rows:,} rows": Figure(value=round(many, 1), better="lower", unit="MB"),
        f"resident, {rows:,} rows of {rows // SHARE:,}": Figure(
            value=round(many / few, 3), better="lower", unit="x", asked=1.2
        ),
    }


def _own_s(work: Callable[[], object]) -> float:
    """Processor seconds of this thread: another process takes none of them."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def _rate(value: float, asked: float | None = None) -> Figure:
    return Figure(value=round(value), better="higher", unit="calls/s of one core", asked=asked)
