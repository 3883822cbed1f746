"""`Budget`: a limit on money, over a window and optionally for each value of a tag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Literal, Self

from frugal_chains.errors import FrugalError
from frugal_chains.ledger import Claim, Meter, MeterFacts, MeterState, rolling_window
from frugal_chains.money import nanos_from_usd, usd_from_nanos

Per = Literal["run", "operation", "hour", "day", "month", "lifetime"] | timedelta
OnExceeded = Literal["stop", "warn", "downgrade"]

_CALENDAR = ("run", "operation", "hour", "day", "month", "lifetime")
_LONGEST_SPAN = timedelta(days=3660)
_ACTIONS: tuple[OnExceeded, ...] = ("warn", "downgrade", "stop")  # mildest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit that holds for every process that writes the same ledger.

    Make one with `Budget.usd`.
    """

    limit_nanos: int
    meter: Meter
    on_exceeded: OnExceeded = "stop"

    @classmethod
    def usd(
        cls,
        limit: Decimal | int | float | str,
        *,
        per: Per = "run",
        tag: str | None = None,
        on_exceeded: OnExceeded = "stop",
    ) -> Self:
        """A limit in USD.

        Args:
            limit: USD, at least 0.
            per: `run`: one outermost call into the framework (a chain, an agent, a query);
                `operation`: what `operation()` groups, a run when nothing does; `hour`, `day`,
                `month`: of the UTC calendar; `lifetime`: of the ledger; a `timedelta`: the last
                so many seconds, rolling.
            tag: Apart for each value of this tag, e.g. `tenant`. Calls without it share one.
            on_exceeded: `stop` refuses the call with `BudgetExceeded` before it is sent; `warn`
                logs once and lets it pass; `downgrade` lets it pass and asks routers for a
                cheaper model.

        Raises:
            FrugalError: the limit is no amount of at least $0, or `per` or `on_exceeded` is no
                known word.
        """
        nanos = _limit_nanos(limit)
        if on_exceeded not in _ACTIONS:
            raise FrugalError(f"on_exceeded={on_exceeded!r}: expected one of {', '.join(_ACTIONS)}")
        return cls(
            limit_nanos=nanos,
            meter=Meter(window=_window(per), tag=tag or ""),
            on_exceeded=on_exceeded,
        )

    @property
    def limit_usd(self) -> Decimal:
        return usd_from_nanos(self.limit_nanos)

    def claim(self, facts: MeterFacts, nanos: int) -> Claim:
        """What a call that may cost `nanos` asks of this budget."""
        return Claim(
            meter=self.meter,
            key=self.meter.key(facts),
            nanos=nanos,
            limit_nanos=self.limit_nanos if self.on_exceeded == "stop" else None,
        )

    def scope(self, facts: MeterFacts) -> str:
        """The part of the spend this budget is about, for people: `day, tenant=acme`."""
        if not self.meter.tag:
            return self.meter.window
        return f"{self.meter.window}, {self.meter.tag}={facts.tags.get(self.meter.tag, '(none)')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """One budget as it stands for one call."""

    budget: Budget
    scope: str
    spent_nanos: int
    reserved_nanos: int
    needed_nanos: int = 0
    """The worst case of the call that is asked about."""

    @property
    def exceeded(self) -> bool:
        """Whether the call would take the scope past the limit, were its worst case to happen."""
        total = self.spent_nanos + self.reserved_nanos + self.needed_nanos
        return total > self.budget.limit_nanos

    @property
    def spent_usd(self) -> Decimal:
        return usd_from_nanos(self.spent_nanos)

    @property
    def left_usd(self) -> Decimal:
        """What may still be asked for: limit less settled and reserved, never below 0."""
        left = self.budget.limit_nanos - self.spent_nanos - self.reserved_nanos
        return usd_from_nanos(max(left, 0))


def judge(
    budgets: Sequence[Budget],
    states: Sequence[MeterState],
    *,
    facts: MeterFacts,
    needed_nanos: int,
) -> tuple[BudgetState, ...]:
    """The budgets that this call exceeds, the strictest action first."""
    all_states = (
        BudgetState(
            budget=budget,
            scope=budget.scope(facts),
            spent_nanos=state.spent_nanos,
            reserved_nanos=state.reserved_nanos,
            needed_nanos=needed_nanos,
        )
        for budget, state in zip(budgets, states, strict=True)
    )
    exceeded = [state for state in all_states if state.exceeded]
    return tuple(sorted(exceeded, key=lambda s: -_ACTIONS.index(s.budget.on_exceeded)))


def _limit_nanos(limit: Decimal | int | float | str) -> int:
    try:
        nanos = -1 if isinstance(limit, bool) else nanos_from_usd(limit)
    except (ArithmeticError, TypeError, ValueError):  # no number, NaN or infinite
        nanos = -1
    if nanos < 0:
        raise FrugalError(f"a budget needs a limit of at least $0, got {limit!r}")
    return nanos


def _window(per: Per) -> str:
    if isinstance(per, timedelta):
        if not timedelta(0) < per <= _LONGEST_SPAN:
            raise FrugalError(
                f"per={per!r}: a rolling window must be longer than nothing and at most "
                f"{_LONGEST_SPAN.days} days; use per='lifetime' for all time"
            )
        return rolling_window(per)
    if per in _CALENDAR:
        return per
    raise FrugalError(f"per={per!r}: expected one of {', '.join(_CALENDAR)}, or a timedelta")
