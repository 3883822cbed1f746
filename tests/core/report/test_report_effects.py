"""What levers did, as the report says it: a line for each, and exact figures as JSON."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from frugal_chains.ledger import Effect, EffectTotals, Ledger
from frugal_chains.report import ReportFacts, questions, report_facts, report_json, report_view
from tests.core.report.sample_books import FIRST_DAY, attempt, sample


def printed(facts: ReportFacts, *, width: int = 100, encoding: str = "utf-8") -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # raises for what it cannot encode
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False)
    console.print(report_view(facts, width=width, encoding=console.encoding))
    out.seek(0)
    return out.read()


def effect(lever: str, before: int, after: int, **changes: object) -> Effect:
    facts: dict[str, object] = {"operation_id": "", "at": FIRST_DAY, "exact": True}
    facts |= {"lever": lever, "tokens_before": before, "tokens_after": after}
    return Effect(**facts | changes)  # type: ignore[arg-type]


def facts_of(effects: list[Effect], *, attempts: bool = True) -> ReportFacts:
    """The report over these, by way of a real ledger."""
    with Ledger.open("memory://") as books:
        for each in sample() if attempts else ():
            books.record(each)
        books.record_effects(effects)
        answers = {asked: books.totals(asked) for asked in questions((), books.tag_names())}
        return report_facts(answers, effects=books.effect_totals())


def line(**changes: object) -> EffectTotals:
    sums: dict[str, object] = {
        "key": {"lever": "compression.extract"}, "effects": 1234, "operations": 1000,
        "unchanged": 0, "inexact": 0, "tokens_before": 10_000_000, "tokens_after": 5_880_000,
        "measured_nanos": 0, "modelled_nanos": 0, "unvalued": 1234,
    }  # fmt: skip
    return EffectTotals(**sums | changes)  # type: ignore[arg-type]


def test_a_report_without_effects_says_nothing_of_levers():
    facts = facts_of([])
    assert "lever" not in printed(facts)
    assert report_json(facts)["effects"] == []


CASES = [
    ({}, "1,234 requests, 4.1M tokens kept out (41.2% of 10.0M)"),
    ({"effects": 1, "unvalued": 1, "tokens_before": 900, "tokens_after": 400},
     "1 request, 500 tokens kept out (55.6% of 900)"),
    ({"unchanged": 30, "inexact": 4},
     "1,234 requests, 4.1M tokens kept out (41.2% of 10.0M), 30 left as they were, 4 with "
     "estimated tokens"),
    ({"tokens_before": 7, "tokens_after": 7}, "1,234 requests, 0 tokens kept out"),
    ({"tokens_before": 7, "tokens_after": 1007}, "1,234 requests, 1,000 tokens added"),
    ({"measured_nanos": 1_250_000_000, "modelled_nanos": -5, "unvalued": 34},
     "1,234 requests, 4.1M tokens kept out (41.2% of 10.0M), $1.25 saved (measured), $0.000000005 "
     "lost (modelled), 34 not valued"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "says"), CASES)
def test_each_lever_has_a_line_that_says_what_is_no_bill(changes, says):
    facts = replace(facts_of([]), effects=(line(**changes),))
    text = " ".join(printed(facts, width=300).split())
    assert f"Kept out of requests, by lever compression.extract: {says}" in text


def test_levers_are_summed_and_the_one_that_kept_out_most_comes_first():
    effects = [
        effect("compression.shape", 1_000, 900),
        effect("compression.extract", 40_000, 8_000, net_nanos=7, kind="measured"),
        effect("compression.shape", 2_000, 2_000, exact=False),
        effect("compression.extract", 10_000, 2_000, net_nanos=5),
    ]
    text = printed(facts_of(effects))
    extract, shape = [row.strip() for row in text.splitlines() if "compression." in row]
    assert extract.startswith("compression.extract: 2 requests, 40.0k tokens kept out (80.0% of")
    assert shape.startswith("compression.shape: 2 requests, 100 tokens kept out (3.3% of 3,000)")
    document = report_json(facts_of(effects))["effects"]
    assert document[0] == {
        "lever": "compression.extract", "effects": 2, "operations": 2, "unchanged": 0,
        "inexact": 0, "tokens_before": 50_000, "tokens_after": 10_000,
        "measured_usd": "0.000000007", "modelled_usd": "0.000000005", "unvalued": 0,
    }  # fmt: skip
    assert (document[1]["unchanged"], document[1]["inexact"], document[1]["unvalued"]) == (1, 1, 2)


def test_effects_change_no_sum_of_the_attempts():
    with_effects = facts_of([effect("compression.extract", 10, 1, net_nanos=10**9)])
    without = facts_of([])
    assert with_effects.total == without.total
    assert report_json(with_effects)["total"] == report_json(without)["total"]


def test_levers_that_acted_before_any_attempt_was_booked_are_shown():
    text = printed(facts_of([effect("compression.extract", 10, 1)], attempts=False))
    assert "No attempt has been booked yet" in " ".join(text.split())
    assert "compression.extract: 1 request, 9 tokens kept out" in text


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_any_name_of_a_lever_fits_and_obeys_nothing(width, encoding):
    facts = facts_of([effect("own\x1b[31mlever\n压缩" + "x" * 90, 10, 1)])
    text = printed(facts, width=width, encoding=encoding)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    assert "9 tokens kept out" in " ".join(text.split())


def test_the_books_of_a_period_give_the_effects_of_that_period():
    with Ledger.open("memory://") as books:
        books.record(attempt())
        books.record_effect(effect("a", 10, 1))
        (found,) = books.effect_totals(since=FIRST_DAY)
        assert found.tokens_saved == 9
        assert books.effect_totals(until=FIRST_DAY) == []
