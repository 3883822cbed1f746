"""Replay and the waterfall: how fast, how near the real bill, and whether it adds up.

    python benchmarks/bench_replay.py [--data FOLDER] [--part PART ...] [--rows 1000000]

- *speed*: calls of a ledger through policies that look at costs alone, with the ledger's reading
  and from memory; an agent's calls with texts through the compression of tool outputs.
- *memory*: the largest resident size while 100,000 and 1,000,000 rows are replayed.
- *million*: the HTML report and the waterfall of 1,000,000 attempts, in processes of their
  own: a month of an application, and the same with every answer routed and a tag of 20,000 values.
- *truth*: runs of tau-bench (`--data` names the folder that holds `memory/`; without it that is
  said) are sent for real, through LangChain and the provider's SDK, to a server on loopback with
  the provider's cache rules; what was recorded of them without any lever is replayed with each, and
  the bills are held against those of runs with the levers on.
- *by-size*: some of these runs into a ledger, which has no texts, replayed with memory and with
  markers by the sizes of their requests.
- *adds-up*: the same runs by agents with all levers on, into a ledger. Of every operation the bill
  and each signed step are computed a second time, from the server's counts and prices written by
  hand.

Parts can be run alone; the results file keeps the others' figures of earlier runs. `--rows` makes a
quick run of fewer rows, and keeps nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT)]

from _figures import RESULTS, Figure, show, write_results  # noqa: E402
from replay.adds_up import adds_up  # noqa: E402
from replay.by_size import by_size  # noqa: E402
from replay.ledgers import Ledgers  # noqa: E402
from replay.million import million  # noqa: E402
from replay.speed import memory, speed  # noqa: E402
from replay.truth import truth  # noqa: E402

DATA: Final = ROOT.parent / "shared" / "data"
ROWS: Final = 1_000_000
Part = Callable[[Path, Ledgers, int], dict[str, Figure]]
PARTS: Final[Mapping[str, Part]] = {
    "speed": speed,
    "memory": memory,
    "million": million,
    "truth": truth,
    "by-size": by_size,
    "adds-up": adds_up,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--rows", type=int, default=ROWS, help="of the large ledgers")
    parser.add_argument("--ledgers", type=Path, help="a folder that keeps them for another run")
    options = parser.parse_args()
    reached = True
    with Ledgers(options.ledgers) as ledgers:
        for name in options.part or PARTS:
            found = PARTS[name](options.data, ledgers, options.rows)
            figures = {f"{name}, {about}": figure for about, figure in found.items()}
            show(f"replay: {name}", figures)
            reached &= all(figure.reached for figure in figures.values())
            if options.rows == ROWS and figures:
                print(f"written: {write_results('replay', with_others(figures, name), seed=11)}")
    return 0 if reached else 1


def with_others(figures: Mapping[str, Figure], part: str) -> dict[str, Figure]:
    """The figures of a part, and those of the others that are in the results file, in order."""
    file = RESULTS / "replay.json"
    found = json.loads(file.read_text(encoding="utf-8"))["figures"] if file.exists() else {}
    earlier = {name: Figure(**each) for name, each in found.items()}
    return {
        name: figure
        for each in PARTS
        for name, figure in (figures if each == part else earlier).items()
        if name.partition(",")[0] == each
    }


if __name__ == "__main__":
    os.environ.pop("FRUGAL_PRICES", None)
    sys.exit(main())
