"""`what_if`: what each lever would have saved on recorded traffic, alone and one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Final

from frugal_chains.money import usd_from_nanos
from frugal_chains.pricing import PriceBook
from frugal_chains.replay._bill import ReplayBill
from frugal_chains.replay._replay import Replayed, replay
from frugal_chains.replay._setup import LeverName, Setup
from frugal_chains.replay._traffic import RecordedCall
from frugal_chains.tokens import TokenCounter

MONTH_S: Final = 365.25 / 12 * 86_400
"""Of a mean month."""
LEAST_SPAN_S: Final = 3_600.0
"""A month is not told from less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverOutlook:
    """What one lever would have saved."""

    lever: LeverName
    alone_nanos: int
    """With no other; below 0: it would have cost."""
    alone_spread_nanos: float | None
    """Half of its 95 % interval; None: there are too few conversations to tell."""
    step_nanos: int
    """Behind the levers before it: the steps sum to the whole."""
    known: bool = True
    """False: no call tells enough for it, compression without texts, say; its figures are then 0,
    and say nothing."""

    @property
    def alone_usd(self) -> Decimal:
        return usd_from_nanos(self.alone_nanos)

    @property
    def step_usd(self) -> Decimal:
        return usd_from_nanos(self.step_nanos)

    @property
    def is_sure(self) -> bool:
        """The interval is above nothing, where there is one."""
        return self.alone_nanos > (self.alone_spread_nanos or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """A replay, read."""

    setup: Setup
    replayed: Replayed
    before: ReplayBill
    """Simulated, with no lever."""
    after: ReplayBill
    """With all that were asked for."""
    levers: tuple[LeverOutlook, ...]
    """In the order of a waterfall."""
    best: Setup
    """The levers with the lowest bill together, without any whose part in it is not sure: what one
    saves another may take away."""
    best_bill: ReplayBill
    month_factor: float | None
    """Of the recording to a month; None: it is too short, or has no times."""

    @property
    def saved_nanos(self) -> int:
        """Below 0: it would have been dearer."""
        return self.before.nanos - self.after.nanos

    @property
    def spread_nanos(self) -> float | None:
        """Half of the 95 % interval of what is saved."""
        return self.before.spread_nanos(less=self.after)

    @property
    def error_share(self) -> float | None:
        """By how much the simulated bill differs from the recorded one, of the latter; None: the
        recording has no bill of its own, for all of its calls."""
        recorded = self.replayed.recorded
        known = recorded.usage.input_tokens and not recorded.unpriced and recorded.nanos
        return (self.before.nanos - recorded.nanos) / recorded.nanos if known else None

    @property
    def ranked(self) -> tuple[LeverOutlook, ...]:
        """By what each saves alone, the most first."""
        return tuple(sorted(self.levers, key=lambda each: -each.alone_nanos))


def what_if(
    calls: Iterable[RecordedCall],
    setup: Setup,
    *,
    prices: PriceBook,
    now_us: int,
    calls_a_month: float | None = None,
    counter: TokenCounter | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> WhatIf:
    """Replay once, with every choice among the levers of the setup.

    Args:
        calls: In the order in which they were sent.
        setup: The levers to try.
        prices: Of models.
        now_us: The time of calls that have none, for their prices.
        calls_a_month: For the projection; None: by the times of the recording.
        counter: Of tokens.
        on_progress: Told how many calls were played, now and then.
    """
    tried = choices(setup)
    found = replay(
        calls,
        list(tried.values()),
        prices=prices,
        now_us=now_us,
        counter=counter,
        on_progress=on_progress,
    )
    return read_replay(setup, tried, found, calls_a_month)


def choices(setup: Setup) -> dict[tuple[LeverName, ...], Setup]:
    """Every choice among the levers that are on: 32 of five."""
    return {
        names: setup.only(*names)
        for count in range(len(setup.on) + 1)
        for names in combinations(setup.on, count)
    }


def read_replay(
    setup: Setup,
    tried: Iterable[tuple[LeverName, ...]],
    found: Replayed,
    calls_a_month: float | None,
) -> WhatIf:
    """What a replay of all choices says.

    Args:
        setup: The levers.
        tried: As `choices` has them.
        found: The replay of them, in that order.
        calls_a_month: For the projection; None: by the times of the recording.
    """
    bills = dict(zip(tried, found.bills, strict=True))
    before = last = bills[()]
    levers = []
    for number, name in enumerate(setup.on, 1):
        own, now = bills[name,], bills[setup.on[:number]]
        levers.append(
            LeverOutlook(
                lever=name,
                alone_nanos=before.nanos - own.nanos,
                alone_spread_nanos=before.spread_nanos(less=own),
                step_nanos=last.nanos - now.nanos,
                known=_reached(name, found),
            )
        )
        last = now
    best = _best(bills)
    return WhatIf(
        setup=setup,
        replayed=found,
        before=before,
        after=last,
        levers=tuple(levers),
        best=setup.only(*best),
        best_bill=bills[best],
        month_factor=month_factor(found, calls_a_month),
    )


def _reached(lever: LeverName, found: Replayed) -> bool:
    """Whether there are calls of which enough is known."""
    if lever == "compression":
        return found.with_text > 0
    if lever in ("memory", "prompt_cache"):
        return found.with_text + found.by_size > 0
    return True


def _best(bills: Mapping[tuple[LeverName, ...], ReplayBill]) -> tuple[LeverName, ...]:
    best = min(bills, key=lambda names: (bills[names].nanos, len(names)))
    while best:
        fewer = list(combinations(best, len(best) - 1))
        spared = [names for names in fewer if not saves(bills[names], bills[best])]
        if not spared:
            return best
        best = min(spared, key=lambda names: bills[names].nanos)
    return best


def saves(before: ReplayBill, after: ReplayBill) -> bool:
    """By more than chance would make it; by what was seen, where there is no interval."""
    return before.nanos - after.nanos > (before.spread_nanos(less=after) or 0.0)


def month_factor(found: Replayed, calls_a_month: float | None) -> float | None:
    """Of a replay to a month.

    Args:
        found: The replay.
        calls_a_month: None: by its times.
    """
    if calls_a_month is not None:
        return calls_a_month / found.calls if found.calls else None
    # Between n calls there are n - 1 gaps: a month has as many calls as fit at that pace.
    timed = found.calls - found.timeless
    if found.span_s < LEAST_SPAN_S or timed < 2:
        return None
    return MONTH_S / (found.span_s * found.calls / (timed - 1))
