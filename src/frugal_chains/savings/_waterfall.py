"""`Waterfall`: from the baseline to the bill. Every sum is one of integers, so it is exact."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from frugal_chains.money import usd_from_nanos
from frugal_chains.savings._step import Step
from frugal_chains.savings._tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """What would have been paid, what was, and one step for each lever and overhead between.

    The baseline is the bill and all steps together, exactly: what is unknown, and every attempt
    without a price, is missing from both ends and counted here instead.

    Each step is worth what it was with all other levers at work: tokens that a cheaper model never
    read are saved at its price, not at the baseline's. What levers are worth only together is in no
    step, so a baseline at a dearer model is rather too low than too high.
    """

    bill_nanos: int = 0
    """Cost of the priced attempts."""
    steps: tuple[Step, ...] = ()
    """In the order of `LEVERS` and `OVERHEADS`; those that have any effect or attempt."""
    operations: int = 0
    """With an attempt."""
    covered_operations: int = 0
    """Of them, with an effect, or a lever's decision on an attempt."""
    covered_nanos: int = 0
    """Of the bill, that of the covered operations."""
    attempts: int = 0
    unpriced: int = 0
    """Attempts whose cost is unknown."""
    loose_effects: int = 0
    """Effects of no operation, or of one that has no attempt here. They are in the steps of the
    whole, and in those of no operation that has a bill."""

    @property
    def baseline_nanos(self) -> int:
        """The bill and every step."""
        return self.bill_nanos + self.saved_nanos

    @property
    def saved_nanos(self) -> int:
        """All steps, overheads included; negative for a loss."""
        return self.measured_nanos + self.modelled_nanos

    @property
    def measured_nanos(self) -> int:
        return sum(step.measured_nanos for step in self.steps)

    @property
    def modelled_nanos(self) -> int:
        return sum(step.modelled_nanos for step in self.steps)

    @property
    def moved_nanos(self) -> tuple[int, int]:
        """Modelled nanos and all nanos of the steps, gains and losses alike counted as they are
        large: the modelled share is the first of the second."""
        modelled = sum(abs(step.modelled_nanos) for step in self.steps)
        return modelled, modelled + sum(abs(step.measured_nanos) for step in self.steps)

    @property
    def modelled_share(self) -> float | None:
        """How much of the steps is computed and no bill, 0 to 1; None without any amount."""
        modelled, moved = self.moved_nanos
        return modelled / moved if moved else None

    @property
    def covered_share(self) -> float | None:
        """Share of the bill in covered operations, 0 to 1; None without a bill."""
        return self.covered_nanos / self.bill_nanos if self.bill_nanos else None

    @property
    def effects(self) -> int:
        """All of them, the unknown and the loose included."""
        return sum(step.effects for step in self.steps)

    @property
    def unknown_effects(self) -> int:
        return sum(step.unknown_effects for step in self.steps)

    @property
    def unknown_attempts(self) -> int:
        """Attempts of unknown amount in a lever's step: not known is what they would have cost."""
        return sum(step.unknown_attempts for step in self.steps if step.kind == "lever")

    @property
    def bill_usd(self) -> Decimal | None:
        """Exact USD; None when there are attempts and not one has a price."""
        return usd_from_nanos(self.bill_nanos) if self._has_bill else None

    @property
    def baseline_usd(self) -> Decimal | None:
        """Exact USD; None as `bill_usd`."""
        return usd_from_nanos(self.baseline_nanos) if self._has_bill else None

    @property
    def saved_usd(self) -> Decimal:
        """Exact USD of all steps; negative for a loss."""
        return usd_from_nanos(self.saved_nanos)

    @property
    def _has_bill(self) -> bool:
        return not self.attempts or self.unpriced < self.attempts

    def step(self, name: str) -> Step:
        """The step of that name; one of nothing where there is none."""
        return next((step for step in self.steps if step.name == name), Step(name=name))


def summed(waterfalls: Iterable[Waterfall]) -> Waterfall:
    """One over many: every sum and every count is that of theirs."""
    tally, sums = Tally(), dict.fromkeys(_COUNTS, 0)
    for waterfall in waterfalls:
        for step in waterfall.steps:
            tally.add_step(step)
        for name in _COUNTS:
            sums[name] += getattr(waterfall, name)
    return Waterfall(steps=tally.steps(), **sums)


_COUNTS = (
    "bill_nanos", "operations", "covered_operations", "covered_nanos", "attempts", "unpriced",
    "loose_effects",
)  # fmt: skip
