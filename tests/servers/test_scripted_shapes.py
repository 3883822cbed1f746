"""Everything the scripted server writes is what the providers' own SDK types describe."""

from __future__ import annotations

import functools
import json
import urllib.request
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from tests.servers import Reply, ScriptedServer, Tokens, ToolCall

CALL = ToolCall("weigh", {"kilos": 3})
TOKENS = Tokens(fresh=5, cache_read=4, cache_write_5m=3, cache_write_1h=2, visible=7, reasoning=1)
REPLIES = {
    "echo": Reply(),
    "text": Reply("one two", usage=TOKENS, model="answered-2026", service_tier="priority"),
    "tools": Reply(tool_calls=(CALL,)),
    "text and tools": Reply("one two", tool_calls=(CALL, ToolCall("roast", id="call_2"))),
    "without usage": Reply("one", omit_usage=True),
}
MESSAGES = [{"role": "user", "content": "how many?"}]
USAGE = {"stream_options": {"include_usage": True}}
# Path to a request, the type of a whole answer, the type of an event.
ENDPOINTS: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "/v1/chat/completions": ({"messages": MESSAGES, "n": 2}, ChatCompletion, ChatCompletionChunk),
    "/v1/responses": ({"input": "how many?"}, Response, ResponseStreamEvent),
    "/v1/messages": ({"messages": MESSAGES, "max_tokens": 9}, Message, RawMessageStreamEvent),
}


def post(server: ScriptedServer, path: str, body: dict[str, Any]) -> str:
    url = server.anthropic_base_url + path
    data = json.dumps({"model": "asked", **body}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, method="POST")) as answer:
        return str(answer.read().decode())


def stream(server: ScriptedServer, path: str, body: dict[str, Any]) -> list[tuple[str, Any]]:
    """Each event as its name ("" when it has none) and its data."""
    events = []
    for block in post(server, path, {**body, "stream": True}).strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        data = fields["data"]
        events.append((fields.get("event", ""), data if data == "[DONE]" else json.loads(data)))
    return events


adapter = functools.cache(TypeAdapter)  # building one for all response events takes a second


def assert_described(value: Any) -> None:
    """No field that the SDK does not know, at any depth."""
    if isinstance(value, BaseModel):
        assert not value.model_extra, type(value)
        for name in type(value).model_fields:
            assert_described(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            assert_described(item)


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("reply", REPLIES)
def test_bodies_and_events_are_what_the_sdk_describes(
    scripted: ScriptedServer, path: str, reply: str
) -> None:
    body, whole, event = ENDPOINTS[path]
    scripted.always(REPLIES[reply])
    options = USAGE if whole is ChatCompletion else {}
    assert_described(adapter(whole).validate_json(post(scripted, path, body)))
    for _, data in stream(scripted, path, body | options):
        if data != "[DONE]":
            assert_described(adapter(event).validate_python(data))


def test_chat_usage_is_null_until_the_last_chunk_and_absent_unless_asked(
    scripted: ScriptedServer,
) -> None:
    # openai/types/chat/chat_completion_chunk.py, `usage`: a null value except for the last chunk.
    body = {"messages": MESSAGES}
    *chunks, last, done = [
        data for _, data in stream(scripted, "/v1/chat/completions", body | USAGE)
    ]
    assert done == "[DONE]"
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0
    unasked = [data for _, data in stream(scripted, "/v1/chat/completions", body)]
    assert all("usage" not in chunk for chunk in unasked[:-1])


def test_anthropic_stream_reports_input_first_and_output_last(scripted: ScriptedServer) -> None:
    # platform.claude.com, Streaming messages: the counts in message_delta are cumulative; the
    # output count in message_start is a placeholder.
    cumulative = {
        "input_tokens": 5,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 4,
        "output_tokens": 8,
        "output_tokens_details": {"thinking_tokens": 1},
    }
    body = {"messages": MESSAGES, "max_tokens": 9}
    for variant, expected in (("cumulative", cumulative), ("output_only", {"output_tokens": 8})):
        scripted.script(Reply("one two", usage=TOKENS, delta_usage=variant))  # type: ignore[arg-type]
        events = stream(scripted, "/v1/messages", body)
        assert [name for name, _ in events] == [data["type"] for _, data in events]
        start = events[0][1]["message"]["usage"]
        assert (start["input_tokens"], start["cache_read_input_tokens"]) == (5, 4)
        assert start["cache_creation"] == {
            "ephemeral_5m_input_tokens": 3,
            "ephemeral_1h_input_tokens": 2,
        }
        assert start["output_tokens"] == 1
        assert events[-2][1]["usage"] == expected


def test_a_raw_usage_is_sent_as_it_is(scripted: ScriptedServer) -> None:
    odd = {"prompt_tokens": -1, "completion_tokens": True, "total_tokens": 0}
    scripted.script(Reply("one", usage=odd))
    body = post(scripted, "/v1/chat/completions", {"messages": MESSAGES})
    assert json.loads(body)["usage"] == odd


def test_counted_usage_covers_every_choice(scripted: ScriptedServer) -> None:
    usages = [
        json.loads(post(scripted, "/v1/chat/completions", {"messages": MESSAGES, "n": n}))["usage"]
        for n in (1, 3)
    ]
    one, three = (usage["completion_tokens"] for usage in usages)
    assert three == 3 * one > 0
    assert usages[0]["prompt_tokens"] == usages[1]["prompt_tokens"]


def test_embeddings_accept_text_texts_and_token_ids(scripted: ScriptedServer) -> None:
    for given, count in (("beans", 1), (["beans", "milk"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2)):
        for encoding, kind in (("float", list), ("base64", str)):
            body = {"input": given, "encoding_format": encoding}
            answer = json.loads(post(scripted, "/v1/embeddings", body))
            assert [type(item["embedding"]) for item in answer["data"]] == [kind] * count
            if encoding == "float":
                assert_described(CreateEmbeddingResponse.model_validate(answer))
