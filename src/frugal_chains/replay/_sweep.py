"""`sweep`: one setup with other values of its keys, all of them in one pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from statistics import NormalDist
from types import MappingProxyType
from typing import Final

from frugal_chains.errors import ReplayError
from frugal_chains.money import usd_from_nanos
from frugal_chains.pricing import PriceBook
from frugal_chains.replay._bill import ReplayBill
from frugal_chains.replay._replay import Replayed, replay
from frugal_chains.replay._setup import Setup
from frugal_chains.replay._setup_keys import Value, key_value, value_in, with_values
from frugal_chains.replay._traffic import RecordedCall
from frugal_chains.replay._whatif import month_factor, saves
from frugal_chains.tokens import TokenCounter

MAX_POINTS: Final = 64
"""Of one sweep: each plays every call, and the more there are, the further apart two bills have to
be until that is no chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """One choice of values."""

    values: Mapping[str, Value]
    """By the keys of the sweep, in order; a default is named where a key has one."""
    setup: Setup
    bill: ReplayBill
    as_set: bool
    """It is the setup as it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A sweep, read."""

    keys: tuple[str, ...]
    replayed: Replayed
    before: ReplayBill
    """Simulated, with no lever."""
    points: tuple[SweepPoint, ...]
    """The lowest bill first; the setup as it was given is one of them."""
    month_factor: float | None
    """Of the recording to a month; None: it is too short, or has no times."""

    @property
    def lowest(self) -> SweepPoint:
        return self.points[0]

    @property
    def as_set(self) -> SweepPoint:
        return next(point for point in self.points if point.as_set)

    @property
    def best(self) -> SweepPoint | None:
        """The lowest, where it is surely lower than every other and than without levers."""
        others = [self.before, *(point.bill for point in self.points[1:])]
        is_sure = all(self.is_lower(self.lowest.bill, other) for other in others)
        return self.lowest if is_sure else None

    @property
    def recommended(self) -> Setup:
        """The lowest, where it is surely lower than what there is: the setup as it was given, or no
        lever at all where that does not save either, by the measure of `what_if`."""
        setup, bill = Setup(), self.before
        if saves(self.before, self.as_set.bill):
            setup, bill = self.as_set.setup, self.as_set.bill
        return self.lowest.setup if self.is_lower(self.lowest.bill, bill) else setup

    def saved_nanos(self, point: SweepPoint) -> int:
        """Below 0: it would have been dearer than without levers."""
        return self.before.nanos - point.bill.nanos

    def saved_usd(self, point: SweepPoint) -> Decimal:
        """As `saved_nanos`."""
        return usd_from_nanos(self.saved_nanos(point))

    def is_lower(self, bill: ReplayBill, than: ReplayBill) -> bool:
        """Whether a bill is surely lower than another of the same calls: by more than chance would
        make one of so many differ with a probability of 5 % (Bonferroni). False where there are too
        few conversations to tell."""
        spread = than.spread_nanos(less=bill)
        return spread is not None and than.nanos - bill.nanos > spread * _widened(len(self.points))


def parse_sweep(texts: Iterable[str]) -> dict[str, tuple[Value, ...]]:
    """Values by key, of `memory.keep_tokens=500,1000` and the like; `none` leaves a key out.

    Raises:
        ReplayError: no such key, a value of another type, the same key twice, or more than
            `MAX_POINTS` choices.
    """
    grid: dict[str, tuple[Value, ...]] = {}
    for text in texts:
        key, equals, listed = text.rpartition("=")
        if not equals:
            raise ReplayError(f"{text!r} is no sweep: give KEY=VALUE,VALUE")
        if key in grid:
            raise ReplayError(f"{key} is swept twice: give all of its values at once")
        values = (key_value(key, each.strip()) for each in listed.split(","))
        grid[key] = tuple(dict.fromkeys(values))
    _check_size(grid)
    return grid


def sweep(
    calls: Iterable[RecordedCall],
    setup: Setup,
    grid: Mapping[str, Sequence[Value]],
    *,
    prices: PriceBook,
    now_us: int,
    calls_a_month: float | None = None,
    counter: TokenCounter | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Sweep:
    """Replay once, with every choice of values.

    Args:
        calls: In the order in which they were sent.
        setup: The levers, as they are set.
        grid: Values to try, by keys of a setup's file; of several keys their product.
        prices: Of models.
        now_us: The time of calls that have none, for their prices.
        calls_a_month: For the projection; None: by the times of the recording.
        counter: Of tokens.
        on_progress: Told how many calls were played, now and then.

    Raises:
        ReplayError: there are more than `MAX_POINTS`, or one of them is no setup.
    """
    tried = _tried(setup, grid)
    found = replay(
        calls,
        [Setup(), *(each for each, _ in tried)],
        prices=prices,
        now_us=now_us,
        counter=counter,
        on_progress=on_progress,
    )
    before, *bills = found.bills
    points = [
        SweepPoint(values=values, setup=each, bill=bill, as_set=each == setup)
        for (each, values), bill in zip(tried, bills, strict=True)
    ]
    return Sweep(
        keys=tuple(grid),
        replayed=found,
        before=before,
        points=tuple(sorted(points, key=lambda point: point.bill.nanos)),
        month_factor=month_factor(found, calls_a_month),
    )


def _tried(
    setup: Setup, grid: Mapping[str, Sequence[Value]]
) -> list[tuple[Setup, Mapping[str, Value]]]:
    """As it was given, then the others, each once."""
    _check_size(grid)
    found = [setup]
    for chosen in product(*grid.values()):
        made = _with(setup, dict(zip(grid, chosen, strict=True)))
        if made not in found:
            found.append(made)
    return [(each, MappingProxyType({key: value_in(each, key) for key in grid})) for each in found]


def _check_size(grid: Mapping[str, Sequence[Value]]) -> None:
    counts = [len(values) for values in grid.values()]
    points = math.prod(counts)
    if points > MAX_POINTS:
        made_of = " x ".join(map(str, counts))
        raise ReplayError(
            f"the sweep has {points:,} points ({made_of}), at most {MAX_POINTS} are played: give "
            "fewer values, or sweep one key after the other"
        )


def _with(setup: Setup, values: Mapping[str, Value]) -> Setup:
    try:
        return with_values(setup, values)
    except ReplayError as error:
        named = ", ".join(f"{key} = {value}" for key, value in values.items())
        raise ReplayError(f"with {named}: {error}") from None


def _widened(points: int) -> float:
    """How much wider an interval has to be for so many comparisons at once."""
    normal = NormalDist()
    return normal.inv_cdf(1 - 0.025 / max(points, 1)) / normal.inv_cdf(0.975)
