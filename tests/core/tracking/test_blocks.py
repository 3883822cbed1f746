"""Who is in a block: the threads it starts, the work it submits, and what comes from elsewhere."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import queue
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from frugal_chains import Budget, Ledger, PriceBook
from frugal_chains.facts import RequestFacts
from frugal_chains.tracking import (
    CallEnd,
    CallStart,
    Tracker,
    budgets_around,
    carry,
    current_operation,
    current_tracker,
    operation,
    use_tracker,
)

MakeTracker = Callable[..., Tracker]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger.open("memory://") as books:
        yield books


@pytest.fixture
def make_tracker(ledger: Ledger) -> MakeTracker:
    prices = PriceBook()

    def make(name: str = "", **options: Any) -> Tracker:
        return Tracker(ledger, prices=prices, tags={"block": name}, **options)

    return make


@pytest.fixture(autouse=True)
def _nothing_stays_wrapped() -> Iterator[None]:
    before = threading.Thread.start, ThreadPoolExecutor.submit
    yield
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == before


def where() -> tuple[str, str]:
    """The block and the operation this code is in."""
    tracker, group = current_tracker(), current_operation()
    return tracker.tags["block"] if tracker else "", group.id if group else ""


def in_thread(work: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def in_pool(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def in_executor(work: Callable[[], Any]) -> Any:
    async def run() -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, work)

    return asyncio.run(run())


class Worker:
    """A pool's worker as anyio makes them (`_backends/_asyncio.py`, `WorkerThread`): each item of
    its queue is run under the context of the code that asked."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while (item := self._asked.get()) is not None:
            context, work, answer = item
            answer.put(context.run(work))

    def ask(self, work: Callable[[], Any]) -> Any:
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._asked.put((contextvars.copy_context(), work, answer))
        return answer.get(timeout=5)

    def stop(self) -> None:
        self._asked.put(None)
        self._thread.join()


# -- threads and pools -------------------------------------------------------------------------


@pytest.mark.parametrize("way", [in_thread, in_pool, in_executor])
def test_threads_and_pools_take_block_and_operation_along(
    way: Callable[..., Any], make_tracker: MakeTracker
) -> None:
    with operation("op"):
        assert way(where) == ("", "op")
        with use_tracker(make_tracker("a")):
            assert way(where) == ("a", "op")
            assert way(lambda: way(where)) == ("a", "op")
    assert way(where) == ("", "")


def test_a_thread_stays_in_its_block_when_that_ends_first(make_tracker: MakeTracker) -> None:
    ended, found = threading.Event(), []

    def work() -> None:
        ended.wait(5)
        found.append(where())

    with use_tracker(make_tracker("a")), operation("op"):
        thread = threading.Thread(target=work)
        thread.start()
    ended.set()
    thread.join()
    assert found == [("a", "op")]


def test_a_worker_begun_in_a_block_does_the_work_of_others_for_them(
    make_tracker: MakeTracker,
) -> None:
    with use_tracker(make_tracker("a")), operation("op a"):
        worker = Worker()
        assert worker.ask(where) == ("a", "op a")
    try:
        assert worker.ask(where) == ("", "")
        with use_tracker(make_tracker("b")):
            assert worker.ask(where) == ("b", "")
    finally:
        worker.stop()


def test_a_pool_begun_in_a_block_does_the_work_of_others_for_them(
    make_tracker: MakeTracker,
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with use_tracker(make_tracker("a")), operation("op a"):
            assert pool.submit(where).result() == ("a", "op a")
        with use_tracker(make_tracker("b")):
            assert pool.submit(where).result() == ("b", "")
            elsewhere = contextvars.Context()
            assert elsewhere.run(lambda: pool.submit(where).result()) == ("", "")
        assert pool.submit(where).result() == ("", "")


def test_a_loop_begun_in_a_block_runs_the_tasks_of_others_for_them(
    make_tracker: MakeTracker,
) -> None:
    loop = asyncio.new_event_loop()

    async def here() -> tuple[str, str]:
        return where()

    def ask() -> tuple[str, str]:
        return asyncio.run_coroutine_threadsafe(here(), loop).result(5)

    with use_tracker(make_tracker("a")):
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        assert ask() == ("a", "")
    with use_tracker(make_tracker("b")):
        assert ask() == ("b", "")
    assert ask() == ("", "")
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


further: contextvars.ContextVar[str] = contextvars.ContextVar("further")


@pytest.mark.parametrize("way", [in_thread, in_pool])
def test_further_variables_go_along_from_inside_a_block_only(way: Callable[..., Any]) -> None:
    carry(further)
    token = further.set("span 7")
    try:
        with operation("op"):
            assert way(lambda: further.get("")) == "span 7"
            outside = contextvars.Context()
            outside.run(further.set, "span 8")
            assert outside.run(way, lambda: further.get("")) == ""
        assert way(lambda: further.get("")) == ""
    finally:
        further.reset(token)


def test_a_thread_is_let_go_when_it_ends_and_keeps_a_run_of_its_own(
    make_tracker: MakeTracker,
) -> None:
    class Mine(threading.Thread):
        def run(self) -> None:
            found.append(where())

    found: list[tuple[str, str]] = []
    with use_tracker(make_tracker("a")):
        mine = Mine()
        watched = threading.Thread(target=lambda: found.append(where()))
        watched.run = lambda: found.append(("replaced", ""))  # type: ignore[method-assign]
        for thread in (mine, watched):
            thread.start()
            thread.join()
    assert found == [("a", ""), ("replaced", "")]
    assert ["run" in vars(thread) for thread in (mine, watched)] == [False, True]
    watched.run()
    assert found[2:] == [("replaced", "")]
    gone = weakref.ref(mine)
    del mine, thread
    assert gone() is None


def test_a_thread_that_is_given_a_context_stays_in_the_block_of_that(
    make_tracker: MakeTracker,
) -> None:
    class Given(threading.Thread):
        """As `Thread(context=...)` of Python 3.14, which runs `_bootstrap_inner` in it."""

        def _bootstrap_inner(self) -> None:
            given.run(super()._bootstrap_inner)  # type: ignore[misc]

    found: list[tuple[str, str]] = []
    with use_tracker(make_tracker("a")):
        given = contextvars.copy_context()
    with use_tracker(make_tracker("b")):
        thread = Given(target=lambda: found.append(where()))
        thread.start()
        thread.join()
    assert found == [("a", "")]


def test_the_thread_of_the_ledger_does_not_keep_the_block_it_was_started_in(
    tmp_path: Path,
) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/l.db") as books:
        tracker = Tracker(books, prices=PriceBook())
        with use_tracker(tracker):
            tracker.begin(CallStart("k", "test", "openai", "gpt-4o-mini", RequestFacts))
            tracker.end("k", CallEnd())
        gone = weakref.ref(tracker)
        del tracker
        gc.collect()
        assert gone() is None


# -- generators that leave a block elsewhere ---------------------------------------------------

BLOCKS: dict[str, Callable[[MakeTracker], AbstractContextManager[Any]]] = {
    "use_tracker": lambda make: use_tracker(make("a")),
    "operation": lambda make: operation("op"),
}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("end", ["read", "close"])
def test_a_generator_may_leave_its_block_in_another_context(
    name: str, end: str, make_tracker: MakeTracker
) -> None:
    def generate() -> Iterator[int]:
        with BLOCKS[name](make_tracker):
            yield 1

    generator: Any = generate()
    assert contextvars.copy_context().run(next, generator) == 1
    if end == "close":
        generator.close()
    else:
        assert list(generator) == []
    assert where() == ("", "")


@pytest.mark.parametrize("name", BLOCKS)
async def test_an_async_generator_may_be_closed_by_another_task(
    name: str, make_tracker: MakeTracker
) -> None:
    async def generate() -> AsyncIterator[int]:
        with BLOCKS[name](make_tracker):
            yield 1

    generator: Any = generate()
    assert await asyncio.create_task(anext(generator)) == 1
    await asyncio.create_task(generator.aclose())
    assert where() == ("", "")


def test_what_the_code_in_a_block_raises_comes_out_as_it_is(make_tracker: MakeTracker) -> None:
    mine = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught, use_tracker(make_tracker()):
        raise mine
    assert caught.value is mine


# -- budgets of outer blocks -------------------------------------------------------------------


def test_the_budgets_around_are_those_of_every_block_on_the_same_ledger(
    ledger: Ledger, make_tracker: MakeTracker
) -> None:
    day, run, other = Budget.usd(9, per="day"), Budget.usd(1), Budget.usd(2)
    assert budgets_around(ledger) == ()
    with (
        Ledger.open("memory://") as elsewhere,
        use_tracker(make_tracker(budgets=[day, run])),
        use_tracker(Tracker(elsewhere, budgets=[other])),
        use_tracker(make_tracker(budgets=[run])),
    ):
        assert budgets_around(ledger) == (run, day)
        assert in_thread(lambda: budgets_around(ledger)) == (run, day)
        assert budgets_around(elsewhere) == (other,)
