"""The lever that comes next, against bills worked out by hand at list prices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains import Ledger, PriceBook
from frugal_chains.ledger import Attempt, Effect, Totals, microseconds, new_id
from frugal_chains.report._newest import newest_since
from frugal_chains.report.levers import (
    LeverGain,
    NextLever,
    lever_json,
    lever_lines,
    next_lever,
    trial_of,
)
from frugal_chains.report.levers._days import edges
from frugal_chains.usage import Usage

BOOK = PriceBook.load()
START = datetime(2026, 11, 1, 9, tzinfo=UTC)
NOW = datetime(2026, 11, 11, 12, tzinfo=UTC)
SMALL = Usage(input_tokens=1_000, output_tokens=100)
# USD for SMALL: gpt-4o is 2.50 and 10 a million, gpt-4o-mini 0.15 and 0.60.
GPT_4O, MINI = Decimal("0.0035"), Decimal("0.00021")


def call(number: int, *, model: str = "gpt-4o", **fields: Any) -> Attempt:
    """Number by number, six hours apart."""
    fields = {"provider": "openai", "usage": SMALL, "operation_id": f"op {number}", **fields}
    at = fields.pop("at", START + timedelta(hours=6 * number))
    at_us = microseconds(at)
    price = BOOK.price(fields["usage"], provider=fields["provider"], model=model, at=at)
    return Attempt(
        id=new_id(at_us), at_us=at_us, framework="x", model=model,
        **{"price": price, **fields},
    )  # fmt: skip


def alone(count: int = 40, **fields: Any) -> list[Attempt]:
    return [call(number, **fields) for number in range(count)]


def told(rows: Iterable[Attempt], *effects: Effect, **given: Any) -> NextLever | None:
    with Ledger.open("memory://") as books:
        for row in sorted(rows, key=lambda row: row.id):
            books.record(row)
        books.record_effects(effects)
        return next_lever(books, **{"book": BOOK, "now": NOW, **given})


def a_month(usd: Decimal, *, days: float) -> Any:
    return pytest.approx(float(usd) * 1e9 / days * 365.25 / 12, rel=1e-6)


DAYS = 10 + 3 / 24
"""From 9:00 of the first day to noon of the eleventh."""


def gains(found: NextLever | None) -> dict[str, LeverGain]:
    assert found is not None
    return {gain.lever: gain for gain in found.conditional}


MIXED = [
    *alone(tags={"feature": "contracts"}),
    *alone(tags={"feature": "faq"}, model="gpt-4o-mini"),
]


# -- what a person must say --------------------------------------------------------------------


def test_a_task_that_a_model_in_use_might_do() -> None:
    found = told(MIXED)
    assert found is not None
    move = found.move
    assert move is not None
    assert (move.task, move.model, move.to) == ("contracts", "gpt-4o", "gpt-4o-mini")
    saved = 40 * (GPT_4O - MINI)
    assert gains(found)["routing"].share == pytest.approx(float(saved / (40 * (GPT_4O + MINI))))
    assert gains(found)["routing"].nanos == a_month(saved, days=DAYS)
    assert gains(found)["routing"].ends_nanos is None


def test_calls_that_nobody_waits_for_cost_half_in_a_batch() -> None:
    found = told(MIXED)
    assert found is not None
    assert found.trial.waiting == ("contracts", "faq")
    assert gains(found)["batch"].nanos == a_month(40 * (GPT_4O + MINI) / 2, days=DAYS)
    assert gains(found)["batch"].share == pytest.approx(0.5)


@pytest.mark.parametrize(
    "watched",
    [
        alone(tags={"feature": "contracts"}, streamed=True),
        alone(tags={"feature": "contracts"}, thread_id="one conversation"),
        alone(tags={"feature": "contracts"}, operation_id="one operation"),
    ],
)
def test_who_waits_for_an_answer_needs_no_batch(watched: Sequence[Attempt]) -> None:
    found = told([*watched, *MIXED[40:]])
    assert found is not None
    assert found.trial.waiting == ("faq",)


def test_a_model_that_is_hardly_used_is_not_proposed() -> None:
    found = told(MIXED[:59])
    assert found is not None
    assert found.move is None


def test_a_dearer_model_or_another_provider_is_not_proposed() -> None:
    rows = [
        *alone(tags={"feature": "a"}, model="gpt-4o-mini"),
        *alone(tags={"feature": "b"}, model="claude-haiku-4-5", provider="anthropic"),
    ]
    found = told(rows)
    assert found is not None
    assert found.move is None


def test_calls_without_a_task_are_not_moved_but_can_wait() -> None:
    rows = [row._replace(operation_id="") for row in alone(model="gpt-4o-mini")]
    found = told([*alone(), *rows])
    assert found is not None
    assert found.move is None
    assert [*gains(found)] == ["batch"]
    assert "calls without a task" in lever_json(found)["conditional"][0]["condition"]


def test_a_few_calls_tell_nothing() -> None:
    found = told(MIXED[:3])
    assert found is not None
    assert found.best is None
    assert not found.conditional
    assert not [*lever_lines(found)]


def test_no_call_that_was_sent() -> None:
    assert told([]) is None
    assert told([call(1, status="cached")]) is None


# -- conversations -----------------------------------------------------------------------------


def conversation(name: str, start: datetime, calls: int = 12) -> list[Attempt]:
    """A system prompt of 3,000 tokens; each call has 1,000 more than the one before."""
    return [
        call(
            number,
            at=start + timedelta(seconds=60 * number),
            model="claude-sonnet-4-5",
            provider="anthropic",
            usage=Usage(input_tokens=3_000 + 1_000 * number, output_tokens=200),
            operation_id=f"{name} {number}",
            thread_id=name,
        )
        for number in range(calls)
    ]


TALKS = [
    row
    for number in range(40)
    for row in conversation(f"talk {number}", START + timedelta(hours=6 * number))
]


def test_markers_save_what_the_list_price_says() -> None:
    found = told(TALKS)
    assert found is not None
    assert found.best is not None
    # Claude Sonnet 4.5: $3 a million in, 1.25 times that to write, a tenth to read; $15 out.
    plain = sum(3_000 + 1_000 * n for n in range(12))
    read = sum(3_000 + 1_000 * (n - 1) for n in range(1, 12))
    written = 3_000 + 11 * 1_000
    bill = (plain * 3 + 12 * 200 * 15) * 40
    marked = (read * Decimal("0.3") + written * Decimal("3.75") + 12 * 200 * 15) * 40
    assert found.best.lever == "prompt_cache"
    assert found.bill_nanos == a_month(Decimal(bill) / 10**6, days=DAYS)
    assert found.best.share == pytest.approx(float((bill - marked) / bill), rel=0.02)
    assert found.why_none == ""


def test_the_month_is_the_share_of_its_bill() -> None:
    found = told(TALKS)
    assert found is not None
    best = found.best
    assert best is not None
    assert best.nanos == pytest.approx(best.share * found.bill_nanos, rel=1e-6)
    low, high = best.ends_nanos or (0, 0)
    assert 0 < low < best.nanos < high < found.bill_nanos


def test_shares_are_taken_of_each_models_own_bill() -> None:
    late = [row for row in TALKS if row.at >= NOW - timedelta(days=5)]
    cheap = [
        row._replace(model="claude-haiku-4-5", price=BOOK.price(row.usage, provider="anthropic",
                     model="claude-haiku-4-5"))
        for row in TALKS if row.at < NOW - timedelta(days=5)
    ]  # fmt: skip
    newest, whole = told(late), told([*cheap, *late], most=len(late))
    assert newest is not None
    assert whole is not None
    assert newest.best is not None
    assert whole.best is not None
    assert whole.calls == newest.calls == len(late)
    # Of Haiku nothing was replayed, so nothing is promised of it.
    saved = newest.best.nanos * newest.days
    assert whole.best.nanos * whole.days == pytest.approx(saved, rel=1e-6)


def test_a_lever_at_work_is_not_proposed_again() -> None:
    used = Effect(
        operation_id="", at=START + timedelta(days=1), lever="prompt_cache.mark", tokens_before=1,
        tokens_after=1, exact=True, model="m", provider="anthropic",
    )  # fmt: skip
    found = told(TALKS, used)
    assert found is not None
    assert found.trial.in_use == ("prompt_cache",)
    assert found.best is None or found.best.lever == "memory"


def test_what_is_at_work_is_read_off_attempts_too() -> None:
    rows = [*alone(decision={"routing": {}}), *alone(service_tier="batch")]
    assert trial_of(rows).in_use == ("routing", "batch")
    found = told(rows)
    assert found is not None
    assert not found.conditional


def test_too_few_conversations() -> None:
    found = told(TALKS[:36])
    assert found is not None
    assert found.best is None
    assert found.why_none == "there are too few conversations to tell"


def test_without_conversations_there_is_nothing_to_simulate() -> None:
    found = told(MIXED)
    assert found is not None
    assert found.best is None
    assert "thread_id" in found.why_none


def test_a_simulation_that_is_far_off_tells_nothing_but_what_needs_none() -> None:
    # Nine tenths were read from a cache that no rule would have kept for six hours.
    cached = Usage(input_tokens=10_000, output_tokens=100, cache_read_tokens=9_000)
    rows = [
        *alone(tags={"feature": "contracts"}, usage=cached, thread_id="a"),
        *alone(tags={"feature": "faq"}, model="gpt-4o-mini"),
    ]
    found = told([row._replace(thread_id=f"{n % 20}") for n, row in enumerate(rows)])
    assert found is not None
    assert found.best is None
    assert "are simulated at" in found.why_none
    # 1,000 at 2.50, 9,000 at 1.25, 100 at 10; for the small one 0.15, 0.075 and 0.60.
    saved = Decimal("0.01475") - Decimal("0.000885")
    assert gains(found)["routing"].nanos == a_month(40 * saved, days=DAYS)


def test_a_bill_at_other_prices_tells_nothing() -> None:
    o1 = BOOK.price(TALKS[0].usage, provider="openai", model="o1")
    found = told([row._replace(price=o1) for row in TALKS])
    assert found is not None
    assert found.best is None
    assert "are simulated at" in found.why_none


_MODELS = st.sampled_from(
    [("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5")]
)
_ROWS = st.lists(
    st.tuples(
        _MODELS, st.integers(1, 60_000), st.integers(0, 9), st.integers(0, 3), st.integers(0, 600)
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(_ROWS)
def test_nothing_is_promised_that_is_not_sure(rows: list[Any]) -> None:
    calls, at = [], START
    for number, ((provider, model), tokens, cached, talk, pause_s) in enumerate(rows):
        at += timedelta(seconds=pause_s)
        usage = Usage(input_tokens=tokens, cache_read_tokens=tokens * cached // 10)
        calls.append(
            call(
                number, at=at, provider=provider, model=model, usage=usage, thread_id=f"t{talk}",
                tags={"feature": f"f{talk}"},
            )
        )  # fmt: skip
    found = told(calls)
    if found is None:
        assert not calls
        return
    assert (found.best is None) == bool(found.why_none)
    for gain in (*([found.best] if found.best else []), *found.conditional):
        assert 0.01 <= gain.share <= 1
        assert 0 < gain.nanos <= found.bill_nanos
        low, high = gain.ends_nanos or (gain.nanos, gain.nanos)
        assert 0 < low <= gain.nanos <= high


# -- which attempts ----------------------------------------------------------------------------


def test_only_the_newest_are_replayed() -> None:
    found = told(MIXED, most=30)
    assert found is not None
    assert (found.calls, found.of) == (30, 80)
    assert found.first == START + timedelta(hours=6 * 25)


def test_of_long_conversations_fewer_are_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frugal_chains.report.levers._read._MOST_WORK", 100)
    found = told(TALKS)
    assert found is not None
    # A conversation of 12 is 12 + (1 + ... + 12) / 4 = 31.5 calls' work. Three are 94.5; of the
    # fourth the last is 1 + 12 / 4.
    assert found.calls == 37


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 24 * 5), max_size=40), st.integers(1, 45))
def test_the_newest_attempts_are_whole_hours(hours: list[int], most: int) -> None:
    rows = sorted((call(0, at=START + timedelta(hours=h)) for h in hours), key=lambda r: r.id)
    with Ledger.open("memory://") as books:
        for row in rows:
            books.record(row)
        days = books.totals(("day",))
        start = newest_since(books, days, None, None, most=most)
        read = [row.at for row in books.attempts(since=start)]
    newest: list[datetime] = []
    for at in sorted({row.at for row in rows}, reverse=True):
        same = [row.at for row in rows if row.at == at]
        if newest and len(newest) + len(same) > most:
            break
        newest += same
    assert read == sorted(newest)


# -- a month -----------------------------------------------------------------------------------


def day(text: str) -> Totals:
    return Totals(
        key={"day": text}, attempts=1, operations=1, usage=Usage(), nanos=0, unpriced=0, estimated=0
    )


LATE = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "first", "now", "begin", "end"),
    [
        (["01", "10"], "01T00", LATE, "01T00", "11T00"),
        (["01", "10"], "01T09", LATE, "01T09", "11T00"),
        (["01", "10"], "01T09", datetime(2026, 11, 10, 12, tzinfo=UTC), "01T09", "10T12"),
        (["30"], "01T00", LATE, "01T00", None),
    ],
)
def test_the_days_of_a_month(
    days: list[str], first: str, now: datetime, begin: str, end: str | None
) -> None:
    def at(text: str) -> datetime:
        return datetime.fromisoformat(f"2026-11-{text}:00+00:00")

    lines = [day(f"2026-11-{each}") for each in days]
    assert edges(lines, first=at(first), now=now) == (
        at(begin), at(end) if end else datetime(2026, 12, 1, tzinfo=UTC),
    )  # fmt: skip


def test_what_is_older_than_thirty_days_has_no_say() -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    begin, _ = edges([day("2026-01-01"), day("2026-11-30")], first=first, now=LATE)
    assert begin == datetime(2026, 11, 1, tzinfo=UTC)


def test_a_period_that_ends_at_noon() -> None:
    found = told(MIXED, until=datetime(2026, 11, 3, 12, tzinfo=UTC))
    assert found is not None
    # Calls at 9:00, 15:00, 21:00 of the first day and every six hours of two more until 9:00: nine
    # of each model in 51 hours.
    assert found.bill_nanos == a_month(9 * (GPT_4O + MINI), days=51 / 24)


def test_less_than_a_day_is_no_month() -> None:
    rows = [row._replace(at_us=TALKS[0].at_us + n, id=new_id(TALKS[0].at_us + n))
            for n, row in enumerate(MIXED)]  # fmt: skip
    found = told(rows, now=START + timedelta(hours=1))
    assert found is not None
    assert not found.is_month
    assert found.bill_nanos == 40 * (GPT_4O + MINI) * 10**9
    assert "at most $0.1316 of these calls, " in lines(found)


# -- what is said ------------------------------------------------------------------------------


def lines(found: NextLever | None) -> str:
    from rich.console import Console

    screen = Console(width=10_000, highlight=False, markup=False, emoji=False)
    with screen.capture() as caught:
        for line in lever_lines(found):
            screen.print(line)
    return " ".join(caught.get().split())


def test_the_terminal_names_the_lever_its_interval_and_its_basis() -> None:
    said = lines(told(TALKS))
    assert "Next lever: prompt cache markers would save $" in said
    assert " a month, " in said
    assert " (95 %: $" in said
    assert "Modelled: 480 attempts were replayed (2026-11-01 09:00 to 11-11 03:11 UTC)" in said
    assert "A month is taken at the pace of the last 10 days of the period." in said
    assert "Not known: compression, as a ledger keeps no texts." in said


def test_the_terminal_says_at_most_where_it_depends() -> None:
    said = lines(told(MIXED))
    assert "Next lever: none for sure: no call says which conversation" in said
    assert "If gpt-4o-mini can answer contracts, most of whose bill is of gpt-4o: at most $" in said
    assert "--route contracts=openai:gpt-4o-mini" in said


def test_names_are_escaped_and_quoted() -> None:
    name = "a b\x1b[31m; rm"
    rows = [row._replace(tags={"feature": name}) for row in MIXED[:40]] + MIXED[40:]
    said = lines(told(rows))
    assert "\x1b" not in said
    assert r"--route 'a b\x1b[31m; rm=openai:gpt-4o-mini'" in said


def test_for_machines() -> None:
    document = lever_json(told(TALKS)) or {}
    best = document["best"]
    assert best["lever"] == "prompt_cache"
    assert Decimal(best["low_usd"]) < Decimal(best["usd"]) < Decimal(best["high_usd"])
    assert document["month"] is True
    assert document["unknown"] == ["compression"]
    assert lever_json(None) is None
    document = lever_json(told(MIXED)) or {}
    assert document["best"] is None
    assert {each["lever"]: each["share"] for each in document["conditional"]} == {
        "routing": 0.886792,  # 0.1316 of 0.1484
        "batch": 0.5,
    }
