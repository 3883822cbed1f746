"""The real SDK clients accept the scripted server, and what each lets through of the usage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import anthropic
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.anthropic import Anthropic as LlamaAnthropic
from llama_index.llms.openai import OpenAI as LlamaOpenAI
from llama_index.llms.openai import OpenAIResponses as LlamaResponses

from tests.servers import Reply, ScriptedServer, Tokens, ToolCall

TEXT = "forty two beans"
TOKENS = Tokens(
    fresh=10, cache_read=2000, cache_write_5m=30, cache_write_1h=400, visible=7, reasoning=5
)
SEEN = (TEXT, 2440, 12, 2000)  # text, all input, all output, read from the cache
PROMPT = "how many?"
CLAUDE = "claude-sonnet-5"  # llama-index-llms-anthropic 0.12.3 sends older models a temperature
RETRY_NOW = {"retry-after-ms": "1"}

Seen = tuple[str, int, int, int]


def _openai(server: ScriptedServer) -> dict[str, Any]:
    return {"base_url": server.openai_base_url, "api_key": "test", "max_retries": 0}


def _anthropic(server: ScriptedServer) -> dict[str, Any]:
    return {"base_url": server.anthropic_base_url, "api_key": "test", "max_retries": 0}


def _llama_openai(server: ScriptedServer) -> dict[str, Any]:
    # The default of 3 retries comes on top of the client's own; "gpt-4o" is a name it knows.
    kwargs = _openai(server) | {"api_base": server.openai_base_url, "model": "gpt-4o"}
    return {key: value for key, value in kwargs.items() if key != "base_url"}


# What each library shows, read the way its documents say.


def _of_chat(usage: Any) -> tuple[int, int, int]:
    return (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.prompt_tokens_details.cached_tokens,
    )


def _of_response(usage: Any) -> tuple[int, int, int]:
    return usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens


def _of_claude(usage: Any) -> tuple[int, int, int]:
    read = usage.cache_read_input_tokens
    total = usage.input_tokens + read + usage.cache_creation_input_tokens
    return total, usage.output_tokens, read


def _of_langchain(message: AIMessage) -> Seen:
    usage = message.usage_metadata
    assert usage is not None
    read = usage["input_token_details"]["cache_read"]
    return message.text, usage["input_tokens"], usage["output_tokens"], read


def _of_llama(response: Any) -> Seen:
    raw = response.raw["usage"] if isinstance(response.raw, dict) else None
    if raw is None:  # the responses client puts it beside the message
        raw = response.additional_kwargs.get("usage") or response.raw.usage
    read = {"CompletionUsage": _of_chat, "ResponseUsage": _of_response}
    return response.message.content, *read.get(type(raw).__name__, _of_claude)(raw)


# Four ways to ask each: whole and streamed, sync and async.


async def _gather(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]


def _sum(chunks: list[Any]) -> Any:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


async def _langchain(model: Any, way: str) -> Seen:
    match way:
        case "whole":
            return _of_langchain(model.invoke(PROMPT))
        case "stream":
            return _of_langchain(_sum(list(model.stream(PROMPT))))
        case "async whole":
            return _of_langchain(await model.ainvoke(PROMPT))
        case _:
            return _of_langchain(_sum(await _gather(model.astream(PROMPT))))


async def _llama(llm: Any, way: str) -> Seen:
    messages = [ChatMessage(role="user", content=PROMPT)]
    match way:
        case "whole":
            return _of_llama(llm.chat(messages))
        case "stream":
            return _of_llama(list(llm.stream_chat(messages))[-1])
        case "async whole":
            return _of_llama(await llm.achat(messages))
        case _:
            return _of_llama((await _gather(await llm.astream_chat(messages)))[-1])


async def _raw_chat(server: ScriptedServer, way: str) -> Seen:
    body: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": PROMPT}]}
    streamed = body | {"stream": True, "stream_options": {"include_usage": True}}
    if way == "whole":
        whole = openai.OpenAI(**_openai(server)).chat.completions.create(**body)
        return whole.choices[0].message.content, *_of_chat(whole.usage)
    if way == "async whole":
        async with openai.AsyncOpenAI(**_openai(server)) as client:
            whole = await client.chat.completions.create(**body)
        return whole.choices[0].message.content, *_of_chat(whole.usage)
    if way == "stream":
        chunks = list(openai.OpenAI(**_openai(server)).chat.completions.create(**streamed))
    else:
        async with openai.AsyncOpenAI(**_openai(server)) as client:
            chunks = await _gather(await client.chat.completions.create(**streamed))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    return text, *_of_chat(chunks[-1].usage)


async def _raw_responses(server: ScriptedServer, way: str) -> Seen:
    body: Any = {"model": "gpt-4o", "input": PROMPT, "stream": "stream" in way}
    async with openai.AsyncOpenAI(**_openai(server)) as client:
        if way == "whole":
            whole = openai.OpenAI(**_openai(server)).responses.create(**body)
        elif way == "stream":
            whole = list(openai.OpenAI(**_openai(server)).responses.create(**body))[-1].response
        elif way == "async whole":
            whole = await client.responses.create(**body)
        else:
            whole = (await _gather(await client.responses.create(**body)))[-1].response
    return whole.output_text, *_of_response(whole.usage)


async def _raw_messages(server: ScriptedServer, way: str) -> Seen:
    message = {"role": "user", "content": PROMPT}
    body: Any = {"model": CLAUDE, "max_tokens": 9, "messages": [message]}
    sync = anthropic.Anthropic(**_anthropic(server)).messages
    async with anthropic.AsyncAnthropic(**_anthropic(server)) as client:
        if way == "whole":
            whole = sync.create(**body)
        elif way == "async whole":
            whole = await client.messages.create(**body)
        elif way == "stream":
            with sync.stream(**body) as stream:
                whole = stream.get_final_message()
        else:
            async with client.messages.stream(**body) as astream:
                whole = await astream.get_final_message()
    return whole.content[0].text, *_of_claude(whole.usage)


USAGE_ON: dict[str, Any] = {"additional_kwargs": {"stream_options": {"include_usage": True}}}
CLIENTS: dict[str, Callable[[ScriptedServer, str], Any]] = {
    "openai chat": _raw_chat,
    "openai responses": _raw_responses,
    "anthropic": _raw_messages,
    "langchain openai": lambda s, way: _langchain(
        ChatOpenAI(model="gpt-4o", stream_usage=True, **_openai(s)), way
    ),
    "langchain openai responses": lambda s, way: _langchain(
        ChatOpenAI(model="gpt-4o", use_responses_api=True, **_openai(s)), way
    ),
    "langchain anthropic": lambda s, way: _langchain(
        ChatAnthropic(model=CLAUDE, **_anthropic(s)), way
    ),
    "llama_index openai": lambda s, way: _llama(LlamaOpenAI(**_llama_openai(s), **USAGE_ON), way),
    "llama_index openai responses": lambda s, way: _llama(LlamaResponses(**_llama_openai(s)), way),
    "llama_index anthropic": lambda s, way: _llama(
        LlamaAnthropic(model=CLAUDE, **_anthropic(s)), way
    ),
}


@pytest.mark.parametrize("way", ["whole", "stream", "async whole", "async stream"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_every_client_reads_text_and_usage(
    scripted: ScriptedServer, client: str, way: str
) -> None:
    scripted.script(Reply(TEXT, usage=TOKENS))
    assert await CLIENTS[client](scripted, way) == SEEN
    assert len(scripted.requests) == 1
    assert scripted.requests[0].body.get("stream", False) is ("stream" in way)


# Where usage gets lost: facts about the clients, true for the versions in requirements/.


@pytest.mark.parametrize(("stream_usage", "arrives"), [(None, False), (True, True)])
def test_chat_openai_asks_for_stream_usage_only_when_told(
    scripted: ScriptedServer, stream_usage: bool | None, arrives: bool
) -> None:
    model = ChatOpenAI(model="gpt-4o", stream_usage=stream_usage, **_openai(scripted))
    usages = [chunk.usage_metadata for chunk in model.stream(PROMPT) if chunk.usage_metadata]
    assert bool(usages) is arrives
    assert ("stream_options" in scripted.requests[0].body) is arrives


@pytest.mark.parametrize(("options", "arrives"), [({}, False), (USAGE_ON, True)])
def test_llama_openai_streams_usage_only_with_include_usage(
    scripted: ScriptedServer, options: dict[str, Any], arrives: bool
) -> None:
    llm = LlamaOpenAI(**_llama_openai(scripted), **options)
    last = list(llm.stream_chat([ChatMessage(role="user", content=PROMPT)]))[-1]
    assert (last.raw.usage is not None) is arrives


@pytest.mark.parametrize(
    ("delta_usage", "input_tokens"), [("cumulative", 2440), ("output_only", 0)]
)
def test_chat_anthropic_streams_input_usage_from_message_delta_alone(
    scripted: ScriptedServer, delta_usage: Any, input_tokens: int
) -> None:
    scripted.script(Reply(TEXT, usage=TOKENS, delta_usage=delta_usage))
    usage = _sum(list(ChatAnthropic(model=CLAUDE, **_anthropic(scripted)).stream(PROMPT)))
    assert usage.usage_metadata["input_tokens"] == input_tokens
    assert usage.usage_metadata["output_tokens"] == 12


def test_chat_anthropic_streams_no_split_of_cache_writes_by_time_to_live(
    scripted: ScriptedServer,
) -> None:
    scripted.always(Reply(TEXT, usage=TOKENS))
    model = ChatAnthropic(model=CLAUDE, **_anthropic(scripted))
    streamed = _sum(list(model.stream(PROMPT))).usage_metadata["input_token_details"]
    whole = model.invoke(PROMPT).usage_metadata["input_token_details"]
    assert streamed == {"cache_read": 2000, "cache_creation": 430}
    assert whole == {
        "cache_read": 2000,
        "cache_creation": 0,
        "ephemeral_5m_input_tokens": 30,
        "ephemeral_1h_input_tokens": 400,
    }


@pytest.mark.parametrize(("delta_usage", "read"), [("cumulative", 2000), ("output_only", None)])
def test_llama_anthropic_streams_cache_fields_from_message_delta_alone(
    scripted: ScriptedServer, delta_usage: Any, read: int | None
) -> None:
    scripted.script(Reply(TEXT, usage=TOKENS, delta_usage=delta_usage))
    llm = LlamaAnthropic(model=CLAUDE, **_anthropic(scripted))
    last = list(llm.stream_chat([ChatMessage(role="user", content=PROMPT)]))[-1]
    assert last.raw["usage"].cache_read_input_tokens == read
    assert last.raw["usage"].input_tokens == 10  # this one it carries over from message_start


def test_chat_openai_prefixes_the_details_of_a_flex_answer(scripted: ScriptedServer) -> None:
    scripted.script(Reply(TEXT, usage=TOKENS, service_tier="flex"))
    model = ChatOpenAI(model="gpt-4o", service_tier="flex", **_openai(scripted))
    details = model.invoke(PROMPT).usage_metadata
    assert details is not None
    assert details["input_token_details"]["flex_cache_read"] == 2000
    assert details["output_token_details"]["flex_reasoning"] == 5
    assert "cache_read" not in details["input_token_details"]


def test_every_generation_of_n_carries_the_usage_of_all(scripted: ScriptedServer) -> None:
    scripted.script(Reply(TEXT, usage=TOKENS))
    model = ChatOpenAI(model="gpt-4o", n=3, **_openai(scripted))
    generations = model.generate([[HumanMessage(PROMPT)]]).generations[0]
    totals = [generation.message.usage_metadata["total_tokens"] for generation in generations]
    assert totals == [2452, 2452, 2452]


class _Events(BaseCallbackHandler):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.seen.append("start")

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        self.seen.append("end")

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.seen.append(type(error).__name__)


@pytest.mark.parametrize("cls", [ChatOpenAI, ChatAnthropic])
def test_retries_inside_the_client_are_invisible_to_callbacks(
    scripted: ScriptedServer, cls: Any
) -> None:
    failed = Reply(status=500, headers=RETRY_NOW)
    scripted.script(failed, failed, Reply(TEXT))
    base = _openai(scripted) if cls is ChatOpenAI else _anthropic(scripted)
    events = _Events()
    cls(**(base | {"model": CLAUDE, "max_retries": 2})).invoke(
        PROMPT, config={"callbacks": [events]}
    )
    assert events.seen == ["start", "end"]
    assert len(scripted.requests) == 3


@pytest.mark.parametrize("cls", [ChatOpenAI, ChatAnthropic])
def test_a_stream_that_ends_early_looks_complete(scripted: ScriptedServer, cls: Any) -> None:
    scripted.script(Reply("one two three four", cut_after_chunks=3))
    base = _openai(scripted) if cls is ChatOpenAI else _anthropic(scripted)
    options = {"stream_usage": True} if cls is ChatOpenAI else {}
    events = _Events()
    chunks = list(cls(model=CLAUDE, **base, **options).stream(PROMPT, {"callbacks": [events]}))
    assert events.seen == ["start", "end"]
    assert _sum(chunks).text.startswith("one")
    assert not any(chunk.usage_metadata for chunk in chunks)


async def test_a_call_cancelled_by_a_timeout_ends_without_an_event(
    scripted: ScriptedServer,
) -> None:
    scripted.script(Reply(delay_s=30))
    events = _Events()
    model = ChatOpenAI(model="gpt-4o", **_openai(scripted))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(model.ainvoke(PROMPT, {"callbacks": [events]}), 0.2)
    assert events.seen == ["start"]
    assert len(scripted.requests) == 1


# Tools and embeddings


def test_tool_calls_arrive_whole_and_streamed(scripted: ScriptedServer) -> None:
    call = ToolCall("weigh", {"kilos": 3, "of": "green beans"}, id="call_9")
    scripted.always(Reply(tool_calls=(call,)))
    schema = {"type": "object", "properties": {"kilos": {"type": "integer"}}}
    tool = {"type": "function", "function": {"name": "weigh", "parameters": schema}}
    for model in (
        ChatOpenAI(model="gpt-4o", **_openai(scripted)),
        ChatOpenAI(model="gpt-4o", use_responses_api=True, **_openai(scripted)),
        ChatAnthropic(model=CLAUDE, **_anthropic(scripted)),
    ):
        bound = model.bind_tools([tool])
        for message in (bound.invoke(PROMPT), _sum(list(bound.stream(PROMPT)))):
            [seen] = message.tool_calls
            assert (seen["name"], seen["args"], seen["id"]) == (
                "weigh",
                {"kilos": 3, "of": "green beans"},
                "call_9",
            )


def _weigh(kilos: int) -> int:
    return kilos


def test_llama_index_reads_tool_calls(scripted: ScriptedServer) -> None:
    scripted.always(Reply(tool_calls=(ToolCall("weigh", {"kilos": 3}),)))
    tool = FunctionTool.from_defaults(_weigh, name="weigh")
    for llm in (
        LlamaOpenAI(**_llama_openai(scripted)),
        LlamaAnthropic(model=CLAUDE, **_anthropic(scripted)),
    ):
        [call] = llm.get_tool_calls_from_response(llm.chat_with_tools([tool], user_msg=PROMPT))
        assert (call.tool_name, call.tool_kwargs) == ("weigh", {"kilos": 3})


def test_embeddings_are_the_same_however_they_are_asked_for(scripted: ScriptedServer) -> None:
    name = "text-embedding-3-small"
    options = {"check_embedding_ctx_length": False}  # else it wants tiktoken's ranks
    chain = OpenAIEmbeddings(model=name, **options, **_openai(scripted))  # type: ignore[arg-type]
    index = OpenAIEmbedding(
        model_name=name, api_base=scripted.openai_base_url, api_key="test", max_retries=0
    )
    client = openai.OpenAI(**_openai(scripted)).embeddings
    floats = client.create(model=name, input=["beans"], encoding_format="float")
    expected = pytest.approx(floats.data[0].embedding)
    assert chain.embed_documents(["beans", "milk"])[0] == expected
    assert chain.embed_query("milk") != expected
    assert index.get_text_embedding("beans") == expected
    assert floats.usage.prompt_tokens == floats.usage.total_tokens == 2
