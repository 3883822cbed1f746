"""Alerts as lines of the terminal's report, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from rich.console import RenderableType

from frugal_chains.report._layout import indented, title
from frugal_chains.report._money import plain_text
from frugal_chains.report.alerts._facts import Alert


def alert_lines(alerts: Sequence[Alert], encoding: str = "utf-8") -> Iterable[RenderableType]:
    """Each with its severity in words and what to do, as `encoding` can write it; nothing where
    there is none."""

    def text(said: str) -> str:
        return plain_text(said).encode(encoding, "backslashreplace").decode(encoding)

    for alert in alerts:
        yield ""
        yield title(text(f"{alert.severity.capitalize()}: {alert.text}"))
        yield indented(text(f"what to do: {alert.way_out}"))


def alerts_json(alerts: Sequence[Alert]) -> list[dict[str, str]]:
    """For machines: `severity` (`serious` or `warning`), `kind`, `text` and `way_out`."""
    return [asdict(alert) for alert in alerts]
