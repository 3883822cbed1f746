"""The newest attempts of a period, where it has too many to be read one by one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from frugal_chains.ledger import Ledger, Totals


def newest_since(
    ledger: Ledger,
    days: Sequence[Totals],
    since: datetime | None,
    until: datetime | None,
    *,
    most: int,
) -> datetime | None:
    """From when on there are at most so many attempts: whole hours. Of a last hour with more, the
    first are to be read.

    Args:
        ledger: Asked for the hours of the one day of which not all are.
        days: Totals of `[since, until)` by day, in their order.
        since: None: from the beginning.
        until: None: to the end.
        most: Attempts.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    whole, count = _fitting(days, most)
    if whole == len(days):
        return since
    day = _moment(days[-whole - 1].key["day"])
    start = day if since is None else max(day, since)
    end = _moment(days[-whole].key["day"]) if whole else until
    hours = ledger.totals(("hour",), since=start, until=end)
    fit, _ = _fitting(hours, most - count)
    if not fit and whole:
        return end
    found = _moment(hours[-max(fit, 1)].key["hour"] + ":00")
    return found if since is None else max(found, since)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _fitting(lines: Sequence[Totals], most: int) -> tuple[int, int]:
    """How many of the last lines have no more than `most` attempts together, and how many they
    have."""
    count = 0
    for number, line in enumerate(reversed(lines)):
        if count + line.attempts > most:
            return number, count
        count += line.attempts
    return len(lines), count
