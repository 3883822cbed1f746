"""Budgets' sums under any interleaving of calls, against a model that recounts everything."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    precondition,
    rule,
)

from frugal_chains.ledger import (
    Attempt,
    Claim,
    Ledger,
    Meter,
    MeterFacts,
    Refusal,
    Reservation,
    rolling_window,
)
from tests.core.ledger.books import attempt, priced

# A leap day near midnight: hours, days and months all turn. Far ahead of the real clock, by which
# a ledger books what has expired when it is opened.
START = datetime(2096, 2, 29, 23, 59, 30, tzinfo=UTC)
SPAN = timedelta(seconds=50)
METERS = (
    Meter(window="hour"),
    Meter(window="day", tag="tenant"),
    Meter(window="month"),
    Meter(window="lifetime"),
    Meter(window=rolling_window(SPAN)),
    Meter(window=rolling_window(SPAN), tag="tenant"),
    Meter(window="run"),
    Meter(window="operation"),
)
TENANTS = ("", "a", "a|b")
CALLS = ("r1", "r2")
LEASE = timedelta(seconds=40)
amounts = st.integers(0, 100)


@dataclass
class Held:
    """A call that was let through."""

    row: Attempt
    call: str
    claimed: tuple[Meter, ...]
    nanos: int

    @property
    def expires(self) -> datetime:
        return self.row.at + LEASE


class Meters(RuleBasedStateMachine):
    """The ledger beside a list of attempts; the sums are recounted from the list at every check."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="meters")
        self.now = START
        self.books: dict[str, Attempt] = {}
        self.held: dict[str, Held] = {}
        self.claimed: dict[str, Held] = {}
        """Every call that was ever let through: which runs and operations it counts for."""
        self.limit = 0

    @initialize(shared=st.booleans(), limit=st.integers(50, 400))
    def open(self, shared: bool, limit: int) -> None:
        url = f"sqlite:///{self.folder.name}/l.db" if shared else "memory://"
        self.ledger = Ledger.open(url)
        self.other = Ledger.open(url) if shared else self.ledger
        self.limit = limit
        self.ledger.store.register(METERS[:3])

    # -- what happens --------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0, 1e-6, 1, 15, 35, 40, 50, 3600, -1, -30, -7200]))
    def clock(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def register_the_others(self) -> None:
        self.other.store.register(METERS[3:])

    @rule(
        target=calls, nanos=amounts, tenant=st.sampled_from(TENANTS), call=st.sampled_from(CALLS),
        meters=st.sets(st.sampled_from(METERS), min_size=1), lost=amounts, strict=st.booleans(),
    )  # fmt: skip
    def reserve(
        self, nanos: int, tenant: str, call: str, meters: set[Meter], lost: int, strict: bool
    ) -> Any:
        asked = tuple(meter for meter in METERS if meter in meters)
        row = attempt(
            self.now, status="aborted", error_kind="lease_expired", nanos=min(lost, nanos),
            operation_id=call, tags={"tenant": tenant} if tenant else {},
        )  # fmt: skip
        facts = MeterFacts(at=row.at, run_id=call, operation_id=call, tags=row.tags)
        wanted = Reservation(
            claims=tuple(
                Claim(meter=m, key=m.key(facts), nanos=nanos,
                      limit_nanos=self.limit if strict else None)
                for m in asked
            ),
            expires_at=row.at + LEASE,
            if_lost=row,
        )  # fmt: skip
        self.ledger.store.register([m for m in asked if not m.by_call])
        outcome = self.ledger.store.reserve(wanted, now=self.now)
        self.expire()
        sums = {m: self.expected(m, tenant, call) for m in asked}
        full = [m for m in asked if strict and nanos and sum(sums[m]) + nanos > self.limit]
        if full:
            assert isinstance(outcome, Refusal), "let through past the limit"
            assert outcome.claim.meter == full[0]
            return multiple()
        assert not isinstance(outcome, Refusal), "refused although there is room"
        assert [(s.spent_nanos, s.reserved_nanos) for s in outcome] == [sums[m] for m in asked]
        self.held[row.id] = self.claimed[row.id] = Held(row, call, asked, nanos)
        return row.id

    @rule(call=consumes(calls), part=st.floats(0, 1), kind=st.sampled_from(["ok", "aborted"]))
    def end(self, call: str, part: float, kind: str) -> None:
        held = self.claimed[call]
        row = held.row._replace(status=kind, error_kind="", price=priced(int(held.nanos * part)))
        self.other.record(row, reservation_id=row.id)
        self.other.store.flush()  # what one store holds, another sees only a moment later
        self.append(row)
        self.held.pop(call, None)

    @rule(call=calls)
    def end_twice(self, call: str) -> None:
        row = self.claimed[call].row._replace(status="ok", error_kind="", price=priced(5))
        for ledger in (self.ledger, self.other):
            ledger.record(row, reservation_id=row.id)
            ledger.store.flush()
            self.append(row)
        self.held.pop(call, None)

    @rule(call=consumes(calls))
    def give_back(self, call: str) -> None:
        if call not in self.books:  # an attempt that is on the books is not given back
            self.ledger.store.release(call)
            self.held.pop(call, None)
            del self.claimed[call]

    @rule(nanos=amounts, tenant=st.sampled_from(TENANTS), ago=st.sampled_from([0, 20, 50, 90000]))
    def write_without_asking(self, nanos: int, tenant: str, ago: int) -> None:
        row = attempt(
            self.now - timedelta(seconds=ago), nanos=nanos,
            tags={"tenant": tenant} if tenant else {},
        )  # fmt: skip
        self.other.record(row)
        self.other.store.flush()
        self.append(row)

    @precondition(lambda self: self.ledger is not self.other)
    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(f"sqlite:///{self.folder.name}/l.db")

    # -- what must then be true ----------------------------------------------------------------

    @rule(
        tenant=st.sampled_from(TENANTS), call=st.sampled_from(CALLS), meter=st.sampled_from(METERS)
    )
    def look(self, tenant: str, call: str, meter: Meter) -> None:
        if not meter.by_call:
            self.ledger.store.register([meter])
        tags = {"tenant": tenant} if tenant else {}
        facts = MeterFacts(at=self.now, run_id=call, operation_id=call, tags=tags)
        (found,) = self.ledger.store.meter_states([(meter, meter.key(facts))], now=self.now)
        self.expire()
        expected = self.expected(meter, tenant, call)
        assert (found.spent_nanos, found.reserved_nanos) == expected, meter

    def teardown(self) -> None:
        try:
            self.settle_everything()
        finally:
            self.ledger.close()
            self.other.close()
            self.folder.cleanup()

    def settle_everything(self) -> None:
        for call in list(self.held):
            self.end(call, 1.0, "ok")
        for meter in METERS:
            for tenant in TENANTS:
                for call in CALLS:
                    self.look(tenant, call, meter)
                    assert self.expected(meter, tenant, call)[1] == 0, "a stuck reservation"

    # -- the model -----------------------------------------------------------------------------

    def append(self, row: Attempt) -> None:
        old = self.books.get(row.id)
        if old is None or (old.status == "aborted" and knows_more(row, old)):
            self.books[row.id] = row

    def expire(self) -> None:
        for held in [h for h in self.held.values() if h.expires < self.now]:
            self.append(held.row)
            del self.held[held.row.id]

    def expected(self, meter: Meter, tenant: str, call: str) -> tuple[int, int]:
        spent = sum(
            (row.price.nanos or 0) for row in self.books.values()
            if self.counts(meter, row, tenant, call, start=self.now)
        )  # fmt: skip
        reserved = sum(
            held.nanos for held in self.held.values()
            if meter in held.claimed and self.counts(meter, held.row, tenant, call, start=None)
        )  # fmt: skip
        return spent, reserved

    def counts(
        self, meter: Meter, row: Attempt, tenant: str, call: str, *, start: datetime | None
    ) -> bool:
        if meter.tag and row.tags.get("tenant", "") != tenant:
            return False
        if meter.by_call:
            held = self.claimed.get(row.id)
            return held is not None and held.call == call and meter in held.claimed
        if meter.window.startswith("rolling"):  # what is held is held until it is settled
            return start is None or row.at > start - SPAN
        depth = {"lifetime": 0, "month": 2, "day": 3, "hour": 4}[meter.window]
        return row.at.timetuple()[:depth] == self.now.timetuple()[:depth]


def knows_more(row: Attempt, old: Attempt) -> bool:
    """A true end, or an end that was seen where the lease had run out."""
    return row.status != "aborted" or (
        old.error_kind == "lease_expired" and row.error_kind != "lease_expired"
    )


TestMeters = Meters.TestCase
TestMeters.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
