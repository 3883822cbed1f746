"""Shares above their thresholds, budgets at their pace: every number worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from frugal_chains.report.alerts import (
    Alert,
    AlertFacts,
    BudgetSpend,
    RepeatShare,
    alert_lines,
    alerts_json,
    find_alerts,
)

NOW = datetime(2026, 11, 16, tzinfo=UTC)  # half of November has passed
USD = 10**9
NOVEMBER = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


def severities(facts: AlertFacts) -> dict[str, str]:
    return {alert.kind: alert.severity for alert in find_alerts(facts)}


# Above 10 % a warning, above 20 % serious; at it neither.
@pytest.mark.parametrize(
    ("again", "severity"), [(100, None), (101, "warning"), (200, "warning"), (201, "serious")]
)
def test_duplicates(again: int, severity: str | None) -> None:
    repeats = RepeatShare(requests=1000, again=again, nanos=3 * USD)
    assert severities(AlertFacts(now=NOW, repeats=repeats)).get("duplicates") == severity


def test_the_sentence_of_duplicates() -> None:
    repeats = RepeatShare(requests=1000, again=250, nanos=3_456_000_000)
    (alert,) = find_alerts(AlertFacts(now=NOW, repeats=repeats))
    assert alert.text == (
        "25.0% of 1,000 requests (250) had been sent and answered before, for $3.46"
    )


def test_few_requests_say_nothing() -> None:
    repeats = RepeatShare(requests=19, again=18, nanos=USD)
    assert find_alerts(AlertFacts(now=NOW, repeats=repeats)) == ()


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({"errors": 50}, {}),
        ({"errors": 51}, {"errors": "warning"}),
        ({"errors": 201}, {"errors": "serious"}),
        ({"errors": 60, "rate_limits": 21}, {"rate limits": "warning"}),
        ({"errors": 101, "rate_limits": 101}, {"rate limits": "serious"}),
        ({"unpriced": 10}, {}),
        ({"unpriced": 11}, {"unpriced": "warning"}),
        ({"unpriced": 1000}, {"unpriced": "serious"}),
    ],
)
def test_shares_of_a_thousand_attempts(facts: dict[str, int], found: dict[str, str]) -> None:
    assert severities(AlertFacts(now=NOW, attempts=1000, **facts)) == found  # type: ignore[arg-type]


def test_one_rate_limit_among_few_calls_is_no_alert() -> None:
    assert severities(AlertFacts(now=NOW, attempts=39, errors=4, rate_limits=4)) == {}
    assert severities(AlertFacts(now=NOW, attempts=39, errors=5, rate_limits=5)) == {
        "rate limits": "serious"
    }


def test_the_only_call_without_a_price_is_told() -> None:
    assert severities(AlertFacts(now=NOW, attempts=1, unpriced=1)) == {"unpriced": "serious"}


def spend(spent: float, limit: float = 100, **fields: object) -> BudgetSpend:
    start, end = NOVEMBER
    return BudgetSpend(
        scope="month",
        limit_nanos=round(limit * USD),
        spent_nanos=round(spent * USD),
        **{"start": start, "end": end, **fields},  # type: ignore[arg-type]
    )


def texts(budget: BudgetSpend, now: datetime = NOW) -> list[str]:
    return [alert.text for alert in find_alerts(AlertFacts(now=now, budgets=(budget,)))]


def test_at_this_pace_the_budget_ends_on_the_19th() -> None:
    # 15 days have taken $80: $5.33 a day. $100 is reached after 18.75 days, at 18:00 on the 19th.
    assert texts(spend(80)) == [
        "at this pace the budget [month] ends on the 19th: $80.00 of $100.00 (80.0%) is spent"
    ]


def test_half_of_it_in_half_of_the_time_is_no_alert() -> None:
    assert texts(spend(50)) == []
    assert texts(spend(50.01))


def test_the_first_hours_of_a_month_say_nothing_yet() -> None:
    # 5 % of 30 days are 36 hours.
    first = NOVEMBER[0]
    assert texts(spend(50), now=first + timedelta(hours=35)) == []
    assert texts(spend(50), now=first + timedelta(hours=37))


def test_the_very_start_of_a_window() -> None:
    assert texts(spend(50), now=NOVEMBER[0]) == []


def test_a_day_ends_at_an_hour() -> None:
    start = datetime(2026, 11, 16, tzinfo=UTC)
    # $9 in 12 hours: $10 after 13 hours and 20 minutes.
    budget = spend(9, 10, start=start, end=start + timedelta(days=1))
    (text,) = texts(budget, now=start + timedelta(hours=12))
    assert "ends at 13:20 UTC" in text


def test_used_up_is_serious() -> None:
    (alert,) = find_alerts(AlertFacts(now=NOW, budgets=(spend(100.01),)))
    assert alert.severity == "serious"
    assert alert.text == "the budget [month] is used up: $100.01 spent of $100.00"


def test_a_budget_without_an_end_is_told_of_when_it_is_nearly_used_up() -> None:
    assert texts(spend(89, start=None, end=None)) == []
    assert "nearly used up: $90.00 of $100.00" in texts(spend(90, start=None, end=None))[0]


@given(
    st.integers(0, 10**14), st.integers(0, 10**14), st.floats(0, 1, allow_nan=False),
    st.sampled_from((1, 24, 24 * 30)),
)  # fmt: skip
def test_every_budget_can_be_judged(spent: int, limit: int, passed: float, hours: int) -> None:
    start = NOVEMBER[0]
    whole = timedelta(hours=hours)
    budget = BudgetSpend(
        scope="x", limit_nanos=limit, spent_nanos=spent, start=start, end=start + whole
    )
    found = find_alerts(AlertFacts(now=start + passed * whole, budgets=(budget,)))
    assert len(found) <= 1
    if spent > limit:
        assert [alert.severity for alert in found] == ["serious"]


def test_serious_ones_come_first() -> None:
    facts = AlertFacts(now=NOW, attempts=1000, errors=60, unpriced=500)
    assert [alert.severity for alert in find_alerts(facts)] == ["serious", "warning"]


def test_nothing_gives_no_alert() -> None:
    assert find_alerts(AlertFacts(now=NOW)) == ()


def test_for_machines() -> None:
    facts = AlertFacts(now=NOW, attempts=4, unpriced=1)
    assert alerts_json(find_alerts(facts)) == [
        {
            "severity": "serious",
            "kind": "unpriced",
            "text": "25.0% of 4 attempts (1) have no price and are missing from the bill",
            "way_out": "give their models a price in prices.toml: frugal prices MODEL shows the "
            "lines",
        }
    ]


def test_the_terminal_writes_what_it_can() -> None:
    screen = Console(width=60, record=True, force_terminal=False)
    alert = Alert(severity="warning", kind="spike", text="日本", way_out="look")
    for line in alert_lines([alert], "ascii"):
        screen.print(line)
    assert "Warning: \\u65e5\\u672c" in screen.export_text()


def test_the_terminal_shows_names_without_their_control_characters() -> None:
    screen = Console(width=60, record=True, force_terminal=False)
    alert = Alert(severity="warning", kind="spike", text="\x1b[31mred\u202e", way_out="look")
    for line in alert_lines([alert]):
        screen.print(line)
    assert screen.export_text().split() == [
        "Warning:", "\\x1b[31mred\\u202e", "what", "to", "do:", "look",
    ]  # fmt: skip
