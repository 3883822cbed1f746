"""`next_lever`: the newest attempts of a ledger, replayed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Final

from frugal_chains.ledger import Attempt, Ledger, Totals, microseconds
from frugal_chains.pricing import PriceBook
from frugal_chains.replay import TASK_TAGS, ledger_calls, replay
from frugal_chains.report._facts import Question, grouping
from frugal_chains.report._newest import newest_since
from frugal_chains.report.levers._days import BY, days_of, edges, start_of
from frugal_chains.report.levers._facts import NextLever
from frugal_chains.report.levers._next import alone, next_lever_of
from frugal_chains.report.levers._trial import trial_of

MOST_REPLAYED: Final = 10_000
"""Attempts."""
_MOST_WORK: Final = 12_500
"""Of a replay: a few seconds. Planning markers takes most of it, and longer with each message of a
conversation."""
_CALLS_OF_ONE: Final = 4
"""So many calls into a conversation, a call is as much more work as one that stands alone."""
_DEEPEST: Final = 60
"""Calls of a conversation; behind them its requests hardly grow."""


def next_lever(
    ledger: Ledger,
    *,
    book: PriceBook,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    most: int = MOST_REPLAYED,
) -> NextLever | None:
    """What would save most of the bill next, told from the newest attempts of `[since, until)`.

    Conversations that had begun before them are replayed from there on, both with the lever and
    without.

    Args:
        ledger: May be written by others meanwhile.
        book: Prices.
        now: Aware, UTC.
        since: None: from the beginning.
        until: None: to the end.
        most: Attempts that are read one by one; the period may have a million. Of long
            conversations fewer are replayed.

    Returns:
        None where no attempt of the period has reached a provider.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    by_day = ledger.totals(("day",), since=since, until=until)
    start = newest_since(ledger, by_day, since, until, most=most) if by_day else since
    read = list(islice(ledger.attempts(since=start, until=until), most))
    sent = _affordable([each for each in read if each.status != "cached"])
    if not sent:
        return None
    effects = ledger.effect_totals(("lever",), since=sent[0].at, until=until)
    trial = trial_of(sent, effects=frozenset(line.key["lever"] for line in effects))
    now_us = microseconds(now)
    found = replay(ledger_calls(sent), alone(trial.setup), prices=book, now_us=now_us)
    whole = len(read) >= sum(line.attempts for line in by_day)
    begin, end = edges(
        by_day, first=_first(read, by_day, since, whole=whole), now=min(now, until or now)
    )
    days = days_of(
        ledger.totals((*_task_tags(ledger), *BY), since=begin, until=until), begin=begin, end=end
    )
    return next_lever_of(found, trial, days, book=book, now_us=now_us)


def _task_tags(ledger: Ledger) -> Question:
    names = ledger.tag_names()
    return grouping([f"tag:{name}" for name in TASK_TAGS if name in names], names)


def _affordable(attempts: Sequence[Attempt]) -> Sequence[Attempt]:
    """The newest of them, as many as can be replayed in a few seconds."""
    depth: Counter[str] = Counter()
    work = []
    for each in attempts:
        depth[each.thread_id] += bool(each.thread_id)
        work.append(1 + min(depth[each.thread_id], _DEEPEST) / _CALLS_OF_ONE)
    left, kept = float(_MOST_WORK), 0
    for units in reversed(work):
        left -= units
        if left < 0:
            break
        kept += 1
    return attempts[len(attempts) - kept :]


def _first(
    read: Sequence[Attempt], days: Sequence[Totals], since: datetime | None, *, whole: bool
) -> datetime:
    """From when on the books have calls."""
    if whole:
        return read[0].at
    first = start_of(min(line.key["day"] for line in days))
    return first if since is None else max(first, since)
