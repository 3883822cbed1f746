"""Attempts for the report tests, and the sums a report must show, added up here by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from frugal_chains.ledger import Attempt, Ledger, microseconds, new_id
from frugal_chains.pricing import Free, Priced, Unpriced
from frugal_chains.report import ReportFacts, grouping, questions, report_facts
from frugal_chains.usage import Usage

FIRST_DAY = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
HINT = "no usage came back: tokens were counted here; pass stream_usage=True"
NO_PRICE = "no price list for provider 'acme'; give it a [[price]] entry in prices.toml"


def attempt(
    *,
    day: int = 0,
    model: str = "gpt-4o",
    provider: str = "openai",
    nanos: int | None = 0,
    usage: Usage | None = None,
    operation: str = "",
    **fields: Any,
) -> Attempt:
    """An attempt on `FIRST_DAY + day`; `nanos` None leaves it unpriced, unless `price` is given."""
    at = FIRST_DAY + timedelta(days=day)
    id_ = new_id(microseconds(at))
    if nanos is None:
        fields.setdefault("price", Unpriced(reason=NO_PRICE))
    else:
        fields.setdefault("price", Priced(nanos=nanos, output_nanos=nanos, price_id="test"))
    return Attempt(
        id=id_,
        operation_id=operation or id_,
        at_us=microseconds(at),
        framework="langchain",
        provider=provider,
        model=model,
        usage=usage or Usage(input_tokens=1_000, output_tokens=100),
        **fields,
    )


def sample() -> list[Attempt]:
    """Two models, features and days; one free, two unpriced, three estimated, three not ok."""
    op = new_id(microseconds(FIRST_DAY))
    return [
        attempt(nanos=132_000, tags={"feature": "search"}),
        attempt(nanos=1, operation=op, tags={"feature": "search"}, status="error",
                error_kind="rate_limit"),
        attempt(nanos=2_500_000_000, operation=op, tags={"feature": "chat", "tenant": "acme"},
                usage=Usage(input_tokens=4_000, output_tokens=50, cache_read_tokens=3_000)),
        attempt(day=1, model="claude-sonnet-4-5", provider="anthropic", nanos=987_654_321,
                tags={"feature": "chat"}),
        attempt(day=1, model="claude-sonnet-4-5", provider="anthropic", nanos=40, status="aborted",
                error_kind="cancelled", note=HINT, tags={"feature": "chat"},
                usage=Usage(input_tokens=700, output_tokens=5, source="estimated")),
        attempt(day=2, model="in-house", provider="acme", nanos=None, note=HINT,
                usage=Usage(input_tokens=10, output_tokens=2, source="estimated")),
        attempt(day=2, model="in-house", provider="acme", nanos=None, note="half of it came back",
                usage=Usage(input_tokens=10, output_tokens=2, source="mixed")),
        attempt(day=2, model="llama3", provider="ollama", price=Free(price_id="local")),
        attempt(day=2, price=Free(price_id="response cache"), status="cached",
                usage=Usage(), tags={"feature": "search"}),
    ]  # fmt: skip


def cost_of(attempts: Iterable[Attempt]) -> Decimal:
    """The exact cost of the priced ones, digit by digit from their nano-dollars."""
    nanos = sum(a.price.nanos for a in attempts if a.price.nanos is not None)
    return Decimal(f"{nanos // 10**9}.{nanos % 10**9:09d}")


def report_of(attempts: Iterable[Attempt], by: Sequence[str] = ()) -> ReportFacts:
    """The report over these attempts, by way of a real ledger."""
    with Ledger.open("memory://") as books:
        for each in attempts:
            books.record(each)
        wanted = grouping(by, books.tag_names())
        answers = {asked: books.totals(asked) for asked in questions(wanted, books.tag_names())}
        return report_facts(answers, by=wanted, notes=books.estimated_notes())
