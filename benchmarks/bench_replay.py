"""Replay: how fast recorded calls are played, and how near the simulated bill is to the real one.

    python benchmarks/bench_replay.py [--data FOLDER] [--part PART]

- *speed*: calls of a ledger through policies that look at costs alone, with the ledger's reading
  and from memory; an agent's calls with texts through the compression of tool outputs.
- *memory*: the largest resident size while 100,000 and 1,000,000 rows are replayed.
- *truth*: runs of tau-bench (`--data` names the folder that holds `memory/`; without it that is
  said) are sent for real, through LangChain and the provider's SDK, to a server on loopback with
  the provider's cache rules; what was recorded of them without any lever is replayed with each, and
  the bills are held against those of runs with the levers on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT)]

from _figures import Figure, show, write_results  # noqa: E402

from frugal_chains.facts import MessageFacts, RequestFacts, ToolCallFacts  # noqa: E402
from frugal_chains.ledger import Attempt, Ledger, new_id  # noqa: E402
from frugal_chains.pricing import PriceBook  # noqa: E402
from frugal_chains.replay import (  # noqa: E402
    Batch,
    Compression,
    Marks,
    Memory,
    RecordedCall,
    Routing,
    Setup,
    ledger_calls,
    replay,
)
from frugal_chains.replay.recorded import read_recording  # noqa: E402
from frugal_chains.usage import Usage  # noqa: E402
from tests.e2e.real_traffic import MODELS, Billed, Provider, RealRun  # noqa: E402

DATA: Final = ROOT.parent / "shared" / "data"
START_US: Final = 1_790_000_000_000_000
COST_ONLY: Final = Setup(
    routing=Routing(by_task={"faq": ("openai", "gpt-4o-mini")}),
    batch=Batch(tasks=frozenset({"nightly"})),
)
COMPRESSING: Final = Setup(compression=Compression(budget_tokens=300))
LEVERS: Final = Setup(
    memory=Memory(), compression=Compression(budget_tokens=300), prompt_cache=Marks()
)
ROWS: Final = (100_000, 1_000_000)
MEGABYTE: Final = 1_048_576


def attempts(rows: int) -> Iterator[Attempt]:
    """An application's rows: three tasks, two models, threads of ten calls."""
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


def write_ledger(path: Path, rows: int) -> None:
    """Many rows at once, as an import would."""
    with Ledger.open(str(path)) as ledger:
        for attempt in attempts(rows):
            ledger.record(attempt)


def speed(data: Path) -> dict[str, Figure]:
    book, figures = PriceBook(), dict[str, Figure]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "books.db"
        write_ledger(path, ROWS[0])
        with Ledger.open(str(path), read_only=True) as ledger:
            took = _own_s(lambda: replay(
                ledger_calls(ledger.attempts()), [COST_ONLY], prices=book, now_us=START_US
            ))  # fmt: skip
            figures["cost-only, from a ledger"] = _rate(ROWS[0] / took, 20_000)
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


def memory(data: Path) -> dict[str, Figure]:
    """In processes of their own: a resident size never falls."""
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        for rows in ROWS:
            path = Path(folder) / f"{rows}.db"
            write_ledger(path, rows)
            asked = [sys.executable, __file__, "--resident", str(path)]
            told = subprocess.run(asked, capture_output=True, text=True, check=True)
            sizes[rows] = int(told.stdout)
    few, many = (sizes[rows] / MEGABYTE for rows in ROWS)
    return {
        "resident, 1,000,000 rows": Figure(value=round(many, 1), better="lower", unit="MB"),
        "resident, 1,000,000 rows of 100,000": Figure(
            value=round(many / few, 3), better="lower", unit="x", asked=1.2
        ),
    }


def resident(path: Path) -> None:
    with Ledger.open(str(path), read_only=True) as ledger:
        replay(
            ledger_calls(ledger.attempts()), [Setup(), COST_ONLY], prices=PriceBook(),
            now_us=START_US,
        )  # fmt: skip
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024)


def truth(data: Path) -> dict[str, Figure]:
    try:
        talks = [run["messages"] for run in runs(data)]
    except FileNotFoundError as absent:
        print(f"truth: not run, {absent}")
        return {}
    figures = {}
    for provider in MODELS:
        setups = [Setup(), *map(LEVERS.only, LEVERS.on), LEVERS]
        recorded = RealRun(provider, Setup(), PriceBook()).play(talks)
        found = replay(read_recording(recorded.lines), setups, prices=PriceBook(), now_us=START_US)
        for setup, bill in zip(setups, found.bills, strict=True):
            real = _real(provider, setup, talks, recorded)
            name = " + ".join(setup.on) if setup.on != LEVERS.on else "all three"
            figures[f"truth, {provider}, {name or 'as it was'}"] = Figure(
                value=round(100 * abs(bill.nanos / real.nanos - 1), 3), better="lower",
                unit="% from the real bill", asked=2.5,
            )  # fmt: skip
    return figures


def _real(provider: Provider, setup: Setup, talks: Sequence[Any], recorded: Billed) -> Billed:
    return recorded if not setup.on else RealRun(provider, setup, PriceBook()).play(talks)


def runs(data: Path) -> list[dict[str, Any]]:
    """The runs of tau-bench; arguments of calls that are no object are empty.

    Raises:
        FileNotFoundError: they are not in the folder.
    """
    path = data / "memory" / "tau_bench" / "data.jsonl.gz"
    if not path.exists():
        raise FileNotFoundError(f"no data at {path}: name the folder that holds memory/ (--data)")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    for message in (message for run in found for message in run["messages"]):
        for call in message.get("tool_calls") or ():
            function = call["function"]
            try:
                is_object = isinstance(json.loads(function["arguments"]), dict)
            except ValueError:
                is_object = False
            function["arguments"] = function["arguments"] if is_object else "{}"
    return found


def recorded_texts(run: Mapping[str, Any]) -> Iterator[RecordedCall]:
    """Each answer of a run as a call."""
    messages = [_facts(message) for message in run["messages"]]
    for at, message in enumerate(messages):
        if message.role == "assistant":
            yield RecordedCall(
                model="gpt-4o", provider="openai", at_us=START_US + at * 5_000_000,
                conversation=f"{run['task_id']}-{run['trial']}",
                request=RequestFacts(messages=tuple(messages[:at])),
                usage=Usage(output_tokens=60, source="estimated"),
            )  # fmt: skip


def _facts(message: Mapping[str, Any]) -> MessageFacts:
    return MessageFacts(
        role=message["role"],
        text=message["content"] or "",
        tool_call_id=message.get("tool_call_id") or "",
        tool_calls=tuple(
            ToolCallFacts(
                name=call["function"]["name"],
                arguments=call["function"]["arguments"],
                id=call["id"],
            )
            for call in message.get("tool_calls") or ()
        ),
    )


def _own_s(work: Callable[[], object]) -> float:
    """Processor seconds of this thread: another process takes none of them."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def _rate(value: float, asked: float | None = None) -> Figure:
    return Figure(value=round(value), better="higher", unit="calls/s of one core", asked=asked)


PARTS: Final[Mapping[str, Callable[[Path], dict[str, Figure]]]] = {
    "speed": speed,
    "memory": memory,
    "truth": truth,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--resident", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.resident is not None:
        resident(options.resident)
        return 0
    figures: dict[str, Figure] = {}
    for name in options.part or PARTS:
        figures |= PARTS[name](options.data)
    show("replay", figures)
    if options.part is None:
        print(f"written: {write_results('replay', figures, seed=11)}")
    return 0 if all(figure.reached for figure in figures.values()) else 1


if __name__ == "__main__":
    os.environ.pop("FRUGAL_PRICES", None)
    sys.exit(main())
