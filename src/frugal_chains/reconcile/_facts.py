"""What a comparison of the ledger with an export says, exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from frugal_chains.ledger import Totals

MEASURES: Final[Mapping[str, Callable[[Totals], int]]] = {
    "usd": lambda line: line.nanos,
    "input_tokens": lambda line: line.usage.input_tokens,
    "cache_read_tokens": lambda line: line.usage.cache_read_tokens,
    "cache_write_tokens": lambda line: line.usage.cache_write_tokens,
    "cache_write_5m_tokens": lambda line: line.usage.cache_write_5m_tokens,
    "cache_write_1h_tokens": lambda line: line.usage.cache_write_1h_tokens,
    "output_tokens": lambda line: line.usage.output_tokens,
    "requests": lambda line: line.attempts if line.key["status"] in ("ok", "aborted") else 0,
    "web_searches": lambda line: line.usage.web_searches,
}
"""What can be compared, and what the ledger has of it. `usd` is in nano-USD, input includes all
cache buckets. A request that failed is none: providers bill, and count, those they answered."""

JUDGED: Final = ("usd", "input_tokens", "output_tokens")
"""What must agree for the books to agree, as far as the export has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One measure in the export and in the ledger."""

    export: int
    ledger: int

    @property
    def amount(self) -> int:
        """How much more the ledger has than the export."""
        return self.ledger - self.export

    @property
    def percent(self) -> Decimal | None:
        """`amount` in percent of the export; None where the export has nothing to compare with."""
        if self.export == 0:
            return None if self.ledger else Decimal(0)
        return Decimal(100 * self.amount) / Decimal(self.export)

    def within(self, percent: Decimal) -> bool:
        """Whether the two differ by no more than so many percent of the export."""
        if self.export == 0:
            return self.ledger == 0
        return abs(100 * self.amount) <= Fraction(percent) * self.export


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The measures of a day, of a model, or of a model on a day."""

    day: str = ""
    """`2026-11-03`, UTC; empty: all days."""
    model: str = ""
    """As `model_key` writes it; empty: all models."""
    names: tuple[str, ...] = ()
    """What both sides call the model, where that is more than one name."""
    differences: Mapping[str, Difference]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The error bar of one measure."""

    mean_absolute_percent: Decimal | None
    """Over the days on which the export has any; None without such a day."""
    largest_day: str
    largest_percent: Decimal | None
    unseen_by_ledger: Decimal | None
    """Percent of the export in models and days of which the ledger has nothing."""
    unseen_by_export: Decimal | None
    """Percent of the ledger in models and days of which the export has nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Something that is known to make the two differ."""

    kind: str
    text: str
    attempts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """The ledger beside an export, over the days that both are asked about."""

    provider: str
    files: tuple[str, ...]
    first_day: str
    last_day: str
    measures: tuple[str, ...]
    """What the export has, in the order of `MEASURES`."""
    total: Line
    days: tuple[Line, ...]
    models: tuple[Line, ...]
    """The largest in the export first."""
    cells: tuple[Line, ...]
    """Every model on every day."""
    spreads: Mapping[str, Spread]
    """Of the measures that are judged."""
    reasons: tuple[Reason, ...]

    @property
    def judged(self) -> tuple[str, ...]:
        return tuple(measure for measure in JUDGED if measure in self.measures)

    def within(self, percent: Decimal) -> bool:
        """Whether every judged total differs by at most so many percent of the export."""
        return all(self.total.differences[m].within(percent) for m in self.judged)
