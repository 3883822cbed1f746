"""The life of a call between an adapter and the books.

Prices used: gpt-4o-mini $0.15 in, $0.60 out; claude-haiku-4-5 $1 in, $5 out, cache writes $1.25
(5m) and $2 (1h) per million tokens (openai.com/api/pricing, claude.com/pricing; 2026-11-21).
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from frugal_chains import Budget, BudgetExceeded, Ledger, PriceBook, Usage
from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.ledger import MeterFacts
from frugal_chains.pricing import Free
from frugal_chains.tokens import TokenCounter, worst_case_tokens
from frugal_chains.tracking import CallEnd, CallStart, RunningTotal, Tracker, operation
from frugal_chains.usage import UsageReading

MILLION = Decimal(1_000_000)
HELLO = RequestFacts(messages=(MessageFacts(role="user", text="hello"),))  # 8 tokens for gpt-4o
OK = CallEnd(reading=UsageReading(usage=Usage(input_tokens=8, output_tokens=100)))
COST = (8 * Decimal("0.15") + 100 * Decimal("0.6")) / MILLION


def start(key: str = "k", *, request: RequestFacts = HELLO, **facts: Any) -> CallStart:
    known = {"framework": "test", "provider": "openai", "model": "gpt-4o-mini", **facts}
    return CallStart(key=key, request=lambda: request, **known)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger.open("memory://") as books:
        yield books


@pytest.fixture
def tracker(ledger: Ledger) -> Tracker:
    return Tracker(ledger, prices=PriceBook())


def test_a_call_from_start_to_row(tracker: Tracker, ledger: Ledger) -> None:
    tracker.begin(start(root_id="root", parent_id="p", thread_id="t", tags={"tenant": "acme"}))
    assert tracker.is_open("k")
    tracker.first_token("k")
    attempt = tracker.end("k", OK)
    assert attempt is not None
    assert list(ledger.attempts()) == [attempt._replace(
        latency_s=pytest.approx(attempt.latency_s, abs=1e-6),
        first_token_s=pytest.approx(attempt.first_token_s, abs=1e-6),
    )]  # fmt: skip
    assert (attempt.operation_id, attempt.run_id, attempt.parent_id) == ("root", "k", "p")
    assert (attempt.thread_id, attempt.streamed, attempt.cost_usd) == ("t", True, COST)
    assert tracker.end("k", OK) is None
    assert (tracker.total.attempts, tracker.total.cost_usd) == (1, COST)


def test_the_true_end_of_a_lost_call_replaces_its_row_and_corrects_every_sum(
    ledger: Ledger,
) -> None:
    tracker = Tracker(ledger, prices=PriceBook(), budgets=[Budget.usd(1, per="day")])
    tracker.begin(start(output_cap_tokens=100))
    lost = tracker.give_up("k", "cancelled")
    assert lost is not None
    assert (lost.status, lost.usage.input_tokens, lost.usage.output_tokens) == ("aborted", 8, 0)
    tracker.end("k", OK)
    (row,) = ledger.attempts()
    assert (row.id, row.status, row.cost_usd) == (lost.id, "ok", COST)
    assert (tracker.total.attempts, tracker.total.cost_usd) == (1, COST)
    assert tracker.total.usage == Usage(input_tokens=8, output_tokens=100)
    assert tracker.total.estimated == 0
    (state,) = tracker.pressure()
    assert (state.spent_usd, state.reserved_nanos) == (COST, 0)
    assert tracker.end("k", OK) is None


def test_closing_the_ledger_books_what_is_still_open(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/l.db"
    with Ledger.open(url) as books:
        Tracker(books, prices=PriceBook()).begin(start())
        gc.collect()
    with Ledger.open(url) as books:
        (row,) = books.attempts()
    assert (row.status, row.error_kind, row.latency_s) == ("aborted", "lost", None)
    assert row.usage.input_tokens == 8


def test_a_withdrawn_call_leaves_no_row_and_holds_nothing(ledger: Ledger) -> None:
    tracker = Tracker(ledger, prices=PriceBook(), budgets=[Budget.usd(1, per="day")])
    tracker.begin(start(output_cap_tokens=100))
    assert tracker.pressure()[0].reserved_nanos > 0
    tracker.withdraw("k")
    assert list(ledger.attempts()) == []
    assert tracker.pressure()[0].reserved_nanos == 0


def test_two_trackers_of_one_call_are_one_row_under_both_their_budgets(ledger: Ledger) -> None:
    prices = PriceBook()
    first = Tracker(ledger, prices=prices, tags={"a": "1"}, budgets=[Budget.usd(1, per="day")])
    tight = Budget.usd(COST / 2, per="lifetime")
    second = Tracker(ledger, prices=prices, tags={"a": "2", "b": "2"}, budgets=[tight])
    first.begin(start(output_cap_tokens=100))
    with pytest.raises(BudgetExceeded, match="lifetime"):
        second.begin(start(output_cap_tokens=100))
    assert not first.is_open("k")
    assert [s.reserved_nanos for s in (*first.pressure(), *second.pressure())] == [0, 0]
    roomy = Tracker(ledger, prices=prices, tags={"a": "2", "b": "2"}, budgets=[Budget.usd(1)])
    for tracker in (first, roomy, first):
        tracker.begin(start("k2", output_cap_tokens=100))
    first.end("k2", OK)
    (row,) = ledger.attempts()
    assert row.tags == {"a": "1", "b": "2"}
    assert (first.total.attempts, roomy.total.attempts) == (1, 1)
    assert first.pressure()[0].reserved_nanos == 0


def test_operations_nest_and_carry_tags(tracker: Tracker, ledger: Ledger) -> None:
    with operation("request-1", tenant="acme"), operation(step="two") as inner:
        assert inner.id == "request-1"
        tracker.begin(start())
    tracker.end("k", OK)  # the operation is that of the start
    (row,) = ledger.attempts()
    assert row.operation_id == "request-1"
    assert row.tags == {"tenant": "acme", "step": "two"}


# -- usage -------------------------------------------------------------------------------------

ESTIMATES: dict[str, tuple[CallEnd, tuple[int, int, str]]] = {
    # "one two three" is 3 tokens of o200k_base.
    "no usage": (CallEnd(output_text=lambda: "one two three"), (8, 3, "estimated")),
    "aborted": (CallEnd(status="aborted", error_kind="closed"), (8, 0, "estimated")),
    "refused": (CallEnd(status="error", error_kind="rate_limit", sent=False), (0, 0, "provider")),
    "cached": (CallEnd(status="cached"), (0, 0, "provider")),
    "no input": (
        CallEnd(reading=UsageReading(usage=Usage(output_tokens=5))), (8, 5, "mixed"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ESTIMATES)
def test_usage_that_did_not_come_is_estimated_unless_nothing_was_sent(
    name: str, tracker: Tracker
) -> None:
    end, (input_tokens, output_tokens, source) = ESTIMATES[name]
    tracker.begin(start())
    attempt = tracker.end("k", end)
    assert attempt is not None
    usage = attempt.usage
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (
        input_tokens, output_tokens, source,
    )  # fmt: skip
    assert attempt.cost_usd is not None
    assert (attempt.cost_usd == 0) == (input_tokens == 0)


def test_contradictory_usage_is_kept_and_flagged(tracker: Tracker) -> None:
    reading = UsageReading(
        usage=Usage(input_tokens=900, source="mixed"), problems=("cached 900 exceeds input 800",)
    )
    tracker.begin(start())
    attempt = tracker.end("k", CallEnd(reading=reading))
    assert attempt is not None
    assert (attempt.usage.source, attempt.note) == ("mixed", "cached 900 exceeds input 800")


# -- prices ------------------------------------------------------------------------------------


def test_the_providers_own_charge_comes_before_the_list(tracker: Tracker) -> None:
    reading = UsageReading(usage=Usage(input_tokens=1000, output_tokens=10), billed_usd="0.0012")
    tracker.begin(start())
    attempt = tracker.end("k", CallEnd(reading=reading))
    assert attempt is not None
    assert attempt.cost_usd == Decimal("0.0012")
    price: Any = attempt.price
    assert price.input_nanos + price.output_nanos == price.nanos
    assert price.input_nanos > price.output_nanos
    assert price.price_id == "billed by openai"


def test_an_answer_that_names_an_unlisted_snapshot_is_priced_as_the_model_asked(
    tracker: Tracker,
) -> None:
    tracker.begin(start())
    attempt = tracker.end("k", OK._replace(model="our-private-deployment-7"))
    assert attempt is not None
    assert (attempt.model, attempt.model_asked) == ("our-private-deployment-7", "gpt-4o-mini")
    assert attempt.cost_usd == COST


def test_the_tier_of_the_request_holds_where_the_response_names_none(tracker: Tracker) -> None:
    for key, said, expected in (("a", "", "flex"), ("b", "standard", "standard")):
        tracker.begin(start(key, model="gpt-5.1", service_tier="flex"))
        reading = UsageReading(usage=Usage(input_tokens=1000), service_tier=said)
        attempt = tracker.end(key, CallEnd(reading=reading))
        assert attempt is not None
        assert attempt.service_tier == expected
        # gpt-5.1: $1.25 per million, flex half of it.
        assert attempt.cost_usd == Decimal("0.00125") / (2 if expected == "flex" else 1)


# -- reservations ------------------------------------------------------------------------------


def _held_usd(ledger: Ledger, call: CallStart) -> Decimal:
    tracker = Tracker(ledger, prices=PriceBook(), budgets=[Budget.usd(1000, per="lifetime")])
    tracker.begin(call)
    (state,) = tracker.pressure()
    tracker.withdraw(call.key)
    return Decimal(state.reserved_nanos) / 1_000_000_000


def test_what_is_held_is_counted_input_and_the_output_cap(ledger: Ledger) -> None:
    assert _held_usd(ledger, start(output_cap_tokens=100)) == COST


def test_without_a_cap_the_models_own_is_held(ledger: Ledger) -> None:
    # gpt-4o-mini answers with at most 16,384 tokens (developers.openai.com, model page).
    held = _held_usd(ledger, start())
    assert held == (8 * Decimal("0.15") + 16_384 * Decimal("0.6")) / MILLION


@pytest.mark.parametrize(("ttl", "rate"), [("", 1), ("5m", Decimal("1.25")), ("1h", 2)])
def test_a_request_that_may_write_to_the_cache_is_held_at_the_write_price(
    ttl: Any, rate: Any, ledger: Ledger
) -> None:
    words = RequestFacts(messages=(MessageFacts(role="user", text="word " * 3000),), cache_ttl=ttl)
    call = start(request=words, provider="anthropic", model="claude-haiku-4-5", output_cap_tokens=0)
    plain = start(
        request=words.__class__(messages=words.messages), provider="anthropic",
        model="claude-haiku-4-5", output_cap_tokens=0,
    )  # fmt: skip
    assert _held_usd(ledger, call) == _held_usd(ledger, plain) * rate


def test_a_free_model_holds_nothing_and_passes_a_budget_that_is_used_up(ledger: Ledger) -> None:
    tracker = Tracker(ledger, prices=PriceBook(), budgets=[Budget.usd(0)])
    tracker.begin(start(provider="ollama", model="llama3.2"))
    attempt = tracker.end("k", OK)
    assert attempt is not None
    assert attempt.cost_usd == 0


# -- learning ----------------------------------------------------------------------------------


def test_what_a_provider_counts_is_learned_and_kept_with_the_ledger(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/l.db"
    text = "the quick brown fox jumps over the lazy dog " * 60
    request = RequestFacts(messages=(MessageFacts(role="user", text=text),))
    before = TokenCounter().count_request(request, model="claude-sonnet-5", provider="anthropic")
    truth = round(before.tokens * 1.5)
    end = CallEnd(reading=UsageReading(usage=Usage(input_tokens=truth, output_tokens=1)))
    with Ledger.open(url) as books:
        tracker = Tracker(books, prices=PriceBook())
        for number in range(900):
            key = str(number)
            tracker.begin(
                start(key, request=request, provider="anthropic", model="claude-sonnet-5")
            )
            tracker.end(key, end)
    with Ledger.open(url) as books:
        counter = Tracker(books, prices=PriceBook()).counter
        after = counter.count_request(request, model="claude-sonnet-5", provider="anthropic")
    assert not before.exact
    assert abs(after.tokens - truth) < abs(before.tokens - truth) / 2


# -- never in the way --------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["usage", "price", "record", "learn"])
def test_a_fault_in_any_part_is_logged_and_the_row_is_kept_if_it_can_be(
    part: str, tracker: Tracker, ledger: Ledger, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"broken {part}")

    end = OK
    if part == "usage":
        end = CallEnd(output_text=broken)
    target: dict[str, tuple[Any, str]] = {
        "price": (tracker.prices, "price_at"),
        "record": (ledger.store, "append"),
        "learn": (tracker._lessons, "learn"),
    }
    if part in target:
        monkeypatch.setattr(*target[part], broken)
    tracker.begin(start())
    attempt = tracker.end("k", end)
    assert attempt is not None
    assert "RuntimeError" in caplog.text
    assert "in broken" in caplog.text  # where it was
    assert f"broken {part}" not in caplog.text  # what it says may be a prompt or a key
    monkeypatch.undo()
    rows = list(ledger.attempts())
    assert len(rows) == (0 if part == "record" else 1)
    if part == "usage":
        assert (rows[0].usage.source, rows[0].note) == ("estimated", "usage unknown: RuntimeError")
    if part == "price":
        assert rows[0].unpriced_reason == "pricing failed: RuntimeError"


def test_a_running_total_is_the_sum_of_its_rows_whatever_the_threads(
    tracker: Tracker, ledger: Ledger
) -> None:
    def work(name: str) -> None:
        for number in range(100):
            tracker.begin(start(f"{name}{number}"))
            tracker.end(f"{name}{number}", OK)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (line,) = ledger.totals()
    assert (tracker.total.attempts, line.attempts) == (600, 600)
    assert tracker.total.cost_usd == line.cost_usd == COST * 600
    assert tracker.total.usage == line.usage
    assert str(tracker.total) == "$0.03672 for 600 attempts"


def test_a_custom_counter_without_ranks_still_estimates(ledger: Ledger) -> None:
    tracker = Tracker(ledger, prices=PriceBook(), counter=TokenCounter(sources=()))
    tracker.begin(start())
    attempt = tracker.end("k", CallEnd())
    assert attempt is not None
    assert attempt.usage.input_tokens > 0


@pytest.mark.parametrize(
    ("end", "price_id"),
    [
        (CallEnd(status="cached"), "response cache"),
        (
            CallEnd(status="error", error_kind="rate_limit", sent=False),
            "not billed: answered with an error",
        ),
    ],
)
def test_what_was_not_billed_is_free_though_its_model_has_no_price(
    end: CallEnd, price_id: str, tracker: Tracker
) -> None:
    tracker.begin(start(model="zeta-9000"))
    attempt = tracker.end("k", end)
    assert attempt is not None
    assert attempt.cost_usd == 0
    price: Any = attempt.price
    assert price.price_id == price_id


def test_a_long_request_is_held_at_its_long_context_price(ledger: Ledger) -> None:
    # BerriAI/litellm#40002 reserves too little. Gemini 2.5 Pro: $1.25, above 200,000 tokens $2.50.
    words = RequestFacts(messages=(MessageFacts(role="user", text="word " * 210_000),))
    call = start(request=words, provider="google", model="gemini-2.5-pro", output_cap_tokens=1000)
    counted = TokenCounter().count_request(words, model="gemini-2.5-pro", provider="google")
    assert counted.tokens > 200_000
    held = _held_usd(ledger, call)
    assert held == (worst_case_tokens(counted) * Decimal("2.5") + 1000 * 15) / MILLION


def test_durations_do_not_follow_a_clock_that_is_set_back(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker.begin(start())
    now_ns = time.time_ns()
    monkeypatch.setattr(time, "time", lambda: now_ns / 1e9 - 3600)
    monkeypatch.setattr(time, "time_ns", lambda: now_ns - 3600 * 10**9)
    tracker.first_token("k")
    attempt = tracker.end("k", OK)
    assert attempt is not None
    assert attempt.at_us <= now_ns // 1000
    assert attempt.latency_s is not None
    assert attempt.first_token_s is not None
    assert 0 <= attempt.first_token_s <= attempt.latency_s < 60


def test_a_call_whose_lease_passes_is_booked_with_its_counted_input(ledger: Ledger) -> None:
    budget = Budget.usd(1, per="lifetime")
    tracker = Tracker(ledger, prices=PriceBook(), budgets=[budget])
    tracker.begin(start(output_cap_tokens=100))
    later = datetime.now(UTC) + timedelta(hours=1)
    key = budget.meter.key(MeterFacts(at=later))
    (state,) = ledger.store.meter_states([(budget.meter, key)], now=later)
    (row,) = ledger.attempts()
    assert (row.status, row.error_kind, row.latency_s) == ("aborted", "lease_expired", None)
    assert (row.usage.input_tokens, row.usage.output_tokens) == (8, 0)
    assert row.usage.source == "estimated"
    assert row.cost_usd == 8 * Decimal("0.15") / MILLION
    assert (state.spent_nanos, state.reserved_nanos) == (1200, 0)


def test_a_total_is_not_read_while_another_thread_adds_up() -> None:
    adding, go = threading.Event(), threading.Event()

    class Slow:
        usage = Usage(input_tokens=8)

        @property
        def price(self) -> Free:
            adding.set()
            go.wait(5)
            return Free(price_id="x")

    total, read = RunningTotal(), []
    slow: Any = Slow()
    total.add(slow)
    first = threading.Thread(target=lambda: read.append(total.attempts))
    second = threading.Thread(target=lambda: read.append(total.attempts))
    first.start()
    assert adding.wait(5)
    second.start()
    second.join(0.2)
    go.set()
    for thread in (first, second):
        thread.join()
    assert read == [1, 1]
