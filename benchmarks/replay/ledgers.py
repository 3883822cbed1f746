"""Ledgers of many rows, each written once for all parts that read it.

- *plain*: the invented month of `examples/report_screenshot.py`, scaled up;
- *routed*: the same month, every answer by a decision, every row tagged with one of 20,000 users,
  threads of ten calls;
- *tasks*: three tasks, two models, threads of ten calls.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

from frugal_chains.ledger import Attempt, Ledger, new_id
from frugal_chains.ledger._append import Entry
from frugal_chains.pricing import PriceBook
from frugal_chains.usage import Usage

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from report_screenshot import effects, month

Kind = Literal["plain", "routed", "tasks"]
START_US: Final = 1_790_000_000_000_000
USERS: Final = 20_000
BATCH: Final = 20_000
_CANDIDATES: Final = {
    "gatekeeper": ("openai", "gpt-4o-mini"), "workhorse": ("anthropic", "claude-sonnet-4-5"),
}  # fmt: skip


class Ledgers:
    """In a folder of their own, which goes with them.

    Args:
        folder: Keeps them, and may have some already; None: none are kept.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._own = tempfile.TemporaryDirectory() if folder is None else None
        self._folder = folder or Path(self._own.name if self._own is not None else "")

    def path(self, kind: Kind, rows: int) -> Path:
        """A ledger of about so many rows; it is written now if it is not there yet."""
        known = self._folder / f"{kind}-{rows}.db"
        if not known.exists():
            print(f"writing {rows:,} rows: {kind}", flush=True)
            _write(known, kind, rows)
        return known

    def __enter__(self) -> Ledgers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._own is not None:
            self._own.cleanup()


def _write(path: Path, kind: Kind, rows: int) -> None:
    found = {"plain": month, "routed": _routed, "tasks": _tasks}[kind](rows)
    entries = map(Entry, found)
    with Ledger.open(f"sqlite:///{path}") as ledger:
        # As its writer does, without its turns: a million rows wait for nobody.
        while batch := list(islice(entries, BATCH)):
            ledger.store._file.write(batch)
        if kind != "tasks":
            ledger.record_effects(effects())
    while _unfolded(path):  # as after a month, in which it was done row by row
        Ledger.open(f"sqlite:///{path}").close()


def _unfolded(path: Path) -> bool:
    """Whether more rows are not in the daily sums yet than are ever left to the next fold."""
    with closing(sqlite3.connect(path)) as db:
        last, done = db.execute(
            "SELECT (SELECT MAX(seq) FROM attempts), seq FROM folded"
        ).fetchone()
    return last - done > 1_000


def _tasks(rows: int) -> Iterator[Attempt]:
    rng, book = random.Random(11), PriceBook()
    for number in range(rows):
        at_us = START_US + number * 1_000_000
        model = ("gpt-4o", "gpt-4o-mini")[rng.random() < 0.3]
        usage = Usage(
            input_tokens=rng.randint(1_100, 9_000),
            output_tokens=rng.randint(20, 700),
            cache_read_tokens=1_024 * (rng.random() < 0.5),
        )
        yield Attempt(
            id=new_id(at_us), operation_id=f"{number:032x}", at_us=at_us, framework="langchain",
            provider="openai", model=model, usage=usage, thread_id=f"t{number // 10}",
            price=book.price_at(at_us, usage, model=model, provider="openai"),
            tags={"task": ("faq", "legal", "nightly")[number % 3]},
        )  # fmt: skip


def _routed(rows: int) -> Iterator[Attempt]:
    """As a router writes it: whom it weighed, what each would have cost, whom it chose."""
    rng = random.Random(12)
    for number, attempt in enumerate(month(rows)):
        tags = {**attempt.tags, "user": f"u{rng.randrange(USERS)}"}
        chosen = next(
            (name for name, (_, model) in _CANDIDATES.items() if model == attempt.model), ""
        )
        if not chosen:
            chosen, (provider, model) = "gatekeeper", _CANDIDATES["gatekeeper"]
            attempt = attempt._replace(provider=provider, model=model)
        decision = {
            "action": "call", "candidate": chosen, "reason": "gain", "tier": chosen,
            "expected_nanos": {
                "gatekeeper": rng.randrange(100_000, 900_000),
                "workhorse": rng.randrange(5_000_000, 60_000_000),
            },
            "dearest": list(_CANDIDATES["workhorse"]),
        }  # fmt: skip
        yield attempt._replace(
            tags=tags, purpose="answer", thread_id=f"t{number // 10}",
            decision={"routing": decision},
        )  # fmt: skip
