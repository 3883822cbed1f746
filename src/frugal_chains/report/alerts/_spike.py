"""Days that cost much more than the days before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Final

from frugal_chains.report.alerts._facts import Alert, AlertFacts, DayBill, Thresholds
from frugal_chains.report.alerts._words import amount, short

_NORMAL: Final = 0.6745
"""The median absolute deviation of a normal distribution, in standard deviations (Iglewicz and
Hoaglin 1993)."""
_SERIOUS_RATIO: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike:
    """A day, and what days before it cost."""

    day: DayBill
    usual_nanos: float
    """Their median."""
    before: tuple[DayBill, ...]

    @property
    def ratio(self) -> float:
        """Infinite where the days before cost nothing."""
        return self.day.nanos / self.usual_nanos if self.usual_nanos else float("inf")


def spike_alerts(facts: AlertFacts, limits: Thresholds) -> Iterator[Alert]:
    """At most one: the day farthest above, and how many more there are."""
    found = list(spikes(facts.days, limits))
    if not found:
        return
    worst = max(found, key=lambda spike: spike.day.nanos - spike.usual_nanos)
    more = len(found) - 1
    also = f"; {more} more {'day' if more == 1 else 'days'} of the last week stand out" * bool(more)
    until = date.fromisoformat(worst.day.day) + timedelta(days=1)
    yield Alert(
        severity="serious" if worst.ratio >= _SERIOUS_RATIO else "warning",
        kind="spike",
        text=f"{worst.day.day} cost {amount(worst.day.nanos)}, {_times(worst)}{_most(worst)}{also}",
        way_out=f"look at it: frugal report --since {worst.day.day} --until {until} "
        "--by model --by feature",
    )


def spikes(days: Sequence[DayBill], limits: Thresholds) -> Iterator[Spike]:
    """The recent days that stand out against the days before each; those without attempts are not
    counted.

    Args:
        days: In their order. The last may not be over: it can then only seem too cheap.
    """
    if not days:
        return
    newest = date.fromisoformat(days[-1].day)
    for index, day in enumerate(days):
        at = date.fromisoformat(day.day)
        if (newest - at).days >= limits.recent_days:
            continue
        first = at - timedelta(days=limits.spike_before_days)
        before = tuple(d for d in days[:index] if date.fromisoformat(d.day) >= first)
        if len(before) >= limits.spike_least_days:
            spike = Spike(day=day, usual_nanos=median(d.nanos for d in before), before=before)
            if _stands_out(spike, limits):
                yield spike


def _stands_out(spike: Spike, limits: Thresholds) -> bool:
    above = spike.day.nanos - spike.usual_nanos
    if above < limits.spike_least_nanos or spike.ratio < limits.spike_ratio:
        return False
    spread = median(abs(d.nanos - spike.usual_nanos) for d in spike.before)
    # Days that are all alike have no spread: then the ratio alone decides.
    return not spread or _NORMAL * above / spread > limits.spike_z


def _times(spike: Spike) -> str:
    days = len(spike.before)
    if not spike.usual_nanos:
        return f"the {days} days before mostly nothing"
    usual = amount(round(spike.usual_nanos))
    return f"{spike.ratio:.1f} times the median of the {days} days before ({usual})"


def _most(spike: Spike) -> str:
    """The model whose cost rose most, where that is known."""
    rises = {
        model: nanos - median(d.by_model.get(model, 0) for d in spike.before)
        for model, nanos in spike.day.by_model.items()
    }
    if not rises:
        return ""
    model = max(rises, key=lambda name: (rises[name], name))
    return (
        f"; {short(model) or 'calls without a model'} rose most, by {amount(round(rises[model]))}"
    )
