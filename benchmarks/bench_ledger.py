"""The ledger under many writers, under kill -9, and with a million rows.

    python benchmarks/bench_ledger.py [--quick]

Three parts, each on the durable SQLite file an application would use:

- 4 processes x 16 threads write to one file: how many attempts a second are acknowledged (safe from
  kill -9), and how many are in the totals of the file, counted until the last one is. The same
  load beside it on bare `sqlite3`, one connection per thread, one indexed INSERT per transaction,
  waiting as SQLite itself waits.
- Writers are killed with SIGKILL in the middle; every row that was acknowledged must be there.
- A million rows over 30 days, 12 models, 4 tenants: totals, size, and what one more row costs.
  The same question beside it as a plain GROUP BY over the rows. A tenth as many rows once more,
  each tagged with one of 20,000 users: labels are kept once, and these repeat seldom.

`--quick` is a run of seconds for a build server; it prints, and keeps nothing.
Writes `benchmarks/results/ledger.json`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _figures import Figure, show, write_results

from frugal_chains.ledger import Attempt, Ledger, microseconds, new_id
from frugal_chains.pricing import Free, Price, Priced, Unpriced
from frugal_chains.usage import Usage

SEED = 20261121
PROCESSES, THREADS = 4, 16
ASKED_PER_S = 5_000
ASKED_TOTALS_MS = 50
ASKED_BYTES = 400
MODELS = (
    ("openai", "gpt-5.2"), ("openai", "gpt-5-mini"), ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"), ("openai", "text-embedding-3-small"),
    ("anthropic", "claude-opus-4-5"), ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5"), ("google", "gemini-2.5-pro"),
    ("google", "gemini-2.5-flash"), ("deepseek", "deepseek-chat"), ("mistral", "mistral-large"),
)  # fmt: skip
USERS = 20_000
TENANTS = ("acme", "globex", "initech", "umbrella")
STATUSES = ("ok",) * 95 + ("error",) * 3 + ("cached", "aborted")


@dataclass(frozen=True, slots=True)
class Size:
    rows: int
    rows_of_users: int
    written: int
    repeats: int


FULL = Size(rows=1_000_000, rows_of_users=100_000, written=64_000, repeats=20)
QUICK = Size(rows=20_000, rows_of_users=2_000, written=6_400, repeats=5)


# -- rows as an application writes them --------------------------------------------------------


def attempt(chance: random.Random, at_us: int, operation_id: str) -> Attempt:
    provider, model = chance.choice(MODELS)
    status: Any = chance.choice(STATUSES)
    embeds = "embedding" in model
    input_tokens = int(chance.lognormvariate(7, 1))
    output_tokens = 0 if embeds or status == "error" else int(chance.lognormvariate(5, 1))
    return Attempt(
        id=new_id(at_us),
        operation_id=operation_id,
        at_us=at_us,
        framework="langchain",
        provider=provider,
        model=model,
        purpose="embed" if embeds else chance.choice(("answer", "answer", "draft", "summary")),
        status=status,
        error_kind="rate_limit" if status == "error" else "",
        streamed=chance.random() < 0.3,
        latency_s=chance.lognormvariate(0, 0.5),
        usage=Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cache_read_tokens=input_tokens // 2 if chance.random() < 0.4 else 0,
            source="estimated" if status == "aborted" else "provider",
        ),
        price=price(status, input_tokens, output_tokens, chance),
        run_id=f"{chance.getrandbits(128):032x}",
        thread_id=f"conversation-{chance.randrange(100_000)}" if chance.random() < 0.5 else "",
        tags={"tenant": chance.choice(TENANTS), "feature": chance.choice(("chat", "search"))},
    )


def price(status: str, input_tokens: int, output_tokens: int, chance: random.Random) -> Price:
    if status == "cached":
        return Free(price_id="response cache")
    if chance.random() < 0.01:
        return Unpriced(reason="no price for this model")
    input_nanos, output_nanos = input_tokens * 2500, output_tokens * 10_000
    return Priced(
        nanos=input_nanos + output_nanos,
        input_nanos=input_nanos,
        output_nanos=output_nanos,
        price_id="genai-prices 0.2.3",
    )


def attempts(count: int, *, since: datetime, until: datetime, seed: int) -> Iterator[Attempt]:
    """Evenly spread with jitter, one to three attempts for each operation."""
    chance = random.Random(seed)
    start, step = microseconds(since), (until - since) / count
    step_us = step / timedelta(microseconds=1)
    operation, left = "", 0
    for i in range(count):
        if not left:
            operation, left = f"{chance.getrandbits(128):032x}", chance.choice((1, 1, 1, 2, 3))
        left -= 1
        yield attempt(chance, start + int((i + chance.random()) * step_us), operation)


# -- many writers ------------------------------------------------------------------------------


def write_rows(url: str, number: int, rows: int, ready: Any, took: Any) -> None:
    now = datetime.now(UTC)
    mine = list(attempts(rows, since=now - timedelta(hours=1), until=now, seed=SEED + number))
    ledger = Ledger.open(url)
    run_threads([mine[i::THREADS] for i in range(THREADS)], ledger.record, ready, took)
    ledger.close()


BARE_ROW = (
    "INSERT INTO calls (id, operation, at, model, status, tokens, nanos, tags) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def write_bare(path: str, number: int, rows: int, ready: Any, took: Any) -> None:
    """The same rows, narrower, as a careful first attempt would write them."""
    now = datetime.now(UTC)
    mine = list(attempts(rows, since=now - timedelta(hours=1), until=now, seed=SEED + number))
    local = threading.local()

    def record(row: Attempt) -> None:
        if not hasattr(local, "db"):
            local.db = sqlite3.connect(path, timeout=60, isolation_level=None)
            local.db.execute("PRAGMA synchronous = NORMAL")
        local.db.execute(
            BARE_ROW,
            (row.id, row.operation_id, microseconds(row.at), row.model, row.status,
             row.usage.input_tokens, row.price.nanos, repr(row.tags)),
        )  # fmt: skip

    run_threads([mine[i::THREADS] for i in range(THREADS)], record, ready, took)


def run_threads(
    shares: Sequence[Sequence[Attempt]], record: Callable[[Attempt], None], ready: Any, took: Any
) -> None:
    """Write each share in a thread of its own; put the wall-clock start and end on `took`."""

    def write(rows: Sequence[Attempt]) -> None:
        for row in rows:
            record(row)

    threads = [threading.Thread(target=write, args=(rows,)) for rows in shares]
    ready.wait()
    start_s = time.time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took.put((start_s, time.time()))


def write_all(work: Callable[..., None], where: str, rows: int) -> tuple[float, float]:
    """When the first thread of all processes started and the last one ended."""
    start = multiprocessing.get_context("spawn")
    ready, took = start.Barrier(PROCESSES), start.Queue()
    workers = [
        start.Process(target=work, args=(where, n, rows // PROCESSES, ready, took))
        for n in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    spans = [took.get() for _ in workers]
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise SystemExit("a writer failed")
    return min(begin for begin, _ in spans), max(end for _, end in spans)


def many_writers(folder: Path, size: Size) -> dict[str, Figure]:
    path = folder / "writers.db"
    start_s, kept_s = write_all(write_rows, f"sqlite:///{path}", size.written)
    with Ledger.open(str(path)) as ledger:
        kept = sum(line.attempts for line in ledger.totals())
        booked_s = time.time()
        sound = not ledger.store.health().problems
    bare = folder / "bare.db"
    with sqlite3.connect(bare) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE calls (id TEXT UNIQUE, operation, at, model, status, tokens, "
                   "nanos, tags)")  # fmt: skip
        db.execute("CREATE INDEX by_operation ON calls (operation)")
    bare_start_s, bare_end_s = write_all(write_bare, str(bare), size.written)
    theirs = size.written / (bare_end_s - bare_start_s)
    ours = size.written / (booked_s - start_s)
    return {
        "attempts_per_s": Figure(value=round(ours), asked=ASKED_PER_S, better="higher", unit="/s"),
        "acknowledged_per_s": Figure(
            value=round(size.written / (kept_s - start_s)), better="higher", unit="/s"
        ),
        "lost_rows": Figure(value=size.written - kept, asked=0, better="lower", unit="rows"),
        "unsound_files": Figure(value=int(not sound), asked=0, better="lower", unit="files"),
        "bare_sqlite_per_s": Figure(value=round(theirs), better="higher", unit="/s"),
        "vs_bare_sqlite": Figure(value=round(ours / theirs, 2), better="higher", unit="ratio"),
    }


# -- kill -9 -----------------------------------------------------------------------------------

WRITE_FOR_EVER = """
import os, sys, threading
sys.path.insert(0, {here!r})
from bench_ledger import Ledger, attempt, random, time
ledger = Ledger.open({url!r})
def write(seed):
    chance = random.Random(seed)
    while True:
        row = attempt(chance, time.time_ns() // 1000, f"{{chance.getrandbits(128):032x}}")
        ledger.record(row)
        os.write(1, row.id.encode() + b"\\n")
for n in range(4):
    threading.Thread(target=write, args=(n + {seed},)).start()
"""


def killed_writers(folder: Path, size: Size) -> dict[str, Figure]:
    """Kill 4 processes x 4 threads while they write; look for every row they said they had kept."""
    path = folder / "killed.db"
    url, here = f"sqlite:///{path}", str(Path(__file__).resolve().parent)
    outputs = [folder / f"acknowledged-{n}" for n in range(PROCESSES)]
    writers = []
    for n, output in enumerate(outputs):
        code = WRITE_FOR_EVER.format(here=here, url=url, seed=SEED + 100 * n)
        with output.open("wb") as out:
            writers.append(subprocess.Popen([sys.executable, "-c", code], stdout=out))
    while not all(output.stat().st_size > 33 * size.written // 64 for output in outputs):
        time.sleep(0.01)
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    lines = chain.from_iterable(output.read_text().splitlines(keepends=True) for output in outputs)
    acknowledged = {line.strip() for line in lines if line.endswith("\n")}
    with Ledger.open(url) as ledger:
        missing = acknowledged - {row.id for row in ledger.attempts()}
        sound = not ledger.store.health().problems
    return {
        "kill_9_acknowledged": Figure(value=len(acknowledged), better="higher", unit="rows"),
        "kill_9_missing": Figure(value=len(missing), asked=0, better="lower", unit="rows"),
        "kill_9_unsound_files": Figure(value=int(not sound), asked=0, better="lower", unit="files"),
    }


# -- a million rows ----------------------------------------------------------------------------


def fill(ledger: Ledger, rows: int, now: datetime) -> None:
    """The rows of the last 30 days, recorded as an application records them."""
    for row in attempts(rows, since=now - timedelta(days=30), until=now, seed=SEED):
        ledger.record(row)


def many_tags(folder: Path, size: Size) -> dict[str, Figure]:
    """The size of rows that name their user: one of many, so that few rows share their labels."""
    path, now, chance = folder / "users.db", datetime.now(UTC), random.Random(SEED)
    rows = attempts(size.rows_of_users, since=now - timedelta(days=30), until=now, seed=SEED)
    with Ledger.open(str(path)) as ledger:
        for row in rows:
            user = f"user-{chance.randrange(USERS)}"
            ledger.record(row._replace(tags={**row.tags, "user": user}))
    bytes_per_row = path.stat().st_size / size.rows_of_users
    return {
        "bytes_per_row_many_tags": Figure(
            value=round(bytes_per_row, 1), better="lower", unit="bytes"
        )
    }


def many_rows(folder: Path, size: Size) -> dict[str, Figure]:
    path, now = folder / "million.db", datetime.now(UTC)
    with Ledger.open(str(path)) as ledger:
        fill(ledger, size.rows, now)
    bytes_per_row = path.stat().st_size / size.rows
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    whole, ragged = midnight - timedelta(days=29), now - timedelta(days=30)
    with Ledger.open(str(path)) as ledger:
        questions: dict[str, Callable[[], object]] = {
            "by_model": lambda: ledger.totals(["model"], since=whole),
            "by_model_ragged": lambda: ledger.totals(["model"], since=ragged, until=now),
            "by_model_last_24_h": lambda: ledger.totals(["model"], since=now - timedelta(days=1)),
            "by_day": lambda: ledger.totals(["day"], since=ragged),
            "by_tenant": lambda: ledger.totals(["tenant"], since=ragged),
        }
        took = {name: median_ms(ask, size.repeats) for name, ask in questions.items()}
        scan = median_ms(lambda: group_by(path, ragged), 3)
        appends = append_us(ledger, 2000 if size is FULL else 200)
    figures = {
        f"totals_{name}_ms": Figure(
            value=round(ms, 2), asked=ASKED_TOTALS_MS if "by_model" in name else None,
            better="lower", unit="ms",
        )
        for name, ms in took.items()
    }  # fmt: skip
    return figures | {
        "group_by_over_rows_ms": Figure(value=round(scan, 1), better="lower", unit="ms"),
        "bytes_per_row": Figure(
            value=round(bytes_per_row, 1), asked=ASKED_BYTES, better="lower", unit="bytes"
        ),
        "append_median_us": Figure(value=round(appends[0], 1), better="lower", unit="us"),
        "append_p99_us": Figure(value=round(appends[1], 1), better="lower", unit="us"),
    }


def median_ms(work: Callable[[], object], repeats: int) -> float:
    def once() -> float:
        start_s = time.perf_counter()
        work()
        return (time.perf_counter() - start_s) * 1e3

    once()
    return statistics.median(once() for _ in range(repeats))


def group_by(path: Path, since: datetime) -> list[Any]:
    """The same sums without a rollup."""
    with sqlite3.connect(path) as db:
        return db.execute(
            "SELECT k.model, COUNT(*), SUM(input_tokens), SUM(output_tokens), SUM(nanos) "
            "FROM attempts a JOIN series s ON s.id = a.series JOIN kinds k ON k.id = s.kind "
            "WHERE at_us >= ? GROUP BY 1",
            (microseconds(since),),
        ).fetchall()


def append_us(ledger: Ledger, rows: int) -> tuple[float, float]:
    """Median and 99th percentile of one more row."""
    chance, took = random.Random(SEED), []
    for _ in range(rows):
        row = attempt(chance, time.time_ns() // 1000, f"{chance.getrandbits(128):032x}")
        start_s = time.perf_counter()
        ledger.record(row)
        took.append((time.perf_counter() - start_s) * 1e6)
    took.sort()
    return statistics.median(took), took[int(rows * 0.99)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    size = QUICK if parser.parse_args().quick else FULL
    figures: dict[str, Figure] = {"rows": Figure(value=size.rows, better="higher", unit="rows")}
    for part in (many_writers, killed_writers, many_rows, many_tags):
        with tempfile.TemporaryDirectory(prefix="bench-ledger") as folder:
            figures |= part(Path(folder), size)
    show(f"ledger, {PROCESSES} processes x {THREADS} threads", figures)
    if size is FULL:
        versions = {"sqlite": sqlite3.sqlite_version}
        print(f"written: {write_results('ledger', figures, versions=versions, seed=SEED)}")
    return int(not all(figure.reached for figure in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
