"""Totals as figures over time: every bucket from the first to the last, the many small ones
together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from frugal_chains.ledger import Totals
from frugal_chains.report.html._facts import Series, Unit

Period = tuple[str, str]
"""First and last day, or hour: `2026-11-20`, `2026-11-20T15`."""

OTHERS: Final = "all others"
ALL: Final = "all models"
MOST_HOURS: Final = 2
"""Days that are shown by the hour."""
MOST_DAYS: Final = 92
"""A quarter, by the day: more bars cannot be told apart."""
MOST_WEEKS: Final = 92
MOST_MONTHS: Final = 120
"""A clock that was wrong once may make a period of centuries."""
NAMES: Final = 6
"""Colours that can be told apart."""
CACHED_NAMES: Final = 3
LEAST_TOKENS: Final = 1
PARTS: Final = 10_000


def unit_of(days: Period | None) -> Unit:
    """The unit in which a period is drawn."""
    if days is None:
        return "day"
    first, last = map(date.fromisoformat, days)
    count = (last - first).days + 1
    if count <= MOST_HOURS:
        return "hour"
    if count <= MOST_DAYS:
        return "day"
    if count <= 7 * MOST_WEEKS:
        return "week"
    return "month" if count <= 31 * MOST_MONTHS else "year"


def bill_series(lines: Sequence[Totals], unit: Unit, period: Period | None) -> Series:
    """Nano-USD by model, of totals by day or hour and `model`."""
    cells = ((line, line.key["model"] or "(no model)", line.nanos) for line in lines)
    return _stacked(cells, unit, period)


def event_series(lines: Sequence[Totals], unit: Unit, period: Period | None) -> Series:
    """Attempts that failed or were given up, of totals by day or hour, `status`, `error_kind`."""
    bad = [line for line in lines if line.key["status"] in ("error", "aborted")]
    return _stacked(((line, _event(line), line.attempts) for line in bad), unit, period)


def _event(line: Totals) -> str:
    return line.key["error_kind"] or ("given up" if line.key["status"] == "aborted" else "error")


def cached_series(lines: Sequence[Totals], unit: Unit, period: Period | None) -> Series:
    """The share read from prompt caches of all input, and of the models with most of it."""
    tokens: Counter[tuple[str, str]] = Counter()
    read: Counter[tuple[str, str]] = Counter()
    for line in lines:
        bucket = bucket_of(line, unit)
        for name in (ALL, line.key["model"]):
            tokens[bucket, name] += line.usage.input_tokens
            read[bucket, name] += line.usage.cache_read_tokens
    buckets = tuple(buckets_between(period, unit))
    if not sum(read.values()):
        return Series(buckets=buckets)
    names = (ALL, *_most_read(tokens, read))
    return Series(
        buckets=buckets,
        names=names,
        values=tuple(
            tuple(_parts(read[b, name], tokens[b, name]) for b in buckets) for name in names
        ),
    )


def _most_read(
    tokens: Mapping[tuple[str, str], int], read: Mapping[tuple[str, str], int]
) -> list[str]:
    inputs: Counter[str] = Counter()
    for (_, name), count in tokens.items():
        inputs[name] += count
    readers = {name for (_, name), count in read.items() if count and name != ALL}
    found = sorted(readers, key=lambda name: (-inputs[name], name))
    return found[:CACHED_NAMES] if len(inputs) > 2 else []  # one model alone is all models


def _parts(part: int, whole: int) -> int | None:
    return None if whole < LEAST_TOKENS else (part * PARTS + whole // 2) // whole


def _stacked(cells: Iterable[tuple[Totals, str, int]], unit: Unit, period: Period | None) -> Series:
    sums: Counter[tuple[str, str]] = Counter()
    names: Counter[str] = Counter()
    for line, name, value in cells:
        sums[bucket_of(line, unit), name] += value
        names[name] += value
    shown = sorted((n for n in names if names[n]), key=lambda n: (-names[n], n))
    buckets = tuple(buckets_between(period, unit))
    kept, rest = shown, list[str]()
    if len(shown) > NAMES:
        kept, rest = shown[: NAMES - 1], shown[NAMES - 1 :]
    rows = [tuple(sums[b, name] for b in buckets) for name in kept]
    if rest:
        rows.append(tuple(sum(sums[b, name] for name in rest) for b in buckets))
    return Series(buckets=buckets, names=(*kept, *([OTHERS] if rest else [])), values=tuple(rows))


_BUCKETS: Final[Mapping[Unit, Callable[[str], str]]] = {
    "hour": lambda text: text,
    "day": lambda text: text,
    "week": lambda text: _monday(date.fromisoformat(text)).isoformat(),
    "month": lambda text: text[:7],
    "year": lambda text: text[:4],
}
_STEP_DAYS: Final[Mapping[Unit, int]] = {"month": 27, "year": 360}
"""Days that can be gone at once without missing a bucket."""


def bucket_of(line: Totals, unit: Unit) -> str:
    return _BUCKETS[unit](line.key["hour" if unit == "hour" else "day"])


def buckets_between(period: Period | None, unit: Unit) -> Iterator[str]:
    """Every bucket from the first day or hour to the last, in order, each once."""
    if period is None:
        return
    first, last = map(datetime.fromisoformat, period)
    if unit == "hour":
        count = (last - first) // timedelta(hours=1) + 1
        yield from (f"{first + timedelta(hours=n):%Y-%m-%dT%H}" for n in range(count))
        return
    step = _STEP_DAYS.get(unit, 1)
    ordinals = (*range(first.toordinal(), last.toordinal(), step), last.toordinal())
    days = (date.fromordinal(ordinal).isoformat() for ordinal in ordinals)
    yield from dict.fromkeys(map(_BUCKETS[unit], days))


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
