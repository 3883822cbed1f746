"""Methods that LlamaIndex's callbacks decorate, but that have no span of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage, CompletionResponse
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.llms.openai import OpenAI
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import instrument_tags

from frugal_chains import Budget, Ledger
from llama_index_frugal import CostEventHandler, CostSpanHandler, track_cost
from tests.llama_index.asking import MESSAGES, only, rows
from tests.servers import Reply, Request, ScriptedServer, Tokens

Make = Callable[..., Any]
spanned = get_dispatcher(__name__).span
LONG = [MESSAGES[0], MESSAGES[0]]


class Deep(OpenAI):
    """What users write: a method beside `chat`, decorated as `chat` is."""

    @llm_chat_callback()
    async def deep_achat(self, messages: Any, **kwargs: Any) -> Any:
        return await self._achat(messages, **kwargs)

    @llm_chat_callback()
    def deep_chat(self, messages: Any, **kwargs: Any) -> Any:
        return self._chat(messages, **kwargs)

    @llm_completion_callback()
    def deep_complete(self, prompt: str, **kwargs: Any) -> Any:
        answer = self._chat([ChatMessage(role="user", content=prompt)], **kwargs)
        return CompletionResponse(text="some", raw=answer.raw)

    @llm_chat_callback()
    def deep_stream(self, messages: Any, **kwargs: Any) -> Any:
        return self._stream_chat(messages, **kwargs)

    @llm_chat_callback()
    def around_chat(self, messages: Any, **kwargs: Any) -> Any:
        return self.chat(messages, **kwargs)


def _by_length(request: Request) -> Reply:
    """The longer request is answered first, and its usage is another."""
    long = len(request.body["messages"]) > 1
    usage = Tokens(fresh=2000, visible=2) if long else Tokens(fresh=1000, visible=1)
    return Reply("some", usage=usage, delay_s=0 if long else 0.15)


def billed(ledger: Ledger) -> list[int]:
    return sorted(row.usage.input_tokens for row in rows(ledger))


@pytest.mark.parametrize("in_span", [True, False], ids=["in a span", "outside"])
async def test_concurrent_calls_are_all_booked_with_their_own_usage(
    in_span: bool, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(_by_length)
    llm = openai_llm(cls=Deep)

    async def deep(given: Any) -> None:
        with instrument_tags({"messages": str(len(given))}):
            await llm.deep_achat(given)

    async def ask() -> None:
        await asyncio.gather(*(deep(given) for given in (MESSAGES, LONG, MESSAGES)))

    with track_cost(ledger, feature="deep") as spent:
        await (spanned(ask) if in_span else ask)()
    assert len(scripted.requests) == spent.attempts == 3
    assert sorted((row.tags["messages"], row.usage.input_tokens) for row in rows(ledger)) == [
        ("1", 1000), ("1", 1000), ("2", 2000),
    ]  # fmt: skip
    assert {(row.status, row.tags["feature"]) for row in rows(ledger)} == {("ok", "deep")}
    assert len({row.operation_id for row in rows(ledger)}) == (1 if in_span else 3)
    long = next(row for row in rows(ledger) if row.usage.input_tokens == 2000)
    short = next(row for row in rows(ledger) if row.usage.input_tokens == 1000)
    assert long.latency_s is not None
    assert short.latency_s is not None
    assert long.latency_s < short.latency_s


def test_calls_in_threads_and_streams_that_are_read_in_turns(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(_by_length)
    options = {"additional_kwargs": {"stream_options": {"include_usage": True}}}
    llm, streaming = openai_llm(cls=Deep), openai_llm(cls=Deep, **options)
    with track_cost(ledger):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(llm.deep_complete, ("how many?", "how few?")))
        assert billed(ledger) == [1000, 1000]
        both = [streaming.deep_stream(given) for given in (MESSAGES, LONG)]
        for _ in zip(*both, strict=True):
            pass
    assert billed(ledger) == [1000, 1000, 1000, 2000]
    assert [row.streamed for row in rows(ledger)] == [False, False, True, True]


@pytest.mark.parametrize("in_span", [True, False], ids=["in a span", "outside"])
def test_method_that_hands_on_to_chat_is_paid_once(
    in_span: bool, openai_llm: Make, ledger: Ledger
) -> None:
    llm = openai_llm(cls=Deep)

    def ask() -> None:
        llm.around_chat(MESSAGES)

    with track_cost(ledger) as spent:
        (spanned(ask) if in_span else ask)()
    paid = [row for row in rows(ledger) if row.status == "ok"]
    assert len(paid) == 1
    assert spent.cost_usd == paid[0].cost_usd
    assert [row.status for row in rows(ledger) if row not in paid] == ["cached"] * (not in_span)


async def test_failure_in_a_span_ends_the_calls_beside_it(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(
        lambda request: Reply(delay_s=1) if len(request.body["messages"]) > 1 else Reply(status=400)
    )
    llm = openai_llm(cls=Deep)

    @spanned
    async def ask() -> None:
        await asyncio.gather(llm.deep_achat(MESSAGES), llm.deep_achat(LONG))

    with track_cost(ledger), pytest.raises(Exception, match="400"):
        await ask()
    seen = sorted((row.status, row.error_kind) for row in rows(ledger))
    assert seen == [("aborted", "lost"), ("error", "invalid_request")]


@contextmanager
def recording(dispatcher: Any, ledger: Ledger) -> Iterator[CostEventHandler]:
    """Handlers of the test's own: calls of which no end is known stay with them."""
    events = CostEventHandler(ledger)
    before = list(dispatcher.event_handlers), list(dispatcher.span_handlers)
    dispatcher.event_handlers = [*before[0], events]
    dispatcher.span_handlers = [*before[1], CostSpanHandler(events)]
    try:
        yield events
    finally:
        dispatcher.event_handlers, dispatcher.span_handlers = before


@pytest.mark.parametrize("in_span", [True, False], ids=["in a span", "outside"])
def test_failure_that_is_caught_is_booked_at_last_and_takes_no_other_s_end(
    in_span: bool, openai_llm: Make, scripted: ScriptedServer, dispatcher: Any
) -> None:
    """LlamaIndex tells nobody of it."""
    scripted.script(Reply(status=400), Reply("some", usage=Tokens(fresh=1000, visible=1)))
    ledger = Ledger.open("memory://")

    def ask() -> None:
        llm = openai_llm(cls=Deep)
        with pytest.raises(Exception, match="400"):
            llm.deep_chat(MESSAGES)
        llm.deep_chat(MESSAGES)

    with recording(dispatcher, ledger) as events:
        (spanned(ask) if in_span else ask)()
    assert [(row.status, row.usage.input_tokens) for row in rows(ledger)] == [("ok", 1000)]
    ledger.close()
    assert (events.total.attempts, events.total.estimated) == (2, 1)


def test_failures_that_are_caught_do_not_pile_up(
    openai_llm: Make, scripted: ScriptedServer, dispatcher: Any, ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("llama_index_frugal._calls._MOST_LEFT_BEHIND", 2)
    scripted.always(Reply(status=400))

    def ask() -> None:
        with pytest.raises(Exception, match="400"):
            openai_llm(cls=Deep).deep_chat(MESSAGES)

    with recording(dispatcher, ledger) as events:
        for number in range(6):
            (spanned(ask) if number % 2 else ask)()
    assert [(row.status, row.error_kind) for row in rows(ledger)] == [("aborted", "lost")] * 4
    assert len(events.recorder.calls._open) == 2


async def test_budget_that_was_not_asked_is_noted(openai_llm: Make, ledger: Ledger) -> None:
    with track_cost(ledger, budgets=[Budget.usd(0)]):
        openai_llm(cls=Deep).deep_chat(MESSAGES)
    assert "budget not held" in only(ledger).note


def test_handlers_that_are_given_twice_book_once(
    dispatcher: Any, openai_llm: Make, ledger: Ledger
) -> None:
    events = CostEventHandler(ledger)
    before = list(dispatcher.event_handlers), list(dispatcher.span_handlers)
    dispatcher.event_handlers = [*before[0], events, events]
    dispatcher.span_handlers = [*before[1], CostSpanHandler(events)]
    try:
        openai_llm(cls=Deep).deep_chat(MESSAGES)
        list(openai_llm(cls=Deep).deep_stream(MESSAGES))
    finally:
        dispatcher.event_handlers, dispatcher.span_handlers = before
    assert len(rows(ledger)) == 2
    assert events.recorder.calls._open == {}
    assert not events.recorder.calls._beside
