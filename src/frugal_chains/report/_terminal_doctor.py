"""Findings as rich renderables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from frugal_chains.report._doctor import Finding
from frugal_chains.report._layout import title
from frugal_chains.report._money import plain_text


def doctor_view(findings: Sequence[Finding]) -> RenderableType:
    """Every finding with its level in words, and a last line that counts what needs care."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for finding in findings:
        style = "bold" if finding.level in ("warning", "broken") else ""
        text = Text(plain_text(f"{finding.subject}: {finding.text}"), style=style)
        grid.add_row(Text(finding.level, style=style), text)
        if finding.fix:
            grid.add_row("", Text(plain_text(f"fix: {finding.fix}")))
    return Group(grid, "", title(verdict(findings)))


def verdict(findings: Sequence[Finding]) -> str:
    """`1 broken, 2 warnings`, or that there is nothing to fix."""
    found = Counter(finding.level for finding in findings)
    broken, warnings = found["broken"], found["warning"]
    if not broken and not warnings:
        return "nothing to fix"
    return f"{broken} broken, {warnings} {'warning' if warnings == 1 else 'warnings'}"
