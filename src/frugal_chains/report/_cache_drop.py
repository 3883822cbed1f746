"""Since when less is read from a prompt cache, by days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import Final, NamedTuple

BEFORE_DAYS: Final = 7
"""What a day is compared with: a week has working days and others."""
MIN_BEFORE_PERCENT: Final = 10
"""A smaller share cannot fall by enough to matter."""


class DaySums(NamedTuple):
    """One model on one day, UTC."""

    day: str
    """`2026-11-20`."""
    attempts: int = 0
    tokens: int = 0
    """Of input."""
    read: int = 0
    """Of these, from the provider's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheDrop:
    """Less than half of the share that was read before."""

    since: str
    """The first day of it, UTC. It holds from there to the end of the report."""
    tokens_before: int
    """Input tokens of the seven days before."""
    read_before: int
    tokens_since: int
    read_since: int


def cache_drop(days: Sequence[DaySums], *, min_attempts: int) -> CacheDrop | None:
    """The day since which the share read is less than half of that of the week before, and where
    the two are farthest apart; None where it never fell so, or came back.

    Args:
        days: In their order, each once.
        min_attempts: On both sides.
    """
    dates = [date.fromisoformat(line.day).toordinal() for line in days]
    upto = list(accumulate(days, _sum, initial=DaySums("")))
    found: tuple[float, CacheDrop] | None = None
    first = 0
    for start in range(1, len(days)):
        while dates[first] < dates[start] - BEFORE_DAYS:
            first += 1
        before, since = _less(upto[start], upto[first]), _less(upto[-1], upto[start])
        if min(before.attempts, since.attempts) < min_attempts:
            continue
        if not (_halved(before, since) and 100 * before.read >= MIN_BEFORE_PERCENT * before.tokens):
            continue
        fall = before.read / before.tokens - since.read / since.tokens
        if found is None or fall > found[0]:
            found = (
                fall,
                CacheDrop(
                    since=days[start].day,
                    tokens_before=before.tokens,
                    read_before=before.read,
                    tokens_since=since.tokens,
                    read_since=since.read,
                ),
            )
    return found[1] if found else None


def _halved(before: DaySums, since: DaySums) -> bool:
    """Whether the share fell by more than half; not where one side has no tokens."""
    return (
        before.tokens > 0
        and since.tokens > 0
        and 2 * since.read * before.tokens < before.read * since.tokens
    )


def _sum(one: DaySums, other: DaySums) -> DaySums:
    return DaySums(
        "", one.attempts + other.attempts, one.tokens + other.tokens, one.read + other.read
    )


def _less(whole: DaySums, part: DaySums) -> DaySums:
    return DaySums(
        "", whole.attempts - part.attempts, whole.tokens - part.tokens, whole.read - part.read
    )
