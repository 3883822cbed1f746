"""Charts over time. Each is drawn twice: for a wide screen and paper, and for a telephone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from frugal_chains.money import NANOS_PER_USD
from frugal_chains.report.html._chart import Chart, both, dot, text_width
from frugal_chains.report.html._facts import Series, Unit
from frugal_chains.report.html._figure import COLOURS, Canvas
from frugal_chains.report.html._series import ALL, OTHERS, PARTS
from frugal_chains.report.html._text import (
    Money,
    axis_money,
    bucket,
    chart_name,
    long_bucket,
    name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS: Final = {False: 10, True: 4}
"""Times that are named at an axis, by whether it is narrow."""
_LEFT: Final = 62
_SIDES: Final = {"right": 10, "top": 10, "bottom": 26}
_OTHERS_COLOUR: Final = "c6"
_EVENTS: Final = ("bad", "c3", "c4", "c5", "base", "c6")
_SPARE: Final = ("c5", "c4", "c3")
_WIDEST_BAR: Final = 64


def bill_chart(series: Series, unit: Unit, money: Money, label: str) -> Chart:
    """Stacked bars in USD."""
    return _stack(
        series,
        unit,
        label,
        colours=_colours(series.names),
        of=lambda nanos: nanos / NANOS_PER_USD,
        tip=money.text,
        axis=axis_money,
    )


def event_chart(series: Series, unit: Unit, label: str) -> Chart:
    """Stacked bars of attempts, in colours of their own: they are no models."""
    return _stack(
        series,
        unit,
        label,
        colours=[_EVENTS[index % len(_EVENTS)] for index in range(len(series.names))],
        of=float,
        tip=lambda count: f"{count:,} attempts",
        axis=lambda count: f"{count:,.10g}",
    )


def share_chart(series: Series, unit: Unit, label: str, *, models: Sequence[str]) -> Chart:
    """Lines from 0 to 100 %; a model has the colour that it has among `models`, the bill's."""
    colours = _same_colours(series.names, models)

    def draw(canvas: Canvas) -> None:
        axes = canvas.axes(left=_LEFT, **_SIDES)
        axes.set_ylim(0, 1)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
        for colour, row in zip(colours, series.values, strict=True):
            shares = [float("nan") if v is None else v / PARTS for v in row]
            axes.plot(
                range(len(row)),
                shares,
                color=COLOURS[colour],
                linewidth=2.6 if row is series.values[0] else 1.8,
                clip_on=False,
            )
            if _few_points(row):
                for at, share in enumerate(shares):
                    if share == share:  # no number: nothing to measure
                        dot(axes, at, share, colour, 5)
        _time_axis(axes, series.buckets, unit, canvas)
        _grid(axes)

    return both(draw, label, height=230, legend=_legend(series, colours))


def _stack(
    series: Series,
    unit: Unit,
    label: str,
    *,
    colours: Sequence[str],
    of: Callable[[int], float],
    tip: Callable[[int], str],
    axis: Callable[[float], str],
) -> Chart:
    def draw(canvas: Canvas) -> None:
        highest = max((of(each) for each in series.sums), default=0) * 1.04 or 1
        ticks = _ticks(highest, whole=of is float)
        left = max(_LEFT, *(text_width(axis(tick)) for tick in ticks))
        axes = canvas.axes(left=left, **_SIDES)
        tops = [0.0] * len(series.buckets)
        width = _bar_width(canvas.width - left, len(series.buckets))
        for colour, who, row in zip(colours, series.names, series.values, strict=True):
            for index, value in enumerate(row):
                if not value:
                    continue
                (bar,) = axes.bar(index, of(value), width=width, bottom=tops[index],
                                  color=COLOURS[colour], clip_on=False)  # fmt: skip
                tops[index] += of(value)
                when = long_bucket(series.buckets[index], unit)
                canvas.tip(bar, f"{when}, {name(who)}: {tip(value)}")
        axes.set_ylim(0, highest)
        axes.set_yticks(ticks, [axis(tick) for tick in ticks])
        _time_axis(axes, series.buckets, unit, canvas)
        _grid(axes)

    return both(draw, label, height=260, legend=_legend(series, colours))


def _time_axis(axes: Axes, buckets: Sequence[str], unit: Unit, canvas: Canvas) -> None:
    count = len(buckets)
    axes.set_xlim(-0.6, max(count - 0.4, 0.6))
    years = unit == "week" and buckets[0][:4] != buckets[-1][:4]
    step = max(1, -(-count // (LABELS[canvas.narrow] - years)))
    shown = list(range(count - 1, -1, -step))[::-1]
    axes.set_xticks(shown, [bucket(buckets[i], unit, years=years) for i in shown])
    if years:  # the last would stick out
        axes.get_xticklabels()[-1].set_horizontalalignment("right")


def _bar_width(room: float, count: int) -> float:
    """In buckets: few bars are no walls."""
    return min(0.78, _WIDEST_BAR * max(count, 1) / room)


def _ticks(highest: float, *, whole: bool) -> list[float]:
    """Round numbers from nothing up to `highest`."""
    from matplotlib.ticker import MaxNLocator

    found = MaxNLocator(nbins=4, min_n_ticks=2, integer=whole).tick_values(0, highest)
    return [round(float(tick), 9) for tick in found if 0 <= tick <= highest]


def _grid(axes: Axes) -> None:
    axes.grid(axis="y", color=COLOURS["grid"], linewidth=1)


def _few_points(row: Sequence[int | None]) -> bool:
    """So few that a line alone may not be seen."""
    return sum(value is not None for value in row) < 12


def _colours(names: Sequence[str]) -> list[str]:
    return [_OTHERS_COLOUR if n == OTHERS else f"c{i % 6}" for i, n in enumerate(names)]


def _same_colours(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Those that models have in the bill; what is no model is drawn in ink."""
    given = dict(zip(known, _colours(known), strict=True))
    spare = (c for c in _SPARE if c not in given.values())
    return ["ink" if n == ALL else given.get(n) or next(spare, _OTHERS_COLOUR) for n in names]


def _legend(series: Series, colours: Sequence[str]) -> tuple[tuple[str, str], ...]:
    names = [chart_name(each) for each in series.names]
    return tuple(zip(colours, names, strict=True))
