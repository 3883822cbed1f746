"""Calls that end in every way a call can end: each is one row, with the right status."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda

from frugal_chains import Ledger
from frugal_chains.ledger import Attempt
from langchain_frugal import CostCallbackHandler, track_cost
from tests.servers import Reply, ScriptedServer, Tokens

LONG_TEXT = " ".join(f"word{i}" for i in range(50))
WITHIN_S = 1.0


async def _rows_soon(ledger: Ledger, count: int = 1) -> list[Attempt]:
    """The rows, waiting at most the second in which a lost call must be on the books."""
    deadline = time.monotonic() + WITHIN_S
    while len(rows := list(ledger.attempts())) < count and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    return rows


# -- cancelled calls ---------------------------------------------------------------------------


async def test_a_call_cancelled_by_wait_for_is_booked_as_aborted_within_a_second(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("late", delay_s=3))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(
            chat_openai().ainvoke("hello world", config={"callbacks": [handler]}), 0.2
        )
    (row,) = await _rows_soon(ledger)
    assert (row.status, row.error_kind, row.usage.source) == ("aborted", "cancelled", "estimated")
    assert (row.usage.input_tokens, row.usage.output_tokens) == (9, 0)
    assert row.cost_usd is not None
    assert row.cost_usd > 0


async def test_a_timeout_inside_a_task_that_lives_on_is_found_too(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("late", delay_s=3))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await chat_openai().ainvoke("hello world", config={"callbacks": [handler]})
    (row,) = await _rows_soon(ledger)
    assert (row.status, row.usage.input_tokens) == ("aborted", 9)


async def test_a_chain_cancelled_from_outside_is_booked(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("late", delay_s=3))
    chain = RunnableLambda(lambda q: q) | chat_openai()
    task = asyncio.create_task(chain.ainvoke("hello", config={"callbacks": [handler]}))
    while not scripted.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert [row.status for row in await _rows_soon(ledger)] == ["aborted"]


async def test_a_slow_call_is_not_taken_for_a_lost_one(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("late", delay_s=1.0, usage=Tokens(fresh=10, visible=5)))
    await chat_openai().ainvoke("hello", config={"callbacks": [handler]})
    assert [(row.status, row.usage.source) for row in ledger.attempts()] == [("ok", "provider")]


def test_a_call_whose_loop_is_gone_is_booked_when_the_ledger_closes(
    scripted: ScriptedServer, chat_openai: Any, tmp_path: Any
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    scripted.script(Reply(LONG_TEXT, chunk_delay_s=0.01))
    with Ledger.open(url) as books:
        model = chat_openai(stream_usage=True)
        loop = asyncio.new_event_loop()

        async def first_chunk() -> Any:
            stream = model.astream("hello", config={"callbacks": [CostCallbackHandler(books)]})
            await anext(stream)
            return stream

        kept = loop.run_until_complete(first_chunk())
        loop.close()  # the stream can never be finished, and nothing reports that
        assert list(books.attempts()) == []
    with Ledger.open(url) as books:
        (row,) = books.attempts()
    del kept
    assert (row.status, row.error_kind) == ("aborted", "lost")
    assert row.usage.input_tokens > 0


# -- abandoned streams -------------------------------------------------------------------------


def _assert_aborted(row: Attempt, kind: str) -> None:
    assert (row.status, row.error_kind, row.usage.source) == ("aborted", kind, "estimated")
    assert row.streamed
    assert row.usage.input_tokens == 8
    assert 0 < row.usage.output_tokens < 100
    assert row.cost_usd is not None


def test_a_stream_left_by_break_or_close_is_booked_with_what_came(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply(LONG_TEXT), Reply(LONG_TEXT))
    model = chat_openai(stream_usage=True)
    for number, _ in enumerate(model.stream("hello", config={"callbacks": [handler]})):
        if number == 3:
            break
    gc.collect()
    stream = model.stream("hello", config={"callbacks": [handler]})
    for _ in range(3):
        next(stream)
    stream.close()
    rows = list(ledger.attempts())
    assert len(rows) == 2
    for row in rows:
        _assert_aborted(row, "closed")


async def test_an_async_stream_left_by_break_close_or_cancel_is_booked(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(*[Reply(LONG_TEXT, chunk_delay_s=0.02)] * 3)
    model = chat_openai(stream_usage=True)
    config = {"callbacks": [handler]}

    chunks = 0
    async for _ in model.astream("hello", config=config):
        if (chunks := chunks + 1) == 4:
            break
    gc.collect()
    _assert_aborted((await _rows_soon(ledger))[0], "closed")

    stream = model.astream("hello", config=config)
    for _ in range(4):
        await anext(stream)
    await stream.aclose()
    _assert_aborted((await _rows_soon(ledger, 2))[1], "closed")

    under_way = asyncio.Event()

    async def read_all() -> None:
        async for chunk in model.astream("hello", config=config):
            if "word3" in chunk.content:
                under_way.set()

    task = asyncio.create_task(read_all())
    await under_way.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    _assert_aborted((await _rows_soon(ledger, 3))[2], "cancelled")


async def test_a_task_that_dies_between_two_chunks_is_booked(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply(LONG_TEXT))
    model = chat_openai(stream_usage=True)

    async def dies_in_its_own_body() -> None:
        async for chunk in model.astream("hello", config={"callbacks": [handler]}):
            if "word2" in chunk.content:
                raise RuntimeError("in the consumer")

    with pytest.raises(RuntimeError):
        await asyncio.create_task(dies_in_its_own_body())
    gc.collect()
    _assert_aborted((await _rows_soon(ledger))[0], "closed")


# -- errors and retries ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request"), (401, "auth"), (404, "not_found"), (429, "rate_limit"),
     (500, "server"), (529, "overloaded")],
)  # fmt: skip
def test_an_answer_with_an_error_status_costs_nothing(
    status: int, kind: str, scripted: ScriptedServer, chat_openai: Any,
    handler: CostCallbackHandler, ledger: Ledger,
) -> None:  # fmt: skip
    scripted.script(Reply(status=status))
    with pytest.raises(Exception, match=str(status)):
        chat_openai().invoke("hello", config={"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert (row.status, row.error_kind, row.cost_usd, row.usage.total_tokens) == (
        "error", kind, 0, 0,
    )  # fmt: skip


def test_a_request_that_timed_out_may_be_billed_and_is_estimated(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("late", delay_s=2))
    with pytest.raises(Exception, match=r"(?i)timed? ?out"):
        chat_openai(timeout=0.2).invoke("hello world", config={"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert (row.status, row.error_kind, row.usage.input_tokens) == ("error", "timeout", 9)
    assert row.usage.source == "estimated"


def test_retries_of_the_client_are_invisible_and_the_answer_is_counted_once(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    fast = {"retry-after-ms": "1"}
    scripted.script(
        Reply(status=500, headers=fast),
        Reply(status=500, headers=fast),
        Reply("hi", usage=Tokens(fresh=10, visible=5)),
    )
    chat_openai(max_retries=3).invoke("hello", config={"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert len(scripted.requests) == 3
    assert (row.status, row.usage.input_tokens) == ("ok", 10)


def test_with_retry_books_every_attempt_in_one_operation(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply(status=500), Reply("hi", usage=Tokens(fresh=10, visible=5)))
    model = chat_openai().with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    model.invoke("hello", config={"callbacks": [handler]})
    rows = list(ledger.attempts())
    assert [(row.status, row.purpose) for row in rows] == [("error", "answer"), ("ok", "retry")]
    assert len({row.operation_id for row in rows}) == 1
    assert ledger.totals()[0].operations == 1


def test_with_fallbacks_books_both_models(
    scripted: ScriptedServer, chat_openai: Any, chat_anthropic: Any, ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:  # fmt: skip
    scripted.script(Reply(status=503), Reply("hi", usage=Tokens(fresh=10, visible=5)))
    model = chat_openai().with_fallbacks([chat_anthropic()])
    model.invoke("hello", config={"callbacks": [handler]})
    assert [(row.status, row.provider) for row in ledger.attempts()] == [
        ("error", "openai"), ("ok", "anthropic"),
    ]  # fmt: skip


def test_generate_that_fails_half_way_books_the_answers_it_dropped(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.script(Reply("hi", usage=Tokens(fresh=10, visible=5)), Reply(status=500))
    messages = [[HumanMessage(text)] for text in ("one", "two", "three")]
    with pytest.raises(Exception, match="500"):
        chat_openai().generate(messages, callbacks=[handler])
    # The first was answered and paid, and LangChain told nobody; the third was never sent.
    assert sorted((row.status, row.error_kind) for row in ledger.attempts()) == [
        ("aborted", "lost"), ("error", "server"),
    ]  # fmt: skip
    assert len(scripted.requests) == 2


def test_batches_of_several_threads_are_not_mixed_up(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    def answer(request: Any) -> Reply:
        bad = "bad" in str(request.body["messages"])
        return Reply(status=500) if bad else Reply("hi", usage=Tokens(fresh=10, visible=5))

    scripted.always(answer)
    model = chat_openai()

    def good(_: int) -> None:
        model.generate([[HumanMessage("a")], [HumanMessage("b")]], callbacks=[handler])

    def half(_: int) -> None:
        with pytest.raises(Exception, match="500"):
            model.generate([[HumanMessage("a")], [HumanMessage("bad")]], callbacks=[handler])

    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(job, n) for n in range(10) for job in (good, half)]
        for done in work:
            done.result()
    counts = {line.key["status"]: line.attempts for line in ledger.totals(by=["status"])}
    assert counts == {"ok": 20, "aborted": 10, "error": 10}
    assert not handler._batches.under_way
    assert not handler._batches._announcing


def test_batch_with_a_failure_books_every_call(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    def answer(request: Any) -> Reply:
        bad = "bad" in str(request.body["messages"])
        return Reply(status=400) if bad else Reply("hi", usage=Tokens(fresh=10, visible=5))

    scripted.script(answer, answer, answer)
    chat_openai().batch(["a", "bad", "c"], config={"callbacks": [handler]}, return_exceptions=True)
    assert sorted(row.status for row in ledger.attempts()) == ["error", "ok", "ok"]


# -- handlers, threads and loops ---------------------------------------------------------------


def test_a_handler_passed_twice_or_beside_another_counts_once(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    first = CostCallbackHandler(ledger, tags={"feature": "search"})
    second = CostCallbackHandler(ledger, tags={"tenant": "acme"})
    model = chat_openai(callbacks=[first])
    with track_cost(ledger, job="nightly") as spent:
        model.invoke("hello", config={"callbacks": [first, second, first]})
    (row,) = ledger.attempts()
    assert row.tags == {"feature": "search", "tenant": "acme", "job": "nightly"}
    assert [t.attempts for t in (first.total, second.total, spent)] == [1, 1, 1]


def test_two_ledgers_get_one_row_each(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    with Ledger.open("memory://") as other:
        callbacks = [CostCallbackHandler(ledger), CostCallbackHandler(other)]
        chat_openai().invoke("hello", config={"callbacks": callbacks})
        assert [len(list(books.attempts())) for books in (ledger, other)] == [1, 1]


def test_nested_runs_are_one_row_for_each_model_call(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    inner = RunnableLambda(lambda q: q) | chat_openai() | RunnableLambda(lambda m: m.content)
    outer = inner | RunnableLambda(lambda text: text + "!") | inner
    outer.invoke("hello", config={"callbacks": [handler]})
    rows = list(ledger.attempts())
    assert len(rows) == 2
    assert len({row.operation_id for row in rows}) == 1
    assert all(row.parent_id for row in rows)


def test_calls_in_plain_threads_and_pools_belong_to_the_block_that_started_them(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    model = chat_openai()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: None, range(8)))  # workers that are older than any block
        with track_cost(ledger, block="a") as a:
            threads = [threading.Thread(target=model.invoke, args=("hello",)) for _ in range(2)]
            for thread in threads:
                thread.start()
            list(pool.map(model.invoke, ["hello"] * 3))
            for thread in threads:
                thread.join()
        with track_cost(ledger, block="b") as b:
            list(pool.map(model.invoke, ["hello"] * 4))
        list(pool.map(model.invoke, ["hello"] * 2))  # in no block: not tracked
    assert (a.attempts, b.attempts) == (5, 4)
    by_block = {t.key["block"]: t.attempts for t in ledger.totals(by=["block"])}
    assert by_block == {"a": 5, "b": 4}


def test_an_unrelated_thread_is_not_drawn_into_an_open_block(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    model, go, entered = chat_openai(), threading.Event(), threading.Event()

    def server_thread_that_spawns() -> None:
        entered.wait(5)
        child = threading.Thread(target=model.invoke, args=("hello",))
        child.start()
        child.join()
        go.set()

    unrelated = threading.Thread(target=server_thread_that_spawns)
    unrelated.start()
    with track_cost(ledger) as spent:
        entered.set()
        assert go.wait(10)
    unrelated.join()
    assert len(scripted.requests) == 1
    assert spent.attempts == 0


async def test_concurrent_blocks_keep_their_calls_apart(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    model = chat_openai()

    async def work(tenant: str, calls: int) -> int:
        with track_cost(ledger, tenant=tenant) as spent:
            await asyncio.gather(*(model.ainvoke("hello") for _ in range(calls)))
            return spent.attempts

    assert await asyncio.gather(work("a", 2), work("b", 5), work("c", 3)) == [2, 5, 3]
    assert {t.key["tenant"]: t.attempts for t in ledger.totals(by=["tenant"])} == {
        "a": 2, "b": 5, "c": 3,
    }  # fmt: skip


def test_a_block_leaves_nothing_behind(ledger: Ledger) -> None:
    from langchain_core.tracers.context import _configure_hooks

    before = len(_configure_hooks), threading.Thread.start, ThreadPoolExecutor.submit
    for _ in range(100):
        with track_cost(ledger):
            FakeListChatModel(responses=["x"]).invoke("hello")
    assert (len(_configure_hooks), threading.Thread.start, ThreadPoolExecutor.submit) == before


def test_a_stream_read_after_its_block_still_belongs_to_it(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    model = chat_openai(stream_usage=True)
    with track_cost(ledger, block="a") as spent:
        stream = model.stream("hello")
        next(stream)
    list(stream)
    assert spent.attempts == 1
    assert next(ledger.attempts()).tags == {"block": "a"}


async def test_the_sync_handler_books_async_calls_and_an_async_one_beside_it_sees_all(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    seen: list[str] = []

    class Async(AsyncCallbackHandler):
        async def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
            seen.append("end")

    await chat_openai().ainvoke("hello", config={"callbacks": [Async(), handler]})
    chat_openai().invoke("hello", config={"callbacks": [Async(), handler]})
    assert seen == ["end", "end"]
    assert len(list(ledger.attempts())) == 2


@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_event_streams_book_each_call_once(
    version: Any, scripted: ScriptedServer, chat_openai: Any, ledger: Ledger,
    handler: CostCallbackHandler,
) -> None:  # fmt: skip
    scripted.script(Reply("one two", usage=Tokens(fresh=10, visible=2)))
    model, config = chat_openai(stream_usage=True), {"callbacks": [handler]}
    if version == "v2":
        async for _ in model.astream_events("hello", config=config, version="v2"):
            pass
    else:
        stream = await model.astream_events("hello", config=config, version="v3")
        async for _ in stream:
            pass
    (row,) = await _rows_soon(ledger)
    assert (row.usage.input_tokens, row.usage.output_tokens) == (10, 2)
    assert row.streamed


def test_the_sync_v3_stream_is_booked(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger, handler: CostCallbackHandler
) -> None:
    scripted.script(Reply("one two", usage=Tokens(fresh=10, visible=2)))
    model = chat_openai(stream_usage=True)
    list(model.stream_events("hello", config={"callbacks": [handler]}, version="v3"))
    (row,) = ledger.attempts()
    assert (row.usage.input_tokens, row.usage.output_tokens, row.streamed) == (10, 2, True)


def test_a_fault_of_the_bookkeeping_never_reaches_the_chain(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    handler = CostCallbackHandler(ledger)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(words)

    words = "disk on fire"
    model = FakeListChatModel(responses=["fine"] * 3)
    for target, name in (
        (handler.tracker.prices, "price_at"),
        (ledger.store, "append"),
        (handler.tracker, "begin"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, broken)
            answer = model.invoke("hello", config={"callbacks": [handler]})
            assert answer.content == "fine"
    assert caplog.text.count("\nRuntimeError\n") == 3
    assert words not in caplog.text  # what an error says may be a prompt
    (row,) = ledger.attempts()  # the one whose price failed: kept, and flagged
    assert row.unpriced_reason == "pricing failed: RuntimeError"
