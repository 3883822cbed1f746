"""HTML as text: headings, lists, tables and links stay; markup, scripts and styles go.

Nothing that a reader sees is lost, but the markup cannot be put back: this is no lossless form.
"""

from __future__ import annotations

import re

from frugal_chains.compression.shape._html_table import HtmlTable
from frugal_chains.compression.shape._html_tokens import Token, attribute, tokens

_BLANKS = re.compile(r"[ \t\r\n\f]+")

_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_PARAGRAPHS = (
    frozenset(("address", "article", "aside", "blockquote", "body", "dl", "fieldset", "figure"))
    | frozenset(("footer", "form", "header", "hr", "html", "main", "nav", "ol", "p", "pre"))
    | frozenset(("section", "table", "title", "ul", *_HEADINGS))
)
_LINES = frozenset(
    ("br", "dd", "details", "div", "dt", "figcaption", "legend", "li", "option", "summary")
)
_INDENT_LIMIT = 8
"""Levels of lists that are shown by indenting."""
_SPANS_LIMIT = 100
"""Columns that one cell may take: more is a slip or an attack."""


def looks_like_html(text: str) -> bool:
    """Whether the whole text is a page, or a piece of one: it begins and ends with a tag."""
    body = text.strip()
    if not (body.startswith("<") and body.endswith(">")) or body.startswith("<?xml"):
        return False
    closing = re.findall(r"</(?:html|body|div|p|table|tr|td|ul|ol|li|a|span|h[1-6])>", body, re.I)
    return len(closing) >= 2 or body[:9].lower() == "<!doctype"


def html_to_text(text: str) -> str:
    """The page as a reader sees it, in Markdown: `# heading`, `- item`, `[text](link)`, `|a|b|`."""
    writer = _Writer()
    for token in tokens(text):
        writer.take(token)
    return writer.finished()


class _Writer:
    """Lines made of tokens."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line: list[str] = []
        self.link: tuple[str, int] | None = None
        """The open link: where to, and where in `line` its text begins. Links do not nest."""
        self.lists: list[int] = []
        """Open lists: 0 for bullets, else the next number."""
        self.tables: list[HtmlTable] = []
        self.prefix = ""
        self.fenced = False

    def take(self, token: Token) -> None:
        name = token.name
        if not name:
            self._text(token.text)
            return
        bare = name.lstrip("/")
        if bare in ("td", "th", "tr", "table", "caption") and self._table(name, token.text):
            return
        if bare in _PARAGRAPHS or bare in _LINES or bare in ("td", "th", "tr", "caption"):
            self._break(bare in _PARAGRAPHS)
        special = _SPECIAL.get(bare)
        if special is not None:
            special(self, name != bare, token.text)
        elif bare in _HEADINGS and name == bare:
            self.prefix = _HEADINGS[bare]

    def finished(self) -> str:
        while self.tables:
            self._close_table()
        self._break(True)
        return "\n".join(self.lines).strip("\n")

    def _text(self, text: str) -> None:
        self.line.append(text if self.fenced else _BLANKS.sub(" ", text))

    def _take_line(self) -> str:
        written = "".join(self.line)
        self.line.clear()
        if self.link is not None:
            self.link = self.link[0], 0
        return written

    def _break(self, paragraph: bool) -> None:
        """End the line; after a paragraph comes an empty one. In a cell, a blank stands for it."""
        if self.tables and self.tables[-1].in_cell:
            self.line.append(" ")
            return
        written = self._take_line()
        written = written.strip("\n") if self.fenced else _BLANKS.sub(" ", written).strip()
        if written:
            self.lines.append(self.prefix + written)
            self.prefix = "  " * min(len(self.lists), _INDENT_LIMIT)
        if paragraph and not self.lists and self.lines and self.lines[-1]:
            self.lines.append("")

    def _tag_a(self, closing: bool, attributes: str) -> None:
        if self.link is not None:
            href, start = self.link
            self.link = None
            if href and not href.startswith(("#", "javascript:")):
                label = "".join(self.line[start:])
                self.line[start:] = [_link(label, href)]
        if not closing:
            self.link = attribute(attributes, "href"), len(self.line)

    def _tag_img(self, closing: bool, attributes: str) -> None:
        label, source = attribute(attributes, "alt"), attribute(attributes, "src")
        if label:
            pictured = not source or source.startswith("data:")
            self.line.append(f"![{label}]" if pictured else f"![{label}]({source})")

    def _tag_input(self, closing: bool, attributes: str) -> None:
        if attribute(attributes, "type") != "hidden":
            self.line.append(attribute(attributes, "value") or attribute(attributes, "placeholder"))

    def _tag_hr(self, closing: bool, attributes: str) -> None:
        self.lines += ["---", ""]

    def _tag_code(self, closing: bool, attributes: str) -> None:
        if not self.fenced:
            self.line.append("`")

    def _tag_pre(self, closing: bool, attributes: str) -> None:
        if self.tables and self.tables[-1].in_cell:
            return
        if closing != self.fenced:
            return
        if closing:
            while self.lines and not self.lines[-1]:
                self.lines.pop()
        self.lines += ["```", ""] if closing else ["```"]
        self.fenced = not closing

    def _tag_ul(self, closing: bool, attributes: str) -> None:
        self._list(closing, 0)

    def _tag_ol(self, closing: bool, attributes: str) -> None:
        self._list(closing, 1)

    def _list(self, closing: bool, start: int) -> None:
        if not closing:
            self.lists.append(start)
        elif self.lists:
            self.lists.pop()
            if not self.lists:
                self.prefix = ""
                self._break(True)

    def _tag_li(self, closing: bool, attributes: str) -> None:
        if closing:
            return
        number = self.lists[-1] if self.lists else 0
        if number:
            self.lists[-1] += 1
        mark = f"{number}. " if number else "- "
        self.prefix = "  " * min(len(self.lists) - 1, _INDENT_LIMIT) + mark

    def _table(self, name: str, attributes: str) -> bool:
        """Whether a tag of a table was dealt with here."""
        if name == "table":
            if self.tables:
                # A table in a table: the outer one is there for the layout, so its cells are lines.
                self._end_cell()
                self.lines += self.tables[-1].give_up()
            self._break(True)
            self.tables.append(HtmlTable())
            return True
        if not self.tables:
            return False
        current = self.tables[-1]
        if name == "/table":
            self._close_table()
            return True
        if current.layout:
            return False
        self._end_cell()
        if name in ("td", "th"):
            self._break(False)
            spans = (attribute(attributes, "colspan"), attribute(attributes, "rowspan"))
            across, down = (min(int(n), _SPANS_LIMIT) if n.isdecimal() else 1 for n in spans)
            current.open_cell(across, down, heading=name == "th")
        elif name == "tr":
            current.open_row()
        return name != "caption"

    def _end_cell(self) -> None:
        current = self.tables[-1]
        if current.in_cell:
            written = _BLANKS.sub(" ", self._take_line()).strip()
            current.close_cell(written)

    def _close_table(self) -> None:
        self._end_cell()
        rows = self.tables.pop().markdown()
        self._break(False)
        if rows:
            self.lines += [*rows, ""]


_SPECIAL = {
    "a": _Writer._tag_a,
    "code": _Writer._tag_code,
    "hr": _Writer._tag_hr,
    "img": _Writer._tag_img,
    "input": _Writer._tag_input,
    "li": _Writer._tag_li,
    "ol": _Writer._tag_ol,
    "pre": _Writer._tag_pre,
    "ul": _Writer._tag_ul,
}


def _link(label: str, href: str) -> str:
    """A link in Markdown, with the blanks around its text outside."""
    shown = label.strip()
    left = " " if label[:1] == " " else ""
    right = " " if label[-1:] == " " else ""
    return left + (f"<{href}>" if shown in ("", href) else f"[{shown}]({href})") + right
