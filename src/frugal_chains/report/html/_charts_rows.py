"""Charts with a row for each thing: the waterfall, and how long models took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frugal_chains.money import NANOS_PER_USD
from frugal_chains.report.html._chart import Chart, both, dot, text_width
from frugal_chains.report.html._facts import (
    ModelLatency,
    Percentiles,
    WaterfallFacts,
    WaterfallStep,
)
from frugal_chains.report.html._figure import COLOURS, Canvas
from frugal_chains.report.html._text import Money, chart_name, name, seconds, told_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW: Final = {False: 34, True: 48}
"""The height of one, by whether it is narrow: there its name stands above it."""
_NAMES: Final = {False: 236, True: 10}
"""Room for names beside rows."""
_LEAST_AMOUNTS: Final = 78
_NARROW_CHARS: Final = 34
_LEAST_S: Final = 1e-3
_WHOLE: Final = ("baseline", "bill")
_SIZES: Final = (8, 6, 4.5)
"""Of the dots of the median, 90 % and 99 %."""


@dataclass(frozen=True, slots=True)
class _Bar:
    """A step from `start` to `end`, in USD; an unknown one has no length."""

    step: WaterfallStep
    start: float
    end: float


def waterfall_chart(facts: WaterfallFacts, money: Money, label: str) -> Chart:
    """Bars from left to right, one below the other: each starts where the one above ended."""
    bars = list(_bars(facts.steps))
    rows = len(bars)
    amounts = [_amount(bar.step, money) for bar in bars]
    room = max(_LEAST_AMOUNTS, *map(text_width, amounts))

    def draw(canvas: Canvas) -> None:
        axes = canvas.axes(left=_NAMES[canvas.narrow], right=room, top=6, bottom=6)
        for row, (bar, amount) in enumerate(zip(bars, amounts, strict=True)):
            axes.annotate(amount, (1, row), xycoords=axes.get_yaxis_transform(),
                          xytext=(room - 4, 0), textcoords="offset points", va="center",
                          ha="right", annotation_clip=False,
                          color=COLOURS["muted" if bar.step.nanos is None else "ink"])  # fmt: skip
            canvas.tip(_draw_step(canvas, axes, row, bar), f"{name(bar.step.label)}: {amount}")
        ends = [0.0, *(bar.start for bar in bars), *(bar.end for bar in bars)]
        axes.set_xlim(min(ends), max(ends) or 1)
        axes.set_ylim(rows - 0.5, -0.5)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.axvline(0, color=COLOURS["grid"], linewidth=1, zorder=0)

    heights = {narrow: rows * row + 12 for narrow, row in _ROW.items()}
    return both(draw, label, height=heights[False], narrow_height=heights[True])


def _bars(steps: Sequence[WaterfallStep]) -> Iterator[_Bar]:
    at = 0.0
    for step in steps:
        usd = (step.nanos or 0) / NANOS_PER_USD
        whole = step.kind in _WHOLE and step.nanos is not None
        start = 0.0 if whole else at
        at = usd if whole else at - usd
        yield _Bar(step, start, at)


def _amount(step: WaterfallStep, money: Money) -> str:
    return money.text(step.nanos) if step.kind in _WHOLE else money.signed(step.nanos)


def _draw_step(canvas: Canvas, axes: Axes, row: int, bar: _Bar) -> object:
    """The part of the chart that stands for the step."""
    step, whole = bar.step, bar.step.kind in _WHOLE
    if step.nanos is None:
        part: object = dot(axes, bar.start, row, "muted", 7)
    else:
        colour = "base" if whole else "good" if step.nanos > 0 else "bad"
        (part,) = axes.barh(row, bar.end - bar.start, left=bar.start, height=0.52,
                            color=COLOURS[colour], clip_on=False)  # fmt: skip
    if row and not whole:
        axes.plot([bar.start] * 2, [row - 1, row], color=COLOURS["muted"], linewidth=0.8,
                  linestyle=(0, (2, 2)), zorder=0)  # fmt: skip
    _row_name(canvas, axes, row, step.label)
    return part


def _row_name(canvas: Canvas, axes: Axes, row: int, text: str) -> None:
    """Beside the row, or above it where there is no room."""
    box, ink = axes.get_yaxis_transform(), COLOURS["ink"]  # x of the axes, y of the data
    if canvas.narrow:
        axes.text(0, row - 0.36, name(text, _NARROW_CHARS), transform=box, color=ink, va="center")
    else:
        axes.annotate(chart_name(text), (0, row), xycoords=box, xytext=(-8, 0),
                      textcoords="offset points", va="center", ha="right", color=ink,
                      annotation_clip=False)  # fmt: skip


def latency_chart(models: Sequence[ModelLatency], label: str) -> Chart:
    """For each model a line from its median to its 99th percentile, first token above, whole answer
    below; the axis is logarithmic."""
    rows, names = len(models), told_apart([(each.provider, each.model) for each in models])

    def draw(canvas: Canvas) -> None:
        axes = canvas.axes(left=_NAMES[canvas.narrow], right=16, top=6, bottom=26)
        axes.set_xscale("log")
        for row, (model, called) in enumerate(zip(models, names, strict=True)):
            middle = row + (0.1 if canvas.narrow else 0)
            shift = 0.13 if model.first else 0
            who = name(called)
            if model.first:
                _draw_times(canvas, axes, middle - shift, model.first, "c1", f"{who}, first token")
            _draw_times(canvas, axes, middle + shift, model.whole, "c0", f"{who}, whole answer")
            _row_name(canvas, axes, row, called)
        axes.set_ylim(rows - 0.5, -0.5)
        axes.set_yticks([])
        _seconds_axis(axes, models)

    heights = {narrow: rows * row + 32 for narrow, row in _ROW.items()}
    first = [("c1", "to the first token")] if any(model.first for model in models) else []
    legend = (*first, ("c0", "to the end of the answer"))
    return both(draw, label, height=heights[False], narrow_height=heights[True], legend=legend)


def _draw_times(
    canvas: Canvas, axes: Axes, y: float, found: Percentiles, colour: str, what: str
) -> None:
    times = (found.p50_s, found.p90_s, found.p99_s)
    xs = [max(time, _LEAST_S) for time in times]
    axes.plot((xs[0], xs[-1]), (y, y), color=COLOURS[colour], linewidth=3, alpha=0.35,
              solid_capstyle="round", clip_on=False)  # fmt: skip
    said = ", ".join(map(seconds, times))
    for x, size in zip(xs, _SIZES, strict=True):
        canvas.tip(dot(axes, x, y, colour, size), f"{what}: {said}")


def _seconds_axis(axes: Axes, models: Sequence[ModelLatency]) -> None:
    found = [p for model in models for p in (model.whole, model.first) if p is not None]
    low = max(min(p.p50_s for p in found), _LEAST_S)
    high = max(low, *(p.p99_s for p in found))
    first, last = low / 1.25, high * 1.25
    steps = (1, 3) if high > 10 * low else (1, 2, 5)
    shown = [t for e in range(-3, 6) for m in steps if first <= (t := m * 10.0**e) <= last]
    axes.set_xlim(first, last)
    axes.set_xticks(shown, [seconds(t) for t in shown])
    axes.set_xticks([], minor=True)
    axes.grid(axis="x", color=COLOURS["grid"], linewidth=1)
