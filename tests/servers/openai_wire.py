"""OpenAI's bodies and stream events: chat completions, responses, embeddings.

Shapes: the types of the `openai` package 2.54.0 (`types/chat`, `types/responses`,
`types/completion_usage.py`), read 2026-11-21; the tests validate every body against them.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from tests.servers.prompt_cache import count_tokens
from tests.servers.reply import Reply, Tokens, ToolCall

Body = Mapping[str, Any]
Json = dict[str, Any]

CREATED = 1_795_000_000
EMBEDDING_DIMENSIONS = 8


def chat_usage(tokens: Tokens) -> Json:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {
            "cached_tokens": tokens.cache_read,
            "cache_write_tokens": tokens.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def responses_usage(tokens: Tokens) -> Json:
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": {
            "cached_tokens": tokens.cache_read,
            "cache_write_tokens": tokens.cache_write,
        },
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    }


def last_user_text(body: Body) -> str:
    messages = body.get("messages", body.get("input", ""))
    if isinstance(messages, str):
        return messages
    contents = [m.get("content", "") for m in messages if m.get("role") == "user"]
    content = contents[-1] if contents else ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def error(status: int, message: str) -> Json:
    """platform.openai.com, Error codes, read 2026-11-21."""
    kinds = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error"}
    code = "rate_limit_exceeded" if status == 429 else None
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def error_event() -> bytes:
    return _data(error(500, "The server had an error while processing your request."))


# Chat completions


def chat(body: Body, reply: Reply, text: str, usage: Json | None) -> Json:
    message: Json = {"role": "assistant", "content": text or None, "refusal": None}
    if reply.tool_calls:
        message["tool_calls"] = [_chat_tool_call(call) for call in reply.tool_calls]
    finish = "tool_calls" if reply.tool_calls else "stop"
    return _chat_head(body, reply, "chat.completion") | {
        "choices": [
            {"index": i, "message": message, "logprobs": None, "finish_reason": finish}
            for i in range(body.get("n") or 1)
        ],
        **({} if usage is None else {"usage": usage}),
    }


def chat_events(body: Body, reply: Reply, text: str, usage: Json | None) -> Iterator[bytes]:
    """Role, words, tool calls, finish; then usage where it was asked for; then `[DONE]`.

    With `include_usage` every chunk carries `usage: null` but the last, which has no choices.
    """
    asked = (body.get("stream_options") or {}).get("include_usage") and usage is not None
    head = _chat_head(body, reply, "chat.completion.chunk") | ({"usage": None} if asked else {})
    finish = "tool_calls" if reply.tool_calls else "stop"
    deltas: list[Json] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"content": word} for word in words(text)]
    for i, call in enumerate(reply.tool_calls):
        name, *arguments = _chat_tool_deltas(i, call)
        deltas += [{"tool_calls": [part]} for part in (name, *arguments)]
    for choice in range(body.get("n") or 1):
        for delta, reason in [*((delta, None) for delta in deltas), ({}, finish)]:
            part = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": reason}
            yield _data(head | {"choices": [part]})
    if asked:
        yield _data(head | {"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _chat_head(body: Body, reply: Reply, kind: str) -> Json:
    tier = {"service_tier": reply.service_tier} if reply.service_tier else {}
    model = reply.model or body["model"]
    head = {"id": "chatcmpl-scripted", "object": kind, "created": CREATED, "model": model}
    return head | tier | {"system_fingerprint": "fp_scripted"}


def _chat_tool_call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _chat_tool_deltas(index: int, call: ToolCall) -> Iterator[Json]:
    yield (
        {"index": index}
        | _chat_tool_call(call)
        | {"function": {"name": call.name, "arguments": ""}}
    )
    for piece in words(json.dumps(call.arguments)):
        yield {"index": index, "function": {"arguments": piece}}


# Responses


def response(body: Body, reply: Reply, text: str, usage: Json | None) -> Json:
    output = [_message_item(text)] if text else []
    output += [_function_item(call) for call in reply.tool_calls]
    return _response_head(body, reply, "completed") | {"output": output, "usage": usage}


def response_events(body: Body, reply: Reply, text: str, usage: Json | None) -> Iterator[bytes]:
    numbers = itertools.count()
    for event in _response_events(body, reply, text, usage):
        yield _named(event | {"sequence_number": next(numbers)})


def _response_events(body: Body, reply: Reply, text: str, usage: Json | None) -> Iterator[Json]:
    started = _response_head(body, reply, "in_progress") | {"output": [], "usage": None}
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    items = ([_message_item(text)] if text else []) + [_function_item(c) for c in reply.tool_calls]
    for index, item in enumerate(items):
        at = {"output_index": index}
        empty: Json = {"content": []} if item["type"] == "message" else {"arguments": ""}
        opened = item | {"status": "in_progress"} | empty
        yield {"type": "response.output_item.added", "item": opened} | at
        parts = _text_events if item["type"] == "message" else _argument_events
        yield from (event | at | {"item_id": item["id"]} for event in parts(item))
        yield {"type": "response.output_item.done", "item": item} | at
    yield {"type": "response.completed", "response": response(body, reply, text, usage)}


def _text_events(item: Json) -> Iterator[Json]:
    part = item["content"][0]
    at = {"content_index": 0}
    yield {"type": "response.content_part.added", "part": part | {"text": ""}} | at
    for word in words(part["text"]):
        yield {"type": "response.output_text.delta", "delta": word, "logprobs": []} | at
    yield {"type": "response.output_text.done", "text": part["text"], "logprobs": []} | at
    yield {"type": "response.content_part.done", "part": part} | at


def _argument_events(item: Json) -> Iterator[Json]:
    for piece in words(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", "delta": piece}
    done = {"name": item["name"], "arguments": item["arguments"]}
    yield {"type": "response.function_call_arguments.done"} | done


def _response_head(body: Body, reply: Reply, status: str) -> Json:
    return {
        "id": "resp_scripted",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "metadata": {},
        "model": reply.model or body["model"],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "service_tier": reply.service_tier or "default",
    }


def _message_item(text: str) -> Json:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {"id": "msg_scripted", "type": "message", "role": "assistant", "status": "completed"}
    return item | {"content": [part]}


def _function_item(call: ToolCall) -> Json:
    return {
        "id": f"fc_{call.id}",
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": json.dumps(call.arguments),
        "status": "completed",
    }


# Embeddings


def embeddings(body: Body, reply: Reply) -> Json:
    """One vector for each input, made from its hash; base64 of little-endian floats if asked."""
    given = body["input"]
    inputs = [given] if isinstance(given, str) or isinstance(given[0], int) else given
    tokens = sum(count_tokens(i) if isinstance(i, str) else len(i) for i in inputs)
    vectors = [_vector(i, body.get("dimensions") or EMBEDDING_DIMENSIONS) for i in inputs]
    encoded = [_base64(v) for v in vectors] if body.get("encoding_format") == "base64" else vectors
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": i, "embedding": e} for i, e in enumerate(encoded)
        ],
        "model": reply.model or body["model"],
        "usage": reply.usage or {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _vector(given: object, dimensions: int) -> list[float]:
    digest = hashlib.shake_128(repr(given).encode()).digest(dimensions)
    return [byte / 255 for byte in digest]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


# Server-sent events


def words(text: str) -> list[str]:
    """The text in pieces, each with the space that follows it."""
    return [piece for piece in text.replace(" ", " \0").split("\0") if piece]


def _data(event: Json) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


def _named(event: Json) -> bytes:
    return f"event: {event['type']}\n".encode() + _data(event)
