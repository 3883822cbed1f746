"""`Tracker`: where adapters report calls. Prices them, holds budgets, writes the books."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from frugal_chains.budgets import Budget, BudgetGuard, BudgetState
from frugal_chains.errors import BudgetExceeded, named, wordless
from frugal_chains.ledger import Attempt, Ledger, MeterFacts, moment
from frugal_chains.pricing import Price, PriceBook, Unpriced
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking._call import CallEnd, CallStart
from frugal_chains.tracking._learn import Lessons
from frugal_chains.tracking._open_calls import OpenCall, OpenCalls
from frugal_chains.tracking._operation import current_operation
from frugal_chains.tracking._prices import shared_prices
from frugal_chains.tracking._settle import price_of, usage_of, worst_case
from frugal_chains.tracking._total import RunningTotal
from frugal_chains.usage import Usage

logger = logging.getLogger("frugal_chains.tracking")


class Tracker:
    """Reports calls to one ledger, under one set of tags and budgets.

    Nothing here raises into the application except `BudgetExceeded`: a fault of the bookkeeping is
    logged and noted on the row. Safe for threads.

    Args:
        ledger: Where to write.
        budgets: Limits that hold for these calls.
        tags: Added to every attempt.
        prices: None: list prices behind the user's `prices.toml`.
        counter: None: that of the ledger, which learns.
        fingerprints: Keep keyed hashes of each request on its row, no text: `frugal cache` tells
            from them why prompts were not read from the provider's cache.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        budgets: Sequence[Budget] = (),
        tags: Mapping[str, str] | None = None,
        prices: PriceBook | None = None,
        counter: TokenCounter | None = None,
        fingerprints: bool = False,
    ) -> None:
        self.ledger = ledger
        self.tags = {str(name): str(value) for name, value in (tags or {}).items()}
        self.prices = prices or shared_prices()
        self.total = RunningTotal()
        self.guard = BudgetGuard(ledger, budgets)
        self._calls = OpenCalls.of(ledger)
        self._lessons = Lessons(counter) if counter else self._calls.lessons
        self.counter = self._lessons.counter
        self.fingerprints = fingerprints
        if fingerprints and self._calls.prints is None:
            from frugal_chains.tracking._prints import Prints  # few ask for them

            self._calls.prints = Prints(ledger)

    # -- the life of a call --------------------------------------------------------------------

    def begin(self, start: CallStart, *, reserve: bool = True) -> None:
        """Open a call and, unless `reserve` is off, hold its worst case in every budget.

        Raises:
            BudgetExceeded: a budget with `on_exceeded="stop"` has no room. The call is not open.
        """
        call = self._calls.open.get(start.key)
        if call is None:
            call = OpenCall(start, self)
            self._calls.open[start.key] = call
        elif self in call.trackers:
            return
        else:
            call.join(self)
        if reserve and self.guard.budgets:
            self.reserve(start.key)

    def reserve(self, key: str) -> None:
        """Hold the worst case of an open call; for frameworks that ask after announcing the start.

        Raises:
            BudgetExceeded: as `begin`.
        """
        call = self._calls.open.get(key)
        if call is None or not self.guard.budgets or (call.reserved and len(call.trackers) == 1):
            return
        try:
            self._hold(call)
        except BudgetExceeded:
            self._calls.open.pop(key, None)
            raise
        except Exception as error:
            logger.error("a call goes on without its budget being held", exc_info=wordless(error))
            call.notes += ("budget not held: see the log",)
        if call.reserved and self._calls.open.get(key) is not call:
            self.guard.release(call.id)  # it ended in another thread while this one waited

    def first_token(self, key: str) -> None:
        """Note that the answer is streamed, and when it began; only the first token counts."""
        call = self._calls.open.get(key)
        if call is not None and call.first_token_s is None:
            call.first_token_s = time.perf_counter() - call.started_s
            call.streamed = True

    def end(self, key: str, end: CallEnd) -> Attempt | None:
        """Close a call: price it, settle what it held, write its row.

        None when the key is not open: it has ended already, or was never begun here. The true end
        of a call that was given up as lost replaces its row.
        """
        call = self._calls.open.pop(key, None)
        if call is None:
            return self._end_late(key, end)
        return self._book(call, self._close(call, end))

    def give_up(self, key: str, kind: str, *, output_text: str = "") -> Attempt | None:
        """Book an open call as aborted because its end will not come (`cancelled`, `lost`).

        `output_text` is what it had produced until then.
        """
        call = self._calls.open.pop(key, None)
        if call is None:
            return None
        end = CallEnd(status="aborted", error_kind=kind, output_text=lambda: output_text)
        attempt = self._close(call, end)
        self._calls.remember_lost(key, call, attempt)  # first: the end may come at any moment now
        return self._book(call, attempt)

    def withdraw(self, key: str) -> None:
        """Forget an open call that was never sent: no row, and what it held is given back."""
        call = self._calls.open.pop(key, None)
        if call is not None and call.reserved:
            self.guard.release(call.id)

    def is_streamed(self, key: str) -> bool:
        """Whether an open call has begun to stream its answer."""
        call = self._calls.open.get(key)
        return call is not None and call.streamed

    def is_open(self, key: str) -> bool:
        return key in self._calls.open

    def pressure(self, tags: Mapping[str, str] | None = None) -> tuple[BudgetState, ...]:
        """Every budget as it stands now; routers read `downgrade` off it. Raises `LedgerError`.

        Inside `operation()` budgets per operation (and per run, where it names one) are those of
        the operation; outside, of a call that has none yet.
        """
        group = current_operation()
        facts = MeterFacts(
            at=moment(time.time_ns() // 1000),
            run_id=group.run_id if group else "",
            operation_id=group.id if group else "",
            tags={**self.tags, **(group.tags if group else {}), **(tags or {})},
        )
        return self.guard.states(facts)

    # -- parts ---------------------------------------------------------------------------------

    def _hold(self, call: OpenCall) -> None:
        """Reserve for every tracker that reports this call, as one reservation."""
        start = call.start
        request = start.request()
        counted = self.counter.count_request(request, model=start.model, provider=start.provider)
        worst = worst_case(start, request, counted, self.prices)
        call.counted = counted
        usage = Usage(input_tokens=counted.tokens, source="estimated")
        lost = CallEnd(status="aborted", error_kind="lease_expired")
        price = price_of(start, lost, usage, self.prices, at_us=call.at_us)
        exceeded = self._guard_of(call).admit(
            call.facts,
            if_lost=_attempt(call, lost, usage, price, ()),
            needed_nanos=worst.nanos,
            why_unknown=worst.reason if isinstance(worst, Unpriced) else "",
        )
        call.reserved = True
        call.notes += tuple(f"budget [{s.scope}] passed: {s.budget.on_exceeded}" for s in exceeded)

    def _guard_of(self, call: OpenCall) -> BudgetGuard:
        if len(call.trackers) == 1:
            return self.guard
        if call.reserved:
            self.guard.release(call.id)
            call.reserved = False
        return BudgetGuard.together([tracker.guard for tracker in call.trackers])

    def _close(self, call: OpenCall, end: CallEnd) -> Attempt:
        start = call.start
        notes: Sequence[str]
        try:
            usage, notes = usage_of(start, end, self.counter, streamed=call.streamed)
        except Exception as error:
            logger.error("usage of a call could not be estimated", exc_info=wordless(error))
            usage, notes = Usage(source="estimated"), [f"usage unknown: {named(error)}"]
        if not end.of_batch and (call.counted is not None or self._lessons.due(start)):
            self._learn(call, usage)
        try:
            price = price_of(start, end, usage, self.prices, at_us=call.at_us)
        except Exception as error:
            logger.error("a call could not be priced", exc_info=wordless(error))
            price = Unpriced(reason=f"pricing failed: {named(error)}")
        if call.notes or end.note:
            notes = [*notes, *call.notes, *filter(None, [end.note])]
        maker = self._calls.prints
        if maker is None or not any(tracker.fingerprints for tracker in call.trackers):
            return _attempt(call, end, usage, price, notes)
        return _attempt(call, end, usage, price, notes, maker.of(start, end))

    def _learn(self, call: OpenCall, usage: Usage) -> None:
        try:
            self._lessons.learn(call.start, call.counted, usage)
        except Exception as error:
            logger.error("nothing was learned from a call", exc_info=wordless(error))

    def _book(self, call: OpenCall, attempt: Attempt) -> Attempt:
        self._record(attempt, reserved=call.reserved)
        for tracker in call.trackers:
            tracker.total.add(attempt)
        return attempt

    def _record(self, attempt: Attempt, *, reserved: bool) -> None:
        try:
            self.ledger.store.append(attempt, reservation_id=attempt.id if reserved else None)
        except Exception as error:
            logger.error("an attempt could not be recorded: %s", attempt, exc_info=wordless(error))

    def _end_late(self, key: str, end: CallEnd) -> Attempt | None:
        """The true end of a call that was given up: its row is replaced, its sums corrected."""
        found = None if end.status == "aborted" else self._calls.take_lost(key)
        if found is None:
            return None
        call, before = found
        attempt = self._close(call, end)
        self._record(attempt, reserved=False)
        for tracker in call.trackers:
            tracker.total.add(attempt, replaces=before)
        return attempt


def _attempt(
    call: OpenCall,
    end: CallEnd,
    usage: Usage,
    price: Price,
    notes: Sequence[str],
    prints: Mapping[str, Any] | None = None,
) -> Attempt:
    start, reading, lever = call.start, end.reading, call.lever
    model = end.model or start.model
    seen = end.error_kind not in ("lost", "lease_expired")
    return Attempt(  # by position, in the order of its fields: names take three times as long
        call.id,
        call.operation_id,
        call.at_us,
        start.framework,
        end.provider or start.provider,
        model,
        start.model if start.model != model else "",
        lever.purpose if lever and start.purpose == "answer" else start.purpose,
        end.status,
        end.error_kind,
        call.streamed,
        (reading and reading.service_tier) or start.service_tier,
        time.perf_counter() - call.started_s if seen else None,
        call.first_token_s,
        usage,
        price,
        "; ".join(notes) if notes else "",
        start.key,
        start.parent_id,
        start.thread_id,
        call.tags,
        lever and lever.decision,
        prints,
    )
