"""A chart of Matplotlib as SVG for a page: colours and fonts come from the page's style sheet, so
that it is light or dark, and fits a strict content policy: no style attribute, no id, no script."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

from frugal_chains.errors import FrugalError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS: Final = 72
"""Of an inch: one unit of the view box."""
TEXT: Final = 12.0
COLOURS: Final[Mapping[str, str]] = {
    name: f"#00{number:02x}01"
    for number, name in enumerate(
        ("ink", "muted", "grid", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "good", "bad", "base")
    )
}
"""Names of the style sheet, each as a colour that stands for it while a chart is drawn."""
_NAMES: Final = {colour: name for name, colour in COLOURS.items()}
_SVG: Final = "{http://www.w3.org/2000/svg}"
_DECIMALS: Final = re.compile(r"(-?\d+\.\d)\d+")
_FONT_SIZE: Final = re.compile(r"([\d.]+)px")
_LOST: Final = frozenset(
    ("font", "font-family", "font-stretch", "font-style", "font-variant", "stroke-linejoin",
     "stroke-miterlimit", "clip-path")
)  # fmt: skip
_SETTINGS: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "frugal",  # the same bytes each time
    "text.parse_math": False,  # a name may hold dollars
    "axes.unicode_minus": True,
    "font.size": TEXT,
    "path.simplify": False,
}
_drawing = Lock()
"""Settings of Matplotlib are those of the process."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where a chart is drawn, in units of its view box: about a pixel each."""

    figure: Figure
    width: int
    height: int
    narrow: bool
    """For a telephone."""
    tips: dict[str, str] = field(default_factory=dict)
    """What a browser shows of a part, by its `gid`."""

    def axes(self, *, left: float, right: float, top: float, bottom: float) -> Axes:
        """Axes without a frame, with these margins."""
        axes = self.figure.add_axes(
            (
                left / self.width,
                bottom / self.height,
                (self.width - left - right) / self.width,
                (self.height - top - bottom) / self.height,
            )
        )
        axes.patch.set_visible(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0, colors=COLOURS["muted"], labelsize=TEXT)
        axes.set_axisbelow(True)
        return axes

    def tip(self, part: Any, text: str) -> None:
        """Let `text` be shown where a pointer rests on `part`."""
        gid = f"tip{len(self.tips)}"
        part.set_gid(gid)
        self.tips[gid] = text


def drawn(
    draw: Callable[[Canvas], None], *, width: int, height: int, label: str, narrow: bool
) -> str:
    """The chart as `<svg>`; `label` is what it says, for those who do not see it.

    Raises:
        FrugalError: Matplotlib is not installed.
    """
    with _settings():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width / POINTS, height / POINTS))
        figure.patch.set_visible(False)
        canvas = Canvas(figure, width, height, narrow)
        draw(canvas)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return _for_page(out.getvalue(), canvas, label)


@contextmanager
def _settings() -> Iterator[None]:
    try:
        import matplotlib
    except ImportError as error:
        raise FrugalError(
            "the HTML report draws its charts with Matplotlib, which is not installed: "
            "pip install 'frugal-chains[report]'"
        ) from error
    with _drawing, matplotlib.rc_context(), warnings.catch_warnings():
        # Glyphs that its own font lacks are drawn by the browser.
        warnings.simplefilter("ignore")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def _for_page(svg: bytes, canvas: Canvas, label: str) -> str:
    root = ElementTree.fromstring(svg)
    _strip(root)
    for parent in root.iter():
        _tidy(parent, canvas.tips)
    root.attrib = {
        "viewBox": f"0 0 {canvas.width} {canvas.height}",
        "class": "narrow" if canvas.narrow else "wide",
        "role": "img",
        "aria-label": label,
    }
    for element in root.iter():  # HTML knows its SVG: no namespace
        element.tag = element.tag.removeprefix(_SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _strip(parent: ElementTree.Element) -> None:
    """Take out what says nothing: metadata, the style for all, empty groups."""
    for child in list(parent):
        _strip(child)
        empty = child.tag == f"{_SVG}g" and not len(child)
        if empty or child.tag in (f"{_SVG}metadata", f"{_SVG}defs", f"{_SVG}style"):
            parent.remove(child)


def _tidy(element: ElementTree.Element, tips: Mapping[str, str]) -> None:
    """Style as attributes and classes, no id, a title where there is something to tell."""
    tip = tips.get(element.attrib.pop("id", ""))
    style = dict(
        part.strip().split(": ", 1) for part in element.attrib.pop("style", "").split(";") if part
    )
    classes = []
    if size := _FONT_SIZE.search(style.get("font", "")):
        style["font-size"] = size[1]
    if "bold" in style.get("font", "") or " 700 " in f" {style.get('font', '')} ":
        classes.append("b")
    for name, value in style.items():
        if name in ("fill", "stroke") and value in _NAMES:
            classes.append(f"{name[0]}-{_NAMES[value]}")
        elif name not in _LOST:
            element.set(name, value)
    if classes:
        element.set("class", " ".join(classes))
    element.attrib.pop("clip-path", None)
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    for name in ("d", "x", "y", "transform"):
        if name in element.attrib:
            element.set(name, " ".join(_DECIMALS.sub(r"\1", element.attrib[name]).split()))
    if tip is not None:
        title = ElementTree.Element(f"{_SVG}title")
        title.text = tip
        element.insert(0, title)
