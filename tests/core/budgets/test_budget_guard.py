"""`BudgetGuard` over a real ledger: who is let through, and what the sums say afterwards."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from frugal_chains.budgets import Budget, BudgetGuard, _guard
from frugal_chains.errors import BudgetExceeded, LedgerError
from frugal_chains.ledger import Attempt, Ledger, MeterFacts, _reserve, _sqlite
from tests.core.ledger.books import NOON, attempt, priced

CENT = 10_000_000


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger.open("memory://") as opened:
        yield opened


class Caller:
    """Makes calls that the guard may refuse."""

    def __init__(self, ledger: Ledger, *budgets: Budget, **more: Any) -> None:
        self.ledger, self.guard = ledger, BudgetGuard(ledger, budgets, **more)

    def start(
        self, cents: float | None, at: datetime = NOON, run: str = "r", **tags: str
    ) -> tuple[Attempt, tuple[str, ...]]:
        row = attempt(
            at, status="aborted", error_kind="lease_expired", nanos=CENT, operation_id=run,
            tags=tags,
        )  # fmt: skip
        exceeded = self.guard.admit(
            facts(at, run, **tags),
            if_lost=row,
            needed_nanos=None if cents is None else int(cents * CENT),
            why_unknown="" if cents is not None else "no list has gpt-x",
        )
        return row, tuple(state.budget.on_exceeded for state in exceeded)

    def end(self, row: Attempt, cents: float) -> None:
        done = row._replace(status="ok", error_kind="", price=priced(int(cents * CENT)))
        self.ledger.record(done, reservation_id=row.id)

    def cents(self, at: datetime = NOON, run: str = "r", **tags: str) -> list[tuple[float, float]]:
        return [
            (state.spent_nanos / CENT, state.reserved_nanos / CENT)
            for state in self.guard.states(facts(at, run, **tags))
        ]


def facts(at: datetime = NOON, run: str = "r", **tags: str) -> MeterFacts:
    return MeterFacts(at=at, run_id=run, operation_id=run, tags=tags)


def test_the_worst_case_is_held_until_the_row_settles_it(ledger: Ledger) -> None:
    caller = Caller(ledger, Budget.usd("0.10", per="day"))
    row, _ = caller.start(8)
    assert caller.cents() == [(0, 8)]
    with pytest.raises(BudgetExceeded) as refused:
        caller.start(3)
    assert (refused.value.spent_usd, refused.value.reserved_usd) == (0, Decimal("0.08"))
    assert (refused.value.limit_usd, refused.value.needed_usd) == (Decimal("0.1"), Decimal("0.03"))
    assert refused.value.scope == "day"
    caller.end(row, 5)
    assert caller.cents() == [(5, 0)]
    caller.start(5)
    assert caller.cents() == [(5, 5)], "exactly the limit is not past it"


def test_a_released_call_costs_nothing(ledger: Ledger) -> None:
    caller = Caller(ledger, Budget.usd("0.10"))
    row, _ = caller.start(10)
    caller.guard.release(row.id)
    assert caller.cents() == [(0, 0)]
    caller.start(10)


def test_the_budget_that_refuses_is_the_one_that_is_named(ledger: Ledger) -> None:
    caller = Caller(
        ledger, Budget.usd(9, per="lifetime"), Budget.usd("0.02", per="day", tag="tenant")
    )
    caller.start(2, tenant="a")
    with pytest.raises(BudgetExceeded, match="day, tenant=a"):
        caller.start(1, tenant="a")
    caller.start(1, tenant="b")
    assert caller.cents(tenant="a") == [(0, 3), (0, 2)], "a refusal leaves nothing held"


def test_what_others_record_counts(ledger: Ledger) -> None:
    ledger.record(attempt(nanos=4 * CENT))
    caller = Caller(ledger, Budget.usd("0.10", per="day"))
    ledger.record(attempt(nanos=3 * CENT))
    assert caller.cents() == [(7, 0)]
    ledger.record(attempt(nanos=2 * CENT))
    with pytest.raises(BudgetExceeded):
        caller.start(2)


@pytest.mark.parametrize(
    ("limits", "passed"),
    [
        ({"warn": 5}, ("warn",)),
        ({"downgrade": 5}, ("downgrade",)),
        ({"warn": 5, "downgrade": 5}, ("downgrade", "warn")),
        ({"warn": 5, "downgrade": 20}, ("warn",)),
        ({"warn": 20, "stop": 20}, ()),
    ],
)
def test_a_mild_budget_lets_calls_pass_and_says_so(
    ledger: Ledger, limits: dict[str, int], passed: tuple[str, ...]
) -> None:
    budgets = [
        Budget.usd(cents / 100, per="day", on_exceeded=action)  # type: ignore[arg-type]
        for action, cents in limits.items()
    ]
    caller = Caller(ledger, *budgets)
    _, exceeded = caller.start(6)
    assert exceeded == passed
    assert all(sums == (0, 6) for sums in caller.cents())


def test_a_warning_comes_once_in_each_window(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    caller = Caller(ledger, Budget.usd("0.05", per="day", tag="tenant", on_exceeded="warn"))
    days = [NOON, NOON, NOON + timedelta(days=1)]
    for at in days:
        for tenant in "ab":
            for _ in range(3):
                assert caller.start(6, at, tenant=tenant)[1] == ("warn",)
    said = [r.message for r in caplog.records if r.name == "frugal_chains.budgets"]
    assert len(said) == 4, "two days, two tenants"
    assert "day, tenant=a" in said[0]
    assert "0.05" in said[0]


def test_a_call_without_a_price_is_refused_by_a_strict_budget_alone(ledger: Ledger) -> None:
    ledger.record(attempt(nanos=3 * CENT))
    strict = Caller(ledger, Budget.usd(5, per="day"))
    with pytest.raises(BudgetExceeded, match=r"no list has gpt-x.*prices\.toml") as refused:
        strict.start(None)
    assert refused.value.spent_usd == Decimal("0.03"), "what is spent is known all the same"
    assert strict.cents() == [(3, 0)]
    mild = Caller(ledger, Budget.usd(5, per="day", on_exceeded="warn"))
    assert mild.start(None)[1] == ()


def test_a_budget_of_nothing_lets_only_free_calls_pass(ledger: Ledger) -> None:
    caller = Caller(ledger, Budget.usd(0))
    caller.start(0)
    with pytest.raises(BudgetExceeded):
        caller.start(1e-7)


def test_a_free_call_passes_a_budget_that_is_used_up(ledger: Ledger) -> None:
    """Others may have spent more than the limit; a local model adds nothing to it."""
    ledger.record(attempt(nanos=12 * CENT))
    caller = Caller(ledger, Budget.usd("0.10", per="day"))
    row, passed = caller.start(0)
    assert passed == ()
    caller.end(row, 0)
    assert caller.cents() == [(12, 0)]
    with pytest.raises(BudgetExceeded):
        caller.start(1e-7)


def test_an_end_that_never_comes_is_booked_when_its_lease_is_over(ledger: Ledger) -> None:
    caller = Caller(ledger, Budget.usd("0.10"), Budget.usd("0.10", per="day"), lease_s=60)
    row, _ = caller.start(10)
    edge = NOON + timedelta(seconds=60)
    with pytest.raises(BudgetExceeded):
        caller.start(1, edge)
    caller.start(9, edge + timedelta(microseconds=1))
    assert caller.cents(edge) == [(1, 9), (1, 9)]
    (lost,) = ledger.attempts()
    assert (lost.id, lost.status, lost.error_kind) == (row.id, "aborted", "lease_expired")
    caller.end(row, 4)
    assert caller.cents(edge) == [(4, 9), (4, 9)], "the true end corrects every sum"
    assert [a.status for a in ledger.attempts()] == ["ok"]


def test_an_end_seen_after_the_lease_replaces_what_was_booked_for_it(ledger: Ledger) -> None:
    """A long call that was then cancelled: what it had produced by then is known."""
    caller = Caller(ledger, Budget.usd("0.10", per="day"), lease_s=60)
    row, _ = caller.start(10)
    later = NOON + timedelta(seconds=61)
    assert caller.cents(later) == [(1, 0)]
    seen = row._replace(error_kind="cancelled", price=priced(7 * CENT))
    ledger.record(seen, reservation_id=row.id)
    assert caller.cents(later) == [(7, 0)]
    ledger.record(row, reservation_id=row.id)
    assert [a.error_kind for a in ledger.attempts()] == ["cancelled"], "and not the reverse"


def test_a_reservation_that_cannot_be_booked_blocks_nobody(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caller = Caller(ledger, Budget.usd("0.10", per="day"), lease_s=60)
    row, _ = caller.start(10)

    def unreadable(plain: Any) -> Any:
        raise AttributeError("no such thing")

    monkeypatch.setattr(_reserve, "attempt_from_json", unreadable)
    caller.start(10, NOON + timedelta(seconds=61))
    assert row.id in caplog.text


def test_a_crashed_process_leaves_its_call_on_the_books(tmp_path: Path) -> None:
    """Without waiting for another budgeted call: the next who opens the ledger finds it."""
    url = f"sqlite:///{tmp_path}/books.db"
    first = Ledger.open(url)
    row, _ = Caller(first, Budget.usd(1, per="day"), lease_s=60).start(10)  # long ago
    with Ledger.open(url) as ledger:
        assert [a.id for a in ledger.attempts(status="aborted")] == [row.id]
    first.close()


def test_a_lost_call_with_half_a_character_blocks_nobody(ledger: Ledger) -> None:
    caller = Caller(ledger, Budget.usd("0.10", per="day"), lease_s=60)
    tags = {"tenant": "\ud83d"}
    row = attempt(nanos=CENT, status="aborted", note="\ud83d", tags=tags)
    caller.guard.admit(facts(**tags), if_lost=row, needed_nanos=CENT)
    caller.start(1, NOON + timedelta(seconds=61))
    assert [a.tags for a in ledger.attempts()] == [{"tenant": "?"}]


def test_a_tag_value_with_half_a_character_is_no_way_around_a_budget(ledger: Ledger) -> None:
    caller = Caller(ledger, Budget.usd("0.05", per="day", tag="tenant"))
    caller.start(5, tenant="\ud83d")
    with pytest.raises(BudgetExceeded):
        caller.start(1, tenant="\ud83d")


@pytest.fixture
def unwritable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A ledger that another program locks."""
    monkeypatch.setattr(_sqlite, "RESERVE_WAIT_S", 0.1)
    with Ledger.open(f"sqlite:///{tmp_path}/books.db") as ledger:
        ledger.store.register([Budget.usd(1, per="day").meter])
        other = sqlite3.connect(tmp_path / "books.db", isolation_level=None)
        ledger.other = other  # type: ignore[attr-defined]
        yield ledger
        other.close()


def test_a_strict_budget_that_cannot_be_checked_refuses(
    unwritable: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    strict = Caller(unwritable, Budget.usd(1, per="day"))
    mild = Caller(unwritable, Budget.usd(1, per="day", on_exceeded="warn"))
    unwritable.other.execute("BEGIN EXCLUSIVE")  # type: ignore[attr-defined]
    for cents in (1, None):
        with pytest.raises(BudgetExceeded, match=r"cannot be checked.*locked"):
            strict.start(cents)
    assert mild.start(1)[1] == ()
    assert "were not checked" in caplog.text
    mild.guard.release("00" * 16)
    assert "stays until its lease ends" in caplog.text
    with pytest.raises(LedgerError):
        mild.guard.states(facts())
    unwritable.other.execute("COMMIT")  # type: ignore[attr-defined]
    assert strict.start(1)[1] == ()


def test_threads_never_overshoot_and_use_the_budget_up(ledger: Ledger) -> None:
    caller = Caller(ledger, Budget.usd(1, per="lifetime"), lease_s=900)
    most = []

    def spend() -> None:
        refused = 0
        while refused < 20:
            try:
                row, _ = caller.start(3)
            except BudgetExceeded:
                refused += 1
                continue
            most.append(sum(caller.cents()[0]))
            caller.end(row, 2)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((spent, reserved),) = caller.cents()
    assert reserved == 0
    assert 97 < spent <= 100
    assert max(most) <= 100
    assert spent == sum((a.price.nanos or 0) for a in ledger.attempts()) / CENT


def test_a_lease_outlives_the_longest_call_that_an_sdk_waits_for() -> None:
    for sdk in (openai, anthropic):
        assert (sdk.DEFAULT_TIMEOUT.read or 0) < _guard.LEASE_S
