"""Open calls: what becomes of them when things end in an unusual order, or in another process."""

from __future__ import annotations

import atexit
import gc
import os
import threading
import weakref
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from frugal_chains import Budget, BudgetExceeded, Ledger, PriceBook, Usage
from frugal_chains.errors import LedgerUnavailable
from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.tracking import CallEnd, CallStart, Tracker, operation
from frugal_chains.usage import UsageReading
from tests.core.ledger.children import needs_fork

HELLO = RequestFacts(messages=(MessageFacts(role="user", text="hello"),))
OK = CallEnd(reading=UsageReading(usage=Usage(input_tokens=8, output_tokens=100)))
GIVEN_UP = CallEnd(status="aborted", error_kind="closed")


def start(key: str = "k", **facts: Any) -> CallStart:
    known = {"framework": "test", "provider": "openai", "model": "gpt-4o-mini", **facts}
    return CallStart(key=key, request=lambda: HELLO, output_cap_tokens=100, **known)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger.open("memory://") as books:
        yield books


def day_tracker(ledger: Ledger) -> Tracker:
    return Tracker(ledger, prices=PriceBook(), budgets=[Budget.usd(1, per="day")])


def test_a_call_given_up_twice_still_takes_its_true_end(ledger: Ledger) -> None:
    tracker = day_tracker(ledger)
    tracker.begin(start())
    tracker.give_up("k", "cancelled")
    assert tracker.end("k", GIVEN_UP) is None
    tracker.end("k", OK)
    (row,) = ledger.attempts()
    assert (row.status, row.usage.output_tokens) == ("ok", 100)


def test_an_end_that_comes_while_a_call_is_given_up_is_not_dropped(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker, real = day_tracker(ledger), ledger.store.append

    def append(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        monkeypatch.undo()
        tracker.end("k", OK)

    tracker.begin(start())
    monkeypatch.setattr(ledger.store, "append", append)
    tracker.give_up("k", "cancelled")
    (row,) = ledger.attempts()
    assert row.status == "ok"
    assert tracker.total.attempts == 1


def test_what_a_call_had_produced_when_it_was_given_up_is_counted(ledger: Ledger) -> None:
    tracker = Tracker(ledger, prices=PriceBook())
    tracker.begin(start())
    attempt = tracker.give_up("k", "cancelled", output_text="hello")  # one token of o200k_base
    assert attempt is not None
    assert attempt.usage == Usage(input_tokens=8, output_tokens=1, source="estimated")


def test_a_second_reservation_of_a_call_changes_nothing(ledger: Ledger) -> None:
    tracker = day_tracker(ledger)
    tracker.begin(start())
    held = tracker.pressure()[0].reserved_nanos
    tracker.reserve("k")
    assert tracker.pressure()[0].reserved_nanos == held > 0
    tracker.end("k", OK)
    assert tracker.pressure()[0].reserved_nanos == 0


def test_a_call_of_two_trackers_is_refused_when_its_budgets_cannot_be_checked(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = day_tracker(ledger), day_tracker(ledger)
    first.begin(start())

    def locked(*args: Any, **kwargs: Any) -> Any:
        raise LedgerUnavailable("locked")

    for name in ("reserve", "register"):
        monkeypatch.setattr(ledger.store, name, locked)
    with pytest.raises(BudgetExceeded, match="cannot be checked"):
        second.begin(start())


def test_two_trackers_warn_once_together(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    nothing = Budget.usd(0, per="lifetime", on_exceeded="warn")
    trackers = [Tracker(ledger, prices=PriceBook(), budgets=[nothing]) for _ in range(2)]
    for key in ("a", "b", "c"):
        for tracker in trackers:
            tracker.begin(start(key))
    assert caplog.text.count("exceeded:") == 1


def test_a_closed_ledger_can_be_collected_after_a_cancelled_call() -> None:
    ledger = Ledger.open("memory://")
    tracker = Tracker(ledger, prices=PriceBook())
    tracker.begin(start())
    tracker.give_up("k", "cancelled")
    ledger.close()
    gone = weakref.ref(ledger)
    del ledger, tracker
    gc.collect()
    assert gone() is None


def test_a_forked_child_does_not_end_its_parents_calls(tmp_path: Path) -> None:
    needs_fork()
    ledger = Ledger.open(f"sqlite:///{tmp_path}/books.db")
    tracker = day_tracker(ledger)
    tracker.begin(start())
    held = tracker.pressure()[0].reserved_nanos
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            atexit._run_exitfuncs()  # what `sys.exit` in a child of multiprocessing comes to
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert tracker.pressure()[0].reserved_nanos == held > 0
    assert list(ledger.attempts()) == []
    tracker.end("k", OK)
    assert [row.status for row in ledger.attempts()] == ["ok"]
    ledger.close()


def test_a_forked_child_may_open_books_while_a_thread_of_its_parent_does(tmp_path: Path) -> None:
    """The parent's thread holds the registry's lock at the fork, and is not in the child."""
    needs_fork()
    from frugal_chains.tracking import _open_calls

    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with _open_calls._registry_lock:
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:  # pragma: no cover
        threading.Timer(5, os._exit, [1]).start()
        Tracker(Ledger.open("memory://"), prices=PriceBook()).begin(start())
        os._exit(0)
    done.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0, "the child waits for a thread it does not have"


def test_pressure_inside_an_operation_is_that_of_the_operation(ledger: Ledger) -> None:
    budget = Budget.usd(1, per="operation", on_exceeded="downgrade")
    tracker = Tracker(ledger, prices=PriceBook(), budgets=[budget])
    with operation("op1"):
        tracker.begin(start())
        tracker.end("k", OK)
        assert tracker.pressure()[0].spent_usd == Decimal("0.0000612")  # 8 in, 100 out
    assert tracker.pressure()[0].spent_usd == 0


def test_tags_of_any_type_are_booked_as_text(ledger: Ledger) -> None:
    tags: Any = {"user": 42, "on": True}
    tracker = Tracker(ledger, prices=PriceBook(), tags=tags)
    tracker.begin(start())
    tracker.end("k", OK)
    (row,) = ledger.attempts(tags={"user": "42"})
    assert row.tags == {"user": "42", "on": "True"}


def test_a_model_whose_requests_cannot_be_counted_is_not_tried_at_every_call(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []

    def request() -> RequestFacts:
        tried.append(1)
        raise RuntimeError("unreadable")

    tracker = Tracker(ledger, prices=PriceBook())
    for key in "abcd":
        tracker.begin(start(key, model="claude-haiku-4-5", provider="anthropic")._replace(
            request=request
        ))  # fmt: skip
        tracker.end(key, OK)
    assert len(tried) == 1
