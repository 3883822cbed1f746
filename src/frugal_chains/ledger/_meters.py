"""Meters: running sums of cost that the ledger keeps, so that a budget is one comparison.

A meter is a window (`per`) and optionally a tag; it has one sum for every window and tag value.
A budget is a meter with a limit (see `frugal_chains.budgets`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from frugal_chains.ledger._ids import whole_text

Window = str
"""`run`, `operation`, `hour`, `day`, `month`, `lifetime`, or `rolling:<seconds>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterFacts:
    """What of a call decides which sums it is added to."""

    at: datetime
    run_id: str = ""
    operation_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A running sum of cost per window, apart for each value of `tag` where one is named.

    Calendar windows are those of UTC, the zone of every provider's invoice.
    """

    window: Window
    tag: str = ""

    def key(self, facts: MeterFacts) -> str:
        """The name of the one sum that a call with these facts is added to."""
        value = f"{self.tag}={facts.tags.get(self.tag, '')}" if self.tag else ""
        key = f"{self.window}|{value}|{_WINDOW_NAMES.get(self.window, _no_name)(facts)}"
        return key if key.isascii() else whole_text(key)

    @property
    def span_s(self) -> float | None:
        """Length of a rolling window in seconds; None for the other windows."""
        kind, _, seconds = self.window.partition(":")
        return float(seconds) if kind == "rolling" else None

    @property
    def by_call(self) -> bool:
        """True when only the calls that claim it are counted (`run`, `operation`)."""
        return self.window in ("run", "operation")

    def started_at(self, at: datetime) -> datetime | None:
        """The first moment counted in the window that holds `at`; None: since ever."""
        if (span_s := self.span_s) is not None:
            return at - timedelta(seconds=span_s)
        start = _WINDOW_STARTS.get(self.window)
        return start(at.astimezone(UTC)) if start else None

    def ends_at(self, at: datetime) -> datetime | None:
        """The first moment after the calendar window that holds `at`; None: it has no end."""
        start, longest = self.started_at(at), _LONGEST_SPANS.get(self.window)
        if start is None or longest is None:
            return None
        return _WINDOW_STARTS[self.window](start + longest)


def rolling_window(span: timedelta) -> Window:
    """The window that holds the last `span`."""
    return f"rolling:{span.total_seconds():.6f}"


def _no_name(facts: MeterFacts) -> str:
    return ""


_WINDOW_NAMES: Mapping[str, Callable[[MeterFacts], str]] = {
    "run": lambda facts: facts.run_id,
    "operation": lambda facts: facts.operation_id,
    "hour": lambda facts: facts.at.astimezone(UTC).strftime("%Y-%m-%dT%H"),
    "day": lambda facts: facts.at.astimezone(UTC).strftime("%Y-%m-%d"),
    "month": lambda facts: facts.at.astimezone(UTC).strftime("%Y-%m"),
}

_WINDOW_STARTS: Mapping[str, Callable[[datetime], datetime]] = {
    "hour": lambda at: at.replace(minute=0, second=0, microsecond=0),
    "day": lambda at: at.replace(hour=0, minute=0, second=0, microsecond=0),
    "month": lambda at: at.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
}

_LONGEST_SPANS: Mapping[str, timedelta] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "month": timedelta(days=31),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An amount asked of one sum before a call is sent."""

    meter: Meter
    key: str
    nanos: int
    limit_nanos: int | None = None
    """Refuse when settled + reserved + `nanos` would pass it; None: count only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterState:
    """One sum as it stands."""

    key: str
    spent_nanos: int = 0
    reserved_nanos: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The claim that did not fit, and the sum it met."""

    claim: Claim
    state: MeterState
