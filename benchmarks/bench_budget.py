"""One budget under 4 processes x 64 concurrent calls: does it hold, and can it be used up?

    python benchmarks/bench_budget.py [--quick]

Every call asks `BudgetGuard.admit` for its worst case, takes a few milliseconds, costs less than
that, and is recorded. Refused calls ask again until nothing is held any more and the budget still
has no room. Beside it, on its own ledger: the same calls under "check, then spend", which looks at
what is spent before a call and holds nothing.

`--quick` is a run of seconds for a build server; it prints, and keeps nothing.
Writes `benchmarks/results/budget.json`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _figures import Figure, show, write_results

from frugal_chains.budgets import Budget, BudgetGuard
from frugal_chains.errors import BudgetExceeded
from frugal_chains.ledger import Attempt, Ledger, MeterFacts, new_id
from frugal_chains.money import NANOS_PER_USD
from frugal_chains.pricing import Priced
from frugal_chains.usage import Usage

SEED = 20261121
PROCESSES, CALLERS = 4, 64
WORST_NANOS = 10_000_000
"""A cent: what every call may cost at most. It costs 10 to 100 % of that."""


@dataclass(frozen=True, slots=True)
class Size:
    limit_usd: int
    call_s: float


FULL = Size(limit_usd=40, call_s=0.02)
QUICK = Size(limit_usd=8, call_s=0.005)


class Caller:
    """One user of the budget; remembers how long asking and recording took."""

    def __init__(self, ledger: Ledger, size: Size, seed: int) -> None:
        self.ledger = ledger
        self.size = size
        self.budget = Budget.usd(size.limit_usd, per="lifetime")
        self.guard = BudgetGuard(ledger, [self.budget])
        self.chance = random.Random(seed)
        self.admit_us: list[float] = []
        self.record_us: list[float] = []
        self.refused = 0

    def spend_it_all(self, admit: Callable[[Attempt], bool]) -> None:
        while True:
            row = self._row()
            start_s = time.perf_counter()
            admitted = admit(row)
            self.admit_us.append((time.perf_counter() - start_s) * 1e6)
            if admitted:
                self._call(row)
            elif self._used_up():
                return

    def reserve(self, row: Attempt) -> bool:
        try:
            self.guard.admit(_facts(row), if_lost=row, needed_nanos=WORST_NANOS)
        except BudgetExceeded:
            self.refused += 1
            return False
        return True

    def check(self, row: Attempt) -> bool:
        """What trackers without reservations do."""
        (state,) = self.guard.states(_facts(row))
        return state.spent_nanos + WORST_NANOS <= self.budget.limit_nanos

    def _row(self) -> Attempt:
        at_us = time.time_ns() // 1000
        return Attempt(
            id=new_id(at_us),
            operation_id=uuid.uuid4().hex,
            at_us=at_us,
            framework="benchmark",
            provider="openai",
            model="gpt-4o",
            status="aborted",
            error_kind="lease_expired",
            usage=Usage(input_tokens=1000, source="estimated"),
            price=Priced(nanos=WORST_NANOS // 10, input_nanos=WORST_NANOS // 10, price_id="bench"),
        )

    def _call(self, row: Attempt) -> None:
        time.sleep(self.chance.uniform(0.5, 1.5) * self.size.call_s)
        nanos = int(WORST_NANOS * self.chance.uniform(0.1, 1))
        price = Priced(nanos=nanos, output_nanos=nanos, price_id="bench")
        done = row._replace(status="ok", error_kind="", price=price, usage=Usage(input_tokens=1000))
        start_s = time.perf_counter()
        self.ledger.record(done, reservation_id=row.id)
        self.record_us.append((time.perf_counter() - start_s) * 1e6)

    def _used_up(self) -> bool:
        """Whether the budget has no room for one more call and nobody holds any of it."""
        time.sleep(self.chance.uniform(0.5, 1.5) * self.size.call_s)
        (state,) = self.guard.states(_facts(self._row()))
        no_room = state.spent_nanos + WORST_NANOS > self.budget.limit_nanos
        return no_room and not state.reserved_nanos


def _facts(row: Attempt) -> MeterFacts:
    return MeterFacts(at=row.at, operation_id=row.operation_id)


def work(url: str, size: Size, number: int, how: str, ready: Any, answers: Any) -> None:
    """One process: its callers in threads, then what they saw."""
    with Ledger.open(url) as ledger:
        callers = [Caller(ledger, size, SEED + 1000 * number + n) for n in range(CALLERS)]
        threads = [
            threading.Thread(target=caller.spend_it_all, args=(getattr(caller, how),))
            for caller in callers
        ]
        ready.wait()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    answers.put(
        (
            [us for caller in callers for us in caller.admit_us],
            [us for caller in callers for us in caller.record_us],
            sum(caller.refused for caller in callers),
        )
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was spent, what was ever spent and held at once, and how long it took."""

    spent_nanos: int
    most_nanos: int
    calls: int
    refused: int
    left_held_nanos: int
    admit_us: list[float]
    record_us: list[float]
    took_s: float


def run(folder: Path, size: Size, how: str) -> Outcome:
    url = f"sqlite:///{folder}/{how}.db"
    ledger = Ledger.open(url)
    watcher = Caller(ledger, size, SEED)
    start = multiprocessing.get_context("spawn")
    ready, answers = start.Barrier(PROCESSES + 1), start.Queue()
    processes = [
        start.Process(target=work, args=(url, size, number, how, ready, answers))
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    ready.wait()
    start_s, most = time.perf_counter(), 0
    while any(process.is_alive() for process in processes) and answers.qsize() < PROCESSES:
        (state,) = watcher.guard.states(_facts(watcher._row()))
        most = max(most, state.spent_nanos + state.reserved_nanos)
        time.sleep(0.002)
    took_s = time.perf_counter() - start_s
    seen = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    with ledger:
        (total,) = ledger.totals()
        (state,) = watcher.guard.states(_facts(watcher._row()))
    return Outcome(
        spent_nanos=total.nanos,
        most_nanos=most,
        calls=total.attempts,
        refused=sum(refused for _, _, refused in seen),
        left_held_nanos=state.reserved_nanos,
        admit_us=sorted(us for admit, _, _ in seen for us in admit),
        record_us=sorted(us for _, record, _ in seen for us in record),
        took_s=took_s,
    )


def alone(folder: Path, calls: int) -> tuple[float, float]:
    """Median microseconds to admit and to record with nobody else there."""
    with Ledger.open(f"sqlite:///{folder}/alone.db") as ledger:
        caller = Caller(ledger, Size(limit_usd=10**6, call_s=0), SEED)
        for _ in range(calls):
            row = caller._row()
            start_s = time.perf_counter()
            caller.reserve(row)
            caller.admit_us.append((time.perf_counter() - start_s) * 1e6)
            caller._call(row)
    return statistics.median(caller.admit_us), statistics.median(caller.record_us)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="seconds instead of a minute")
    size = QUICK if parser.parse_args().quick else FULL
    with tempfile.TemporaryDirectory(prefix="bench-budget") as name:
        folder = Path(name)
        ours, naive = run(folder, size, "reserve"), run(folder, size, "check")
        admit_us, record_us = alone(folder, 2000 if size is FULL else 200)
    figures = report(size, ours, naive) | {
        "admit_alone_us": Figure(value=round(admit_us, 1), better="lower", unit="us"),
        "record_alone_us": Figure(value=round(record_us, 1), better="lower", unit="us"),
    }
    show(f"${size.limit_usd} for {PROCESSES} processes x {CALLERS} concurrent calls", figures)
    if size is FULL:
        versions = {"sqlite": sqlite3.sqlite_version}
        print(f"written: {write_results('budget', figures, versions=versions, seed=SEED)}")
    return int(not all(figure.reached for figure in figures.values()))


def report(size: Size, ours: Outcome, naive: Outcome) -> dict[str, Figure]:
    limit_nanos = size.limit_usd * NANOS_PER_USD

    def over_nanos(spent_nanos: int) -> int:
        return max(spent_nanos - limit_nanos, 0)

    def middle(values: list[float], part: float) -> float:
        return round(values[int(len(values) * part)], 1)

    return {
        "overshoot_nanos": Figure(
            value=over_nanos(max(ours.spent_nanos, ours.most_nanos)),
            asked=0, better="lower", unit="nano",
        ),
        "used_percent": Figure(
            value=round(ours.spent_nanos / limit_nanos * 100, 3),
            asked=95, better="higher", unit="%",
        ),
        "left_held_nanos": Figure(value=ours.left_held_nanos, asked=0, better="lower", unit="nano"),
        "check_then_spend_overshoot_percent": Figure(
            value=round(over_nanos(naive.spent_nanos) / limit_nanos * 100, 2),
            better="lower", unit="%",
        ),
        "calls": Figure(value=ours.calls, better="higher", unit="calls"),
        "refusals": Figure(value=ours.refused, better="lower", unit="refusals"),
        "calls_per_s": Figure(
            value=round(ours.calls / ours.took_s), better="higher", unit="/s"
        ),
        "admit_median_us": Figure(value=middle(ours.admit_us, 0.5), better="lower", unit="us"),
        "admit_p99_us": Figure(value=middle(ours.admit_us, 0.99), better="lower", unit="us"),
        "record_median_us": Figure(value=middle(ours.record_us, 0.5), better="lower", unit="us"),
        "record_p99_us": Figure(value=middle(ours.record_us, 0.99), better="lower", unit="us"),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
