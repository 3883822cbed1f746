"""What every benchmark reports: its figures as a table, and as `benchmarks/results/<name>.json`.

{"name", "versions", "seed", "figures": {name: {"value", "asked", "better", "unit", "low", "high"}}}
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number."""

    value: float
    better: Literal["higher", "lower"]
    unit: str
    asked: float | None = None
    """What must be reached; None where the number is for comparison only."""
    low: float | None = None
    """Of the 95 % bootstrap interval, where there is one;"""
    high: float | None = None
    """its other end."""

    @property
    def reached(self) -> bool:
        """Whether it is at least as good as asked."""
        if self.asked is None:
            return True
        return self.value >= self.asked if self.better == "higher" else self.value <= self.asked


def show(title: str, figures: Mapping[str, Figure]) -> None:
    """Print the figures as a table."""
    table = Table("figure", "value", "95 %", "asked", "unit", "", title=title)
    for name, figure in figures.items():
        asked = "" if figure.asked is None else f"{figure.asked:,.10g}"
        verdict = "" if figure.asked is None else "ok" if figure.reached else "MISSED"
        between = "" if figure.low is None else f"{figure.low:,.4g} to {figure.high:,.4g}"
        value = f"{figure.value:,.10g}" if figure.low is None else f"{figure.value:,.4g}"
        table.add_row(name, value, between, asked, figure.unit, verdict)
    # Without a terminal rich assumes 80 columns, which would cut the names.
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)


def write_results(
    name: str,
    figures: Mapping[str, Figure],
    *,
    versions: Mapping[str, str] | None = None,
    seed: int | None = None,
    folder: Path = RESULTS,
) -> Path:
    """Write the figures with the versions of this library, of Python and of `versions`."""
    document = {
        "name": name,
        "versions": {
            "frugal-chains": version("frugal-chains"),
            "python": platform.python_version(),
            **(versions or {}),
        },
        "seed": seed,
        "figures": {key: asdict(figure) for key, figure in figures.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path
