"""Compression: what is kept at a budget, beside other compressors, on public sets.

    python benchmarks/bench_compression.py [--data FOLDER] [--part nq20 --part speed ...] [--quick]

The sets (Wikipedia passages, meetings, key-value pairs, tool outputs, tools) are no part of this
repository: `--data` names the folder that holds `compression/`, `memory/` and `structured/`. Parts
can be run alone; the results file then keeps the others' figures of earlier runs. Other libraries
come from `requirements/bench-compression.txt`; one that is absent is named and left out. Only the
speed is taken of LLMLingua-2, and only if it is installed: its weights are on a model hub.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _figures import RESULTS, Figure, show, write_results
from compression import baselines, data, lingua, net_of_cache, ours, peers, shapes
from compression.data import DATA, Case, DataAbsent
from compression.measure import COMPARED, RATIOS, Measurement, speed
from compression.protocol import SETS, Contender, Set
from rich.console import Console
from rich.table import Table

from frugal_chains.tokens._encodings import shared_encodings

SEED = 0
ROUNDS = 3
"""Over the prompts whose time is taken."""
QUICK = 30
"""Questions, meetings or tasks of a set in a quick run."""
LESS = (
    (ours.OURS, baselines.SENTENCE_AND_PASSAGE),
    (ours.OURS, f"{baselines.SENTENCE_AND_PASSAGE}, titles"),
    (ours.WITH_EMBEDDER, "LangChain EmbeddingsFilter"),
    (ours.WITH_EMBEDDER, ours.OURS),
)
"""Pairs whose difference is told: the first less the second."""


def asked_figures() -> Iterator[tuple[str, float]]:
    """Every figure's name of which a number is asked, with that number."""
    base = baselines.SENTENCE_AND_PASSAGE
    by_ratio = {
        "nq20 {}x, ours: answer kept": (97, 94, 88),
        "nq20 {}x, ours, embedder: answer kept": (99, 99, 97),
        "nq20 {}x, ours: budget used": (97, 97, 97),
        "nq20 {}x, ours, embedder: budget used": (97, 97, 97),
        "qmsum {}x, ours: gold turns kept, by tokens": (82, 64, 50),
    }
    for name, numbers in by_ratio.items():
        for ratio, number in zip((2, 4, 8), numbers, strict=True):
            yield name.format(ratio), number
    yield f"nq20 4x, ours less {base}: answer kept", 3
    yield f"nq20 8x, ours less {base}: answer kept", 5
    yield "kv75 8x, ours: pair kept", 100
    yield "taubench 2x, ours: used values kept", 98
    for name, ratios in RATIOS.items():
        for ratio in ratios:
            for each in (ours.OURS, ours.WITH_EMBEDDER):
                yield f"{name} {ratio}x, {each}: over budget", 0
                yield f"{name} {ratio}x, {each}: atoms intact", 100
    yield "speed, ours: tokens per second", 600_000
    yield "speed, ours: p50 of a 2k-token prompt", 8


def main() -> int:
    asked = _arguments()
    vectors = peers.Vectors()
    others, absent = peers.contenders(vectors)
    everyone = [*ours.contenders(vectors), *baselines.contenders(), *others]
    for sentence in absent:
        print(sentence, file=sys.stderr)
    parts: Mapping[str, Callable[[], dict[str, Figure]]] = {
        **{name: _on(name, everyone, asked) for name in SETS},
        "shapes": lambda: shapes.figures(asked.data, count=count, draws=asked.draws, seed=SEED),
        "logs": _logs,
        "tools": lambda: _tools(asked),
        "cache": lambda: net_of_cache.figures(
            asked.data,
            count=count,
            encode=_encoding(),
            draws=asked.draws,
            seed=SEED,
            quick=asked.quick,
        ),
        "speed": lambda: _speeds(everyone, asked),
    }
    figures: dict[str, Figure] = {}
    try:
        for part in asked.part or parts:
            figures |= parts[part]()
    except DataAbsent as reason:
        print(reason, file=sys.stderr)
        return 2
    numbers = dict(asked_figures())
    figures = {
        name: replace(figure, asked=numbers.get(name, figure.asked))
        for name, figure in figures.items()
    }
    show("compression", {name: each for name, each in figures.items() if each.asked is not None})
    if asked.quick:
        print("a quick run: nothing is written")
        return 0
    if asked.part:  # Read now: another part may have ended while this one ran.
        figures = _earlier() | figures
    print("written:", write_results("compression", figures, versions=_versions(), seed=SEED))
    return 0 if all(figure.reached for figure in figures.values()) else 1


@cache
def _cases(name: Set, folder: Path) -> Sequence[Case]:
    if name == "nq20":
        return data.nq20(folder, seed=SEED)
    return {"qmsum": data.qmsum, "kv75": data.kv75, "taubench": data.taubench}[name](folder)


def _on(
    name: Set, everyone: Sequence[Contender], asked: argparse.Namespace
) -> Callable[[], dict[str, Figure]]:
    def run() -> dict[str, Figure]:
        cases = _cases(name, asked.data)
        measurement = Measurement(name, cases, count, draws=asked.draws, seed=SEED)
        running = [each for each in everyone if name in each.sets]
        for contender in running:
            start = time.monotonic()
            measurement.run(contender, sample=QUICK if asked.quick else None)
            print(f"{name}: {contender.name}, {time.monotonic() - start:.0f} s", flush=True)
        figures = measurement.figures()
        _show_kept(name, running, figures)
        for pair in LESS:
            figures |= measurement.less(*pair)
        return figures

    return run


def _logs() -> dict[str, Figure]:
    from compression import logs

    return logs.figures(SEED, count)


def _tools(asked: argparse.Namespace) -> dict[str, Figure]:
    from compression import tools

    return tools.figures(asked.data, count=count, draws=asked.draws, seed=SEED, quick=asked.quick)


def _show_kept(name: Set, contenders: Sequence[Contender], figures: Mapping[str, Figure]) -> None:
    """A row for each contender: what is kept, and the actual ratio beside it."""
    table = Table(
        "",
        *(f"{ratio}x" for ratio in RATIOS[name]),
        "prompts over budget",
        "note",
        title=f"{name}: {COMPARED[name][0]}, % (actual ratio)",
    )
    for contender in contenders:
        keys = [f"{name} {ratio}x, {contender.name}: " for ratio in RATIOS[name]]
        kept = [
            f"{figures[key + COMPARED[name][0]].value:.1f} ({figures[key + 'ratio'].value:.2f}x)"
            for key in keys
        ]
        over = ", ".join(f"{figures[key + 'over budget'].value:.0f}" for key in keys)
        sample = f"{contender.sample} questions; " if contender.sample else ""
        table.add_row(contender.name, *kept, over, sample + contender.note)
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)


def _speeds(everyone: Sequence[Contender], asked: argparse.Namespace) -> dict[str, Figure]:
    """Of everybody that is run on nq20, and of LLMLingua-2."""
    cases = _cases("nq20", asked.data)
    figures: dict[str, Figure] = {}
    table = Table("", "tokens/s", "p50 of a 2k-token prompt, ms", "note", title="one core, 4x")
    with tempfile.TemporaryDirectory() as folder:
        running = [each for each in everyone if "nq20" in each.sets]
        if not asked.quick:
            texts = [passage.text for case in cases for passage in case.passages]
            try:
                running.append(lingua.contender(texts, Path(folder)))
            except lingua.LinguaAbsent as reason:
                print(reason, file=sys.stderr)
        for contender in running:
            print(f"speed: {contender.name}", flush=True)
            found = speed(contender, cases, count, rounds=1 if asked.quick else ROUNDS)
            rate, p50 = list(found.values())[:2]
            table.add_row(contender.name, f"{rate.value:,.0f}", f"{p50.value:,.1f}", contender.note)
            figures |= found
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)
    return figures


def count(text: str) -> int:
    """Tokens of a text: o200k, or nothing can be measured."""
    return len(_encoding()(text))


@cache
def _encoding() -> Callable[[str], list[int]]:
    encoding = shared_encodings().get("o200k_base")
    if encoding is None:
        sys.exit("no o200k rank file on this machine: pip install 'frugal-chains[offline]'")
    return encoding.encode_ordinary


def _earlier() -> dict[str, Figure]:
    """The figures of earlier runs, to be replaced by those of this one."""
    file = RESULTS / "compression.json"
    if not file.exists():
        return {}
    kept = json.loads(file.read_text(encoding="utf-8"))["figures"]
    return {name: Figure(**figure) for name, figure in kept.items()}


def _versions() -> dict[str, str]:
    found = {}
    for name in ("tiktoken", "numpy", "onnxruntime", *peers.PACKAGES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--part", action="append", choices=[*SETS, "shapes", "logs", "tools", "cache", "speed"]
    )
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="few questions, nothing is written")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
