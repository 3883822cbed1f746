"""The next lever as the page has it."""

from __future__ import annotations

from frugal_chains.report.html._facts import LeverFacts, LeverOption
from frugal_chains.report.levers import LeverGain, NextLever
from frugal_chains.report.levers import _texts as texts


def lever_of(found: NextLever) -> LeverFacts:
    """The lever with the largest sure saving, what others would save at most, and what that stands
    on."""
    best, low, high = found.best, None, None
    if best is not None and best.ends_nanos is not None:
        low, high = best.ends_nanos
    return LeverFacts(
        title="" if best is None else texts.TITLES[best.lever],
        text=_none(found) if best is None else _text(best),
        saving_nanos=None if best is None else best.nanos,
        low_nanos=low,
        high_nanos=high,
        period=texts.period_text(found),
        command="" if best is None else texts.command(found, best),
        also=tuple(
            LeverOption(
                condition=texts.condition(found, gain),
                saving_nanos=gain.nanos,
                period=texts.period_text(found),
                command=texts.command(found, gain),
            )
            for gain in found.conditional
        ),
        notes=(*texts.basis(found), *texts.left_out(found)),
    )


def _text(best: LeverGain) -> str:
    return f"{best.share:.1%} of the bill. {texts.what_it_is(best.lever)}"


def _none(found: NextLever) -> str:
    return f"None for sure: {found.why_none}."
