"""What a group of calls adds up to. Integers only: the order of the calls changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from frugal_chains.money import usd_from_nanos
from frugal_chains.replay.inventory._histogram import Histogram
from frugal_chains.replay.inventory._look import Look
from frugal_chains.replay.inventory._thresholds import SIGNALS

MAX_MODELS: Final = 64
"""Models counted by name in one group; all others are counted as `OTHER_MODELS`."""
OTHER_MODELS: Final = "(others)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Calls, tokens and money of a group."""

    calls: int = 0
    failed: int = 0
    """Of `calls`: those that ended in an error or were given up."""
    unsized: int = 0
    """Of `calls`: those of which no tokens are known; they are missing from all token sums."""
    estimated: int = 0
    """Of `calls`: those whose tokens are not, or not wholly, the provider's word."""
    unpriced: int = 0
    """Of `calls`: those without a price; they are missing from `nanos`. A call that failed before
    anything was counted is none of them."""
    input_tokens: int = 0
    cache_read_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    nanos: int = 0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def cost_usd(self) -> Decimal | None:
        """What the priced ones cost; None when there are calls and none could be priced."""
        if self.calls and self.unpriced == self.calls:
            return None
        return usd_from_nanos(self.nanos)

    def __add__(self, other: Sums) -> Sums:
        return Sums(**{name: getattr(self, name) + getattr(other, name) for name in FIELDS})


FIELDS: Final = tuple(Sums.__dataclass_fields__)


@dataclass(slots=True)
class Tally:
    """The same under way, with what quantiles and a class need."""

    sums: list[int] = field(default_factory=lambda: [0] * len(FIELDS))
    seen: list[Histogram] = field(default_factory=lambda: [Histogram() for _ in SIGNALS])
    """By signal."""
    models: dict[str, int] = field(default_factory=dict)
    example: tuple[int, str] | None = None
    """The first of its calls: the number of a line, or the id of an attempt."""

    def add(self, look: Look) -> None:
        for at, count in enumerate(look.counts):
            self.sums[at] += count
        for histogram, number in zip(self.seen, look.signals, strict=True):
            if number is not None:
                histogram.add(number)
        self._count(look.model, 1)
        self._show(look.example)

    def merge(self, other: Tally) -> None:
        """Take in all that another one has seen."""
        self.sums = [mine + theirs for mine, theirs in zip(self.sums, other.sums, strict=True)]
        for own, others in zip(self.seen, other.seen, strict=True):
            own.merge(others)
        for model, count in other.models.items():
            self._count(model, count)
        self._show(other.example)

    @property
    def calls(self) -> int:
        return self.sums[0]

    def done(self) -> Sums:
        return Sums(**dict(zip(FIELDS, self.sums, strict=True)))

    def _count(self, model: str, calls: int) -> None:
        """Count for a model. Where there are too many, those that sort first keep their names:
        which they are does not depend on the order of the calls."""
        self.models[model] = self.models.get(model, 0) + calls
        if len(self.models) > MAX_MODELS:
            last = max(name for name in self.models if name != OTHER_MODELS)
            moved = self.models.pop(last)
            self.models[OTHER_MODELS] = self.models.get(OTHER_MODELS, 0) + moved

    def _show(self, example: tuple[int, str] | None) -> None:
        if example is not None and (self.example is None or example < self.example):
            self.example = example
