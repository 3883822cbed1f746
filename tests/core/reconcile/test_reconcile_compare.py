"""The comparison, against figures worked out by hand from the fixtures and a few attempts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.errors import ReconcileError
from frugal_chains.ledger import Attempt, Ledger, microseconds, new_id
from frugal_chains.pricing import Free, Priced, Unpriced
from frugal_chains.reconcile import (
    LEDGER_QUESTION,
    Difference,
    Reconciliation,
    UsageExport,
    read_export,
    reconcile,
    whole_days,
)
from frugal_chains.usage import Usage

HERE = Path(__file__).parent / "fixtures"
DAY1 = datetime(2026, 11, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 22, tzinfo=UTC)


def attempt(
    at: datetime, model: str, *, nanos: int | None = 0, usage: Usage | None = None, **fields: Any
) -> Attempt:
    id_ = new_id(microseconds(at))
    price = Unpriced(reason="no list") if nanos is None else Priced(nanos=nanos, price_id="test")
    return Attempt(
        **{
            "id": id_,
            "operation_id": id_,
            "at_us": microseconds(at),
            "framework": "langchain",
            "provider": "openai",
            "model": model,
            "usage": usage or Usage(),
            "price": price,
            **fields,
        }
    )


def compared(
    export: UsageExport, attempts: list[Attempt], *, now: datetime = LATER, **fields: Any
) -> Reconciliation:
    days = whole_days(export, since=fields.pop("since", None), until=fields.pop("until", None))
    with Ledger.open("memory://") as books:
        for each in attempts:
            books.record(each)
        lines = books.totals(LEDGER_QUESTION, *days)
    return reconcile(export, lines, days=days, now=now, **fields)


def openai_attempts() -> list[Attempt]:
    """Of the 150,000 and 50,000 input tokens of the export: 147,000 and 50,000."""
    return [
        attempt(DAY1, "gpt-4o-mini-2024-07-18", nanos=24_000_000,
                usage=Usage(input_tokens=140_000, cache_read_tokens=20_000, output_tokens=8_500)),
        attempt(DAY1, "gpt-4o-mini", nanos=2_000_000, status="aborted", error_kind="cancelled",
                usage=Usage(input_tokens=7_000, output_tokens=500, source="estimated")),
        attempt(DAY1, "gpt-4o-mini", price=Free(), status="error", error_kind="rate_limit"),
        attempt(DAY1 + timedelta(days=1), "gpt-4o-2024-08-06", nanos=175_000_000,
                usage=Usage(input_tokens=50_000, output_tokens=5_000)),
        attempt(DAY1, "gpt-4o", provider="azure", nanos=5, usage=Usage(input_tokens=9)),
        attempt(DAY1, "gpt-4o", price=Free(), status="cached"),
        attempt(DAY1 + timedelta(days=5), "gpt-4o", nanos=7, usage=Usage(input_tokens=1)),
    ]  # fmt: skip


def test_usage_by_day_and_model_is_compared_bucket_by_bucket():
    found = compared(read_export([HERE / "openai_usage.csv"]), openai_attempts())
    total = found.total.differences
    assert total["input_tokens"] == Difference(export=200_000, ledger=197_000)
    assert total["input_tokens"].percent == Decimal("-1.5")
    assert total["cache_read_tokens"] == Difference(export=20_000, ledger=20_000)
    assert total["output_tokens"] == Difference(export=14_000, ledger=14_000)
    # 10 + 2 + 4 in the export; answered or given up in the ledger: 2 + 1. The error is none.
    assert total["requests"] == Difference(export=16, ledger=3)
    assert [line.day for line in found.days] == ["2026-11-01", "2026-11-02"]
    assert found.days[0].differences["input_tokens"].percent == Decimal("-2")
    mini, full = found.models
    assert (mini.model, mini.names) == ("gpt-4o-mini", ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"))
    assert full.differences["input_tokens"].amount == 0
    assert (found.first_day, found.last_day) == ("2026-11-01", "2026-11-03")


def test_the_error_bar_is_of_days_and_of_what_only_one_side_has():
    attempts = [a for a in openai_attempts() if not a.model.startswith("gpt-4o-2024")]
    attempts.append(
        attempt(DAY1 + timedelta(days=2), "gpt-5", nanos=1, usage=Usage(input_tokens=3_000))
    )
    found = compared(read_export([HERE / "openai_usage.csv"]), attempts)
    spread = found.spreads["input_tokens"]
    # 2 % on the first day, 100 % on the second; the third has nothing to be a percentage of.
    assert spread.mean_absolute_percent == Decimal(51)
    assert (spread.largest_day, spread.largest_percent) == ("2026-11-02", Decimal(-100))
    assert spread.unseen_by_ledger == Decimal(25)  # 50,000 of 200,000
    assert spread.unseen_by_export == Decimal(2)  # 3,000 of 150,000
    kinds = {reason.kind: reason.text for reason in found.reasons}
    assert "gpt-4o:" in kinds["not in ledger"]
    assert "gpt-5:" in kinds["not in export"]


def test_cost_and_tokens_are_judged_together():
    export = read_export([HERE / "openai_usage.csv", HERE / "openai_cost.csv"])
    found = compared(export, openai_attempts())
    # 26.4 + 175 + 20 (web search) against 26 + 175 thousandths of a dollar.
    assert found.total.differences["usd"] == Difference(export=221_400_000, ledger=201_000_000)
    assert found.judged == ("usd", "input_tokens", "output_tokens")
    assert not found.within(Decimal("2.5"))  # 20.4 of 221.4 is 9.2 %
    assert found.within(Decimal("9.3"))
    assert not found.within(Decimal("9.2"))


def test_the_ledger_knows_reasons():
    attempts = [*openai_attempts(), attempt(DAY1, "gpt-9", nanos=None, usage=Usage(input_tokens=5))]
    export = read_export([HERE / "openai_usage.csv", HERE / "openai_cost.csv"])
    found = compared(export, attempts, ledger_begins=DAY1, edge_attempts=2)
    counts = {reason.kind: reason.attempts for reason in found.reasons}
    assert counts == {
        "unpriced": 1,
        "estimated": 1,
        "aborted": 1,
        "errors": 1,
        "cached": 1,
        "not in ledger": None,
        "not in export": None,
        "other providers": 1,
        "ledger begins": None,
        "edges": 2,
    }
    texts = {reason.kind: reason.text for reason in found.reasons}
    assert "through azure" in texts["other providers"]
    assert "web search tool calls" in texts["not in ledger"]
    assert "2026-11-01 12:00" in texts["ledger begins"]


def test_display_names_and_ids_of_anthropic_are_one_model():
    usage = Usage(
        input_tokens=5_500, cache_read_tokens=4_000, cache_write_5m_tokens=200,
        cache_write_1h_tokens=300, output_tokens=500, web_searches=1,
    )  # fmt: skip
    attempts = [
        attempt(DAY1, "claude-haiku-4-5-20251001", provider="anthropic", nanos=352_000_000,
                usage=usage),
        attempt(DAY1, "claude-sonnet-4-5", provider="anthropic", nanos=1_068_000_000,
                usage=Usage(input_tokens=2_000, output_tokens=700)),
        attempt(DAY1 + timedelta(days=1), "claude-haiku-4-5", provider="anthropic",
                nanos=3_500_000, usage=Usage(input_tokens=3_000, output_tokens=100)),
    ]  # fmt: skip
    files = [HERE / "anthropic_usage.csv", HERE / "anthropic_cost.csv"]
    found = compared(read_export(files), attempts)
    tokens = {m: d for m, d in found.total.differences.items() if m != "usd"}
    assert [d.amount for d in tokens.values()] == [0] * len(tokens)
    assert set(tokens) == {
        "input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_5m_tokens",
        "cache_write_1h_tokens", "output_tokens", "web_searches",
    }  # fmt: skip
    # 0.352 + 1.068 + 0.0035 against 0.35 + 1.07 + 0.01 of a search.
    assert found.total.differences["usd"] == Difference(export=1_430_000_000, ledger=1_423_500_000)
    (rounding,) = [r.text for r in found.reasons if r.kind == "rounding"]
    assert "5 amounts" in rounding
    assert "$0.025" in rounding


def all_between(first: str, last: str) -> frozenset[str]:
    return frozenset(f"2026-11-{day:02d}" for day in range(int(first[-2:]), int(last[-2:]) + 1))


def usage_export(days: dict[str, int], **fields: Any) -> UsageExport:
    return UsageExport(
        provider="openai",
        files=["usage.csv"],
        cells={(day, "gpt-4o"): {"input_tokens": n, "output_tokens": 0} for day, n in days.items()},
        measures=("input_tokens", "output_tokens"),
        days=all_between(min(days), max(days)),
        holds=frozenset({"tokens"}),
        **fields,
    )


def tokens_on(day: int, tokens: int, **fields: Any) -> Attempt:
    usage = Usage(input_tokens=tokens)
    return attempt(DAY1 + timedelta(days=day - 1), "gpt-4o", usage=usage, **fields)


def test_neighbouring_days_that_cancel_point_to_midnight():
    export = usage_export({"2026-11-01": 1_000, "2026-11-02": 1_000, "2026-11-03": 1_000})
    found = compared(export, [tokens_on(1, 900), tokens_on(2, 1_105), tokens_on(3, 1_000)])
    (reason,) = [r for r in found.reasons if r.kind == "shifted"]
    assert "2026-11-01 and 2026-11-02" in reason.text
    found = compared(export, [tokens_on(1, 900), tokens_on(2, 1_050), tokens_on(3, 1_000)])
    assert "shifted" not in {r.kind for r in found.reasons}


def test_time_zone_credits_and_unsettled_days_are_named():
    export = usage_export({"2026-11-01": 5}, offset_s=8 * 3600, credits_nanos=-1_250_000_000)
    found = compared(export, [tokens_on(1, 5)], now=datetime(2026, 11, 2, 3, tzinfo=UTC))
    texts = {reason.kind: reason.text for reason in found.reasons}
    assert "08:00 UTC" in texts["time zone"]
    assert "$1.25" in texts["credits"]
    assert "2026-11-01 is not over" in texts["not settled"]


def test_an_export_without_models_compares_days():
    export = usage_export({"2026-11-01": 5}, by_model=False)
    found = compared(export, [tokens_on(1, 3), attempt(DAY1, "o3", usage=Usage(input_tokens=2))])
    assert found.total.differences["input_tokens"].amount == 0
    assert [(line.model, line.names) for line in found.models] == [("", ())]
    assert "not by model" in {reason.kind for reason in found.reasons}


def embedding(nanos: int) -> Attempt:
    usage = Usage(input_tokens=700)
    return attempt(DAY1, "text-embedding-3-small", purpose="embed", nanos=nanos, usage=usage)


def test_embeddings_are_compared_where_their_own_file_is_given(tmp_path):
    file = tmp_path / "embeddings_usage.csv"
    file.write_text(
        "start_time,end_time,model,num_model_requests,input_tokens\n"
        "1793491200,1793577600,text-embedding-3-small,1,690\n"
    )
    usage, cost = HERE / "openai_usage.csv", HERE / "openai_cost.csv"
    attempts = [*openai_attempts(), embedding(400_000)]
    alone = compared(read_export([usage]), attempts)
    assert alone.total.differences["input_tokens"] == Difference(export=200_000, ledger=197_000)
    assert {r.kind: r.attempts for r in alone.reasons}["embeddings"] == 1
    both = compared(read_export([usage, file]), attempts)
    assert both.total.differences["input_tokens"] == Difference(export=200_690, ledger=197_700)
    assert "embeddings" not in {r.kind for r in both.reasons}
    only = compared(read_export([file]), attempts)
    assert only.total.differences["input_tokens"] == Difference(export=690, ledger=700)
    assert only.judged == ("input_tokens",)
    # A bill has them all, whatever file of tokens is beside it.
    billed = compared(read_export([usage, cost]), attempts).total.differences
    assert billed["usd"] == Difference(export=221_400_000, ledger=201_400_000)
    assert billed["input_tokens"].ledger == 197_000


def test_days_between_two_files_are_left_out(tmp_path):
    head = "start_time,model,input_tokens,output_tokens\n"
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    files[0].write_text(head + "1793491200,gpt-4o,10,0\n")  # the 1st
    files[1].write_text(head + "1793836800,gpt-4o,20,0\n1794009600,gpt-4o,5,0\n")  # 5th, 7th
    export = read_export(files)
    assert sorted(export.days) == ["2026-11-01", "2026-11-05", "2026-11-06", "2026-11-07"]
    with pytest.raises(ReconcileError, match="no whole day"):
        whole_days(export, since=DAY1, until=datetime(2026, 11, 4, tzinfo=UTC))
    found = compared(export, [tokens_on(1, 10), tokens_on(3, 99), tokens_on(6, 1)])
    assert found.total.differences["input_tokens"] == Difference(export=35, ledger=11)
    (text,) = [r.text for r in found.reasons if r.kind == "files"]
    assert "covers: 3." in text


@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        (None, None, (1, 4)),
        (datetime(2026, 11, 2, tzinfo=UTC), None, (2, 4)),
        (datetime(2026, 11, 1, 0, 1, tzinfo=UTC), None, (2, 4)),
        (None, datetime(2026, 11, 3, tzinfo=UTC), (1, 3)),
        (None, datetime(2026, 11, 3, 23, 59, tzinfo=UTC), (1, 3)),
        (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC), (1, 4)),
    ],
)
def test_only_whole_days_are_compared(since, until, days):
    export = usage_export({"2026-11-01": 1, "2026-11-03": 1})
    first, after = (datetime(2026, 11, day, tzinfo=UTC) for day in days)
    assert whole_days(export, since=since, until=until) == (first, after)


def test_a_period_without_a_whole_day_is_refused():
    export = usage_export({"2026-11-01": 1})
    with pytest.raises(ReconcileError, match="2026-11-01 to 2026-11-01"):
        whole_days(export, since=datetime(2026, 11, 1, 1, tzinfo=UTC))


def test_days_outside_the_period_are_on_neither_side():
    export = usage_export({"2026-11-01": 100, "2026-11-02": 40})
    found = compared(
        export, [tokens_on(1, 90), tokens_on(2, 41)], since=datetime(2026, 11, 2, tzinfo=UTC)
    )
    assert found.total.differences["input_tokens"] == Difference(export=40, ledger=41)


def test_nothing_billed_and_something_booked_is_never_within():
    assert Difference(export=0, ledger=0).within(Decimal(0))
    assert not Difference(export=0, ledger=1).within(Decimal(1000))
    assert Difference(export=0, ledger=1).percent is None


_CELLS = st.dictionaries(
    st.tuples(st.integers(1, 5), st.sampled_from(["gpt-4o-2024-08-06", "o3", "gpt-5"])),
    st.integers(1, 10**9),
    min_size=1,
    max_size=10,
)


@given(cells=_CELLS)
def test_an_export_of_the_ledgers_own_rows_differs_in_nothing(cells):
    export = UsageExport(
        provider="openai",
        files=["x"],
        cells={(f"2026-11-{day:02d}", model): {"input_tokens": n, "output_tokens": n}
               for (day, model), n in cells.items()},
        measures=("input_tokens", "output_tokens"),
        days=all_between("2026-11-01", "2026-11-05"),
        holds=frozenset({"tokens"}),
    )  # fmt: skip
    attempts = [
        attempt(DAY1 + timedelta(days=day - 1), model,
                usage=Usage(input_tokens=n, output_tokens=n))
        for (day, model), n in cells.items()
    ]  # fmt: skip
    found = compared(export, attempts)
    assert {d.amount for line in found.cells for d in line.differences.values()} == {0}
    assert found.within(Decimal(0))
    assert found.spreads["input_tokens"].mean_absolute_percent == 0
    assert found.reasons == ()


@given(theirs=_CELLS, ours=_CELLS, percent=st.integers(0, 200))
def test_days_models_and_cells_each_sum_to_the_total(theirs, ours, percent):
    export = UsageExport(
        provider="openai",
        files=["x"],
        cells={(f"2026-11-{d:02d}", m): {"input_tokens": n} for (d, m), n in theirs.items()},
        measures=("input_tokens",),
        days=all_between("2026-11-01", "2026-11-05"),
        holds=frozenset({"tokens"}),
    )
    found = compared(export, [
        attempt(DAY1 + timedelta(days=day - 1), model, usage=Usage(input_tokens=n))
        for (day, model), n in ours.items()
    ])  # fmt: skip
    a, b = sum(theirs.values()), sum(ours.values())
    assert found.total.differences["input_tokens"] == Difference(export=a, ledger=b)
    for lines in (found.days, found.models, found.cells):
        assert sum(line.differences["input_tokens"].export for line in lines) == a
        assert sum(line.differences["input_tokens"].ledger for line in lines) == b
    # |a - b| / a <= percent / 100, without a division.
    assert found.within(Decimal(percent)) == (abs(a - b) * 100 <= percent * a)
