"""The HTML report in a real browser without a network: it is drawn, loads nothing, complains of
nothing, and fits a telephone and a desk."""

from __future__ import annotations

import html as escapes
import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from frugal_chains import Ledger
from frugal_chains.report.html import html_page, page_facts, write_page
from tests.core.report.html.pages import NOW, Page
from tests.core.report.html.test_html_page import HOSTILE, hostile

EXAMPLE = Path(__file__).parents[2] / "examples" / "report_screenshot.py"
MOST_BYTES = 3_000_000
GROUND = {"light": (0xF6, 0xF5, 0xF1), "dark": (0x12, 0x16, 0x1A)}
"""`--page` of the style sheet."""


def load() -> ModuleType:
    spec = spec_from_file_location("report_screenshot", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


example = load()
in_a_browser = pytest.mark.skipif(
    example.browser() is None, reason="neither Chromium nor Chrome is installed"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    path = folder / "report.html"
    with Ledger.open(f"sqlite:///{folder}/month.db") as ledger:
        example.fill(ledger, 4_000)
        write_page(path, html_page(example.facts(ledger)))
    return path


def test_the_invented_month_has_all_sections(page: Path) -> None:
    assert page.stat().st_size < MOST_BYTES
    read = Page(page.read_text(encoding="utf-8"))
    assert "absent" not in {attributes.get("id") for _, attributes in read.elements}
    assert "cache drop" not in read.text
    assert "reads 1" in read.text  # the alert on the chat's prompts


@in_a_browser
@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1400), ("dark", 1400), ("light", 360), ("dark", 360)]
)
def test_it_is_drawn(page: Path, tmp_path: Path, scheme: str, width: int) -> None:
    picture = tmp_path / "shot.png"
    logged = example.shoot(page, picture, scheme=scheme, width=width, height=3000)
    assert "CONSOLE" not in logged, logged
    with Image.open(picture) as image:
        shot = image.convert("RGB")
    assert shot.size == (width, 3000)
    assert shot.getpixel((2, 2)) == GROUND[scheme]
    colours = shot.getcolors(maxcolors=10**6) or []
    ground = sum(count for count, colour in colours if colour == GROUND[scheme])
    assert len(colours) > 100
    assert ground < 0.7 * width * 3000


@in_a_browser
def test_a_browser_would_have_complained(page: Path, tmp_path: Path) -> None:
    """That the log is empty means something: a script in the page is refused, and said so."""
    text = page.read_text(encoding="utf-8")
    altered = tmp_path / "altered.html"
    altered.write_text(text.replace("</body>", "<script>1</script></body>"), encoding="utf-8")
    assert "CONSOLE" in example.shoot(altered, tmp_path / "shot.png", scheme="light")


def dom(path: Path) -> str:
    command = [example.browser(), "--headless=new", "--disable-gpu", "--dump-dom", path.as_uri()]
    if os.geteuid() == 0:
        command.insert(1, "--no-sandbox")
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


WIDTHS = (360, 700, 1400)


@pytest.fixture(scope="module")
def scrolled(page: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, int]:
    """How wide the page is in frames of some widths; a browser is slow to start."""
    text = escapes.escape(page.read_text(encoding="utf-8"))
    frames = [f'<iframe width="{width}" height="900" srcdoc="{text}"></iframe>' for width in WIDTHS]
    outer = tmp_path_factory.mktemp("frames") / "outer.html"
    outer.write_text(
        "".join(frames) + "<script>onload = () => document.title = [...document.querySelectorAll("
        "'iframe')].map(each => each.contentDocument.documentElement.scrollWidth)</script>",
        encoding="utf-8",
    )
    (found,) = re.findall(r"<title>([\d,]+)</title>", dom(outer))
    return dict(zip(WIDTHS, map(int, found.split(",")), strict=True))


@in_a_browser
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out(scrolled: dict[int, int], width: int) -> None:
    assert scrolled[width] <= width


@in_a_browser
def test_names_stay_text_in_a_browser(tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    with Ledger.open("memory://") as books:
        for text in HOSTILE:
            for row in hostile(text)[-3:]:
                books.record(row)
        write_page(path, html_page(page_facts(books, now=NOW)))
    before, after = Page(path.read_text(encoding="utf-8")), Page(dom(path))
    assert "script" not in after.tags
    assert "img" not in after.tags
    # The browser has built what is written, but for rows that it puts into bodies of tables.
    assert [t for t, _ in after.elements] == [t for t, _ in before.elements]


@in_a_browser
def test_the_example(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), str(tmp_path), "--rows", "2000"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {file.name for file in tmp_path.iterdir()} >= {
        "report.html", "report-light.png", "report-dark.png",
    }  # fmt: skip
    assert str(tmp_path) not in (tmp_path / "report.html").read_text(encoding="utf-8")
