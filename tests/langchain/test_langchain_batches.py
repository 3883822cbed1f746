"""`generate([...])`: several calls announced together, of which LangChain says little more.

gpt-4o-mini: $0.15 in, $0.60 out; gpt-3.5-turbo-instruct: $1.50 in, $2.00 out per million tokens
(openai.com/api/pricing, read 2026-11-21). "hello" is 1 token in a frame of 7.
"""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseLLM
from langchain_core.messages import HumanMessage
from langchain_core.outputs import Generation, LLMResult
from langchain_openai import OpenAI

from frugal_chains import Budget, Ledger
from langchain_frugal import BudgetExceeded, CostCallbackHandler
from tests.servers import Reply, ScriptedServer, Tokens

MILLION = Decimal(1_000_000)
WORST_USD = (8 * Decimal("0.15") + 100 * Decimal("0.6")) / MILLION
HELLO = [HumanMessage("hello")]


def _held(handler: CostCallbackHandler) -> list[int]:
    return [state.reserved_nanos for state in handler.tracker.pressure()]


def _is_empty(handler: CostCallbackHandler) -> bool:
    batches = handler._batches
    kept = (handler._pieces, handler._watches, handler._roots, handler._decisions, handler._retried)
    return not any((batches.under_way, batches._announcing, *kept))


def _bad_or_good(request: Any) -> Reply:
    bad = "bad" in str(request.body["messages"])
    return Reply(status=500) if bad else Reply("hi", usage=Tokens(fresh=10, visible=5))


# -- a failure in the middle -------------------------------------------------------------------


@pytest.mark.parametrize("where", ["plain", "in a loop", "handler passed twice"])
async def test_what_generate_never_sent_is_neither_open_nor_booked(
    where: str, scripted: ScriptedServer, chat_openai: Any
) -> None:
    scripted.always(_bad_or_good)
    with Ledger.open("memory://") as books:
        handler = CostCallbackHandler(books, budgets=[Budget.usd(1, per="lifetime")])
        callbacks = [handler, handler] if where == "handler passed twice" else [handler]
        messages = [[HumanMessage(text)] for text in ("good", "bad", "third")]

        def generate() -> None:
            with pytest.raises(Exception, match="500"):
                chat_openai(max_tokens=100).generate(messages, callbacks=callbacks)

        if where == "in a loop":  # a notebook cell, or a sync call in an async endpoint
            generate()
        else:
            await asyncio.to_thread(generate)
        assert len(scripted.requests) == 2
        assert not handler.tracker._calls.open
        assert _held(handler) == [0]
        assert _is_empty(handler)
        handler.tracker._calls.close()
        assert [(row.status, row.error_kind) for row in books.attempts()] == [
            ("aborted", "lost"), ("error", "server"),
        ]  # fmt: skip


async def test_agenerate_goes_on_after_a_failure(
    scripted: ScriptedServer, chat_openai: Any, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    scripted.always(_bad_or_good)
    messages = [[HumanMessage(text)] for text in ("good", "bad", "third")]
    with pytest.raises(Exception, match="500"):
        await chat_openai().agenerate(messages, callbacks=[handler])
    assert sorted(row.status for row in ledger.attempts()) == ["error", "ok", "ok"]
    assert _is_empty(handler)


# -- a refusal in the middle -------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_refused_batch_takes_back_the_calls_before_the_refusal(
    is_async: bool, scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    scripted.always(_bad_or_good)
    budget = Budget.usd(WORST_USD * Decimal("2.5"), per="lifetime")
    handler = CostCallbackHandler(ledger, budgets=[budget])
    model = chat_openai(max_tokens=100)

    async def generate(*texts: str) -> None:
        messages = [[HumanMessage(text)] for text in texts]
        if is_async:
            await model.agenerate(messages, callbacks=[handler])
        else:
            await asyncio.to_thread(model.generate, messages, callbacks=[handler])

    with pytest.raises(BudgetExceeded) as refused:
        await generate("hello", "hello", "hello")
    assert refused.value.reserved_usd == WORST_USD * 2
    assert _is_empty(handler)
    await asyncio.sleep(0.5 if is_async else 0)  # nor does the look for lost calls book them
    assert scripted.requests == []
    assert list(ledger.attempts()) == []
    assert _held(handler) == [0]
    # The next batch is a batch of its own.
    with pytest.raises(Exception, match="500"):
        await generate("hello", "bad")
    expected = ["error", "ok"] if is_async else ["aborted", "error"]
    assert sorted(row.status for row in ledger.attempts()) == expected
    assert not handler.tracker._calls.open


def test_a_refusal_is_raised_past_the_handlers_before_ours(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    class Counter(BaseCallbackHandler):
        starts = 0

        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            self.starts += 1

    counter = Counter()
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd(0)])
    with pytest.raises(BudgetExceeded):
        chat_openai().invoke("hello", config={"callbacks": [counter, handler]})
    assert counter.starts == 1
    assert scripted.requests == []
    assert list(ledger.attempts()) == []


# -- text models -------------------------------------------------------------------------------


def _text_openai(status: int = 200, **options: Any) -> OpenAI:
    """`langchain_openai.OpenAI` before an endpoint with the body of OpenAI's completions API."""

    def answer(request: httpx.Request) -> httpx.Response:
        prompts = json.loads(request.content)["prompt"]
        choice = {"text": "one two", "finish_reason": "stop", "logprobs": None}
        count = len(prompts)
        usage = {
            "prompt_tokens": 30 * count,
            "completion_tokens": 9 * count,
            "total_tokens": 39 * count,
        }
        body = {
            "id": "cmpl-1", "object": "text_completion", "created": 1,
            "model": "gpt-3.5-turbo-instruct", "usage": usage,
            "choices": [{**choice, "index": index} for index in range(count)],
        }  # fmt: skip
        return httpx.Response(status, json=body)

    wire = httpx.MockTransport(answer)
    return OpenAI(
        model="gpt-3.5-turbo-instruct",
        api_key="test",
        max_retries=0,
        http_client=httpx.Client(transport=wire),
        http_async_client=httpx.AsyncClient(transport=wire),
        **options,
    )


async def _batch(
    model: BaseLLM, prompts: list[str], handler: CostCallbackHandler, is_async: bool
) -> None:
    if is_async:
        await model.abatch(prompts, {"callbacks": [handler]})
    else:
        await asyncio.to_thread(model.batch, prompts, {"callbacks": [handler]})


def test_a_text_models_usage_is_read_as_its_provider_states_it(
    handler: CostCallbackHandler, ledger: Ledger
) -> None:
    _text_openai().invoke("hello", config={"callbacks": [handler]})
    (row,) = ledger.attempts()
    assert (row.usage.input_tokens, row.usage.output_tokens) == (30, 9)
    assert (row.usage.source, row.note) == ("provider", "")
    assert row.cost_usd == (30 * Decimal("1.5") + 9 * 2) / MILLION


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_usage_of_a_text_models_batch_counts_once(
    is_async: bool, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    await _batch(_text_openai(), ["a", "b", "c"], handler, is_async)
    first, *others = ledger.attempts()
    assert (first.usage.input_tokens, first.usage.output_tokens) == (90, 27)
    assert "whole batch" in first.note
    assert [(r.status, r.usage.total_tokens, r.cost_usd) for r in others] == [("ok", 0, 0)] * 2
    assert all("first call of its batch" in row.note for row in others)
    assert handler.total.cost_usd == (90 * Decimal("1.5") + 27 * 2) / MILLION
    assert _is_empty(handler)


def test_nothing_is_learned_about_token_counts_from_the_usage_of_a_batch(ledger: Ledger) -> None:
    class Text(_Text):
        def _generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
            usage = {"prompt_tokens": 1000 * len(prompts), "completion_tokens": 9}
            return LLMResult(
                generations=[[Generation(text="x")] for _ in prompts],
                llm_output={"token_usage": usage},
            )

    handler = CostCallbackHandler(ledger)
    Text().batch(["a b c", "d e f"], config={"callbacks": [handler]})
    assert not handler.tracker._calls.lessons.learned


class _Text(BaseLLM):
    """A text model without usage."""

    fails: bool = False

    @property
    def _llm_type(self) -> str:
        return "text"

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return {"ls_provider": "mistral", "ls_model_name": "mistral-large-latest"}

    def _generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
        if self.fails:
            raise TimeoutError
        generations = [[Generation(text="one two three")] for _ in prompts]
        return LLMResult(generations=generations, llm_output={"token_usage": {}})


def test_a_batch_that_states_no_usage_at_all_is_estimated_call_by_call(
    handler: CostCallbackHandler, ledger: Ledger
) -> None:
    _Text().batch(["a", "b"], config={"callbacks": [handler]})
    rows = list(ledger.attempts())
    assert [row.usage.source for row in rows] == ["estimated"] * 2
    assert all(row.usage.output_tokens > 0 for row in rows)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_text_models_failed_batch_keeps_every_row(
    is_async: bool, handler: CostCallbackHandler, ledger: Ledger
) -> None:
    with pytest.raises(TimeoutError):
        await _batch(_Text(fails=True), ["a", "b", "c"], handler, is_async)
    assert [(r.status, r.error_kind) for r in ledger.attempts()] == [("error", "timeout")] * 3
    assert _is_empty(handler)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_refused_batch_of_a_text_model_leaves_nothing_open(
    is_async: bool, ledger: Ledger
) -> None:
    # Asynchronous text models announce their batch in tasks that go on after a refusal.
    worst = (1 * Decimal("1.5") + 100 * 2) / MILLION
    handler = CostCallbackHandler(ledger, budgets=[Budget.usd(worst * 2, per="lifetime")])
    with pytest.raises(BudgetExceeded):
        await _batch(_text_openai(max_tokens=100), ["a", "b " * 500, "c", "d"], handler, is_async)
    await asyncio.sleep(0)
    assert not handler.tracker._calls.open
    assert _held(handler) == [0]
    assert list(ledger.attempts()) == []


# -- what is kept ------------------------------------------------------------------------------


async def test_nothing_is_kept_after_many_runs(
    scripted: ScriptedServer, chat_openai: Any, ledger: Ledger
) -> None:
    scripted.always(_bad_or_good)
    handler = CostCallbackHandler(ledger)
    model = chat_openai(stream_usage=True)
    chain = (lambda q: q) | model.with_retry(stop_after_attempt=1)
    config = {"callbacks": [handler]}
    for _ in range(10):
        chain.invoke("hello", config)
        await chain.ainvoke("hello", config)
        async for _ in chain.astream("hello", config):
            pass
        await model.agenerate([HELLO, HELLO], callbacks=[handler])
        with pytest.raises(Exception, match="500"):
            await chain.ainvoke("bad", config)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(chain.ainvoke("hello", config), 0)
    await asyncio.sleep(0)
    assert _is_empty(handler)
    assert not handler.tracker._calls.open
