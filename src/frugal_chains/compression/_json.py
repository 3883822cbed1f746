"""JSON as parts that can be left out one by one, and put together again as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Final

from frugal_chains.text import Span

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]', re.DOTALL)
_BEGINS: Final = re.compile(r"\s*[\[{]")
_DEEPEST: Final = 40
"""What lies deeper is one part."""
ELEMENT: Final = ""
"""In place of a key: an element of an array."""


@dataclass(slots=True)
class Box:
    """An array or an object: its items, each a span and the box inside of it, if there is one."""

    start: int
    end: int = 0
    items: list[Item] = field(default_factory=list)


@dataclass(slots=True)
class Item:
    """An element of an array, or a member of an object with its key."""

    start: int
    end: int = 0
    key: str = ELEMENT
    value_start: int = 0
    box: Box | None = None

    @property
    def span(self) -> Span:
        return self.start, self.end


def read_json(text: str) -> Box | None:
    """The outermost array or object of a JSON text; None where a text is no JSON."""
    if _BEGINS.match(text) is None:
        return None
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _boxes(text)


def parts_of(
    box: Box, whole_chars: int, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Item]]:
    """The items that are kept or left out, each with the keys that lead to it.

    Args:
        box: Where to begin.
        whole_chars: An array or object that is no longer is one part.
        path: The keys that lead to the box; `ELEMENT` for an element of an array.
    """
    for item in box.items:
        here = (*path, item.key)
        if _is_split(item, whole_chars, len(path)):
            assert item.box is not None
            yield from parts_of(item.box, whole_chars, here)
        else:
            yield here, item


def rendered(text: str, box: Box, kept: Container[int], whole_chars: int, depth: int = 0) -> str:
    """JSON of the parts whose start is kept; an array or object that holds none is left out."""
    parts = []
    for item in box.items:
        if not _is_split(item, whole_chars, depth):
            if item.start in kept:
                parts.append(text[item.start : item.end])
            continue
        assert item.box is not None
        inside = rendered(text, item.box, kept, whole_chars, depth + 1)
        if len(inside) > 2:
            parts.append(text[item.start : item.value_start] + inside)
    return text[box.start] + ",".join(parts) + text[box.end - 1]


def _is_split(item: Item, whole_chars: int, depth: int) -> bool:
    box = item.box
    return (
        box is not None
        and bool(box.items)
        and depth < _DEEPEST
        and box.end - box.start > whole_chars
    )


def _boxes(text: str) -> Box | None:
    """One pass over the strings and marks of a text that is known to be JSON."""
    outer: Box | None = None
    open_boxes: list[Box] = []
    item: Item | None = None
    last_end = 0
    for found in _TOKEN.finditer(text):
        mark, start, end = found.group(), found.start(), found.end()
        box = open_boxes[-1] if open_boxes else None
        if mark in "[{":
            item = _value(box, item, start)
            opened = Box(start=start)
            if item is not None:
                item.box = opened
            outer = outer or opened
            open_boxes.append(opened)
            item = None
        elif mark in "]}" or mark == ",":
            assert box is not None
            _close(text, box, item, start, last_end)
            item = None
            if mark != ",":
                box.end = end
                open_boxes.pop()
                item = open_boxes[-1].items[-1] if open_boxes else None
        elif mark == ":":
            assert item is not None
            item.key, item.value_start = json.loads(text[item.start : item.end]), 0
        else:
            item = _value(box, item, start)
            if item is not None:
                item.end = end
        last_end = end
    return outer


def _value(box: Box | None, item: Item | None, start: int) -> Item | None:
    """The item that a string or a bracket at `start` belongs to."""
    if box is None:
        return None
    if item is None:
        item = Item(start=start, value_start=start)
        box.items.append(item)
    elif not item.value_start:
        item.value_start = start
    return item


def _close(text: str, box: Box, item: Item | None, mark: int, last_end: int) -> None:
    """End the item before a comma or a closing bracket; numbers and words are found here."""
    end = mark
    while text[end - 1].isspace():
        end -= 1
    start = last_end
    while start < end and text[start].isspace():
        start += 1
    if item is not None:
        item.end, item.value_start = end, item.value_start or start
    elif start < end:
        box.items.append(Item(start=start, end=end, value_start=start))
