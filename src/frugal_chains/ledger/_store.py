"""`Store`: what a ledger needs of the place where it is kept. Every store passes one test suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from frugal_chains.ledger._attempt import Attempt, Purpose, Status
from frugal_chains.ledger._effect import Effect, EffectTotals
from frugal_chains.ledger._meters import Meter, MeterState, Refusal
from frugal_chains.ledger._reserve import Reservation
from frugal_chains.ledger._totals import Totals
from frugal_chains.usage import Usage

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFilter:
    """Which attempts to read: those that match every field that is set."""

    equal: Mapping[str, str] = field(default_factory=dict)
    """Label or id columns (`model`, `status`, `operation_id`, ...) to their value."""
    tags: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectFilter:
    """Which effects to read: those that match every field that is set."""

    operation_id: str | None = None
    lever: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What `frugal doctor` says about a ledger."""

    location: str
    version: int
    attempts: int
    bytes: int
    problems: tuple[str, ...] = ()
    """Empty when the ledger is sound; else what is wrong and what to do."""
    inbox_files: tuple[str, ...] = ()
    """Where attempts of ended processes wait to be taken in; each is among the problems too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of a period's books any lever has touched.

    An operation is covered by an effect, or by a decision on one of its attempts, in the period.
    """

    operations: int
    """With an attempt in the period; an attempt of none is an operation of its own."""
    covered_operations: int
    covered_nanos: int
    """What the priced attempts of the covered operations cost."""
    loose_effects: int
    """Effects of no operation, or of one without an attempt in the period."""


class FollowedLabels(NamedTuple):
    """Of the labels of an attempt those that savings ask for: one for very many attempts."""

    purpose: Purpose
    status: Status
    provider: str
    model: str
    model_asked: str
    service_tier: str


class Followed(NamedTuple):
    """What savings ask of an attempt. Made for every attempt of a period: an `Attempt` takes five
    times as long."""

    id: str | bytes
    """Sorts by time; text for all of one operation, or packed for all."""
    at_us: int
    parent_id: str | bytes | None
    decision: Mapping[str, Any] | None
    nanos: int | None
    """None: unpriced."""
    usage: Usage
    labels: FollowedLabels


def as_followed(attempt: Attempt) -> Followed:
    """What `PeriodBooks.followed` says of it."""
    return Followed(
        attempt.id,
        attempt.at_us,
        attempt.parent_id,
        attempt.decision,
        attempt.price.nanos,
        attempt.usage,
        FollowedLabels(
            attempt.purpose,
            attempt.status,
            attempt.provider,
            attempt.model,
            attempt.model_asked,
            attempt.service_tier,
        ),
    )


class PeriodBooks(Protocol):
    """What a ledger says of `[since, until)`, all of one moment. `Ledger.read_period` makes it, for
    as long as its `work` runs."""

    def totals(self, by: Sequence[str]) -> list[Totals]:
        """As `Ledger.totals`."""

    def totals_together(self, groupings: Sequence[Sequence[str]]) -> list[list[Totals]]:
        """As `totals` by each of them; what several read is read once."""

    def effect_totals(self, by: Sequence[str]) -> list[EffectTotals]:
        """As `Ledger.effect_totals`."""

    def coverage(self) -> Coverage:
        """How much of the books levers have touched."""

    def has_decisions(self) -> bool:
        """Whether any attempt carries a decision."""

    def decided_labels(self, *paths: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Every value of decisions at the first of these JSON paths that one has, with the labels
        of the attempts that it is written on, but their tags; each pair once."""

    def followed(self, *, purposes: Sequence[Purpose]) -> Iterator[list[Followed]]:
        """The attempts that follow a decision, those that failed, and those of `purposes`.

        Together, in no order, where they are of one operation that has an attempt of one of
        `purposes`, or one that failed and carries a decision; other attempts only where they carry
        a decision, each by itself.
        """


class Store(Protocol):
    """A place that keeps attempts, effects and meters. For many threads and processes at once."""

    def append(self, attempt: Attempt, *, reservation_id: str | None = None) -> None:
        """Keep an attempt and settle its reservation. On return it survives this process.

        Appending the same id again changes nothing, except that the true end of a call replaces
        an `aborted` row. Never raises for a store that cannot be written right now: the attempt
        then waits beside it. Reads in this process see it at once, those in others soon.
        """

    def attempts(self, which: AttemptFilter) -> Iterator[Attempt]:
        """The attempts that match, oldest first."""

    def totals(
        self, by: Sequence[str], *, since: datetime | None, until: datetime | None
    ) -> list[Totals]:
        """Sums over `[since, until)`, one for each combination of `by`."""

    def totals_together(
        self, groupings: Sequence[Sequence[str]], *, since: datetime | None, until: datetime | None
    ) -> list[list[Totals]]:
        """`totals` by each grouping, all of one moment."""

    def append_effect(self, effect: Effect) -> None:
        """Keep an effect, as safely as an attempt. The same id again changes nothing."""

    def effects(self, which: EffectFilter) -> Iterator[Effect]:
        """The effects that match, oldest first."""

    def effect_totals(
        self, by: Sequence[str], *, since: datetime | None, until: datetime | None
    ) -> list[EffectTotals]:
        """Sums over `[since, until)`, one for each combination of `by`."""

    def read_period(
        self, work: Callable[[PeriodBooks], T], *, since: datetime | None, until: datetime | None
    ) -> T:
        """What `work` makes of `[since, until)`, all of one moment. It may be called again."""

    def tag_names(self) -> list[str]:
        """The names of all tags that any attempt carries."""

    def estimated_notes(
        self, *, since: datetime | None, until: datetime | None, limit: int
    ) -> list[tuple[str, int]]:
        """The most frequent notes on attempts with estimated usage, and how many carry each."""

    def inbox_files(self) -> tuple[str, ...]:
        """Files in which attempts of ended processes wait to be taken in."""

    def register(self, meters: Sequence[Meter]) -> None:
        """Add every later attempt to these meters."""

    def reserve(self, wanted: Reservation, *, now: datetime) -> Refusal | tuple[MeterState, ...]:
        """Hold every claim in one step and return the sums before it, or hold none.

        Raises `LedgerUnavailable` or `LedgerCorrupt` when the store cannot be written.
        """

    def release(self, reservation_id: str) -> None:
        """Give back a reservation for a call that was never sent."""

    def meter_states(
        self, meters: Sequence[tuple[Meter, str]], *, now: datetime
    ) -> list[MeterState]:
        """The sums behind (meter, key) pairs."""

    def read_note(self, name: str) -> str | None:
        """A small text kept with the ledger (calibration factors)."""

    def write_note(self, name: str, text: str) -> None: ...

    def note_once(self, name: str, text: str) -> str:
        """Keep a text unless there is one of that name; the one that is kept, for all who ask."""

    def health(self) -> Health: ...

    def close(self) -> None:
        """Take in what waits and let go. What cannot be written waits on disk for the next opener.

        Raises:
            LedgerUnavailable: attempts are in memory only, and nothing takes them.
        """
