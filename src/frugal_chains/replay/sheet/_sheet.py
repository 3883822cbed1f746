"""`Sheet`: a workload sheet, read and checked. What it costs is for `sheet_bill` to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Literal, NamedTuple

from frugal_chains.pricing import ServiceTier
from frugal_chains.replay.sheet._amounts import Amount, Ends

BASELINE = "baseline"
CacheWrites = Literal["5m", "1h", "input"]
Figure = Literal["cost_usd", "saved_usd", "saved_share", "usd_per_mtok", "share_of_input"]


class Tokens(NamedTuple):
    """Of one call."""

    input: int
    """All of them, the static ones included."""
    output: int
    static: int
    """The beginning that is the same in every call: a provider's cache can hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Tokens of one call, by part."""

    inputs: Mapping[str, Amount]
    """By key of the sheet; the input is their sum."""
    output_tokens: Amount
    static_tokens: Amount | None = None
    static_share: Amount | None = None
    """Of the input; at most one of the two is given."""

    def at(self, ends: Ends) -> Tokens:
        """Whole tokens: a share is rounded down."""
        total = int(sum(part.at(ends) for part in self.inputs.values()))
        static = self.static_tokens.at(ends) if self.static_tokens else Fraction(0)
        if self.static_share:
            static = self.static_share.at(ends) * total
        return Tokens(total, int(self.output_tokens.at(ends)), int(static))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model's part in a mix."""

    model: str
    provider: str | None
    task: str
    share: Amount | None
    """Of the calls; None: what the others leave."""
    shape: Shape
    tier: ServiceTier
    cache_hit_rate: Amount | None
    """Of the calls that have a static beginning; None: nothing is cached."""
    cache_writes: CacheWrites
    """How a miss is billed: written for so long, or as fresh input."""
    batch_share: Amount
    retry_rate: Amount
    """Calls that are paid for again in full, for each call: 0.02 is 2 in a hundred."""
    escalation_rate: Amount
    """Of the calls: drafted here, then asked again at `escalates_to`; both are paid."""
    escalates_to: str
    escalates_to_provider: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """A model that is asked about calls before they are answered."""

    model: str
    provider: str | None
    input_tokens: Amount
    output_tokens: Amount
    share: Amount
    """Of the calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is asked of which models in a month."""

    name: str
    note: str
    calls: Amount
    entries: tuple[Entry, ...]
    classifier: Classifier | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A figure that someone has claimed, to be held against the computed one."""

    text: str
    """What is claimed, in words."""
    source: str
    figure: Figure
    claimed: Fraction
    scenario: str
    """Whose cost or saving it is; empty: it is of a price."""
    model: str
    provider: str | None
    bucket: str
    """One of `pricing.BUCKETS`: whose price it is."""
    tier: ServiceTier
    price_of: str
    """A model whose price the claimed one may be; empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Everything one file says."""

    path: str
    title: str
    note: str
    prices_on: date
    baseline: Workload
    scenarios: tuple[Workload, ...]
    claims: tuple[Claim, ...]
    ranges: tuple[Amount, ...]
    """Those that any workload uses, each once."""
