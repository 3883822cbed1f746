"""What levers did, as lines of the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import RenderableType

from frugal_chains.ledger import EffectTotals
from frugal_chains.money import usd_from_nanos, usd_text
from frugal_chains.report._layout import indented, title
from frugal_chains.report._money import count_text, plain_text, share_text


def effect_lines(effects: Sequence[EffectTotals]) -> Iterable[RenderableType]:
    """One line for each lever; nothing where no lever has done anything."""
    if not effects:
        return
    yield ""
    yield title("Kept out of requests, by lever")
    for line in effects:
        yield indented(effect_sentence(line))


def effect_sentence(line: EffectTotals) -> str:
    """`compression.extract: 1,234 requests, 4.1M tokens kept out (41.2% of 10.0M), ...`.

    What is no bill says so: tokens that were estimated, savings that were modelled.
    """
    requests = "request" if line.effects == 1 else "requests"
    parts = [f"{line.effects:,} {requests}", _tokens(line)]
    if line.unchanged:
        parts.append(f"{line.unchanged:,} left as they were")
    if line.inexact:
        parts.append(f"{line.inexact:,} with estimated tokens")
    return f"{plain_text(line.key['lever'])}: {', '.join([*parts, *_net(line)])}"


def _tokens(line: EffectTotals) -> str:
    saved = line.tokens_saved
    if saved < 0:
        return f"{count_text(-saved)} tokens added"
    share = f" ({share_text(saved, line.tokens_before)} of {count_text(line.tokens_before)})"
    return f"{count_text(saved)} tokens kept out{share if saved else ''}"


def _net(line: EffectTotals) -> Iterable[str]:
    """Net savings, those of bills apart from those of forecasts."""
    for nanos, word in ((line.measured_nanos, "measured"), (line.modelled_nanos, "modelled")):
        if nanos:
            what = "saved" if nanos > 0 else "lost"
            yield f"{usd_text(usd_from_nanos(abs(nanos)))} {what} ({word})"
    if 0 < line.unvalued < line.effects:
        yield f"{line.unvalued:,} not valued"
