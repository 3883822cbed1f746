"""`PageFacts`: everything the page shows, exact; how it looks is decided elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from frugal_chains.report._facts import ReportFacts, Table
from frugal_chains.report.alerts import Alert, BudgetSpend, RepeatShare

Unit = Literal["hour", "day", "week", "month", "year"]
StepKind = Literal["baseline", "lever", "overhead", "bill"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterfallStep:
    """One bar of the waterfall."""

    label: str
    nanos: int | None
    """Nano-USD: of `baseline` and `bill` the whole amount; of the others what is saved, negative
    for what is lost. None: it cannot be known."""
    kind: StepKind


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterfallFacts:
    """From what would have been paid to the bill, in the order of the steps."""

    steps: tuple[WaterfallStep, ...]
    notes: tuple[str, ...] = ()
    """Sentences below it: coverage, the modelled share."""

    @property
    def gap_nanos(self) -> int | None:
        """The bill less what the known steps add up to: 0 where the waterfall is whole. None
        without a known baseline or bill."""
        known = [step for step in self.steps if step.nanos is not None]
        bill = [step.nanos or 0 for step in known if step.kind == "bill"]
        if not bill or not any(step.kind == "baseline" for step in known):
            return None
        saved = sum(step.nanos or 0 for step in known if step.kind not in ("baseline", "bill"))
        baseline = sum(step.nanos or 0 for step in known if step.kind == "baseline")
        return sum(bill) - (baseline - saved)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverOption:
    """A lever that would do on a condition of which a ledger knows nothing."""

    condition: str
    """The beginning of a sentence: `If ... can wait`."""
    saving_nanos: int
    """At most, over `period`."""
    period: str = "a month"
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverFacts:
    """What would save most next."""

    title: str
    """Empty: there is no lever whose saving is sure."""
    text: str
    """Why, and on what the figure stands."""
    saving_nanos: int | None
    """Expected nano-USD over `period`; None: not known."""
    low_nanos: int | None = None
    high_nanos: int | None = None
    """Ends of the interval."""
    period: str = "a month"
    command: str = ""
    """What to type next."""
    also: tuple[LeverOption, ...] = ()
    """Levers that would save something on a condition, the most first."""
    notes: tuple[str, ...] = ()
    """Sentences below it: what the figures stand on, what could not be told."""

    @property
    def told(self) -> bool:
        """Whether there is any lever to tell of."""
        return bool(self.title or self.also)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Figures over time, a row of `values` for each name."""

    buckets: tuple[str, ...]
    """In their order, without a gap: `2026-11-20`, `2026-11-20T15`, a week's Monday, `2026-11`,
    `2026`."""
    names: tuple[str, ...] = ()
    """The one with the highest sum first; `OTHERS` last."""
    values: tuple[tuple[int | None, ...], ...] = ()
    """One for each bucket; None where there is nothing to measure, which is not 0."""

    @property
    def sums(self) -> tuple[int, ...]:
        """By bucket."""
        columns = zip(*self.values, strict=True) if self.values else ((),) * len(self.buckets)
        return tuple(sum(value or 0 for value in column) for column in columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Seconds, by nearest rank."""

    p50_s: float
    p90_s: float
    p99_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLatency:
    """How long a model took, by attempts that ended well."""

    provider: str
    model: str
    attempts: int
    whole: Percentiles
    """To the end of the answer."""
    streamed: int = 0
    """Attempts with a time to the first token."""
    first: Percentiles | None = None
    """To the first token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedRequest:
    """One request, known by its fingerprint: how often it was sent, and what that cost."""

    print_id: str
    """The beginning of a hash of its fingerprint; no text can be read from it."""
    provider: str
    model: str
    feature: str
    sent: int
    nanos: int
    unpriced: int
    input_tokens: int
    """Of all the times it was sent."""
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFacts:
    """What single attempts tell: the newest of the period, where it has too many."""

    looked_at: int
    of: int
    """Attempts in the period."""
    first: datetime | None
    """When the oldest that was looked at began; None without any."""
    latencies: tuple[ModelLatency, ...] = ()
    """The model with the most attempts first."""
    repeats: RepeatShare | None = None
    """None: none of them has a fingerprint."""
    dearest: tuple[RepeatedRequest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFacts:
    """One page."""

    made_at: datetime
    report: ReportFacts
    """Totals, outcomes, caches, effects; its tables are the page's."""
    unit: Unit
    """Of the three series."""
    bill: Series
    """Nano-USD by model."""
    cached: Series
    """Share of the input read from a prompt cache, in parts of 10,000: all, then by model."""
    events: Series
    """Attempts that failed or were given up, by kind."""
    more_tags: tuple[str, ...]
    """Tags that have no table here."""
    scan: ScanFacts
    budgets: tuple[BudgetSpend, ...] = ()
    budgets_given: bool = False
    waterfall: WaterfallFacts | None = None
    lever: LeverFacts | None = None
    alerts: tuple[Alert, ...] = ()

    @property
    def tables(self) -> tuple[Table, ...]:
        return self.report.tables
