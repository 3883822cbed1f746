"""`SheetBill`: what a sheet costs, line by line. Money in integer nano-USD."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal, NamedTuple

from frugal_chains.replay.sheet._sheet import Claim, Sheet

Role = Literal["answer", "escalation", "classifier"]
Verdict = Literal["right", "wrong", "unknown"]


class Interval(NamedTuple):
    """The least and the most over the corners of the sheet's ranges."""

    low: Fraction
    high: Fraction


class Factor(NamedTuple):
    """One step from the calls of a month to those of a part."""

    value: Fraction
    of: str


class Line(NamedTuple):
    """`calls x tokens x usd_per_mtok / 1,000,000`, rounded half to even to a nano-USD."""

    bucket: str
    """One of `pricing.BUCKETS`; `request`: a fee for each call, per 1,000 instead, with 1 token."""
    calls: Fraction
    tokens: int
    usd: Decimal
    nanos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The calls to one model in one tier for one purpose."""

    role: Role
    model: str
    provider: str
    """As the price list spells it; empty: none could be told."""
    task: str
    tier: str
    factors: tuple[Factor, ...]
    """Their product is `calls`."""
    calls: Fraction
    lines: tuple[Line, ...]
    """Sum to `nanos`; empty where it is free or unpriced."""
    nanos: int | None
    """None: unpriced."""
    reason: str = ""
    """Why it is unpriced, and the way out."""
    note: str = ""
    """What a reader would not expect of it."""
    cached_tokens: int = 0
    """Of each call, that the provider's cache keeps: whole steps of it, none below its minimum."""
    free: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadBill:
    """What the baseline, or a scenario, costs in a month."""

    name: str
    note: str
    parts: tuple[Part, ...]
    nanos: int | None
    """None: a part is unpriced."""
    priced_nanos: int
    """Of the parts that have a price."""
    saved_nanos: int | None = None
    """Against the baseline, negative for a loss; None: it is the baseline, or one is unpriced."""
    saved_share: Fraction | None = None
    """Of the baseline; None also for a baseline that costs nothing."""
    interval: Interval | None = None
    """Of `nanos`; None: the sheet has no ranges, or a part is unpriced."""
    saved_interval: Interval | None = None
    saved_share_interval: Interval | None = None
    steps: bool = False
    """A price step or the least that a cache keeps lies inside a range: between the corners the
    cost may leave the interval."""

    @property
    def unpriced(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.nanos is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimCheck:
    """A claim, and what its figure really is."""

    claim: Claim
    verdict: Verdict
    """`right`: within 1 % (of a share: half a percentage point) or within the interval; a price is
    right when it is the same."""
    real: Fraction | None
    """In the unit of the claim; None: unknown."""
    interval: Interval | None = None
    reason: str = ""
    """Why it is unknown."""
    others: tuple[tuple[str, Fraction], ...] = ()
    """The other cache buckets as shares of the input price, where one was claimed."""
    price_of: Fraction | None = None
    """The same price of the model `claim.price_of`; None: no such claim, or unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetBill:
    """What every workload of a sheet costs at one moment's prices."""

    sheet: Sheet
    at: datetime
    price_ids: tuple[str, ...]
    """The price snapshots used, sorted."""
    baseline: WorkloadBill
    scenarios: tuple[WorkloadBill, ...]
    claims: tuple[ClaimCheck, ...]

    @property
    def workloads(self) -> tuple[WorkloadBill, ...]:
        return (self.baseline, *self.scenarios)
