"""The report of a large ledger as a page, and its waterfall."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from _figures import Figure

from replay.child import in_a_process
from replay.ledgers import Kind, Ledgers

MOST_S, MOST_BYTES = 10.0, 3_000_000
_NAMES: Final[dict[Kind, str]] = {
    "plain": "",
    "routed": ", all routed, a tag of 20,000 values",
}


def million(_: Path, ledgers: Ledgers, rows: int) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for kind, name in _NAMES.items():
        path, of = ledgers.path(kind, rows), f"{rows:,} attempts{name}"
        shown, stepped = in_a_process("page", path), in_a_process("waterfall", path)
        took, size = _command(path)
        figures |= {
            f"page, {of}": _seconds(shown.own_s, MOST_S),
            f"page, size, {of}": _bytes(shown.said),
            f"waterfall, {of}": _seconds(stepped.own_s),
            f"waterfall, resident, {of}": Figure(
                value=round(stepped.resident_mb, 1), better="lower", unit="MB"
            ),
            f"frugal report --html, {of}": _seconds(took, MOST_S),
            f"frugal report --html, size, {of}": _bytes(size),
        }
    return figures


def _command(path: Path) -> tuple[float, int]:
    """Python's start, the page and its real waterfall: processor seconds; and how many bytes."""
    with TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        asked = [sys.executable, "-m", "frugal_chains.cli", "report", "--html", str(page)]
        began, at = _children_s(), time.perf_counter()
        subprocess.run([*asked, "--ledger", f"sqlite:///{path}"], check=True, capture_output=True)
        took = _children_s() - began
        print(f"frugal report: {time.perf_counter() - at:.1f} s on the clock, {took:.1f} its own")
        return took, page.stat().st_size


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _seconds(value: float, asked: float | None = None) -> Figure:
    return Figure(value=round(value, 2), better="lower", unit="s of one core", asked=asked)


def _bytes(value: int) -> Figure:
    return Figure(value=value, better="lower", unit="bytes", asked=MOST_BYTES)
