"""The next lever as lines of the terminal's report."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType

from frugal_chains.report._layout import indented, title
from frugal_chains.report._money import plain_text
from frugal_chains.report._whatif_texts import forecast_text
from frugal_chains.report.alerts._words import amount
from frugal_chains.report.levers import _texts
from frugal_chains.report.levers._facts import LeverGain, NextLever


def lever_lines(found: NextLever | None, encoding: str = "utf-8") -> Iterable[RenderableType]:
    """The lever with the largest sure saving, what others would save at most, and what that stands
    on, as `encoding` can write it; nothing where nothing can be said to save."""
    if found is None or (found.best is None and not found.conditional):
        return

    def text(said: str) -> str:
        return plain_text(said).encode(encoding, "backslashreplace").decode(encoding)

    best, period = found.best, _texts.period_text(found)
    yield ""
    if best is None:
        yield title(text(f"Next lever: none for sure: {found.why_none}"))
    else:
        yield title(
            text(f"Next lever: {_texts.TITLES[best.lever]} would save {_said(best, period)}")
        )
        yield indented(text(_texts.what_it_is(best.lever)))
        yield indented(text(f"look closer: {_texts.command(found, best)}"))
    for gain in found.conditional:
        said = f"{_texts.condition(found, gain)}: at most {_said(gain, period)}."
        yield indented(text(f"{said} {_texts.command(found, gain)}"))
    for said in (*_texts.basis(found), *_texts.left_out(found)):
        yield indented(text(said))


def _said(gain: LeverGain, period: str) -> str:
    of = f"{period}, {gain.share:.1%} of the bill"
    if gain.ends_nanos is None:
        return f"{amount(gain.nanos)} {of}"
    low, high = map(forecast_text, gain.ends_nanos)
    return f"{forecast_text(gain.nanos)} {of} (95 %: {low} to {high})"
