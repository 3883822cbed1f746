"""Days that cost more than usual: medians and scores worked out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.report.alerts import AlertFacts, DayBill, Thresholds, find_alerts

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
USD = 10**9


def days(*dollars: float, last: str = "2026-11-20") -> tuple[DayBill, ...]:
    """Bills of days in a row, the last one on `last`."""
    end = date.fromisoformat(last)
    return tuple(
        DayBill(day=(end - timedelta(days=back)).isoformat(), nanos=round(usd * USD))
        for back, usd in zip(range(len(dollars) - 1, -1, -1), dollars, strict=True)
    )


def spike_texts(bills: tuple[DayBill, ...], limits: Thresholds | None = None) -> list[str]:
    found = find_alerts(AlertFacts(now=NOW, days=bills), limits or Thresholds())
    return [alert.text for alert in found if alert.kind == "spike"]


# Median of 8 9 10 11 12 is 10; deviations 2 1 0 1 2, median 1: the score of x is 0.6745 (x - 10).
# It passes 3.5 above 15.19.
@pytest.mark.parametrize(("usd", "found"), [(15.1, False), (15.3, True), (12, False), (3, False)])
def test_the_modified_z_score(usd: float, found: bool) -> None:
    assert bool(spike_texts(days(8, 9, 10, 11, 12, usd))) is found


def test_the_sentence_has_the_day_its_cost_and_what_is_usual() -> None:
    (text,) = spike_texts(days(8, 9, 10, 11, 12, 25))
    assert text == "2026-11-20 cost $25.00, 2.5 times the median of the 5 days before ($10.00)"


def test_the_way_out_names_the_day_and_the_next() -> None:
    (alert,) = find_alerts(AlertFacts(now=NOW, days=days(1, 1, 1, 1, 1, 30, last="2026-11-30")))
    assert "--since 2026-11-30 --until 2026-12-01" in alert.way_out
    assert alert.severity == "serious"  # 30 times


def test_the_model_that_rose_most() -> None:
    bills = days(10, 10, 10, 10, 10, 30)
    models = [{"gpt-4o": 4 * USD, "haiku": 6 * USD}] * 5 + [{"gpt-4o": 23 * USD, "haiku": 7 * USD}]
    named = tuple(
        DayBill(day=bill.day, nanos=bill.nanos, by_model=of)
        for bill, of in zip(bills, models, strict=True)
    )
    (text,) = spike_texts(named)
    assert text.endswith("; gpt-4o rose most, by $19.00")


def test_days_that_are_all_alike_have_no_spread_and_the_ratio_decides() -> None:
    assert spike_texts(days(10, 10, 10, 10, 10, 14.9)) == []
    assert spike_texts(days(10, 10, 10, 10, 10, 15.1))


def test_a_ratio_of_small_change_is_not_worth_a_look() -> None:
    assert spike_texts(days(0.1, 0.1, 0.1, 0.1, 0.1, 1.0)) == []


def test_four_days_before_are_too_few() -> None:
    assert spike_texts(days(10, 10, 10, 10, 99)) == []


def test_a_spike_of_last_month_is_no_news() -> None:
    assert spike_texts(days(*[10] * 6, 99, *[10] * 7)) == []  # 7 days after it
    assert spike_texts(days(*[10] * 6, 99, *[10] * 6))


def test_days_without_attempts_are_not_counted() -> None:
    weekdays = tuple(
        day for day in days(*[10] * 13, 30) if date.fromisoformat(day.day).weekday() < 5
    )
    assert spike_texts(weekdays)


def test_several_days_are_one_alert() -> None:
    (text,) = spike_texts(days(*[10] * 8, 30, 40, 10))
    assert text.startswith("2026-11-19 cost $40.00")
    assert text.endswith("; 1 more day of the last week stand out")


def test_after_days_that_cost_nothing() -> None:
    (text,) = spike_texts(days(0, 0, 0, 0, 0, 5))
    assert text == "2026-11-20 cost $5.00, the 5 days before mostly nothing"


@given(st.lists(st.integers(0, 10**15), max_size=30))
def test_no_spike_without_a_rise(nanos: list[int]) -> None:
    falling = sorted(nanos, reverse=True)
    bills = tuple(
        DayBill(day=(date(2026, 11, 1) + timedelta(days=i)).isoformat(), nanos=n)
        for i, n in enumerate(falling)
    )
    assert spike_texts(bills) == []
