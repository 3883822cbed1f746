"""`sheet_bill`: what a sheet costs, with an interval where it gives ranges.

The likely cost is computed with every range at its middle number. Cost is linear in each number
alone, so over the ranges it is least and most at corners, where every range is at one of its ends.
All corners are computed, and the same corner for baseline and scenario: what both take from one
range is the same number in both, and a saving is no difference of two independent guesses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, time
from fractions import Fraction
from itertools import product

from frugal_chains.pricing import PriceBook
from frugal_chains.replay.sheet._amounts import LIKELY, Ends
from frugal_chains.replay.sheet._bill import Interval, Part, SheetBill, WorkloadBill
from frugal_chains.replay.sheet._claims import checked
from frugal_chains.replay.sheet._prices import MomentPrices
from frugal_chains.replay.sheet._sheet import Sheet, Workload
from frugal_chains.replay.sheet._workload import parts


def sheet_bill(sheet: Sheet, book: PriceBook, *, at: datetime | None = None) -> SheetBill:
    """What every workload of the sheet costs in a month, and what its claims are worth.

    Args:
        sheet: As `read_sheet` gives it.
        book: Of prices; what it has no price for is unpriced, never 0.
        at: Whose prices hold; naive times are UTC. None: noon UTC of the sheet's `prices_on`.
    """
    moment = at or datetime.combine(sheet.prices_on, time(12), tzinfo=UTC)
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    prices = MomentPrices(book, moment)
    workloads = (sheet.baseline, *sheet.scenarios)
    corners = [_Corner(workloads, prices, ends) for ends in _corners(sheet)]
    likely = _Corner(workloads, prices, LIKELY)
    bills = [_bill(workload, i, likely, corners) for i, workload in enumerate(workloads)]
    return SheetBill(
        sheet=sheet,
        at=moment,
        baseline=bills[0],
        scenarios=tuple(bills[1:]),
        claims=tuple(checked(claim, bills, prices) for claim in sheet.claims),
        price_ids=prices.price_ids,
    )


def _corners(sheet: Sheet) -> Iterator[Ends]:
    """Every choice of ends; none where the sheet has no ranges."""
    keys = [amount.key for amount in sheet.ranges]
    for ends in product(("low", "high"), repeat=len(keys)) if keys else ():
        yield dict(zip(keys, ends, strict=True))  # type: ignore[arg-type]  # both are ends


class _Corner:
    """All workloads of a sheet with every range at one end."""

    def __init__(self, workloads: Sequence[Workload], prices: MomentPrices, ends: Ends) -> None:
        self.parts = [parts(workload, prices, ends) for workload in workloads]
        self.nanos = [_total(each) for each in self.parts]

    def saved(self, index: int) -> int | None:
        baseline, nanos = self.nanos[0], self.nanos[index]
        return None if baseline is None or nanos is None else baseline - nanos

    def saved_share(self, index: int) -> Fraction | None:
        saved = self.saved(index)
        return Fraction(saved, self.nanos[0]) if saved is not None and self.nanos[0] else None


def _total(found: Iterable[Part]) -> int | None:
    nanos = 0
    for part in found:
        if part.nanos is None:
            return None
        nanos += part.nanos
    return nanos


def _bill(
    workload: Workload, index: int, likely: _Corner, corners: Sequence[_Corner]
) -> WorkloadBill:
    found = likely.parts[index]
    every = [likely, *corners] if corners else []
    return WorkloadBill(
        name=workload.name,
        note=workload.note,
        parts=found,
        nanos=likely.nanos[index],
        priced_nanos=sum(part.nanos for part in found if part.nanos is not None),
        saved_nanos=likely.saved(index) if index else None,
        saved_share=likely.saved_share(index) if index else None,
        interval=_interval(corner.nanos[index] for corner in every),
        saved_interval=_interval(corner.saved(index) for corner in every) if index else None,
        saved_share_interval=(
            _interval(corner.saved_share(index) for corner in every) if index else None
        ),
        steps=_has_steps([corner.parts[index] for corner in every]),
    )


def _interval(values: Iterable[int | Fraction | None]) -> Interval | None:
    """None where a value is unknown, or there are none."""
    known = [None if value is None else Fraction(value) for value in values]
    exact = [value for value in known if value is not None]
    return Interval(min(exact), max(exact)) if exact and len(exact) == len(known) else None


def _has_steps(corners: Sequence[Sequence[Part]]) -> bool:
    """Whether one part has other prices, or is cached or not, from corner to corner."""
    seen: dict[tuple[str, ...], set[object]] = defaultdict(set)
    for part in (part for corner in corners for part in corner):
        key = (part.role, part.model, part.tier, part.task)
        seen[key].add(bool(part.note))
        for line in part.lines:
            seen[*key, line.bucket].add(line.usd)
    return any(len(values) > 1 for values in seen.values())
