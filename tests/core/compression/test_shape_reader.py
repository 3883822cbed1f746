"""HTML, Markdown tables and white space: what a reader sees is all there."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.compression.shape import shape
from frugal_chains.compression.shape._html import html_to_text, looks_like_html
from frugal_chains.compression.shape._markdown import compact_tables
from frugal_chains.compression.shape._whitespace import squeeze

PAGE = """<!DOCTYPE html>
<html><head><title>Prices &amp; terms</title><style>p {color: red}</style>
<script>var a = "<p>not seen</p>";</script></head>
<body><!-- not seen --><nav><ul><li><a href="/">Home</a></li>
<li><a href='/p?x=1&amp;y=2'> Prices </a> now<ul><li>new</li></ul></li></ul></nav>
<h2 class="don't">Price   list</h2><p>Valid <b>from</b> 2024.<br>See <a href="#x">below</a>.</p>
<table><thead><tr><th>Item</th><th>Price</th><th>Note</th></tr></thead><tbody>
<tr><td rowspan="2">Lamp</td><td>12.50</td><td>a|b</td></tr>
<tr><td>13</td><td><a href="u">link</a><br>two</td></tr>
<tr><td colspan=2>sum</td><td>25</td></tr></tbody></table>
<pre>def f():
    return  1 &lt; 2
</pre><ol><li>one<li>two</ol><img src="data:xx" alt="logo"> <img src="a.png" alt="chart">
<p>set <code>x=1</code></p><input type=hidden value=z><input placeholder="Your name">
</body></html>"""

TEXT = """Prices & terms

- [Home](/)
- [Prices](/p?x=1&y=2) now
  - new

## Price list

Valid from 2024.
See below.

|Item|Price|Note|
|-|-|-|
|Lamp|12.50|a\\|b|
|Lamp|13|[link](u) two|
|sum||25|

```
def f():
    return  1 < 2
```

1. one
2. two

![logo] ![chart](a.png)

set `x=1`

Your name"""


def test_a_page_as_a_reader_sees_it() -> None:
    assert html_to_text(PAGE) == TEXT


def test_a_table_in_a_table_is_layout() -> None:
    inner = "<table><tr><td>k</td><td>v</td></tr><tr><td>l</td><td>w</td></tr></table>"
    page = f"<table><tr><td><p>left</p>{inner}</td><td>right</td></tr></table>"
    assert html_to_text(page).split() == ["left", "|k|v|", "|-|-|", "|l|w|", "right"]


class _Words(HTMLParser):
    """The words of a page, by the standard library's parser."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words += data.split()


tags = st.sampled_from(
    ("p", "div", "b", "td", "tr", "th", "table", "ul", "li", "h1", "a", "pre", "dd")
)
nodes = st.recursive(
    st.from_regex(r"[a-z]{1,4}( [0-9]{1,3})?", fullmatch=True),
    lambda inner: st.builds(
        lambda tag, parts: f'<{tag} title="x">{" ".join(parts)}</{tag}>',
        tags,
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)


@given(nodes)
def test_every_word_of_a_page_stays(page: str) -> None:
    parser = _Words()
    parser.feed(page)
    parser.close()
    text = html_to_text(page)
    assert sorted(re.findall(r"[a-z0-9]+", text)) == sorted(parser.words)


@pytest.mark.parametrize(
    "text",
    [
        "x < 3 and y > 2",
        "see <a href='x'>",
        '<?xml version="1.0"?><a><b/></a></a>',
        "# Title\n<div>",
        "<me@example.org> wrote to <you@example.org>",
    ],
)
def test_what_is_no_page_is_not_taken_for_one(text: str) -> None:
    assert not looks_like_html(text)


ENDLESS = [
    "<!--",
    "<a ",
    '<a ="',
    "<script>",
    "<",
    "</",
    "<![CDATA[",
    "<table>",
    "<ul><li>x",
    "<a>y<p>",
]


@pytest.mark.parametrize("piece", ENDLESS)
def test_malformed_pages_take_time_that_grows_with_their_length(piece: str) -> None:
    # By the square, 50,000 pieces would take minutes.
    page = "<div>" + piece * 50_000
    assert len(html_to_text(page)) < 10 * len(page)


def test_unfinished_markup_is_kept_as_text() -> None:
    assert html_to_text('<p>a</p>b <i title="c d') == 'a\n\nb <i title="c d'
    assert html_to_text("<p>a</p><!-- b") == "a\n\n<!-- b"
    assert html_to_text("<p>a</p><script>b") == "a\n\nb"


TABLE = """Before | after

| Item       |   Price | Note      |
|:-----------|--------:|-----------|
| Lamp       |   12.50 | a \\| b    |
| Desk  top  |      99 |           |

```
| code   | stays |
|--------|-------|
```
a   | b
"""


def test_markdown_tables_lose_their_padding() -> None:
    assert compact_tables(TABLE) == (
        "Before | after\n\n|Item|Price|Note|\n|:-|-:|-|\n|Lamp|12.50|a \\| b|\n|Desk  top|99||\n\n"
        "```\n| code   | stays |\n|--------|-------|\n```\na   | b\n"
    )


def test_white_space_goes_where_nobody_reads_it() -> None:
    text = "One.  Two.  \r\n\r\n\r\n\r\nThree\t\n    code  here  \n"
    text += "```\nx  y   \n\n\n\n```\na   b  c\n\n\n"
    assert squeeze(text) == (
        "One. Two.\n\nThree\n    code  here\n```\nx  y   \n\n\n\n```\na   b  c"
    )
    assert squeeze("\tif x:  # code\n a  b") == "\tif x:  # code\n a  b"


@given(st.text("ab .`|-<>\n\t ", max_size=80))
def test_squeezing_twice_is_squeezing_once_and_keeps_every_word(text: str) -> None:
    once = squeeze(compact_tables(text))
    assert squeeze(compact_tables(once)) == once
    assert re.sub(r"[\s-]+", "", once) == re.sub(r"[\s-]+", "", text)


@pytest.mark.parametrize(
    ("text", "form"), [(PAGE, "html"), (TABLE, "markdown"), ("a \n\n\n\nb  c", "whitespace")]
)
def test_reader_forms_are_chosen_only_when_allowed(text: str, form: str) -> None:
    assert shape(text, len).text is text
    shaped = shape(text, len, lossless_only=False)
    assert shaped.form == form
    assert not shaped.lossless
    assert shaped.tokens_after == len(shaped.text) < len(text)


@pytest.mark.parametrize(
    "text", [" " * 500_000, "\n" * 500_000, "| " * 500_000 + "\n|-|", "|-" * 500_000]
)
def test_long_odd_texts_in_bounded_time(text: str) -> None:
    assert shape(text, len, lossless_only=False).tokens_after <= len(text)
