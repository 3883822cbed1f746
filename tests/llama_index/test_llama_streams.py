"""Streams that are abandoned, cut, cancelled, read late, or say nothing about their usage."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import GeneratorType
from typing import Any

import pytest
from llama_index.core.llms import CustomLLM, LLMMetadata
from llama_index_instrumentation import root_dispatcher

from frugal_chains import Budget, Ledger
from frugal_chains.tokens._encodings import shared_encodings
from frugal_chains.tracking._open_calls import OpenCalls
from llama_index_frugal import _gate, track_cost
from llama_index_frugal._streams import Origin, Streams
from tests.llama_index.asking import MESSAGES, only, rows
from tests.servers import Reply, ScriptedServer

Make = Callable[..., Any]
WORDS = "one two three four five six seven eight nine ten"
# "how many?" is 3 tokens of o200k_base in a frame of 3 + 1 + 3 (OpenAI cookbook).
INPUT = 10


async def _break(llm: Any) -> None:
    for number, _ in enumerate(llm.stream_chat(MESSAGES)):
        if number == 3:
            break


async def _close(llm: Any) -> None:
    stream = llm.stream_chat(MESSAGES)
    for _ in range(4):
        next(stream)
    stream.close()


async def _abreak(llm: Any) -> None:
    number = 0
    async for _ in await llm.astream_chat(MESSAGES):
        number += 1
        if number == 4:
            break


async def _aclose(llm: Any) -> None:
    stream = await llm.astream_chat(MESSAGES)
    for _ in range(4):
        await anext(stream)
    await stream.aclose()


async def _drop_in_a_cycle(llm: Any) -> None:
    class Holder:
        pass

    holder: Any = Holder()
    holder.stream, holder.self = llm.stream_chat(MESSAGES), holder
    for _ in range(4):
        next(holder.stream)
    del holder
    gc.collect()


async def _consumer_fails(llm: Any) -> None:
    try:
        for number, _ in enumerate(llm.stream_chat(MESSAGES)):
            if number == 3:
                raise KeyError("mine")
    except KeyError:
        pass


ABANDONED = (_break, _close, _abreak, _aclose, _drop_in_a_cycle, _consumer_fails)


@pytest.mark.parametrize("abandon", ABANDONED, ids=lambda f: f.__name__)
async def test_abandoned_stream_is_booked_with_the_output_so_far(
    abandon: Callable[[Any], Any], openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply(WORDS))
    llm = openai_llm("gpt-4o")
    with track_cost(ledger) as spent:
        await abandon(llm)
    row = only(ledger)
    assert (row.status, row.error_kind, row.streamed) == ("aborted", "closed", True)
    assert row.usage.source == "estimated"
    assert row.usage.input_tokens == INPUT
    assert 2 <= row.usage.output_tokens <= 5
    assert spent.attempts == 1
    assert row.cost_usd


async def test_never_read_stream_is_not_forgotten(openai_llm: Make, ledger: Ledger) -> None:
    with track_cost(ledger):
        openai_llm().stream_chat(MESSAGES)
        await openai_llm().astream_chat(MESSAGES)
    assert [row.status for row in rows(ledger)] == ["aborted", "aborted"]
    assert {row.usage.output_tokens for row in rows(ledger)} == {0}


class Handing(CustomLLM):
    """A router: its span returns the very stream of the LLM it has chosen."""

    inner: Any

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any: ...

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any: ...

    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        return self.inner.stream_chat(messages, **kwargs)


async def test_never_read_stream_that_was_handed_on_is_not_forgotten(
    openai_llm: Make, ledger: Ledger
) -> None:
    with track_cost(ledger):
        Handing(inner=openai_llm()).stream_chat(MESSAGES)
    assert only(ledger).status == "aborted"


def test_frame_of_a_stream_that_has_ended_is_no_frame_of_it() -> None:
    """The stream is still held, but its frame is gone, and another may have its id."""

    def stream() -> Iterator[int]:
        yield 1

    streams, ended = Streams(), stream()
    assert isinstance(ended, GeneratorType)
    streams.follow(ended, Origin(span_id="s", root_id="s", trackers=(), tags={}), lambda _: None)
    assert list(ended) == [1]
    frame = inspect.currentframe()
    streams._by_frame = {id(frame): entry for entry in streams._by_frame.values()}
    assert list(streams.around()) == []


async def _cancelled_while_reading(llm: Any, reading: asyncio.Event) -> None:
    async for _ in await llm.astream_chat(MESSAGES):
        reading.set()


async def _cancelled_between_chunks(llm: Any, reading: asyncio.Event) -> None:
    async for chunk in await llm.astream_chat(MESSAGES):
        if chunk.message.content == "one two ":
            reading.set()
            await asyncio.sleep(60)


@pytest.mark.parametrize("read", [_cancelled_while_reading, _cancelled_between_chunks])
async def test_cancelled_stream_is_booked_within_a_second(
    read: Callable[..., Any], openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply(WORDS, stall_after_chunks=5))
    reading = asyncio.Event()
    with track_cost(ledger):
        task = asyncio.create_task(read(openai_llm(), reading))
        await reading.wait()
        await asyncio.sleep(0.1)
        started_s = time.perf_counter()
        task.cancel()
        await asyncio.wait([task])
        del task
        while not rows(ledger) and time.perf_counter() - started_s < 1:
            await asyncio.sleep(0.01)
    row = only(ledger)
    assert row.status == "aborted"
    assert row.error_kind in ("cancelled", "closed")
    assert row.usage.output_tokens > 0


async def test_stream_without_usage_says_how_to_turn_it_on(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("some beans"))
    with track_cost(ledger):
        list(openai_llm("gpt-4o").stream_chat(MESSAGES))
    row = only(ledger)
    assert (row.status, row.usage.source) == ("ok", "estimated")
    assert (row.usage.input_tokens, row.usage.output_tokens) == (INPUT, 2)
    assert "include_usage" in row.note


CUTS = [
    ("openai", Reply(WORDS, cut_after_chunks=5), "aborted", "cut"),
    ("openai", Reply(WORDS, cut_after_chunks=5, cut_cleanly=False), "error", "connection"),
    ("openai", Reply(WORDS, fail_after_chunks=5), "error", "server"),
    ("anthropic", Reply(WORDS, cut_after_chunks=6), "aborted", "cut"),
    ("anthropic", Reply(WORDS, cut_after_chunks=6, cut_cleanly=False), "error", "connection"),
    ("anthropic", Reply(WORDS, fail_after_chunks=6), "error", "overloaded"),
]


@pytest.mark.parametrize(("provider", "reply", "status", "kind"), CUTS)
@pytest.mark.parametrize("way", ["stream_chat", "astream_chat"])
async def test_cut_stream_is_estimated_with_the_output_so_far(
    way: str, provider: str, reply: Reply, status: str, kind: str,
    openai_llm: Make, anthropic_llm: Make, scripted: ScriptedServer, ledger: Ledger,
) -> None:  # fmt: skip
    scripted.always(reply)
    llm = openai_llm() if provider == "openai" else anthropic_llm()
    with track_cost(ledger):
        try:
            if way == "stream_chat":
                list(llm.stream_chat(MESSAGES))
            else:
                [chunk async for chunk in await llm.astream_chat(MESSAGES)]
        except Exception:
            assert status == "error"
        else:
            assert status == "aborted"
    row = only(ledger)
    assert (row.status, row.error_kind) == (status, kind)
    assert row.usage.source == "estimated"
    assert row.usage.output_tokens > 0
    assert "include_usage" not in row.note


async def test_stream_given_up_after_its_last_chunk_has_the_provider_s_usage(
    anthropic_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("some beans"))
    with track_cost(ledger):
        for chunk in anthropic_llm().stream_chat(MESSAGES):
            if chunk.message.additional_kwargs["stop_reason"]:
                break
    row = only(ledger)
    assert (row.status, row.usage.source) == ("aborted", "provider")


# -- streams and blocks ------------------------------------------------------------------------


async def test_stream_read_after_the_block_belongs_to_it(openai_llm: Make, ledger: Ledger) -> None:
    before = list(root_dispatcher.event_handlers)
    with track_cost(ledger, block="first") as first:
        stream = openai_llm().stream_chat(MESSAGES)
        late = await openai_llm().astream_chat(MESSAGES)
    assert len(root_dispatcher.event_handlers) == len(before) + 1
    with track_cost(ledger, block="second") as second:
        list(stream)
    assert len(root_dispatcher.event_handlers) == len(before) + 1
    assert [chunk async for chunk in late]
    del stream, late
    gc.collect()
    assert root_dispatcher.event_handlers == before
    assert [dict(row.tags) for row in rows(ledger)] == [{"block": "first"}] * 2
    assert {row.status for row in rows(ledger)} == {"ok"}
    assert (first.attempts, second.attempts) == (2, 0)


async def test_stream_may_be_read_in_another_thread(openai_llm: Make, ledger: Ledger) -> None:
    with track_cost(ledger, block="first"):
        stream = openai_llm().stream_chat(MESSAGES)
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    reader.join()
    assert only(ledger).status == "ok"
    assert only(ledger).tags == {"block": "first"}


async def test_abandoned_stream_gives_its_reservation_back(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply(WORDS))
    # A call may cost up to 1000 tokens of output: $0.0006. The second would not fit beside it.
    budget = Budget.usd("0.001", per="lifetime")
    with track_cost(ledger, budgets=[budget]):
        for _ in range(5):
            await _break(openai_llm(max_tokens=1000))
    assert len(rows(ledger)) == 5


async def test_collector_that_closes_a_stream_in_the_middle_of_our_work_does_not_deadlock(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector may run in any statement, also of one that holds a lock of ours."""
    scripted.always(Reply(WORDS))
    encodings, calls = shared_encodings(), OpenCalls.of(ledger)
    locks = [
        ledger.store._lock, calls.lock, calls.lessons.counter._lock,
        _gate._lock, *encodings._locks.values(),
    ]  # fmt: skip
    gc.disable()
    try:
        with track_cost(ledger, budgets=[Budget.usd(1)]) as spent, ExitStack() as held:
            holder: Any = [openai_llm().stream_chat(MESSAGES)]
            next(holder[0])
            holder.append(holder)
            del holder
            monkeypatch.setattr(encodings, "_built", {})
            for lock in locks:
                held.enter_context(lock)
            gc.collect()
    finally:
        gc.enable()
    assert spent.attempts == 1
    assert only(ledger).error_kind == "closed"
