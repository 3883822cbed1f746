"""`BudgetGuard`: admits or refuses calls, over the ledger's meters."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from frugal_chains.budgets._budget import Budget, BudgetState, judge
from frugal_chains.errors import BudgetExceeded, LedgerError
from frugal_chains.ledger import Attempt, Ledger, MeterFacts, Refusal, Reservation
from frugal_chains.money import usd_from_nanos, usd_text

logger = logging.getLogger("frugal_chains.budgets")

LEASE_S = 900.0
"""How long a reservation is held for a call whose end never comes. Longer than the longest default
request timeout of the provider SDKs (600 s: openai-python and anthropic-sdk-python READMEs,
section Timeouts, read 2026-11-21)."""


class BudgetGuard:
    """The budgets of one tracker. Safe for threads; budgets hold across processes.

    Every admitted call holds its worst case in each budget until `Ledger.record` settles it, or
    `release` gives it back, or its lease expires and it is booked as lost.
    """

    def __init__(
        self, ledger: Ledger, budgets: Sequence[Budget], *, lease_s: float = LEASE_S
    ) -> None:
        self.budgets = tuple(budgets)
        self._ledger = ledger
        self._lease = timedelta(seconds=lease_s)
        self._warned: set[str] = set()
        if self.budgets:
            ledger.store.register([budget.meter for budget in self.budgets])

    @classmethod
    def together(cls, guards: Sequence[BudgetGuard]) -> BudgetGuard:
        """One guard for a call that several trackers of one ledger report, each with its own."""
        joined = cls.__new__(cls)
        joined.budgets = tuple(dict.fromkeys(b for guard in guards for b in guard.budgets))
        joined._ledger = guards[0]._ledger
        joined._lease = guards[0]._lease
        joined._warned = guards[0]._warned
        return joined

    def admit(
        self,
        facts: MeterFacts,
        *,
        if_lost: Attempt,
        needed_nanos: int | None,
        why_unknown: str = "",
    ) -> tuple[BudgetState, ...]:
        """Hold the worst case of a call.

        Args:
            facts: What decides which sums the call belongs to.
            if_lost: Booked should the end of the call never come; its id names the reservation.
            needed_nanos: Worst case of the call; None when the model has no price.
            why_unknown: Why it has none.

        Returns:
            The budgets this call exceeds with `warn` or `downgrade`; empty when all is well.

        Raises:
            BudgetExceeded: a budget with `stop` has no room, or cannot be checked.
        """
        if needed_nanos is None:
            self._refuse_unpriced(facts, why_unknown)
        needed = needed_nanos or 0
        wanted = Reservation(
            claims=tuple(budget.claim(facts, needed) for budget in self.budgets),
            expires_at=if_lost.at + self._lease,
            if_lost=if_lost,
        )
        try:
            outcome = self._ledger.store.reserve(wanted, now=if_lost.at)
        except LedgerError as error:
            self._refuse_unchecked(facts, error)
            return ()
        if isinstance(outcome, Refusal):
            raise self._refusal(outcome, facts)
        if needed_nanos == 0:  # known to be free: it exceeds nothing
            return ()
        exceeded = judge(self.budgets, outcome, facts=facts, needed_nanos=needed)
        for state in exceeded:
            self._warn_once(state, window_key=state.budget.meter.key(facts))
        return exceeded

    def release(self, reservation_id: str) -> None:
        """Give back what a call held that was never sent."""
        try:
            self._ledger.store.release(reservation_id)
        except LedgerError as error:
            logger.warning("a reservation stays until its lease ends: %s", error)

    def states(self, facts: MeterFacts) -> tuple[BudgetState, ...]:
        """Every budget as it stands for calls with these facts. Raises `LedgerError`."""
        meters = [(budget.meter, budget.meter.key(facts)) for budget in self.budgets]
        found = self._ledger.store.meter_states(meters, now=facts.at)
        return tuple(
            BudgetState(
                budget=budget,
                scope=budget.scope(facts),
                spent_nanos=state.spent_nanos,
                reserved_nanos=state.reserved_nanos,
            )
            for budget, state in zip(self.budgets, found, strict=True)
        )

    def _strict(self) -> Budget | None:
        return next((b for b in self.budgets if b.on_exceeded == "stop"), None)

    def _refuse_unpriced(self, facts: MeterFacts, why: str) -> None:
        """A dollar budget cannot hold a call whose price nobody knows."""
        if (budget := self._strict()) is None:
            return
        try:
            state = next(s for s in self.states(facts) if s.budget is budget)
        except LedgerError as error:
            self._refuse_unchecked(facts, error)
        else:
            raise BudgetExceeded(
                scope=state.scope,
                spent_usd=state.spent_usd,
                reserved_usd=usd_from_nanos(state.reserved_nanos),
                limit_usd=budget.limit_usd,
                reason=f"the call has no price: {why}; add one to prices.toml",
            )

    def _refuse_unchecked(self, facts: MeterFacts, error: LedgerError) -> None:
        if (budget := self._strict()) is not None:
            raise BudgetExceeded(
                scope=budget.scope(facts),
                spent_usd=Decimal(0),
                limit_usd=budget.limit_usd,
                reason=f"the budget cannot be checked: {error}",
            ) from error
        logger.warning("budgets were not checked: %s", error)

    def _refusal(self, refusal: Refusal, facts: MeterFacts) -> BudgetExceeded:
        claim, state = refusal.claim, refusal.state
        budget = next(b for b in self.budgets if b.claim(facts, claim.nanos) == claim)
        return BudgetExceeded(
            scope=budget.scope(facts),
            spent_usd=usd_from_nanos(state.spent_nanos),
            reserved_usd=usd_from_nanos(state.reserved_nanos),
            limit_usd=budget.limit_usd,
            needed_usd=usd_from_nanos(claim.nanos),
        )

    def _warn_once(self, state: BudgetState, *, window_key: str) -> None:
        seen = f"{window_key} {state.budget.limit_nanos} {state.budget.on_exceeded}"
        if seen in self._warned:
            return
        self._warned.add(seen)
        logger.warning(
            "budget [%s] exceeded: %s spent of %s (on_exceeded=%r lets calls pass)",
            state.scope,
            usd_text(state.spent_usd),
            usd_text(state.budget.limit_usd),
            state.budget.on_exceeded,
        )
