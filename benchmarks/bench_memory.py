"""Memory: what conversations cost, beside other memories, by the providers' own cache rules.

    python benchmarks/bench_memory.py [--data FOLDER] [--part lengths --part sets ...] [--quick]

- *lengths*: the bill at every length from 1 to 400 turns, over that of no memory; and the picture
  of it in the docs;
- *traffic*: constant, log-normal, bursty and idle traffic beside the best fixed water mark found in
  hindsight; long runs of tools;
- *sets*: agents' runs of tau-bench and SWE-agent. They are no part of this repository: `--data`
  names the folder that holds `memory/`;
- *peers*: a hundred turns, with summaries of 100 and of 400 tokens;
- *recall*: facts that are asked for fifty turns after they were said;
- *decision*: the time that a decision takes.

Parts can be run alone; the results file keeps the others' figures of earlier runs. Other
libraries come from `requirements/bench-memory.txt`; one that is absent is named and left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _figures import RESULTS, Figure, show, write_results
from memory import decision, hindsight, hundred, lengths, recall, sets
from memory.baselines import RentOrBuy, WaterMark
from memory.measure import Runs, with_asked
from memory.ours import EITHER, Ours
from memory.peers import PACKAGES, peers
from memory.protocol import System
from memory.recall_always import RecallAlways
from memory.tokens import NoRanks, count
from memory.traffic import DATA, DataAbsent

SUMMARY_TOKENS = 100
"""Of the peers' summaries, each of the whole conversation; ours are as long as they are by default:
80 for each part, up to 640 in all."""
LONG_SUMMARY_TOKENS = 400
"""The peers part once more: a summary of the whole conversation is longer than that of a part."""
_MAIN = ("at 100 turns", ": worst", ": of no memory", "valid requests", "cheaper from")
QUICK_TURNS, QUICK_EVERY = 60, 10


def systems(summary_tokens: int) -> tuple[list[System], list[str]]:
    """Ours, plain policies, and the peers that are installed; a sentence for each that is not."""
    others, absent = peers(summary_tokens)
    plain: list[System] = [
        WaterMark(high=8000, summary_tokens=summary_tokens),
        RentOrBuy(summary_tokens=summary_tokens),
    ]
    own = Ours.summary_default() if summary_tokens == SUMMARY_TOKENS else summary_tokens
    either = [Ours(asks=asks, summary_tokens=own) for asks in (False, True)]
    return [*either, *plain, *others], absent


def main() -> int:
    asked = _arguments()
    try:
        count("ranks")
    except NoRanks as reason:
        print(reason, file=sys.stderr)
        return 2
    everyone, absent = systems(SUMMARY_TOKENS)
    for sentence in absent:
        print(sentence, file=sys.stderr)
    runs = Runs()
    parts = _parts(everyone, runs, asked)
    found: dict[str, Figure] = {}
    without_data = False
    for part in asked.part or parts:
        start = time.monotonic()
        try:
            ran = with_asked(parts[part](), asked_figures())
        except DataAbsent as reason:
            print(f"{part}: not run ({reason})", file=sys.stderr)
            without_data = True
            continue
        runs.forget()
        found |= ran
        if not asked.quick:
            _write(part, ran)
        print(f"{part}: {time.monotonic() - start:.0f} s", flush=True)
    show("memory", {name: each for name, each in found.items() if each.asked is not None})
    if runs.absent:
        print("not run:", "; ".join(f"{name} ({why})" for name, why in runs.absent.items()))
    if without_data:
        return 2
    if asked.quick:
        print("a quick run: nothing is written")
        return 0
    return 0 if all(figure.reached for figure in found.values()) and not runs.absent else 1


def _parts(
    everyone: Sequence[System], runs: Runs, asked: argparse.Namespace
) -> Mapping[str, Callable[[], dict[str, Figure]]]:
    return {
        "lengths": lambda: _lengths(everyone, runs, asked),
        "traffic": lambda: _traffic(everyone, runs, asked),
        "sets": lambda: sets.figures(
            everyone, runs, data=asked.data, every=QUICK_EVERY if asked.quick else 1
        ),
        "peers": lambda: _peers(runs),
        "recall": lambda: recall.figures(
            [*everyone, RecallAlways(summary_tokens=SUMMARY_TOKENS)],
            runs,
            seeds=recall.SEEDS[:1] if asked.quick else recall.SEEDS,
        ),
        "decision": lambda: decision.figures(runs),
    }


def asked_figures() -> dict[str, float]:
    """Every figure's name of which a number is asked, with that number."""
    numbers: dict[str, float] = {}
    for part in (lengths, hindsight, sets, recall, decision):
        numbers |= part.asked()
    return numbers


def _lengths(
    everyone: Sequence[System], runs: Runs, asked: argparse.Namespace
) -> dict[str, Figure]:
    if asked.quick:
        return lengths.figures(everyone, runs, turns=QUICK_TURNS, plot=None)
    return lengths.figures(everyone, runs)


def _traffic(
    everyone: Sequence[System], runs: Runs, asked: argparse.Namespace
) -> dict[str, Figure]:
    own = [system for system in everyone if system.name in EITHER]
    turns = QUICK_TURNS if asked.quick else hindsight.TURNS
    seeds = hindsight.SEEDS[:1] if asked.quick else hindsight.SEEDS
    return hindsight.figures(own, runs, summary_tokens=SUMMARY_TOKENS, turns=turns, seeds=seeds)


def _peers(runs: Runs) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    for tokens in (SUMMARY_TOKENS, LONG_SUMMARY_TOKENS):
        runs.forget()
        found |= hundred.figures(systems(tokens)[0], runs, summary_tokens=tokens)
    runs.forget()
    return found


def _write(part: str, found: Mapping[str, Figure]) -> None:
    """The figures of one part, beside what earlier runs found in the others."""
    file = RESULTS / "memory.json"
    kept: dict[str, Figure] = {}
    if file.exists():
        earlier = json.loads(file.read_text(encoding="utf-8"))["figures"]
        kept = {name: Figure(**each) for name, each in earlier.items()}
    others = {name: each for name, each in kept.items() if not name.startswith(f"{part}, ")}
    found = {name: each for name, each in found.items() if each.asked is not None or _told(name)}
    print("written:", write_results("memory", {**others, **found}, versions=_versions(), seed=0))


def _told(name: str) -> bool:
    """Whether a figure that nobody asks for is kept: the peers' main ones."""
    part, _, rest = name.partition(", ")
    return part in ("peers", "recall", "decision") or rest.endswith(_MAIN)


def _versions() -> dict[str, str]:
    found = {}
    for name in ("tiktoken", "numpy", "matplotlib", *PACKAGES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--part",
        action="append",
        choices=["lengths", "traffic", "sets", "peers", "recall", "decision"],
    )
    parser.add_argument("--quick", action="store_true", help="less of each, nothing is written")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
