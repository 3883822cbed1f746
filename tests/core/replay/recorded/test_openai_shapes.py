"""OpenAI's payloads as the SDK's own types shape them, and the calls they have to become."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses import Response
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from frugal_chains.facts import MessageFacts, RequestFacts, ToolCallFacts, ToolFacts
from frugal_chains.replay import RecordedCall
from frugal_chains.replay.recorded import read_recording
from frugal_chains.usage import Usage

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SCHEMA_TEXT = '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'
ASKED_ID = "call_1"


def only(line: dict[str, Any]) -> RecordedCall:
    (call,) = read_recording([json.dumps(line)])
    return call


def completion(message: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A response as the API sends it: what the SDK reads, written out again."""
    plain = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_763_631_060,
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "logprobs": None,
                "message": {"role": "assistant", "content": None, "refusal": None, **message},
            }
        ],
        "usage": {
            "prompt_tokens": 1_300,
            "completion_tokens": 70,
            "total_tokens": 1_370,
            "prompt_tokens_details": {"cached_tokens": 1_024, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 40, "audio_tokens": 0},
        },
        **changes,
    }
    return ChatCompletion.model_validate(plain).model_dump(mode="json", by_alias=True)


def valid_chat(request: dict[str, Any]) -> dict[str, Any]:
    TypeAdapter(CompletionCreateParamsNonStreaming).validate_python(request)
    return request


def test_a_chat_completion_with_tools_and_parts_is_read_field_by_field() -> None:
    request = valid_chat(
        {
            "model": "gpt-4o",
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {
                    "role": "user",
                    "name": "ann",
                    "content": [
                        {"type": "text", "text": "Where is this?"},
                        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                        {"type": "text", "text": "And the weather?"},
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": ASKED_ID,
                            "type": "function",
                            "function": {"name": "weather", "arguments": '{"city": "Bern"}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": ASKED_ID, "content": "4 degrees"},
            ],
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "weather",
                        "description": "Of a city.",
                        "parameters": SCHEMA,
                    },
                }
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
            },
        }
    )
    call = only(
        {
            "request": request,
            "response": completion({"content": '{"city":"Bern"}'}),
            "timestamp": "2025-11-20T09:31:00.250Z",
            "conversation": "c-17",
            "operation": "op-3",
            "task": "weather",
            "provider": "openai",
        }
    )
    assert call == RecordedCall(
        model="gpt-4o-2024-08-06",
        provider="openai",
        # 2025-11-20 is day 20,412 since 1970.
        at_us=(20_412 * 86_400 + 9 * 3_600 + 31 * 60) * 1_000_000 + 250_000,
        conversation="c-17",
        operation="op-3",
        task="weather",
        request=RequestFacts(
            messages=(
                MessageFacts(role="system", text="Be brief."),
                MessageFacts(
                    role="user",
                    name="ann",
                    text="Where is this?\nAnd the weather?",
                    images=1,
                    audio=1,
                ),
                MessageFacts(
                    role="assistant",
                    tool_calls=(
                        ToolCallFacts(name="weather", arguments='{"city": "Bern"}', id=ASKED_ID),
                    ),
                ),
                MessageFacts(role="tool", text="4 degrees", tool_call_id=ASKED_ID),
            ),
            tools=(ToolFacts(name="weather", description="Of a city.", parameters=SCHEMA_TEXT),),
            output_schema=SCHEMA_TEXT,
        ),
        answer=MessageFacts(role="assistant", text='{"city":"Bern"}'),
        usage=Usage(
            input_tokens=1_300, output_tokens=70, cache_read_tokens=1_024, reasoning_tokens=40
        ),
        line=1,
    )
    assert call.request is not None
    assert call.request.messages[0].text_lengths == (len("Be brief."),)


def test_of_several_answers_the_first_is_kept_and_the_usage_is_of_all() -> None:
    response = completion({"content": "one"})
    response["choices"].append(
        {**response["choices"][0], "index": 1, "message": {"role": "assistant", "content": "two"}}
    )
    request = valid_chat(
        {"model": "gpt-4o", "n": 2, "messages": [{"role": "user", "content": "?"}]}
    )
    call = only({"request": request, "response": response})
    assert call.answer == MessageFacts(role="assistant", text="one")
    assert call.usage is not None
    assert call.usage.output_tokens == 70


def test_without_a_time_of_its_own_that_of_the_response_holds() -> None:
    call = only({"request": {}, "response": completion({"content": "x"})})
    assert call.at_us == 1_763_631_060_000_000
    assert call.request is None  # only sizes were recorded


def test_the_tier_is_the_one_that_served_else_the_one_that_was_asked_for() -> None:
    asked = {"model": "gpt-4o", "service_tier": "priority", "messages": "hi"}
    served = completion({"content": "x"}, service_tier="flex")
    silent = completion({"content": "x"}, service_tier=None)
    assert only({"request": asked, "response": served}).tier == "flex"
    assert only({"request": asked, "response": silent}).tier == "priority"
    assert only({"request": {}, "response": silent}).tier == "standard"


def test_json_mode_asks_for_any_object_and_text_for_nothing() -> None:
    said = [{"role": "user", "content": "?"}]
    made = {
        kind: only({"request": {"messages": said, "response_format": {"type": kind}}}).request
        for kind in ("json_object", "text")
    }
    assert made["json_object"] is not None
    assert made["json_object"].output_schema == '{"type":"object"}'
    assert made["text"] is not None
    assert made["text"].output_schema == ""


def test_the_older_function_calls_and_custom_tools_are_read() -> None:
    call = only(
        {
            "request": {
                "model": "gpt-4",
                "functions": [{"name": "f", "parameters": {"type": "object"}}],
                "messages": [
                    {"role": "user", "content": "go"},
                    {
                        "role": "assistant",
                        "content": None,
                        "function_call": {"name": "f", "arguments": "{}"},
                    },
                    {"role": "function", "name": "f", "content": "done"},
                ],
            },
            "response": completion(
                {
                    "tool_calls": [
                        {
                            "id": "c",
                            "type": "custom",
                            "custom": {"name": "sql", "input": "select 1"},
                        }
                    ]
                }
            ),
        }
    )
    assert call.request is not None
    assert call.request.tools == (ToolFacts(name="f", parameters='{"type":"object"}'),)
    assert call.request.messages[1:] == (
        MessageFacts(role="assistant", tool_calls=(ToolCallFacts(name="f", arguments="{}"),)),
        MessageFacts(role="tool", name="f", text="done"),
    )
    assert call.answer == MessageFacts(
        role="assistant", tool_calls=(ToolCallFacts(name="sql", arguments="select 1", id="c"),)
    )


# -- the responses API -------------------------------------------------------------------------

CALL_ITEM = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": ASKED_ID,
    "name": "weather",
    "arguments": '{"city":"Bern"}',
    "status": "completed",
}
TOOL = {
    "type": "function",
    "name": "weather",
    "description": "Of a city.",
    "parameters": SCHEMA,
    "strict": True,
}


def response(output: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    plain = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_763_800_000,
        "status": "completed",
        "model": "gpt-5-mini-2025-08-07",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [TOOL],
        "service_tier": "flex",
        "usage": {
            "input_tokens": 88,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 84,
            "output_tokens_details": {"reasoning_tokens": 64},
            "total_tokens": 172,
        },
        **changes,
    }
    return Response.model_validate(plain).model_dump(mode="json", by_alias=True)


def test_a_response_with_items_is_read_field_by_field() -> None:
    request: dict[str, Any] = {
        "model": "gpt-5-mini",
        "instructions": "Answer customers.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Weather?"},
                    {
                        "type": "input_image",
                        "detail": "auto",
                        "image_url": "https://example.org/a.png",
                    },
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
            },
            CALL_ITEM,
            {"type": "function_call_output", "call_id": ASKED_ID, "output": "4 degrees"},
        ],
        "tools": [TOOL],
        "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True}},
    }
    TypeAdapter(ResponseCreateParamsNonStreaming).validate_python(request)
    call = only({"request": request, "response": response([CALL_ITEM]), "session_id": "s-9"})
    asked = ToolCallFacts(name="weather", arguments='{"city":"Bern"}', id=ASKED_ID)
    assert call == RecordedCall(
        model="gpt-5-mini-2025-08-07",
        tier="flex",
        at_us=1_763_800_000_000_000,
        conversation="s-9",
        request=RequestFacts(
            messages=(
                MessageFacts(role="system", text="Answer customers."),
                MessageFacts(role="user", text="Weather?", images=1),
                # What the assistant said in one turn is one message, though it is two items.
                MessageFacts(role="assistant", text="I look.", tool_calls=(asked,)),
                MessageFacts(role="tool", text="4 degrees", tool_call_id=ASKED_ID),
            ),
            tools=(ToolFacts(name="weather", description="Of a city.", parameters=SCHEMA_TEXT),),
            output_schema=SCHEMA_TEXT,
        ),
        answer=MessageFacts(role="assistant", tool_calls=(asked,)),
        usage=Usage(input_tokens=88, output_tokens=84, reasoning_tokens=64),
        line=1,
    )


def test_a_response_names_the_one_that_it_continues() -> None:
    lines = [
        {"request": {"model": "m", "input": "hi"}, "response": response([], id="resp_1")},
        {"request": {"model": "m", "input": "other"}, "response": response([], id="resp_2")},
        {
            "request": {"model": "m", "input": "more", "previous_response_id": "resp_1"},
            "response": response([], id="resp_3"),
        },
    ]
    calls = list(read_recording(map(json.dumps, lines)))
    assert [call.conversation for call in calls] == ["from line 1", "from line 2", "from line 1"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "ok"),
        ({"status": "failed", "error": {"code": "server_error", "message": "m"}}, "error"),
        ({"status": "cancelled"}, "aborted"),
    ],
)
def test_how_a_response_ended(changes: dict[str, Any], status: str) -> None:
    assert only({"request": {"input": "x"}, "response": response([], **changes)}).status == status
