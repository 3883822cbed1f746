"""Work on a ledger in a process of its own: how long it takes, and the largest resident size.

Each kind of work imports what it needs, and nothing else, before the clock starts.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
STATUS: Final = Path("/proc/self/status")
KIBIBYTES_PER_MEGABYTE: Final = 1_024
Work = Callable[[str], int]
"""Of a ledger's address; returns what there is to say about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What a process said of itself."""

    own_s: float
    """Of the processor, without Python's start and its imports: others take none of it."""
    resident_mb: float
    said: int = 0
    """What the work returned."""


def in_a_process(name: str, ledger: Path) -> Took:
    """Do the work of that name with a ledger.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    asked = [sys.executable, __file__, name, f"sqlite:///{ledger}"]
    told = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True)
    return Took(**json.loads(told.stdout.splitlines()[-1]))


def _replay() -> Work:
    from frugal_chains.ledger import Ledger
    from frugal_chains.pricing import PriceBook
    from frugal_chains.replay import Setup, ledger_calls, replay
    from replay.ledgers import START_US
    from replay.speed import COST_ONLY

    def work(url: str) -> int:
        with Ledger.open(url, read_only=True) as ledger:
            calls = ledger_calls(ledger.attempts())
            setups = [Setup(), COST_ONLY]
            return replay(calls, setups, prices=PriceBook(), now_us=START_US).calls

    return work


def _page() -> Work:
    sys.path.insert(0, str(ROOT / "examples"))
    from report_screenshot import facts

    from frugal_chains.ledger import Ledger
    from frugal_chains.report.html import html_page

    def work(url: str) -> int:
        """The page of the example, its waterfall invented; how many bytes it has."""
        with Ledger.open(url, read_only=True) as ledger:
            return len(html_page(facts(ledger)).encode())

    return work


def _waterfall() -> Work:
    from frugal_chains.ledger import Ledger
    from frugal_chains.pricing import PriceBook
    from frugal_chains.savings import ledger_waterfall

    def work(url: str) -> int:
        with Ledger.open(url, read_only=True) as ledger:
            return ledger_waterfall(ledger, book=PriceBook.load()).attempts

    return work


_WORKS: Final[Mapping[str, Callable[[], Work]]] = {
    "replay": _replay,
    "page": _page,
    "waterfall": _waterfall,
}


def _main(name: str, url: str) -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    work = _WORKS[name]()
    began = time.process_time()
    said = work(url)
    took = Took(
        own_s=round(time.process_time() - began, 3),
        resident_mb=_peak_kib() / KIBIBYTES_PER_MEGABYTE,
        said=said,
    )
    print(json.dumps(asdict(took)))


def _peak_kib() -> int:
    """The largest resident size. Linux hands `ru_maxrss` on from the process that started this one,
    so that it is never less than that one's; what stands in `/proc` is this one's own."""
    if not STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    _main(*sys.argv[1:])
