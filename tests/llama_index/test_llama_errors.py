"""Calls that fail, are cancelled, or are refused before they are sent."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.llms import CompletionResponse, MockLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from llama_index.llms.openai import OpenAI

from frugal_chains import Ledger, Usage
from llama_index_frugal import CostEventHandler, CostSpanHandler, track_cost
from tests.llama_index.asking import MESSAGES, ask, embed, only, rows
from tests.servers import Reply, ScriptedServer, Tokens

Make = Callable[..., Any]
INPUT = 10  # tokens of MESSAGES for gpt-4o-mini: 3 of text, 3 + 1 + 3 of frame (OpenAI cookbook)

FAILURES = [
    ("openai", Reply(status=429), "rate_limit", 0),
    ("openai", Reply(status=401), "auth", 0),
    ("openai", Reply(status=400), "invalid_request", 0),
    ("openai", Reply(status=500), "server", 0),
    ("openai", Reply(disconnect=True), "connection", INPUT),
    ("anthropic", Reply(status=529), "overloaded", 0),
    ("anthropic", Reply(status=404), "not_found", 0),
]


@pytest.mark.parametrize(("provider", "reply", "kind", "input_tokens"), FAILURES)
@pytest.mark.parametrize("way", ["chat", "acomplete", "stream_chat", "astream_complete"])
async def test_failed_call_is_one_error_row(
    way: str, provider: str, reply: Reply, kind: str, input_tokens: int,
    openai_llm: Make, anthropic_llm: Make, scripted: ScriptedServer, ledger: Ledger,
) -> None:  # fmt: skip
    scripted.always(reply)
    llm = openai_llm() if provider == "openai" else anthropic_llm()
    with track_cost(ledger) as spent, pytest.raises(Exception, match=r"."):
        await ask(llm, way)
    row = only(ledger)
    assert (row.status, row.error_kind) == ("error", kind)
    assert row.usage.input_tokens == input_tokens  # nobody bills an answer that is an error
    assert (row.cost_usd == 0) is (input_tokens == 0)
    assert spent.attempts == 1


async def test_timed_out_call_may_have_been_billed(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply(delay_s=5))
    with track_cost(ledger), pytest.raises(Exception, match="timed out"):
        openai_llm(timeout=0.05).chat(MESSAGES)
    row = only(ledger)
    assert (row.status, row.error_kind) == ("error", "timeout")
    assert row.usage == Usage(input_tokens=INPUT, source="estimated")


async def test_client_retries_are_one_attempt(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """Three requests, one pair of events: LlamaIndex does not say more (`track_cost`)."""
    again = Reply(status=500, headers={"retry-after-ms": "1"})
    scripted.script(again, again, Reply("some"))
    with track_cost(ledger):
        openai_llm(max_retries=2).chat(MESSAGES)
    assert len(scripted.requests) == 3
    assert only(ledger).status == "ok"


# -- cancelled ---------------------------------------------------------------------------------


async def _by_timeout(llm: Any) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await llm.achat(MESSAGES)


async def _by_task(llm: Any) -> None:
    task = asyncio.create_task(llm.acomplete("how many?"))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait([task])


async def _by_gather(llm: Any) -> None:
    both = asyncio.gather(llm.achat(MESSAGES), asyncio.sleep(5))
    await asyncio.sleep(0.1)
    both.cancel()
    with pytest.raises(asyncio.CancelledError):
        await both


@pytest.mark.parametrize("cancel", [_by_timeout, _by_task, _by_gather])
async def test_cancelled_call_is_booked_at_once(
    cancel: Callable[[Any], Any], openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply(delay_s=30))
    started_s = time.perf_counter()
    with track_cost(ledger):
        await cancel(openai_llm())
        row = only(ledger)
    assert time.perf_counter() - started_s < 1
    assert (row.status, row.error_kind) == ("aborted", "cancelled")
    assert row.usage == Usage(input_tokens=INPUT, source="estimated")
    assert row.cost_usd


class _Waiting(MockLLM):
    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        await asyncio.Future()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_call_whose_task_dies_is_booked(ledger: Ledger) -> None:
    """A task that nobody holds is collected with the call in it (docs of `create_task`)."""
    with track_cost(ledger):
        task = asyncio.create_task(_Waiting().acomplete("how many?"))
        await asyncio.sleep(0)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own complaint
        del task
        gc.collect()
    row = only(ledger)
    assert (row.status, row.error_kind) == ("aborted", "closed")


# -- never sent --------------------------------------------------------------------------------


class Refusing:
    def acquire(self, num_tokens: int = 0) -> None:
        raise RuntimeError("not now")

    async def async_acquire(self, num_tokens: int = 0) -> None:
        raise RuntimeError("not now")


@pytest.mark.parametrize("way", ["chat", "acomplete", "stream_chat"])
async def test_call_refused_by_the_user_s_limiter_is_no_attempt(
    way: str, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    llm = openai_llm()
    llm.rate_limiter = Refusing()
    with track_cost(ledger) as spent, pytest.raises(RuntimeError, match="not now"):
        await ask(llm, way)
    assert (rows(ledger), spent.attempts, scripted.requests) == ([], 0, [])


def traced(method: Any) -> Any:
    """Any decorator of the user's: what it returns has neither the name nor the code."""

    def inner(*args: Any, **kwargs: Any) -> Any:
        if not args[0].lets_pass:
            raise RuntimeError("not now")
        return method(*args, **kwargs)

    return inner


class Decorated:
    lets_pass = False

    @traced
    def acquire(self, num_tokens: int = 0) -> None: ...

    @traced
    async def async_acquire(self, num_tokens: int = 0) -> None: ...


class TracedOpenAI(OpenAI):
    lets_pass: bool = True

    @llm_chat_callback()
    @traced
    def chat(self, messages: Any, **kwargs: Any) -> Any:
        return super().chat(messages, **kwargs)


@pytest.mark.parametrize("way", ["chat", "acomplete", "stream_chat"])
async def test_call_refused_by_a_decorated_limiter_is_no_attempt(
    way: str, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    llm = openai_llm()
    llm.rate_limiter = Decorated()
    with track_cost(ledger), pytest.raises(RuntimeError, match="not now"):
        await ask(llm, way)
    assert (rows(ledger), scripted.requests) == ([], [])


async def test_failure_in_a_method_decorated_as_the_limiter_s_is_an_attempt(
    openai_llm: Make, ledger: Ledger
) -> None:
    """Functions that one decorator made have one code."""
    llm = openai_llm(cls=TracedOpenAI, lets_pass=False)
    llm.rate_limiter = limiter = Decorated()
    limiter.lets_pass = True
    with track_cost(ledger), pytest.raises(RuntimeError, match="not now"):
        llm.chat(MESSAGES)
    assert only(ledger).status == "error"


@pytest.mark.parametrize("refuses", ["handler", "limiter"])
@pytest.mark.parametrize("way", ["query", "text", "batch", "aquery", "atext", "abatch"])
async def test_embedding_that_is_refused_is_no_attempt(
    way: str, refuses: str, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    counting = TokenCountingHandler(token_budget=1)
    counting.llm_token_counts.append(_spent_already())
    embedding = openai_embedding()
    if refuses == "handler":
        embedding.callback_manager = CallbackManager([counting])
    else:
        embedding.rate_limiter = Decorated()
    with track_cost(ledger), pytest.raises((ValueError, RuntimeError), match=r"budget|not now"):
        await embed(embedding, way)
    assert (rows(ledger), scripted.requests) == ([], [])


async def test_wait_for_a_limiter_that_is_cancelled_is_no_attempt(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    llm = openai_llm()
    llm.rate_limiter = limiter = TokenBucketRateLimiter(requests_per_minute=1)
    limiter.acquire()
    with track_cost(ledger), pytest.raises(TimeoutError):
        await asyncio.wait_for(llm.achat(MESSAGES), 0.1)
    assert (rows(ledger), scripted.requests) == ([], [])


async def test_token_budget_that_stops_a_call_leaves_no_row(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    counting = TokenCountingHandler(token_budget=1)
    counting.llm_token_counts.append(_spent_already())
    llm = openai_llm(callback_manager=CallbackManager([counting]))
    with track_cost(ledger), pytest.raises(ValueError, match="Token budget exceeded"):
        llm.chat(MESSAGES)
    assert (rows(ledger), scripted.requests) == ([], [])


def _spent_already() -> Any:
    from llama_index.core.callbacks.token_counting import TokenCountingEvent

    return TokenCountingEvent(
        prompt="", completion="", prompt_token_count=5, completion_token_count=5, event_id="0"
    )


async def test_refusal_handled_earlier_does_not_hide_a_later_failure(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    refused = openai_llm()
    refused.rate_limiter = Refusing()
    scripted.always(Reply(disconnect=True))
    with track_cost(ledger):
        try:
            refused.chat(MESSAGES)
        except RuntimeError:
            with pytest.raises(Exception, match="Connection"):
                openai_llm().chat(MESSAGES)
    assert only(ledger).error_kind == "connection"


async def test_token_budget_that_drops_a_paid_answer_does_not_drop_its_cost(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """It raises in `on_event_end`, after the provider has answered; no end event is sent then."""
    counting = TokenCountingHandler(token_budget=1)
    llm = openai_llm(callback_manager=CallbackManager([counting]))
    with track_cost(ledger), pytest.raises(ValueError, match="Token budget exceeded"):
        llm.chat(MESSAGES)
    assert len(scripted.requests) == 1
    row = only(ledger)
    assert row.status == "error"
    assert row.usage.input_tokens == INPUT
    assert row.cost_usd


@pytest.mark.parametrize("way", ["stream_chat", "astream_chat", "stream_complete"])
async def test_token_budget_that_drops_a_paid_stream_at_its_end_does_not_drop_its_cost(
    way: str, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """All has been read; it raises where the end event would have been sent."""
    counting = TokenCountingHandler(token_budget=1)
    llm = openai_llm(
        callback_manager=CallbackManager([counting]),
        additional_kwargs={"stream_options": {"include_usage": True}},
    )
    scripted.always(Reply("some", usage=Tokens(fresh=1000, visible=7)))
    with track_cost(ledger) as spent, pytest.raises(ValueError, match="Token budget exceeded"):
        await ask(llm, way)
    gc.collect()
    assert len(scripted.requests) == spent.attempts == 1
    row = only(ledger)
    assert (row.status, row.streamed) == ("aborted", True)
    assert row.usage == Usage(input_tokens=1000, output_tokens=7)
    assert row.cost_usd == (Decimal("0.15") * 1000 + Decimal("0.6") * 7) / 10**6


# -- our own faults ----------------------------------------------------------------------------


class _Odd:
    """A raw response that no reader expects."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("odd")


async def test_unreadable_response_is_booked_and_logged(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(MockLLM):
        @llm_completion_callback()
        def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
            return CompletionResponse(text="hi", raw=_Odd())

    with track_cost(ledger), caplog.at_level(logging.ERROR, "llama_index_frugal"):
        Odd().complete("how many?")
    row = only(ledger)
    assert row.usage.source == "estimated"
    assert row.usage.output_tokens == 1
    assert "could not be read" in row.note
    assert "odd" in caplog.text
    caplog.clear()  # its traceback keeps the block alive


async def test_fault_in_a_handler_is_logged_although_llama_index_swallows_it(
    dispatcher: Any, ledger: Ledger, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    events = CostEventHandler(ledger)
    dispatcher.event_handlers = [*dispatcher.event_handlers, events]
    dispatcher.span_handlers = [*dispatcher.span_handlers, CostSpanHandler(events)]

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError("ours")

    for part in ("llm_start", "SpanTree.enter", "SpanTree.leave"):
        with monkeypatch.context() as patch:
            patch.setattr(f"llama_index_frugal._recorder.{part}", broken)
            with caplog.at_level(logging.ERROR, "llama_index_frugal"):
                assert MockLLM().complete("hi").text == "hi"
        assert "ours" in caplog.text, part
        caplog.clear()
    dispatcher.event_handlers.remove(events)
    dispatcher.span_handlers.pop()


def test_fault_in_the_booking_of_a_dropped_stream_is_logged(
    openai_llm: Make, ledger: Ledger, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It runs while the stream is collected: there is nobody to raise to."""

    def broken(calls: Any, call: Any, error: Any) -> None:
        calls.withdraw(call)
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("llama_index_frugal._calls.Calls.fail", broken)
    with track_cost(ledger), caplog.at_level(logging.ERROR, "llama_index_frugal"):
        openai_llm().stream_chat(MESSAGES)
    assert "ours" in caplog.text
    caplog.clear()  # its traceback keeps the block alive


class RefusingTooLate(BaseCallbackHandler):
    """A legacy handler that counts first and refuses then."""

    def on_event_start(self, *args: Any, **kwargs: Any) -> str:
        return ""

    def on_event_end(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError("budget exceeded")

    def start_trace(self, trace_id: str | None = None) -> None: ...
    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None: ...


@pytest.mark.parametrize("way", ["query", "text", "batch", "aquery", "atext", "abatch"])
async def test_legacy_handler_that_drops_a_paid_embedding_does_not_drop_its_cost(
    way: str, openai_embedding: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    handlers: list[BaseCallbackHandler] = [RefusingTooLate([], [])]
    embedding = openai_embedding(callback_manager=CallbackManager(handlers))
    with track_cost(ledger), pytest.raises(ValueError, match="budget exceeded"):
        await embed(embedding, way)
    assert len(scripted.requests) == 1
    row = only(ledger)  # a batch of `abatch` has announced its end before the handler is asked
    assert row.status == ("ok" if way == "abatch" else "error")
    assert row.usage.input_tokens > 0
    assert row.cost_usd
