"""One call, one row: however many events LlamaIndex sends for it, and whoever wraps whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.generic_utils import chat_to_completion_decorator
from llama_index.core.llms import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    CustomLLM,
    LLMMetadata,
    MockLLM,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from frugal_chains import Budget, Ledger
from llama_index_frugal import track_cost
from tests.llama_index.asking import MESSAGES, WAYS, ask, only, rows
from tests.servers import Reply, ScriptedServer

Make = Callable[..., Any]


class Bean(BaseModel):
    kind: str
    count: int


BEAN = '{"kind": "pinto", "count": 3}'


class Wrapping(CustomLLM):
    """What users write: an LLM that hands every call on to another."""

    inner: Any
    times: int = 1

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="wrapper")

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        return [self.inner.chat(messages, **kwargs) for _ in range(self.times)][-1]

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return chat_to_completion_decorator(self.chat)(prompt, **kwargs)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        # Lazy: nothing is asked before the stream is first read.
        yield from self.inner.stream_complete(prompt, **kwargs)


@pytest.mark.parametrize("way", WAYS)
async def test_mock_llm_is_one_attempt(way: str, ledger: Ledger) -> None:
    with track_cost(ledger) as spent:
        await ask(MockLLM(), way)
    assert len(rows(ledger)) == spent.attempts == 1
    assert only(ledger).status == "ok"


@pytest.mark.parametrize("budgets", [(), (Budget.usd(1),)], ids=["no budget", "budget"])
@pytest.mark.parametrize("way", WAYS)
async def test_wrapper_is_no_attempt_of_its_own(
    way: str, budgets: Any, openai_llm: Make, ledger: Ledger
) -> None:
    with track_cost(ledger, budgets=budgets) as spent:
        await ask(Wrapping(inner=openai_llm()), way)
    assert only(ledger).model == "gpt-4o-mini"
    assert spent.attempts == 1
    assert "budget not held" not in only(ledger).note


async def test_wrapper_that_asks_twice_is_two_attempts(openai_llm: Make, ledger: Ledger) -> None:
    with track_cost(ledger):
        Wrapping(inner=Wrapping(inner=openai_llm()), times=2).complete("how many?")
    assert [row.model for row in rows(ledger)] == ["gpt-4o-mini"] * 2
    assert len({row.operation_id for row in rows(ledger)}) == 1


@pytest.mark.parametrize("way", ["complete", "acomplete", "stream_complete", "astream_complete"])
async def test_anthropic_complete_is_one_chat(
    way: str, anthropic_llm: Make, ledger: Ledger
) -> None:
    with track_cost(ledger):
        await ask(anthropic_llm(), way)
    assert only(ledger).usage.source == "provider"


async def _structured_predict(llm: Any) -> Any:
    return llm.structured_predict(Bean, PromptTemplate("a bean"))


async def _astructured_predict(llm: Any) -> Any:
    return await llm.astructured_predict(Bean, PromptTemplate("a bean"))


async def _structured_llm(llm: Any) -> Any:
    return llm.as_structured_llm(Bean).chat(MESSAGES).raw


async def _structured_llm_complete(llm: Any) -> Any:
    return (await llm.as_structured_llm(Bean).acomplete("a bean")).raw


async def _structured_llm_stream(llm: Any) -> Any:
    return list(llm.as_structured_llm(Bean).stream_chat(MESSAGES))[-1].raw


async def _structured_llm_astream(llm: Any) -> Any:
    stream = await llm.as_structured_llm(Bean).astream_chat(MESSAGES)
    return [chunk async for chunk in stream][-1].raw


STRUCTURED = (
    _structured_predict, _astructured_predict, _structured_llm, _structured_llm_complete,
    _structured_llm_stream, _structured_llm_astream,
)  # fmt: skip


@pytest.mark.parametrize("predict", STRUCTURED, ids=lambda f: f.__name__)
async def test_structured_output_is_one_attempt(
    predict: Callable[[Any], Any], openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply(BEAN))
    llm = openai_llm("gpt-4o", additional_kwargs={"stream_options": {"include_usage": True}})
    if "stream" not in predict.__name__:
        llm.additional_kwargs = {}
    with track_cost(ledger):
        answer = await predict(llm)
    assert answer.count == 3
    assert len(scripted.requests) == 1
    row = only(ledger)
    assert (row.model, row.status, row.usage.source) == ("gpt-4o", "ok", "provider")


async def test_calls_made_between_the_chunks_of_a_stream_are_not_inside_it(
    openai_llm: Make, ledger: Ledger
) -> None:
    """The consumer's own calls are no reason to forget the stream it is reading."""
    llm = openai_llm()
    with track_cost(ledger):
        for _ in llm.stream_chat(MESSAGES):
            llm.chat(MESSAGES)
        async for _ in await llm.astream_chat(MESSAGES):
            await llm.achat(MESSAGES)
            await asyncio.to_thread(llm.chat, MESSAGES)
    streamed = [row for row in rows(ledger) if row.streamed]
    assert [row.status for row in streamed] == ["ok", "ok"]
    assert len(rows(ledger)) > 4


async def test_concurrent_streams_do_not_swallow_one_another(
    openai_llm: Make, ledger: Ledger
) -> None:
    async def read() -> None:
        async for _ in await llm.astream_chat(MESSAGES):
            await asyncio.sleep(0)

    llm = Wrapping(inner=openai_llm())
    with track_cost(ledger):
        await asyncio.gather(*(read() for _ in range(8)))
    assert [row.model for row in rows(ledger)] == ["gpt-4o-mini"] * 8
    assert {row.status for row in rows(ledger)} == {"ok"}


async def test_embedding_inside_an_llm_does_not_hide_the_llm(ledger: Ledger) -> None:
    from llama_index.core import MockEmbedding

    class Caching(MockLLM):
        def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
            MockEmbedding(embed_dim=2).get_query_embedding(prompt)
            return super().complete(prompt, formatted, **kwargs)

    with track_cost(ledger):
        Caching().chat([ChatMessage(role="user", content="hi")])
    assert sorted(row.purpose for row in rows(ledger)) == ["answer", "embed"]
