"""What every chart is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frugal_chains.report.html._figure import COLOURS, Canvas, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

WIDE: Final = 960
NARROW: Final = 340
_TALLEST_NARROW: Final = 220
_GLYPH: Final = 7.6
"""Of a digit, at the size of a chart's texts, in the widest of the fonts that a page may have."""
_GAP: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart, ready for the page."""

    wide: str
    narrow: str
    legend: tuple[tuple[str, str], ...] = ()
    """Colour and name."""


def both(
    draw: Callable[[Canvas], None],
    label: str,
    *,
    height: int,
    narrow_height: int | None = None,
    legend: tuple[tuple[str, str], ...] = (),
) -> Chart:
    """The chart at both widths; heights in units of the view box."""
    wide = drawn(draw, width=WIDE, height=height, label=label, narrow=False)
    tall = narrow_height or min(height, _TALLEST_NARROW)
    narrow = drawn(draw, width=NARROW, height=tall, label=label, narrow=True)
    return Chart(wide=wide, narrow=narrow, legend=legend)


def text_width(text: str) -> float:
    """Room for a text beside a chart, in units of the view box."""
    return len(text) * _GLYPH + _GAP


def dot(axes: Axes, x: float, y: float, colour: str, size: float) -> Line2D:
    """A line of no length with round ends: markers would need ids, which two charts share."""
    (line,) = axes.plot((x, x), (y, y), color=COLOURS[colour], linewidth=size,
                        solid_capstyle="round", clip_on=False)  # fmt: skip
    return line
