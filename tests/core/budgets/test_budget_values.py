"""`Budget.usd`: what it accepts, and what a budget says about itself."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from frugal_chains.budgets import Budget, BudgetState
from frugal_chains.errors import BudgetExceeded, FrugalError
from frugal_chains.ledger import MeterFacts

LIMITS: list[tuple[Any, str]] = [
    (5, "5"), (0, "0"), (0.1, "0.1"), ("2.50", "2.5"), (Decimal("0.000000001"), "0.000000001"),
    (1e-9, "0.000000001"), ("1e3", "1000"), (10**12, "1000000000000"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "usd"), LIMITS)
def test_a_limit_is_exact(given: Any, usd: str) -> None:
    assert Budget.usd(given).limit_usd == Decimal(usd)


@pytest.mark.parametrize(
    "limit",
    [-1, -0.01, "-3", True, False, None, "five", "", float("nan"), float("inf"), "NaN", "-inf",
     Decimal("sNaN"), [5], 10**40],
)  # fmt: skip
def test_a_limit_that_is_no_amount_is_refused(limit: Any) -> None:
    with pytest.raises(FrugalError, match=r"at least \$0, got"):
        Budget.usd(limit)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"per": "week"}, "hour, day, month"),
        ({"per": 60}, "timedelta"),
        ({"per": None}, "timedelta"),
        ({"per": timedelta(0)}, "longer than nothing"),
        ({"per": timedelta(seconds=-1)}, "longer than nothing"),
        ({"per": timedelta.max}, "per='lifetime'"),
        ({"on_exceeded": "explode"}, "warn, downgrade, stop"),
        ({"on_exceeded": None}, "warn, downgrade, stop"),
    ],
)
def test_a_word_that_is_not_known_is_refused_with_those_that_are(
    wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(FrugalError, match=says):
        Budget.usd(5, **wrong)


def test_without_more_a_budget_stops_a_run() -> None:
    assert Budget.usd(5) == Budget.usd(5, per="run", tag=None, on_exceeded="stop")


AT = datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
FACTS = MeterFacts(at=AT, run_id="r7", operation_id="op", tags={"tenant": "acme"})
SCOPES: list[tuple[dict[str, Any], str]] = [
    ({"per": "run"}, "run"),
    ({"per": "operation"}, "operation"),
    ({"per": "hour"}, "hour"),
    ({"per": "day", "tag": "tenant"}, "day, tenant=acme"),
    ({"per": "month", "tag": "team"}, "month, team=(none)"),
    ({"per": "lifetime"}, "lifetime"),
]


@pytest.mark.parametrize(("how", "scope"), SCOPES)
def test_the_scope_is_readable(how: dict[str, Any], scope: str) -> None:
    assert Budget.usd(5, **how).scope(FACTS) == scope


@pytest.mark.parametrize(
    ("how", "same", "other"),
    [
        ({"per": "run"}, {"operation_id": "x"}, {"run_id": "r8"}),
        ({"per": "operation"}, {"run_id": "x"}, {"operation_id": "x"}),
        ({"per": "hour"}, {"at": AT - timedelta(minutes=59)}, {"at": AT + timedelta(seconds=1)}),
        ({"per": "day"}, {"at": AT - timedelta(hours=23)}, {"at": AT + timedelta(microseconds=1)}),
        ({"per": "month"}, {"at": AT - timedelta(days=30)}, {"at": AT + timedelta(microseconds=1)}),
        ({"per": "lifetime"}, {"at": AT - timedelta(days=9999), "run_id": "x"}, None),
        ({"per": timedelta(minutes=5)}, {"at": AT + timedelta(days=3)}, None),
        ({"per": "day", "tag": "tenant"}, {"tags": {"tenant": "acme", "b": "1"}},
         {"tags": {"tenant": "other"}}),
        ({"per": "day", "tag": "tenant"}, {"run_id": "x"}, {"tags": {}}),
        ({"per": "day"}, {"tags": {}}, {"at": AT.replace(year=2025)}),
        ({"per": "month"}, {"run_id": "x"}, {"at": AT.replace(year=2025)}),
    ],
)  # fmt: skip
def test_calls_share_a_sum_exactly_when_the_scope_says_so(
    how: dict[str, Any], same: dict[str, Any], other: dict[str, Any] | None
) -> None:
    def key(**changes: Any) -> str:
        plain = {"at": AT, "run_id": "r7", "operation_id": "op", "tags": {"tenant": "acme"}}
        return Budget.usd(5, **how).meter.key(MeterFacts(**plain | changes))

    assert key(**same) == key()
    if other is not None:
        assert key(**other) != key()


def test_times_of_any_zone_fall_into_the_utc_day() -> None:
    budget = Budget.usd(5, per="day")
    for text in ("2026-12-31T18:59:59-05:00", "2027-01-01T04:59:59+05:00"):
        at = datetime.fromisoformat(text)
        assert budget.meter.key(MeterFacts(at=at)) == budget.meter.key(MeterFacts(at=AT))


@pytest.mark.parametrize(
    ("spent", "reserved", "needed", "exceeded", "left"),
    [(0, 0, 0, False, "10"), (4, 6, 0, False, "0"), (4, 5, 1, False, "1"), (4, 5, 2, True, "1"),
     (11, 0, 0, True, "0")],
)  # fmt: skip
def test_a_state_says_what_is_left(
    spent: int, reserved: int, needed: int, exceeded: bool, left: str
) -> None:
    usd = 10**9
    state = BudgetState(
        budget=Budget.usd(10), scope="run", spent_nanos=spent * usd,
        reserved_nanos=reserved * usd, needed_nanos=needed * usd,
    )  # fmt: skip
    assert (state.exceeded, state.left_usd) == (exceeded, Decimal(left))
    assert state.spent_usd == spent


REFUSED = BudgetExceeded(
    scope="day, tenant=acme",
    spent_usd=Decimal("4.75"),
    reserved_usd=Decimal("0.2"),
    limit_usd=Decimal(5),
    needed_usd=Decimal("0.0612"),
    reason="why not",
)


@pytest.mark.parametrize("again", [pickle.loads(pickle.dumps(REFUSED)), copy.copy(REFUSED)])
def test_a_refusal_survives_pickling_and_says_everything(again: BudgetExceeded) -> None:
    for error in (REFUSED, again):
        assert (error.scope, error.spent_usd, error.reserved_usd) == (
            "day, tenant=acme", Decimal("4.75"), Decimal("0.2"),
        )  # fmt: skip
        assert (error.limit_usd, error.needed_usd) == (Decimal(5), Decimal("0.0612"))
        for part in ("day, tenant=acme", "4.75", "0.2", "$5", "0.0612", "why not", "Raise the"):
            assert part in str(error)
    assert str(again) == str(REFUSED)
    assert isinstance(again, FrugalError)
