"""What missed the prompt caches, as rich renderables that fit into 60 columns."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from frugal_chains.money import usd_from_nanos, usd_text
from frugal_chains.report._layout import indented, title
from frugal_chains.report._misses_facts import NOTHING_KEPT, CacheMiss, CacheMisses
from frugal_chains.report._misses_texts import advice_text, coverage_text, what_text
from frugal_chains.report._money import plain_text

_MOST: Final = 10
"""Causes that are shown."""


def misses_view(found: CacheMisses) -> RenderableType:
    """A line on what was compared, then each cause: what it is, how often, its cost, what to do."""
    return Group(*_lines(found))


def _lines(found: CacheMisses) -> Iterable[RenderableType]:
    coverage = coverage_text(found)
    if coverage:
        yield Text(coverage, overflow="fold")
    if not found.fingerprinted:
        return
    yield Text(_compared(found), overflow="fold")
    costly = [miss for miss in found.misses if miss.cause not in NOTHING_KEPT]
    if costly:
        yield title(f"Missed: {_lost(found.missed_tokens, found.cost_nanos, 0)}")
    for miss in found.misses[:_MOST]:
        yield from _miss(miss)
    if len(found.misses) > _MOST:
        yield ""
        yield Text(f"and {len(found.misses) - _MOST:,} more causes, all in --json")


def _compared(found: CacheMisses) -> str:
    """`12 requests compared with the one before: 9 read all they could.`"""
    text = f"{found.judged:,} {_plural(found.judged, 'request')} compared with the one before: "
    text += f"{found.hits:,} read all they could."
    if found.parallel:
        text += f" {found.parallel:,} ran beside another and could not."
    return text


def _miss(miss: CacheMiss) -> Iterable[RenderableType]:
    yield ""
    yield title(plain_text(what_text(miss)))
    served = f" ({plain_text(miss.provider)})" if miss.provider else ""
    yield indented(f"{plain_text(miss.model)}{served}")
    yield indented(
        f"{miss.requests:,} {_plural(miss.requests, 'request')} in {miss.conversations:,} "
        f"{_plural(miss.conversations, 'conversation')}, since {_time(miss.since)}"
        + (f", last {_time(miss.last)}" if miss.last != miss.since else "")
    )
    if miss.cause not in NOTHING_KEPT:
        yield indented(f"lost: {_lost(miss.missed_tokens, miss.cost_nanos, miss.unpriced)}")
    if miss.theirs:
        reasons = ", ".join(f"{plain_text(reason)} ({count:,})" for reason, count in miss.theirs)
        yield indented(f"the provider says: {reasons}")
    if advice := advice_text(miss):
        yield indented(f"what to do: {advice}")


def _lost(tokens: int, nanos: int, unpriced: int) -> str:
    text = f"{tokens:,} tokens, {usd_text(usd_from_nanos(nanos))}"
    return f"{text}, and {unpriced:,} without a price" if unpriced else text


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M")
