"""The page: whole, closed to the outside, escaped, and the same for the same facts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from errno import ENOSPC
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from frugal_chains import Budget, PriceBook
from frugal_chains.errors import FrugalError
from frugal_chains.ledger import Attempt
from frugal_chains.pricing import Unpriced
from frugal_chains.report.html import (
    LeverFacts,
    LeverOption,
    WaterfallFacts,
    WaterfallStep,
    html_page,
    write_page,
)
from frugal_chains.usage import Usage
from tests.core.ledger.children import without_root
from tests.core.report.html.pages import NOW, Page, facts_of, page_of
from tests.core.report.sample_books import attempt, sample

WATERFALL = WaterfallFacts(
    steps=(
        WaterfallStep(label="baseline", nanos=9_000_000_000, kind="baseline"),
        WaterfallStep(label="routing", nanos=None, kind="lever"),
        WaterfallStep(label="memory", nanos=5_512_213_638, kind="lever"),
        WaterfallStep(label="bill", nanos=3_487_786_362, kind="bill"),
    ),
    notes=("Covers 91% of operations.",),
)
LEVER = LeverFacts(
    title="prompt cache", text="Because.", saving_nanos=10**9, low_nanos=1, high_nanos=2 * 10**9
)


@cache
def full() -> str:
    rows = [
        *sample(),
        *(attempt(nanos=9, latency_s=1.5, prints={"v": 1, "h": "x"}) for _ in range(30)),
    ]
    budgets = (Budget.usd(5, per="month"),)
    return page_of(rows, waterfall=WATERFALL, lever=LEVER, budgets=budgets)


def test_the_sections_in_their_order() -> None:
    headings = [h for h in Page(full()).headings if not h.startswith("By ")]
    assert headings == [
        "What the model calls cost",
        "3 things to look at",
        "What would save most next: prompt cache",
        "The bill over time",
        "From baseline to bill",
        "Budgets",
        "Where the money goes",
        "What was read from prompt caches",
        "Errors and rate limits",
        "How long answers took",
        "Requests: the dearest, and those sent twice",
        "What is not exact",
        "Without a price: 2 attempts, missing from the bill",
        "Estimated: 3 attempts, 7.7%",
    ]


def test_the_figures_of_the_sample() -> None:
    text = Page(page_of(sample())).text
    # 132,000 + 1 + 2,500,000,000 + 987,654,321 + 40 nano-USD.
    assert "$3.4878 Exactly $3.487786362." in text
    assert "2 attempts have no price and are not in it. 3 have estimated tokens." in text
    assert "claude-sonnet-4-5 2 1,700 0% 105 0 $0.9877 28.3%" in text


def test_it_loads_nothing_and_runs_nothing() -> None:
    html = full()
    page = Page(html)
    assert page.open == []
    assert page.tags.isdisjoint(
        {"script", "link", "img", "iframe", "object", "embed", "base", "form", "foreignobject"}
    )
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert {"src", "href", "xlink:href", "style", "action", "srcset"}.isdisjoint(attributes)
    assert re.search(r"url\(|@import|https?:", html) is None


def test_the_policy_allows_its_own_style_and_nothing_else() -> None:
    html = full()
    (style,) = re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    (policy,) = [
        dict(a)["content"]
        for tag, a in Page(html).elements
        if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_the_same_facts_give_the_same_bytes() -> None:
    facts = facts_of(sample(), waterfall=WATERFALL)
    assert html_page(facts) == html_page(facts)


def test_it_can_be_read_without_seeing_it() -> None:
    page = Page(full())
    charts = [
        a for tag, a in page.elements if tag == "svg" and a.get("class") in ("wide", "narrow")
    ]
    assert len(charts) == 2 * 5
    assert all(a["role"] == "img" and len(a["aria-label"] or "") > 40 for a in charts)
    assert all("scope" in a for tag, a in page.elements if tag == "th")
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    labels = [a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a]
    assert set(labels) <= set(ids)
    assert ("html", {"lang": "en"}) in page.elements


def luminance(colour: str) -> float:
    """Relative, as WCAG 2.2 defines it (w3.org/TR/WCAG22, read 2026-11-22)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast(scheme: int) -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", page_of([]), flags=re.DOTALL)
    blocks = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[scheme]))
    for text in ("ink", "muted", "accent"):
        for ground in ("card", "page"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for kind in ("serious", "warning"):
        assert contrast(colours[kind], colours[f"{kind}-soft"]) >= 4.5
        assert contrast(colours["muted"], colours[f"{kind}-soft"]) >= 4.5
    graphics = [c for c in colours if re.fullmatch(r"c\d|good|bad|base", c)]
    assert len(graphics) == 10
    assert all(contrast(colours[c], colours["card"]) >= 2.5 for c in graphics)


# -- what comes from outside -------------------------------------------------------------------

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>'",
    "]]></style></svg><script>1</script>",
    "$x^2$ \\frac{1}{2} {{ 7 * 7 }} {% raw %}",
    "\u202eevil\u202c \u200fRTL\u200e \x00\x1b[31m \udc80",
    "🦜🔗 日本語 ملف",
    "n" * 10_000,
    "&lt;b&gt; &amp; --><!--",
)


def hostile(text: str) -> list[Attempt]:
    fields: dict[str, Any] = {
        "model": text,
        "provider": text,
        "tags": {"feature": text, "tag<b>": text},
        "note": text,
        "latency_s": 1.0,
        "first_token_s": 0.5,
        "prints": {"v": 1, "m": text},
    }
    usage = Usage(input_tokens=100, cache_read_tokens=60, source="estimated")
    return [
        *(attempt(nanos=10**9, usage=usage, **fields) for _ in range(25)),
        attempt(**fields, nanos=1, status="error", error_kind=text),
        attempt(**fields, price=Unpriced(reason=text)),
    ]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_names_stay_text(text: str) -> None:
    waterfall = WaterfallFacts(
        steps=(
            WaterfallStep(label=text, nanos=5, kind="baseline"),
            WaterfallStep(label=text, nanos=5, kind="bill"),
        ),
        notes=(text,),
    )
    lever = LeverFacts(title=text, text=text, saving_nanos=None, period=text, command=text)
    budgets = (Budget.usd(1, per="month", tag="feature"),)
    html = page_of(hostile(text), waterfall=waterfall, lever=lever, budgets=budgets)
    page = Page(html)
    assert page.open == []
    assert page.tags.isdisjoint({"script", "img", "b"})
    assert len([t for t, _ in page.elements if t in ("main", "style")]) == 2
    assert "\x00" not in html
    assert re.search("[\u202e\u200f\x1b]", html) is None
    html.encode("utf-8")
    assert len(html) < 300_000
    for svg in re.findall(r"<svg .*?</svg>", html, flags=re.DOTALL):
        ElementTree.fromstring(svg)
    assert "49" not in page.headings  # no template runs in a name


# -- ledgers with little in them ---------------------------------------------------------------


def errors() -> list[Attempt]:
    return [
        attempt(nanos=0, status="error", error_kind="rate_limit", usage=Usage()) for _ in range(25)
    ]


def unpriced() -> list[Attempt]:
    return [attempt(nanos=None) for _ in range(3)]


def in_house() -> list[Attempt]:
    return [attempt(model="m", provider="in-house")]


def test_a_model_that_never_reads_from_its_cache_is_told_of() -> None:
    usage = Usage(input_tokens=9_000, output_tokens=10)
    rows = [attempt(nanos=10**7, usage=usage) for _ in range(30)]
    page = Page(page_of(rows, book=PriceBook.load()))
    assert "What was read from prompt caches" in page.headings
    # 270,000 tokens at $2.50 per million that would have been $1.25.
    assert "gpt-4o 30 270.0k 0% 0% costs up to $0.3375. Likely: the provider" in page.text


def test_a_ledger_without_an_attempt() -> None:
    page = Page(page_of([]))
    assert page.headings == ["What the model calls cost", "Nothing to show yet"]
    assert "CostCallbackHandler()" in page.text
    assert "$" not in page.text


def test_a_period_without_an_attempt() -> None:
    page = Page(page_of(sample(), since=datetime(2026, 12, 1, tzinfo=UTC)))
    assert "No attempt lies since 2026-12-01 00:00 UTC: leave out --since" in page.text


def test_only_errors() -> None:
    page = Page(page_of(errors()))
    assert "Errors and rate limits" in page.headings
    assert "The bill over time" not in page.headings
    assert "100% of 25 attempts (25) were refused by a rate limit" in page.text
    assert "Bill over time nothing was charged." in page.text
    assert "Latency no attempt that ended well has a time." in page.text


def test_only_attempts_without_a_price() -> None:
    page = Page(page_of(unpriced()))
    assert "unknown No attempt has a known price." in page.text
    assert "100% of 3 attempts (3) have no price" in page.text
    assert "Bill over time no attempt has a known price." in page.text
    assert "in-house" not in page.text


@pytest.mark.parametrize(
    ("books", "what"),
    [
        (sample, "Waterfall no lever has reported"),
        (sample, "Next lever not replayed: frugal whatif"),
        (sample, "Budgets none was given."),
        (sample, "Dearest and repeated requests no request has a fingerprint"),
        (errors, "Prompt caches no attempt read anything from one."),
        (in_house, "Prompt caches no attempt read anything from one."),
        (unpriced, "Errors there were none."),
    ],
)
def test_what_is_not_shown_says_why(books: Callable[[], list[Attempt]], what: str) -> None:
    assert what in Page(page_of(books())).text


def test_a_part_of_the_attempts_is_said_to_be_one() -> None:
    rows = [attempt(latency_s=1.0), attempt(latency_s=1.0, day=5), attempt(latency_s=2.0, day=6)]
    text = Page(page_of(rows, most_scanned=2)).text
    assert "From 2 of 3 attempts: the newest, from 2026-11-06 09:30 UTC on." in text


def test_rows_beyond_the_fifteenth_are_summed() -> None:
    rows = [attempt(nanos=10**9 * (20 - n), model=f"m{n:02}") for n in range(20)]
    text = Page(page_of(rows)).text
    assert "openai m14 1 1,000 0% 100 $6.00 2.9%" in text
    assert " m15 " not in text.partition("Where the money goes")[2]
    assert "5 more 5 5,000 0% 500 $15.00 7.1%" in text  # 5 + 4 + 3 + 2 + 1 of 210


def test_the_first_moment_of_a_budget() -> None:
    first = datetime(2026, 11, 1, tzinfo=UTC)
    text = Page(page_of(sample(), now=first, budgets=(Budget.usd(5, per="month"),))).text
    assert "month $3.4878 of $5.0000, 69.8%" in text


@pytest.mark.parametrize(
    ("limit", "said"), [("3.487786362", "100%"), ("1", "349%"), ("0.1", "35 times")]
)
def test_a_budget_that_is_used_up_says_by_how_much(limit: str, said: str) -> None:
    # $3.487786362 were spent.
    budgets = (Budget.usd(limit, per="month", on_exceeded="warn"),)
    assert f", {said} " in Page(page_of(sample(), budgets=budgets)).text


_DIGIT = 7.0
"""Units of the view box that a digit takes, at least."""


@pytest.mark.parametrize("nanos", [3, 999_999_999_999_999])
def test_amounts_have_room_beside_charts(nanos: int) -> None:
    ends = [WaterfallStep(label=kind, nanos=nanos * 20, kind=kind) for kind in ("baseline", "bill")]
    page = page_of(
        [attempt(nanos=nanos) for _ in range(20)], waterfall=WaterfallFacts(steps=tuple(ends))
    )
    charts = re.findall(r'<svg viewBox="0 0 (?:960|340) .*?</svg>', page, re.DOTALL)
    assert len(charts) == 4
    for chart in charts:
        labels = re.findall(r'<text x="([\d.]+)"[^>]*"end"[^>]*>([^<]+)', chart)
        assert all(_DIGIT * len(text) <= float(x) for x, text in labels)
        bars = re.findall(r'd="M \d+ [\d.]+ L ([\d.]+) [^"]*" class="f-base"', chart)
        amounts = [(float(x), text) for x, text in labels if text.startswith("$")]
        for bar in map(float, bars):  # beside the waterfall's bars: where these end
            assert all(bar <= x - _DIGIT * len(text) for x, text in amounts)


def test_weeks_of_two_years_name_the_year() -> None:
    rows = [attempt(day=-400, nanos=5), attempt(nanos=7)]  # 2025-09-27 and 2026-11-01, Sundays
    page = page_of(rows)
    assert ">26 Oct 26</text>" in page
    assert "The dearest week was that of 2026-10-26 with $0.000000007;" in Page(page).text


def test_a_model_of_two_providers_is_told_apart() -> None:
    cached = Usage(input_tokens=2_000, cache_read_tokens=1_000)
    rows = [
        attempt(provider=provider, model=model, latency_s=1.0, usage=cached)
        for provider, model in (("openai", "gpt-4o"), ("azure", "gpt-4o"), ("openai", "o3"))
    ]
    page = page_of(rows)
    text = Page(page).text
    for said in ("gpt-4o (openai)", "gpt-4o (azure)"):
        assert page.count(f">{said}</text>") == 2  # wide and narrow
        assert text.count(said) >= 4  # and in two tables
    assert "o3 (openai)" not in text


def test_a_chart_without_first_tokens_has_no_legend_of_them() -> None:
    assert "to the first token" not in Page(page_of([attempt(latency_s=2.0)])).text
    page = page_of([attempt(latency_s=2.0, first_token_s=0.5)])
    assert "to the first token" in Page(page).text


# -- the next lever ----------------------------------------------------------------------------


OPTION = LeverOption(
    condition="If <b>mini</b> can answer faq", saving_nanos=10**9, command="frugal whatif"
)


def test_a_lever_that_is_sure_and_one_on_a_condition() -> None:
    lever = replace(LEVER, also=(OPTION,), notes=("Modelled.",))
    text = Page(page_of(sample(), lever=lever)).text
    assert "What would save most next: prompt cache $1.0000 a month" in text
    assert "If <b>mini</b> can answer faq: at most $1.0000 a month. frugal whatif" in text
    assert "Modelled." in text


def test_a_lever_on_a_condition_alone() -> None:
    lever = LeverFacts(title="", text="None for sure: x.", saving_nanos=None, also=(OPTION,))
    page = Page(page_of(sample(), lever=lever))
    assert "What would save most next" in page.headings
    assert "None for sure: x." in page.text
    assert "How much is not known" not in page.text


def test_no_lever_at_all_is_left_out_with_its_reason() -> None:
    lever = LeverFacts(title="", text="None for sure: too few.", saving_nanos=None)
    page = Page(page_of(sample(), lever=lever))
    assert "What would save most next" not in page.headings
    assert "Next lever None for sure: too few." in page.text


def test_the_waterfall_says_what_is_unknown() -> None:
    text = Page(full()).text
    assert "1 step is unknown, which is not 0." in text
    assert "differ" not in text
    assert "Covers 91% of operations." in text


# -- what it needs ------------------------------------------------------------------------------


def test_charts_and_templates_are_loaded_when_they_are_needed() -> None:
    code = (
        "import sys, frugal_chains.report.html\n"
        "print([m for m in ('matplotlib', 'jinja2', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2"])
def test_without_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = facts_of(sample())
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(FrugalError, match=r"pip install 'frugal-chains\[report\]'"):
        html_page(facts)


def test_the_settings_of_the_process_stay_as_they_are() -> None:
    import matplotlib

    matplotlib.rcParams["font.size"] = 7.5
    try:
        page = page_of(sample())
        assert matplotlib.rcParams["font.size"] == 7.5
        assert 'font-size="7.5"' not in page
    finally:
        matplotlib.rcdefaults()


# -- the file ----------------------------------------------------------------------------------


def test_the_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    path.write_text("old")
    write_page(path, "new é")
    assert path.read_bytes() == "new é".encode()
    assert [file.name for file in tmp_path.iterdir()] == ["out.html"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FrugalError, match=r"cannot be written to .*out.html: No such file"):
        write_page(tmp_path / "none" / "out.html", "x")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FrugalError, match="Is a directory"):
        write_page(tmp_path, "x")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_to() -> None:
    folder = Path(tempfile.mkdtemp())  # pytest's own may not be looked into by others
    folder.chmod(0o555)
    try:
        with without_root(), pytest.raises(FrugalError, match=r"Permission denied.*--html"):
            write_page(folder / "out.html", "x")
    finally:
        folder.chmod(0o700)
        folder.rmdir()


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.html"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(ENOSPC, os.strerror(ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(FrugalError, match="No space left on device"):
        write_page(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["out.html"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_device_is_written_to_and_stays_one() -> None:
    with pytest.raises(FrugalError, match="No space left on device"):
        write_page("/dev/full", "x" * 10_000)
    assert not os.path.isfile("/dev/full")


def test_the_file_that_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out.html").symlink_to(tmp_path / "real.html")
    write_page(tmp_path / "out.html", "new")
    assert (tmp_path / "out.html").is_symlink()
    assert (tmp_path / "real.html").read_text() == "new"


def test_made_at_is_on_the_page() -> None:
    assert f"made {NOW:%Y-%m-%d %H:%M} UTC" in Page(page_of(sample())).text
