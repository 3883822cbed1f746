"""What the page shows, against sums and ranks worked out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains import Budget, Ledger
from frugal_chains.errors import FrugalError
from frugal_chains.ledger import Attempt, microseconds, new_id
from frugal_chains.report.html import (
    WaterfallFacts,
    WaterfallStep,
    budget_of,
    budget_spends,
    html_page,
    waterfall_of,
)
from frugal_chains.report.html._scan import percentiles
from frugal_chains.report.html._series import bill_series, buckets_between, unit_of
from frugal_chains.report.html._text import Money, about, axis_money, name, seconds
from frugal_chains.savings import Step, Waterfall, period_waterfall
from frugal_chains.usage import Usage
from tests.core.report.html.pages import NOW, facts_of
from tests.core.report.sample_books import attempt, sample

PRINT = {"v": 1, "m": "gpt-4o", "n": 1, "h": "abc"}


def later(row: Attempt, **change: float) -> Attempt:
    """The same attempt at another time."""
    at_us = row.at_us + timedelta(**change) // timedelta(microseconds=1)
    return row._replace(id=new_id(at_us), at_us=at_us)


def test_the_bill_by_day_and_model() -> None:
    facts = facts_of(sample())
    assert facts.unit == "day"
    assert facts.bill.buckets == ("2026-11-01", "2026-11-02", "2026-11-03")
    # $2.500132001 on the first day, $0.987654361 on the second; the third is unpriced or free.
    assert dict(zip(facts.bill.names, facts.bill.values, strict=True)) == {
        "gpt-4o": (2_500_132_001, 0, 0),
        "claude-sonnet-4-5": (0, 987_654_361, 0),
    }
    assert facts.bill.sums == (2_500_132_001, 987_654_361, 0)


def test_a_day_without_attempts_is_a_day_of_nothing() -> None:
    facts = facts_of([attempt(nanos=5), attempt(nanos=7, day=3)])
    assert facts.bill.values == ((5, 0, 0, 7),)


def test_events_are_errors_and_what_was_given_up() -> None:
    facts = facts_of(sample())
    assert dict(zip(facts.events.names, facts.events.values, strict=True)) == {
        "rate_limit": (1, 0, 0),
        "cancelled": (0, 1, 0),
    }


def test_the_cached_share_by_day() -> None:
    rows = [
        attempt(usage=Usage(input_tokens=1000, cache_read_tokens=250)),
        attempt(usage=Usage(input_tokens=1000), model="gpt-4o-mini"),
        attempt(day=2, usage=Usage(input_tokens=100, cache_read_tokens=50)),
    ]
    cached = facts_of(rows).cached
    # Parts of 10,000: 250 of 2,000 and 50 of 100; nothing was sent on the second day.
    assert cached.names[0] == "all models"
    assert cached.values[0] == (1250, None, 5000)


def test_latencies_by_nearest_rank() -> None:
    rows = [attempt(latency_s=s, first_token_s=s / 10) for s in range(1, 11)]
    (found,) = facts_of([*rows, attempt(latency_s=99.0, status="error")]).scan.latencies
    assert (found.attempts, found.streamed) == (10, 10)
    assert (found.whole.p50_s, found.whole.p90_s, found.whole.p99_s) == (5, 9, 10)
    assert found.first is not None
    assert found.first.p50_s == 0.5


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_percentiles_are_times_that_were_seen(times: list[float]) -> None:
    found = percentiles(times)
    assert {found.p50_s, found.p90_s, found.p99_s} <= set(times)
    assert sum(t <= found.p90_s for t in times) >= 0.9 * len(times)
    assert sum(t < found.p90_s for t in times) < 0.9 * len(times)


def test_a_request_that_is_sent_again() -> None:
    rows = [
        attempt(nanos=100, prints=PRINT),
        attempt(nanos=30, prints={**PRINT, "r": {"cache_miss_reason": None}}),  # the provider's
        attempt(nanos=40, prints=PRINT, model="gpt-4o-mini"),  # another model is asked
        attempt(nanos=50, prints={**PRINT, "h": "abd"}),
        attempt(nanos=999),  # no fingerprint
    ]
    scan = facts_of(rows).scan
    assert scan.repeats is not None
    assert (scan.repeats.requests, scan.repeats.again, scan.repeats.nanos) == (4, 1, 30)
    assert [(r.sent, r.nanos) for r in scan.dearest] == [(2, 130), (1, 50), (1, 40)]


def test_without_fingerprints_nothing_is_said_of_repeats() -> None:
    assert facts_of(sample()).scan.repeats is None


@pytest.mark.parametrize(("most", "looked_at"), [(9, 9), (8, 4), (4, 4), (3, 1), (1, 1)])
def test_only_the_newest_attempts_are_read_one_by_one(most: int, looked_at: int) -> None:
    # 5 on the first day, then 3 in the 9th hour of the fourth day and 1 in its 10th.
    rows = [attempt() for _ in range(5)] + [attempt(day=3) for _ in range(3)]
    rows.append(later(attempt(day=3), hours=1))
    scan = facts_of(rows, most_scanned=most).scan
    assert (scan.looked_at, scan.of) == (looked_at, 9)


def test_of_a_full_hour_the_first_are_read() -> None:
    scan = facts_of([attempt() for _ in range(7)], most_scanned=3).scan
    assert (scan.looked_at, scan.of) == (3, 7)


@pytest.mark.parametrize(
    ("first", "last", "unit"),
    [
        ("2026-11-01", "2026-11-02", "hour"),
        ("2026-11-01", "2026-11-03", "day"),
        ("2026-01-01", "2026-04-02", "day"),  # 92 days
        ("2026-01-01", "2026-04-03", "week"),
        ("2024-01-01", "2026-11-01", "month"),
        ("1970-01-01", "2026-11-01", "year"),
    ],
)
def test_the_unit_of_a_period(first: str, last: str, unit: str) -> None:
    assert unit_of((first, last)) == unit


def test_weeks_begin_on_mondays_and_none_is_left_out() -> None:
    # 2026-11-01 is a Sunday.
    assert list(buckets_between(("2026-11-01", "2026-11-16"), "week")) == [
        "2026-10-26", "2026-11-02", "2026-11-09", "2026-11-16",
    ]  # fmt: skip
    assert list(buckets_between(("2025-12-31", "2026-02-01"), "month")) == [
        "2025-12", "2026-01", "2026-02",
    ]  # fmt: skip
    assert list(buckets_between(("2026-11-01T22", "2026-11-02T01"), "hour")) == [
        "2026-11-01T22", "2026-11-01T23", "2026-11-02T00", "2026-11-02T01",
    ]  # fmt: skip


def test_one_day_is_drawn_by_the_hour() -> None:
    facts = facts_of([attempt(nanos=5), later(attempt(nanos=7), hours=2)])
    assert facts.unit == "hour"
    assert facts.bill.buckets == ("2026-11-01T09", "2026-11-01T10", "2026-11-01T11")
    assert facts.bill.values == ((5, 0, 7),)


@given(st.dates(), st.integers(0, 4000), st.sampled_from(("day", "week", "month", "year")))
def test_every_day_of_a_period_has_its_bucket(first: date, count: int, unit: Any) -> None:
    last = date.fromordinal(min(first.toordinal() + count, date.max.toordinal()))
    found = list(buckets_between((first.isoformat(), last.isoformat()), unit))
    assert found == sorted(set(found))
    months = {(d.year, d.month) for o in range(first.toordinal(), last.toordinal() + 1)
              if (d := date.fromordinal(o))}  # fmt: skip
    wanted = {
        "day": last.toordinal() - first.toordinal() + 1,
        "week": (last.toordinal() - 1) // 7 - (first.toordinal() - 1) // 7 + 1,
        "month": len(months),
        "year": last.year - first.year + 1,
    }
    assert len(found) == wanted[unit]


def test_a_clock_that_was_wrong_once() -> None:
    early = attempt(nanos=5)._replace(at_us=1, id=new_id(1))
    facts = facts_of([early, attempt(nanos=7)])
    assert (facts.unit, len(facts.bill.buckets)) == ("year", 57)  # 1970 to 2026
    html_page(facts)


def test_models_beyond_the_sixth_are_drawn_together() -> None:
    with Ledger.open("memory://") as books:
        for number in range(9):
            books.record(attempt(nanos=10 * (number + 1), model=f"m{number}"))
        lines = books.totals(("day", "model"))
    series = bill_series(lines, "day", ("2026-11-01", "2026-11-01"))
    assert series.names == ("m8", "m7", "m6", "m5", "m4", "all others")
    assert series.sums == (450,)
    assert series.values[-1] == (10 + 20 + 30 + 40,)


# -- budgets -----------------------------------------------------------------------------------


def test_budgets_as_they_stand() -> None:
    rows = [
        attempt(nanos=4, tags={"tenant": "acme"}),
        attempt(nanos=5, tags={"tenant": "acme"}, day=14),
        attempt(nanos=None, tags={"tenant": "globex"}, day=15),
        later(attempt(nanos=7), days=-5),  # in October
    ]
    with Ledger.open("memory://") as books:
        for row in rows:
            books.record(row)
        budgets = [Budget.usd(1, per="month"), Budget.usd(1, per="lifetime")]
        budgets += [Budget.usd(2, per="month", tag="tenant"), Budget.usd(3, per="run")]
        found = budget_spends(books, budgets, now=NOW)
    assert [(b.scope, b.spent_nanos, b.unpriced) for b in found] == [
        ("month", 9, 1), ("lifetime", 16, 1), ("month, tenant=acme", 9, 0),
        ("month, tenant=globex", 0, 1),
    ]  # fmt: skip
    assert (found[0].start, found[0].end) == (
        datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "limit", "window", "tag"),
    [
        ("500/month", 500, "month", ""),
        ("$1,250.50/day", 1250.5, "day", ""),
        ("20/day/tenant", 20, "day", "tenant"),
    ],
)
def test_a_budget_as_it_is_typed(text: str, limit: float, window: str, tag: str) -> None:
    budget = budget_of(text)
    assert (float(budget.limit_usd), budget.meter.window, budget.meter.tag) == (limit, window, tag)


@pytest.mark.parametrize("text", ["", "500", "-5/month", "5/year", "a/day", "1/day/"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(FrugalError, match="500/month"):
        budget_of(text)


# -- figures as text ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bill", "nanos", "text"),
    [
        (10**13, 1_234_567_890_123, "$1,234.57"),
        (10**13, 1, "<$0.01"),
        (10**13, -1, "-<$0.01"),
        (10**13, -2_500_000_000, "-$2.50"),
        (10**9, 132_000, "$0.0001"),
        (5, 5, "$0.000000005"),
        (0, 0, "$0.00"),
    ],
)
def test_amounts(bill: int, nanos: int, text: str) -> None:
    assert Money(bill).text(nanos) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (0, "$0"),
        (2.5, "$2.5"),
        (2e-05, "$0.00002"),
        (1200, "$1,200"),
        (-3, "-$3"),
        (4_500_000, "$4.5M"),
        (-2e9, "-$2B"),
    ],
)
def test_amounts_at_an_axis(usd: float, text: str) -> None:
    assert axis_money(usd) == text


@pytest.mark.parametrize(
    ("nanos", "text"), [(7_515_123, "$0.00752"), (5, "$0.000000005"), (1_234_567_890, "$1.23")]
)
def test_an_average(nanos: int, text: str) -> None:
    assert about(nanos) == text


def test_unknown_is_not_nothing() -> None:
    assert Money(0).text(None) == "unknown"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ms"),
        (0.0002, "<1 ms"),
        (0.0849, "85 ms"),
        (0.9996, "1 s"),
        (1.236, "1.24 s"),
        (125.4, "2 min 5 s"),
        (172_845, "48 h 1 min"),
    ],
)
def test_seconds(value: float, text: str) -> None:
    assert seconds(value) == text


def test_names_from_outside() -> None:
    assert name("a" * 10_000) == "a" * 119 + "…"
    assert name("\u202egpt\u200f\x00") == "\\u202egpt\\u200f\\x00"
    assert name("🦜🔗 日本") == "🦜🔗 日本"


def test_the_gap_of_a_waterfall() -> None:
    def waterfall(lever: int | None, bill: int) -> WaterfallFacts:
        return WaterfallFacts(
            steps=(
                WaterfallStep(label="b", nanos=100, kind="baseline"),
                WaterfallStep(label="l", nanos=lever, kind="lever"),
                WaterfallStep(label="o", nanos=-5, kind="overhead"),
                WaterfallStep(label="bill", nanos=bill, kind="bill"),
            )
        )

    assert waterfall(30, 75).gap_nanos == 0
    assert waterfall(None, 75).gap_nanos == -30
    assert WaterfallFacts(steps=()).gap_nanos is None


def test_the_waterfall_of_the_books() -> None:
    found = Waterfall(
        bill_nanos=700,
        attempts=9,
        steps=(
            Step(name="memory", measured_nanos=250, modelled_nanos=100, effects=3),
            Step(name="prompt_cache", effects=1, unknown_effects=1),
            Step(name="summaries", measured_nanos=-50, attempts=2),
        ),
    )
    shown = waterfall_of(found)
    # 700 + 250 + 100 - 50.
    assert [(step.label, step.nanos, step.kind) for step in shown.steps] == [
        ("without the levers", 1000, "baseline"),
        ("memory", 350, "lever"),
        ("prompt cache", None, "lever"),
        ("summaries", -50, "overhead"),
        ("the bill", 700, "bill"),
    ]
    assert shown.gap_nanos == 0
    assert shown.notes


def test_a_bill_of_nothing_but_unpriced_attempts_is_not_known() -> None:
    shown = waterfall_of(Waterfall(attempts=2, unpriced=2))
    assert {step.nanos for step in shown.steps} == {None}
    assert shown.gap_nanos is None


@pytest.mark.parametrize("days", [1, 5])
def test_sums_are_of_one_moment_while_others_write(
    days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is recorded between two readings: charts, tables, alerts and the waterfall of one
    page agree."""
    read = Ledger.read_period

    def read_and_write(ledger: Ledger, *arguments: Any) -> Any:
        found = read(ledger, *arguments)
        ledger.record(attempt(nanos=10**12, status="error", tags={"feature": "late"}))
        return found

    monkeypatch.setattr(Ledger, "read_period", read_and_write)
    rows = [attempt(day=n % days, nanos=7, tags={"feature": "a"}) for n in range(30)]
    facts = facts_of(rows, savings=period_waterfall)
    assert facts.report.total.nanos == sum(facts.bill.sums) == 30 * 7
    assert [sum(row.nanos for row in table.rows) for table in facts.tables] == [210, 210]
    assert facts.waterfall is not None
    assert facts.waterfall.steps[-1].nanos == 210
    assert not facts.events.names
    assert not facts.alerts


def test_only_the_period_asked_for() -> None:
    facts = facts_of(sample(), since=datetime(2026, 11, 2, tzinfo=UTC))
    assert facts.report.total.attempts == 6
    assert facts.scan.looked_at == 6
    assert microseconds(facts.scan.first or NOW) >= microseconds(datetime(2026, 11, 2, tzinfo=UTC))
