"""The days that a month is told from: what they cost, by task and model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from frugal_chains.ledger import Totals
from frugal_chains.usage import Usage

PACE_DAYS: Final = 30
BY: Final = ("provider", "model", "purpose", "service_tier")
"""What to ask a ledger, behind the tags that name tasks."""
_DAY: Final = timedelta(days=1)
_MONTH_DAYS: Final = 365.25 / 12


class Line(NamedTuple):
    """Calls of one task, model, purpose and tier that have a price."""

    task: str
    provider: str
    model: str
    purpose: str
    tier: str
    calls: int
    nanos: int
    mean: Usage
    """Of a call, whole tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Sums of the last `PACE_DAYS` days of a period, or of as many as it has."""

    lines: tuple[Line, ...]
    passed: float
    """Days."""
    attempts: int
    unpriced: int

    @property
    def factor(self) -> float:
        """From these days to a mean month; 1 where they are less than one day."""
        return _MONTH_DAYS / self.passed if self.passed >= 1 else 1.0

    @property
    def nanos(self) -> int:
        return sum(line.nanos for line in self.lines)

    @property
    def by_model(self) -> Mapping[str, int]:
        """Nano-USD."""
        found: Counter[str] = Counter()
        for line in self.lines:
            found[line.model] += line.nanos
        return found


def days_of(totals: Sequence[Totals], *, begin: datetime, end: datetime) -> Days:
    """Sums as a month is told from them.

    Args:
        totals: From `begin` to `end`, by tags that name tasks, the most telling first, and `BY`.
        begin: Aware.
        end: Aware.
    """
    return Days(
        lines=tuple(_lines(totals)),
        passed=(end - begin) / _DAY,
        attempts=sum(line.attempts for line in totals),
        unpriced=sum(line.unpriced for line in totals),
    )


def edges(days: Sequence[Totals], *, first: datetime, now: datetime) -> tuple[datetime, datetime]:
    """From when to when the last `PACE_DAYS` days go.

    Args:
        days: Totals by day; at least one.
        first: When the first attempt of these was made, or earlier.
        now: Until when they are known: the last day may not be over.
    """
    last = start_of(max(line.key["day"] for line in days))
    end = now if last < now < last + _DAY else last + _DAY
    return max(last - (PACE_DAYS - 1) * _DAY, first), end


def start_of(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def _lines(totals: Sequence[Totals]) -> Iterator[Line]:
    for each in totals:
        calls = each.attempts - each.unpriced
        if not calls:
            continue
        *tags, provider, model, purpose, tier = each.key.values()
        task = next((value for value in tags if value), "")
        yield Line(
            task,
            provider,
            model,
            purpose,
            tier,
            calls,
            each.nanos,
            _mean(each.usage, each.attempts),
        )


def _mean(usage: Usage, calls: int) -> Usage:
    counts = {name: getattr(usage, name) // calls for name in _COUNTS}
    return Usage(**counts)


_COUNTS: Final = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens",
    "cache_write_1h_tokens",
)  # fmt: skip
