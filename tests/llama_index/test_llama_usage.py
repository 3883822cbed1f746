"""What real LlamaIndex clients got from the provider is what stands on the books."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    CacheControl,
    CachePoint,
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    TextBlock,
)
from llama_index.core.llms import MockLLM

from frugal_chains import Ledger, Usage
from llama_index_frugal import track_cost
from llama_index_frugal._response import Answer, failed, finished
from tests.llama_index.asking import MESSAGES, WAYS, ask, only
from tests.servers import Reply, ScriptedServer, Tokens

Make = Callable[..., Any]

TOKENS = Tokens(fresh=1000, cache_read=2000, visible=7, reasoning=5)
SEEN = Usage(input_tokens=3000, output_tokens=12, cache_read_tokens=2000, reasoning_tokens=5)
# gpt-4o-mini: $0.15 input, $0.075 cached, $0.60 output per million (OpenAI's price page).
COST = (
    Decimal("0.15") * 1000 / 10**6 + Decimal("0.075") * 2000 / 10**6 + Decimal("0.6") * 12 / 10**6
)
WITH_USAGE = {"additional_kwargs": {"stream_options": {"include_usage": True}}}


@pytest.mark.parametrize("way", WAYS)
async def test_openai_chat_is_read_in_every_way(
    way: str, openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("some", usage=TOKENS, model="gpt-4o-mini-2024-07-18"))
    llm = openai_llm(**(WITH_USAGE if "stream" in way else {}))
    with track_cost(ledger) as spent:
        await ask(llm, way)
    row = only(ledger)
    assert row.usage == SEEN
    assert row.cost_usd == COST == spent.cost_usd
    assert (row.framework, row.provider, row.status) == ("llama_index", "openai", "ok")
    assert (row.model, row.model_asked) == ("gpt-4o-mini-2024-07-18", "gpt-4o-mini")
    assert row.streamed is ("stream" in way)
    assert (row.first_token_s is not None) is row.streamed


@pytest.mark.parametrize("way", [way for way in WAYS if "complete" not in way])
async def test_openai_responses_are_read_in_every_way(
    way: str, responses_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("some", usage=TOKENS, service_tier="flex"))
    with track_cost(ledger):
        await ask(responses_llm("gpt-5-mini"), way)
    row = only(ledger)
    assert row.usage == SEEN
    assert row.service_tier == "flex"
    assert row.model == "gpt-5-mini"


ANTHROPIC = Tokens(fresh=50, cache_read=2000, cache_write_5m=100, visible=9)


@pytest.mark.parametrize("way", WAYS)
async def test_anthropic_input_includes_what_was_cached(
    way: str, anthropic_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("some", usage=ANTHROPIC))
    with track_cost(ledger):
        await ask(anthropic_llm(), way)
    usage = only(ledger).usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (2150, 2000, 9)
    assert usage.cache_write_tokens == 100
    assert usage.source == "provider"


async def test_anthropic_one_hour_writes_are_told_apart(
    anthropic_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("some", usage=Tokens(fresh=50, cache_write_1h=400, visible=9)))
    with track_cost(ledger):
        anthropic_llm().chat(MESSAGES)
    usage = only(ledger).usage
    assert (usage.input_tokens, usage.cache_write_1h_tokens) == (450, 400)


@pytest.mark.parametrize("way", ["stream_chat", "astream_chat", "stream_complete"])
async def test_anthropic_stream_with_input_only_in_message_start(
    way: str, anthropic_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """Without cache markers llama-index hands that input on, and it is all of it."""
    tokens = Tokens(fresh=50, visible=9)
    scripted.always(Reply("some", usage=tokens, delta_usage="output_only"))
    with track_cost(ledger):
        await ask(anthropic_llm(), way)
    assert only(ledger).usage == Usage(input_tokens=50, output_tokens=9)


async def test_anthropic_cached_stream_with_input_only_in_message_start(
    anthropic_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """llama-index drops the cache counts of message_start: the 50 it shows are not the input."""
    scripted.always(Reply("some", usage=ANTHROPIC, delta_usage="output_only"))
    long = [ChatMessage(role="user", content="beans and rice " * 700)]
    with track_cost(ledger):
        list(anthropic_llm(cache_idx=0).stream_chat(long))
    row = only(ledger)
    assert 1500 < row.usage.input_tokens < 4500
    assert row.usage.output_tokens == 9
    assert row.usage.source == "mixed"
    assert "message_start" in row.note


def test_anthropic_delta_without_any_input() -> None:
    """As integrations before 0.8 hand it on: the input stands beside the message alone."""
    message = ChatMessage(role="assistant", additional_kwargs={"usage": {"input_tokens": 50}})
    raw = {"type": "message_delta", "usage": {"output_tokens": 9}}
    answer = Answer(ChatResponse(message=message, raw=raw))
    end = finished(answer, provider="anthropic", streamed=True, caches=lambda: False)
    assert end.reading is not None
    assert end.reading.usage == Usage(input_tokens=50, output_tokens=9)


# Shapes of integrations that are not installed here, as their sources build them.

GEMINI = {  # llama-index-llms-google-genai `utils.py`: raw is the response's `model_dump()`
    "model_version": "gemini-2.5-flash-001",
    "usage_metadata": {
        "prompt_token_count": 900,
        "cached_content_token_count": 600,
        "candidates_token_count": 20,
        "thoughts_token_count": 30,
        "total_token_count": 950,
    },
}
BEDROCK = {  # llama-index-llms-bedrock-converse `base.py`: raw is the response of `converse`
    "ResponseMetadata": {"HTTPStatusCode": 200},
    "usage": {
        "inputTokens": 100, "outputTokens": 20, "totalTokens": 1020,
        "cacheReadInputTokens": 700, "cacheWriteInputTokens": 200,
    },
}  # fmt: skip
BEDROCK_STREAM = {"metadata": {"usage": BEDROCK["usage"], "metrics": {"latencyMs": 5}}}
COUNTS = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
SHAPES: list[tuple[str, Any, dict[str, Any], str, Usage]] = [
    (
        "google", GEMINI, {}, "gemini-2.5-flash-001",
        Usage(input_tokens=900, cache_read_tokens=600, output_tokens=50, reasoning_tokens=30),
    ),
    (
        "aws", BEDROCK, {}, "",
        Usage(input_tokens=1000, cache_read_tokens=700, cache_write_5m_tokens=200,
              output_tokens=20),
    ),
    (
        "aws", BEDROCK_STREAM, {}, "",
        Usage(input_tokens=1000, cache_read_tokens=700, cache_write_5m_tokens=200,
              output_tokens=20),
    ),
    ("ollama", {"done": True}, COUNTS, "", Usage(input_tokens=12, output_tokens=3)),
    ("ollama", None, COUNTS, "", Usage(input_tokens=12, output_tokens=3)),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "raw", "extra", "model", "usage"), SHAPES)
def test_shapes_of_other_integrations(
    provider: str, raw: Any, extra: dict[str, Any], model: str, usage: Usage
) -> None:
    response = CompletionResponse(text="some", raw=raw, additional_kwargs=extra)
    end = finished(Answer(response), provider=provider, streamed=False, caches=lambda: False)
    assert end.reading is not None
    assert end.reading.usage == usage
    assert end.model == model


def test_usage_in_a_chunk_before_the_last_is_found() -> None:
    """Gemini states usage in every chunk; LlamaIndex may add chunks that have none."""
    message = ChatMessage(role="assistant", content="some")
    chunks = [ChatResponse(message=message, raw=GEMINI), ChatResponse(message=message, raw={})]
    end = finished(Answer(*chunks), provider="google", streamed=True, caches=lambda: False)
    assert end.reading is not None
    assert end.reading.usage.output_tokens == 50


@pytest.mark.parametrize("error", [GeneratorExit(), asyncio.CancelledError()])
def test_usage_of_a_stream_given_up_midway_is_no_last_word(error: BaseException) -> None:
    message = ChatMessage(role="assistant", content="some")
    end = failed(error, Answer(ChatResponse(message=message, raw=GEMINI)), provider="google")
    assert end.status == "aborted"
    assert end.reading is not None
    assert (end.reading.usage.input_tokens, end.reading.usage.source) == (900, "mixed")
    assert "last chunk" in end.note


async def test_response_without_usage_is_estimated_and_flagged(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("some beans", omit_usage=True))
    with track_cost(ledger) as spent:
        openai_llm("gpt-4o").chat(MESSAGES)
    row = only(ledger)
    # o200k_base: "how many?" is 3 tokens, the frame 3 + 1 + 3 (OpenAI cookbook); "some beans" is 2.
    assert row.usage == Usage(input_tokens=10, output_tokens=2, source="estimated")
    assert row.cost_usd
    assert spent.estimated == 1


class _NewModel(MockLLM):
    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="beans-2-large")


@pytest.mark.parametrize(("llm", "model"), [(_NewModel(), "beans-2-large"), (MockLLM(), "MockLLM")])
async def test_unknown_model_is_unpriced_and_says_why(
    llm: MockLLM, model: str, ledger: Ledger
) -> None:
    with track_cost(ledger) as spent:
        llm.chat(MESSAGES)
    row = only(ledger)
    assert (row.model, row.cost_usd, spent.unpriced) == (model, None, 1)
    assert row.unpriced_reason


async def test_model_that_answered_without_a_price_costs_what_the_one_asked_for_costs(
    openai_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    scripted.always(Reply("some", usage=TOKENS, model="our-gateway-name"))
    with track_cost(ledger):
        openai_llm().chat(MESSAGES)
    assert only(ledger).cost_usd == COST


@pytest.mark.parametrize(("ttl", "source"), [("5m", "provider"), ("1h", "mixed")])
async def test_anthropic_cached_stream_whose_delta_repeats_the_cache_counts(
    ttl: str, source: Any, anthropic_llm: Make, scripted: ScriptedServer, ledger: Ledger
) -> None:
    """Nothing was lost then. What was written is one sum: the request tells for how long."""
    scripted.always(Reply("some", usage=ANTHROPIC))
    mark = CachePoint(cache_control=CacheControl(type="ephemeral", ttl=ttl))
    asked = [ChatMessage(role="user", blocks=[TextBlock(text="how many?"), mark])]
    with track_cost(ledger):
        list(anthropic_llm().stream_chat(asked))
    writes = {f"cache_write_{ttl}_tokens": 100}
    assert only(ledger).usage == Usage(
        input_tokens=2150, cache_read_tokens=2000, output_tokens=9, source=source, **writes
    )
