"""The report as text: what it says, and that it fits."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from frugal_chains.ledger import Totals
from frugal_chains.report import ReportFacts, report_view
from frugal_chains.report._facts import Table, UnpricedModel, summed
from frugal_chains.usage import Usage
from tests.core.report.sample_books import HINT, NO_PRICE, cost_of, report_of, sample


def printed(facts: ReportFacts, *, width: int = 100, encoding: str = "utf-8") -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # raises for what it cannot encode
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False)
    console.print(report_view(facts, width=width, encoding=console.encoding))
    out.seek(0)
    return out.read()


def amounts(text: str) -> list[Decimal]:
    return [Decimal(m.replace(",", "")) for m in re.findall(r"\$([\d,]+\.\d+)", text)]


def section(text: str, head: str) -> list[str]:
    """The lines of the table whose head starts with `head`, its own head left out."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(head))
    end = next(i for i, line in enumerate(lines) if i > start and line.startswith("total"))
    return lines[start + 2 : end + 1]


def facts_of(**change: object) -> ReportFacts:
    facts = report_of(sample())
    fields = {name: getattr(facts, name) for name in ReportFacts.__dataclass_fields__}
    return ReportFacts(**{**fields, **change})


@pytest.mark.parametrize("width", [60, 72, 100, 200])
@pytest.mark.parametrize("head", ["by model", "by feature", "by day"])
def test_the_shown_rows_add_up_to_the_shown_total_to_the_last_digit(width, head):
    *rows, total = section(printed(facts_of(), width=width), head)
    shown = [amount for row in rows for amount in amounts(row)]
    assert sum(shown) == amounts(total)[0] == cost_of(sample())


def test_the_header_counts_what_the_cost_leaves_out():
    text = printed(facts_of())
    assert "$3.487786362 + 2 calls unpriced, 3 estimated" in text
    assert re.search(r"^attempts +9 *$", text, re.MULTILINE)
    assert re.search(r"^operations +8 started *$", text, re.MULTILINE)
    assert "22.2% of attempts" in text  # 2 of 9 unpriced
    assert "33.3% of attempts" in text  # 3 of 9 estimated
    assert "34.4% of input tokens" in text  # 3,000 of 8,720 cached
    assert "2026-11-01 to 2026-11-03 UTC" in text


def test_a_model_without_a_price_shows_no_cost_and_the_way_out():
    text = printed(facts_of())
    (row,) = [line for line in section(text, "by model") if line.startswith("in-house")]
    assert "unpriced" in row
    assert not amounts(row)
    assert "Unpriced: 2 calls missing from the cost" in text
    assert NO_PRICE in " ".join(text.split())
    assert "frugal prices in-house --provider acme" in text


def test_of_many_unpriced_models_the_rest_are_counted():
    models = tuple(
        UnpricedModel(provider="acme", model=f"m{n}", attempts=1, reasons=("why", "why else"))
        for n in range(12)
    )
    text = printed(facts_of(unpriced=models))
    assert "Unpriced: 12 calls" in text
    assert "why (and 1 other reason)" in text
    assert text.count("frugal prices m") == 10
    assert "and 2 more models, all in --json" in text


def test_free_is_shown_as_nothing_to_pay():
    (row,) = [line for line in section(printed(facts_of()), "by model") if "llama3" in line]
    assert amounts(row) == [Decimal(0)]


def test_estimates_are_shown_with_their_hints():
    text = " ".join(printed(facts_of()).split())
    assert "Estimated: 3 calls (33.3%)" in text
    assert f"2 x {HINT}" in text
    assert "1 x half of it came back" in text


def test_errors_and_aborts_are_shown_by_kind():
    text = printed(facts_of())
    for status, kind in (("error", "rate_limit"), ("aborted", "cancelled"), ("cached", "-")):
        assert re.search(rf"^{status}\s+{kind}\s+1\s", text, re.MULTILINE)


def test_attempts_outside_the_ledger_file_are_told():
    text = printed(facts_of(waiting=("/books/frugal.db.7.inbox",)))
    assert "Not in this report: attempts that wait in /books/frugal.db.7.inbox" in text
    text = " ".join(printed(facts_of(damaged=("/books/frugal.db.7.damaged",))).split())
    assert "Not in this report: attempts in /books/frugal.db.7.damaged that could not be" in text
    assert "frugal doctor says" in text


def test_the_total_line_counts_tokens_and_flags_too():
    *_, total = section(printed(facts_of(), width=200), "by model")
    # 9 calls; 8,720 in, 3,000 of them cached; 459 out; 3 estimated, 2 unpriced.
    assert total.split()[:7] == ["total", "9", "8,720", "34.4%", "459", "3", "2"]


def day(number: int, nanos: int) -> Totals:
    return Totals(
        key={"day": f"2026-10-{number:02d}"},
        attempts=1,
        operations=1,
        usage=Usage(input_tokens=1),
        nanos=nanos,
        unpriced=0,
        estimated=0,
    )


def test_the_last_fourteen_days_have_a_line_and_the_rest_share_one():
    days = tuple(day(n, n * 1_000) for n in range(1, 21))
    text = printed(facts_of(tables=(Table(by=("day",), rows=days, limit=14),)))
    *rows, total = section(text, "by day")
    assert rows[0].startswith("6 earlier days")
    assert [row[:10] for row in rows[1:-1]] == [f"2026-10-{n:02d}" for n in range(7, 21)]
    assert amounts(rows[0]) == [Decimal("0.000021")]  # 1 + ... + 6 micro-dollars
    assert amounts(total) == [Decimal("0.00021")]


def test_bars_compare_days_and_a_small_day_is_no_empty_one():
    days = (day(1, 0), day(2, 1), day(3, 500_000), day(4, 1_000_000))
    table = Table(by=("day",), rows=days)
    rows = section(printed(facts_of(tables=(table,)), encoding="ascii"), "by day")
    assert [row.count("#") for row in rows[:4]] == [0, 1, 6, 12]
    unicode_rows = section(printed(facts_of(tables=(table,))), "by day")
    assert [row.count("█") for row in unicode_rows[:4]] == [0, 1, 6, 12]


def test_many_models_share_a_last_line():
    rows = tuple(
        Totals(key={"model": f"model-{n}"}, attempts=1, operations=1, usage=Usage(),
               nanos=100 - n, unpriced=0, estimated=0)
        for n in range(25)
    )  # fmt: skip
    text = printed(facts_of(tables=(Table(by=("model",), rows=rows, limit=20),)))
    *shown, total = section(text, "by model")
    assert "model-19" in text
    assert "model-20" not in text
    assert any(line.startswith("5 more") for line in shown)
    assert sum(a for line in shown for a in amounts(line)) == amounts(total)[0]


def test_names_cannot_command_the_terminal():
    hostile = Totals(key={"model": "a\x1b[2Jb\rc[red]"}, attempts=1, operations=1,
                     usage=Usage(), nanos=1, unpriced=0, estimated=0)  # fmt: skip
    text = printed(facts_of(tables=(Table(by=("model",), rows=(hostile,)),)))
    assert "\x1b" not in text
    assert "\r" not in text
    assert "a\\x1b[2Jb\\rc[red]" in text


@pytest.mark.parametrize("width", [60, 61, 80, 120])
def test_no_line_is_wider_than_the_terminal(width):
    assert max(cell_len(line) for line in printed(facts_of(), width=width).splitlines()) <= width


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(
        st.tuples(names, st.integers(0, 10**15), st.integers(1, 10**9), st.booleans()),
        min_size=1, max_size=5,
    )
)  # fmt: skip
def test_at_sixty_columns_names_fold_and_no_amount_is_cut(rows):
    lines = tuple(
        Totals(
            key={"model": name},
            attempts=attempts,
            operations=attempts,
            usage=Usage(input_tokens=attempts),
            nanos=nanos,
            unpriced=1 if partly and attempts > 1 else 0,
            estimated=0,
        )
        for name, nanos, attempts, partly in rows
    )
    table = Table(by=("model",), rows=lines)
    text = printed(facts_of(tables=(table,), unpriced=(), outcomes=()), width=60)
    assert max(cell_len(line) for line in text.splitlines()) <= 60
    shown = amounts("\n".join(text.splitlines()[text.splitlines().index("") :]))
    total = summed(lines, {}).cost_usd
    assert sum(shown) == 2 * total  # every row, and the line below that sums them


def test_it_can_be_read_without_colour_or_unicode():
    text = printed(facts_of(), encoding="ascii")
    assert "█" not in text
    assert text.isascii()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_names_are_written_in_the_terminals_encoding_before_they_are_measured(encoding):
    name = "модель-日本"
    row = Totals(key={"model": name}, attempts=1, operations=1, usage=Usage(), nanos=1,
                 unpriced=1, estimated=1)  # fmt: skip
    facts = facts_of(
        ledger=f"/{name}.db",
        tables=(Table(by=("model",), rows=(row,)),),
        unpriced=(UnpricedModel(provider=name, model=name, attempts=1, reasons=(name,)),),
        outcomes=(replace(row, key={"status": "error", "error_kind": name}),),
        notes=((name, 1),),
        waiting=(f"{name}.1.inbox",),
        damaged=(f"{name}.2.damaged",),
    )
    text = printed(facts, width=60, encoding=encoding)
    assert max(map(cell_len, text.splitlines())) <= 60
    whole = name.encode(encoding, "backslashreplace").decode(encoding)
    assert "".join(text.split()).count(whole) >= 5


def test_a_period_without_attempts_is_a_sentence_and_what_is_missing_is_still_told():
    empty = report_of([])
    since = datetime(2030, 1, 1, tzinfo=UTC)
    text = printed(replace(empty, ledger="/books.db", since=since, damaged=("b.damaged",)))
    assert "No attempt since 2030-01-01 00:00: leave out --since and --until" in text
    assert "/books.db" in text
    assert "b.damaged" in text
    assert "CostCallbackHandler() to a LangChain call" in printed(empty)
