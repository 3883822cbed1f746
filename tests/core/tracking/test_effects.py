"""What levers report: to the books around them, joined to the operation, and never in the way."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from frugal_chains import Ledger, PriceBook
from frugal_chains.facts import RequestFacts
from frugal_chains.ledger import Effect
from frugal_chains.tracking import (
    CallEnd,
    CallStart,
    Tracker,
    _effects,
    operation,
    report_effect,
    use_tracker,
)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger.open("memory://") as books:
        yield books


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_effects, "_said", set())


def tracker_of(ledger: Ledger, **tags: str) -> Tracker:
    return Tracker(ledger, prices=PriceBook(), tags=tags)


def report(**changes: Any) -> Effect | None:
    facts: dict[str, Any] = {"tokens_before": 100, "tokens_after": 40, "exact": True}
    return report_effect("compression.extract", **facts | changes)


def test_where_no_ledger_is_current_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    assert report() is None
    assert report(tokens_before=-1) is None
    assert not caplog.records


def test_an_effect_goes_to_the_block_and_is_joined_to_its_calls(ledger: Ledger) -> None:
    tracker = tracker_of(ledger, feature="search", tenant="of the block")
    with use_tracker(tracker), operation("op", tenant="acme", user="7"):
        written = report(
            model="gpt-4o", provider="openai", net_nanos=-3, kind="measured",
            detail={"form": "columnar"}, tags={"user": "8"},
        )  # fmt: skip
        start = CallStart("call", "langchain", "openai", "gpt-4o", lambda: RequestFacts(()))
        tracker.begin(start)
        tracker.end("call", CallEnd())
    assert written is not None
    assert list(ledger.effects()) == [written]
    (row,) = ledger.attempts()
    assert written.operation_id == row.operation_id == "op"
    assert row.tags == {"feature": "search", "tenant": "acme", "user": "7"}
    assert written.tags == {**row.tags, "user": "8"}
    assert written.detail == {"form": "columnar"}
    assert (written.net_nanos, written.kind) == (-3, "measured")
    assert abs((row.at - written.at).total_seconds()) < 60


def test_the_run_an_adapter_knows_is_the_operation_unless_one_is_open(ledger: Ledger) -> None:
    with use_tracker(tracker_of(ledger)):
        report(operation_id="root run")
        with operation("mine"):
            report(operation_id="root run")
        report()
    assert [one.operation_id for one in ledger.effects()] == ["root run", "mine", ""]


def test_of_nested_blocks_the_innermost_is_written_to(ledger: Ledger) -> None:
    with Ledger.open("memory://") as inner:
        with use_tracker(tracker_of(ledger)):
            with use_tracker(tracker_of(inner)):
                report()
            assert list(ledger.effects()) == []
        assert len(list(inner.effects())) == 1


def test_handlers_beside_the_block_get_it_too_and_each_ledger_once(ledger: Ledger) -> None:
    with Ledger.open("memory://") as other:
        beside = [tracker_of(ledger, a="2", b="2"), tracker_of(other, b="3"), tracker_of(other)]
        with use_tracker(tracker_of(ledger, a="1")):
            written = report(trackers=beside)
        alone = report(trackers=beside[1:])
        assert list(ledger.effects()) == [written]
        assert written is not None
        assert written.tags == {"a": "1", "b": "2"}
        first, second = other.effects()
        assert (first.id, first.tags) == (written.id, {"b": "3"})
        assert second == alone


def test_threads_and_tasks_of_the_block_report_to_it(ledger: Ledger) -> None:
    async def task() -> None:
        await asyncio.gather(asyncio.to_thread(report), asyncio.to_thread(report))

    with use_tracker(tracker_of(ledger)), operation("op"):
        thread = threading.Thread(target=report)
        thread.start()
        thread.join()
        asyncio.run(task())
    assert [one.operation_id for one in ledger.effects()] == ["op"] * 3


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text of me")


BAD: list[dict[str, Any]] = [
    {"tokens_after": -1},
    {"tokens_before": float("nan")},
    {"detail": {"x": object()}},
    {"detail": 7},
    {"kind": "guessed"},
    {"model": object()},
    {"tags": {"user": Broken()}},
    {"tags": 7},
]


@pytest.mark.parametrize("bad", BAD, ids="-".join)
def test_bad_numbers_are_logged_once_and_never_raised(
    bad: dict[str, Any], ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    with use_tracker(tracker_of(ledger)):
        assert [report(**bad) for _ in range(3)] == [None] * 3
        assert report() is not None
    assert len(list(ledger.effects())) == 1
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "compression.extract" in record.getMessage() or ledger.url in record.getMessage()


def test_a_ledger_that_fails_is_logged_once_and_the_others_are_written(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    closed = Ledger.open("memory://")
    closed.close()
    with use_tracker(tracker_of(closed)):
        for _ in range(3):
            written = report(trackers=[tracker_of(ledger)])
            assert written in list(ledger.effects())
    assert len(list(ledger.effects())) == 3
    (record,) = [one for one in caplog.records if "effects" in one.getMessage()]
    assert "was closed" in record.getMessage()
