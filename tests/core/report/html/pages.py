"""Books for the tests of the page, and the page read back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

from frugal_chains.ledger import Attempt, Ledger
from frugal_chains.report.html import PageFacts, html_page, page_facts

NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)
_VOID = frozenset(("meta", "br", "img", "link", "input", "hr"))


def facts_of(attempts: Iterable[Attempt], **given: Any) -> PageFacts:
    with Ledger.open("memory://") as books:
        for each in attempts:
            books.record(each)
        return page_facts(books, **{"now": NOW, **given})


def page_of(attempts: Iterable[Attempt], **given: Any) -> str:
    return html_page(facts_of(attempts, **given))


class Page(HTMLParser):
    """The elements of a page, its texts, and its headings, by Python's own parser."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.headings: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings[-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}
