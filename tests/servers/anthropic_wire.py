"""Anthropic's bodies and stream events: messages.

Shapes: the types of the `anthropic` package 1.17.0 (`types/message.py`, `types/usage.py`,
`types/message_delta_usage.py`), read 2026-11-21; the tests validate every body against them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.servers.openai_wire import words
from tests.servers.reply import Reply, Tokens

Body = Mapping[str, Any]
Json = dict[str, Any]

MESSAGE_START_OUTPUT_TOKENS = 1
# A placeholder, not the count: platform.claude.com, Streaming messages, basic example.
DELTA_FIELDS = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
)
# `MessageDeltaUsage` has no `cache_creation`: the split by time to live is in `message_start`.
ERROR_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
# platform.claude.com, Errors, read 2026-11-21.


def usage(tokens: Tokens) -> Json:
    """`input_tokens` is what was neither read from the cache nor written to it."""
    return {
        "input_tokens": tokens.fresh,
        "cache_creation_input_tokens": tokens.cache_write,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write_5m,
            "ephemeral_1h_input_tokens": tokens.cache_write_1h,
        },
        "output_tokens": tokens.output,
        "output_tokens_details": {"thinking_tokens": tokens.reasoning},
        "service_tier": "standard",
    }


def last_user_text(body: Body) -> str:
    contents = [m["content"] for m in body.get("messages", ()) if m["role"] == "user"]
    content = contents[-1] if contents else ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def error(status: int, message: str) -> Json:
    kind = ERROR_KINDS.get(status, "api_error")
    detail = {"type": kind, "message": message}
    return {"type": "error", "error": detail, "request_id": "req_scripted"}


def error_event() -> bytes:
    return _event(error(529, "Overloaded"))


def message(body: Body, reply: Reply, text: str, usage: Json) -> Json:
    content: list[Json] = [{"type": "text", "text": text}] if text else []
    content += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments)}
        for call in reply.tool_calls
    ]
    stop = "tool_use" if reply.tool_calls else "end_turn"
    return _head(body, reply) | {"content": content, "stop_reason": stop, "usage": usage}


def events(body: Body, reply: Reply, text: str, usage: Json) -> Iterator[bytes]:
    start: Json = {"content": [], "stop_reason": None, "usage": _start_usage(usage)}
    yield _event({"type": "message_start", "message": _head(body, reply) | start})
    whole = message(body, reply, text, usage)
    for index, block in enumerate(whole["content"]):
        yield from _block_events(index, block)
    stop = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    delta_usage = _delta_usage(usage, reply)
    yield _event({"type": "message_delta", "delta": stop, "usage": delta_usage})
    yield _event({"type": "message_stop"})


def _start_usage(usage: Json) -> Json:
    start = {key: value for key, value in usage.items() if key != "output_tokens_details"}
    return start | {"output_tokens": MESSAGE_START_OUTPUT_TOKENS}


def _delta_usage(usage: Json, reply: Reply) -> Json:
    kept = DELTA_FIELDS if reply.delta_usage == "cumulative" else ("output_tokens",)
    return {key: value for key, value in usage.items() if key in kept}


def _block_events(index: int, block: Json) -> Iterator[bytes]:
    at = {"index": index}
    is_text = block["type"] == "text"
    empty: Json = {"text": ""} if is_text else {"input": {}}
    kind, field = ("text_delta", "text") if is_text else ("input_json_delta", "partial_json")
    whole = block["text"] if is_text else json.dumps(block["input"])
    yield _event({"type": "content_block_start", "content_block": block | empty} | at)
    for piece in words(whole):
        delta = {"type": kind, field: piece}
        yield _event({"type": "content_block_delta", "delta": delta} | at)
    yield _event({"type": "content_block_stop"} | at)


def _head(body: Body, reply: Reply) -> Json:
    model = reply.model or body["model"]
    head = {"id": "msg_scripted", "type": "message", "role": "assistant", "model": model}
    return head | {"stop_sequence": None}


def _event(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
