"""Tags and text of an HTML page, in one pass: malformed pages cost no more than well-formed ones.

The standard library's parser goes back over what has no end, so that a page of `<!--` takes time
that grows with its square (CVE-2025-6069).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

_MARKUP = re.compile(r"<(?=[a-zA-Z!?]|/[a-zA-Z])")
# Quotes count only after `=`. Every part is possessive, so reading a tag never goes back.
_TAG = re.compile(
    r"<(/?)([a-zA-Z][^\s/>]*+)((?:[^>\"'=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+'|)|[\"'])*+)>"
)
_ATTRIBUTE = re.compile(r"([^\s\"'<>/=]++)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'=<>`]++))")

_UNSEEN = frozenset(("script", "style", "svg", "template"))
_MARKS = (("<!--", "-->"), ("<!", ">"), ("<?", ">"))
"""Comments and declarations: how they begin and end."""


class Token(NamedTuple):
    """A piece of a page. `name` is empty for text; `/p` closes `p`."""

    name: str
    text: str


def tokens(text: str) -> Iterator[Token]:
    """Tags and the text between them, without what no reader sees. Characters are unescaped.

    What follows a tag or a comment that has no end is text.
    """
    at = 0
    endless: set[str] = set()
    while markup := _MARKUP.search(text, at):
        if markup.start() > at:
            yield Token("", html.unescape(text[at : markup.start()]))
        at = markup.start()
        end = _mark_end(text, at)
        if end is not None:
            if end < 0:
                break
            at = end
            continue
        tag = _TAG.match(text, at)
        if tag is None:
            break
        name, at = tag[2].lower(), tag.end()
        if not tag[1] and name in _UNSEEN and name not in endless and not tag[3].endswith("/"):
            end = _end_tag(text, name, at)
            if end < 0:
                endless.add(name)
            at = max(at, end)
        else:
            yield Token(tag[1] + name, tag[3])
    if at < len(text):
        yield Token("", html.unescape(text[at:]))


def attribute(attributes: str, name: str) -> str:
    """The value of an attribute of a tag; empty if it has none."""
    for found in _ATTRIBUTE.finditer(attributes):
        if found[1].lower() == name:
            return html.unescape(found[2] or found[3] or found[4] or "").strip()
    return ""


def _mark_end(text: str, at: int) -> int | None:
    """Where a comment or declaration that begins here ends; -1: nowhere; None: none begins."""
    for mark, close in _MARKS:
        if text.startswith(mark, at):
            end = text.find(close, at + len(mark))
            return -1 if end < 0 else end + len(close)
    return None


def _end_tag(text: str, name: str, at: int) -> int:
    """Where the element's end tag ends; -1: nowhere."""
    close = re.compile(f"</{name}", re.IGNORECASE).search(text, at)
    end = text.find(">", close.end()) if close else -1
    return end + 1 if end >= 0 else -1
