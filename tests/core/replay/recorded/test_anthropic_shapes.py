"""Anthropic's payloads as the SDK's own types shape them, and the calls they have to become."""

from __future__ import annotations

import json
from typing import Any

from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from anthropic.types.messages import MessageBatchIndividualResponse
from pydantic import TypeAdapter

from frugal_chains.facts import MessageFacts, RequestFacts, ToolCallFacts, ToolFacts
from frugal_chains.replay import RecordedCall
from frugal_chains.replay.recorded import read_recording
from frugal_chains.usage import Usage

MARK_5M = {"type": "ephemeral"}
MARK_1H = {"type": "ephemeral", "ttl": "1h"}
PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}


def only(line: dict[str, Any]) -> RecordedCall:
    (call,) = read_recording([json.dumps(line)])
    return call


def message(content: list[dict[str, Any]], **usage: Any) -> dict[str, Any]:
    plain = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 20,
            "cache_creation_input_tokens": 300,
            "cache_read_input_tokens": 1_400,
            "cache_creation": {
                "ephemeral_5m_input_tokens": 100,
                "ephemeral_1h_input_tokens": 200,
            },
            "output_tokens": 26,
            "service_tier": "standard",
            **usage,
        },
    }
    return Message.model_validate(plain).model_dump(mode="json", by_alias=True)


def test_a_message_with_every_kind_of_block_is_read_field_by_field() -> None:
    request: dict[str, Any] = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 500,
        "system": [
            {"type": "text", "text": "You advise mechanics."},
            {"type": "text", "text": "The handbook.", "cache_control": MARK_1H},
        ],
        "tools": [
            {
                "name": "measure",
                "description": "Measure a part.",
                "input_schema": {"type": "object", "properties": {"part": {"type": "string"}}},
                "cache_control": MARK_5M,
            },
            {"type": "web_search_20250305", "name": "web_search"},
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": PNG},
                    {"type": "text", "text": "Is it worn?"},
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "A note."},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Measure.", "signature": "c2ln"},
                    {"type": "text", "text": "I measure."},
                    {"type": "tool_use", "id": "t1", "name": "measure", "input": {"part": "ch"}},
                    {"type": "tool_use", "id": "t2", "name": "measure", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": [
                            {"type": "text", "text": "0.9 mm"},
                            {"type": "image", "source": PNG},
                        ],
                    },
                    {"type": "tool_result", "tool_use_id": "t2", "content": "no part"},
                    {"type": "text", "text": "Well?", "cache_control": MARK_5M},
                ],
            },
        ],
    }
    TypeAdapter(MessageCreateParamsNonStreaming).validate_python(request)
    line = {"request": request, "response": message([{"type": "text", "text": "Yes."}])}
    assert only(line) == RecordedCall(
        model="claude-sonnet-4-5-20250929",
        conversation="from line 1",
        request=RequestFacts(
            messages=(
                MessageFacts(role="system", text="You advise mechanics.\nThe handbook."),
                MessageFacts(role="user", text="Is it worn?\nA note.", images=1),
                MessageFacts(
                    role="assistant",
                    text="Measure.\nI measure.",
                    tool_calls=(
                        ToolCallFacts(name="measure", arguments='{"part":"ch"}', id="t1"),
                        ToolCallFacts(name="measure", arguments="{}", id="t2"),
                    ),
                ),
                # Results are messages of their own, in front of what the user says beside them.
                MessageFacts(role="tool", text="0.9 mm", tool_call_id="t1", images=1),
                MessageFacts(role="tool", text="no part", tool_call_id="t2"),
                MessageFacts(role="user", text="Well?"),
            ),
            tools=(
                ToolFacts(
                    name="measure",
                    description="Measure a part.",
                    parameters='{"type":"object","properties":{"part":{"type":"string"}}}',
                ),
                ToolFacts(name="web_search"),
            ),
            cache_ttl="1h",
        ),
        answer=MessageFacts(role="assistant", text="Yes."),
        usage=Usage(
            input_tokens=20 + 300 + 1_400,
            output_tokens=26,
            cache_read_tokens=1_400,
            cache_write_5m_tokens=100,
            cache_write_1h_tokens=200,
        ),
        line=1,
    )


def test_a_marker_without_a_time_lives_five_minutes() -> None:
    said = [{"role": "user", "content": "hi"}]
    beside = only({"request": {"messages": said, "cache_control": MARK_5M}})
    nested = only(
        {
            "request": {
                "messages": said,
                "system": [{"type": "text", "text": "x", "cache_control": {}}],
            }
        }
    )
    none = only({"request": {"messages": said, "system": "x"}})
    made = [call.request.cache_ttl for call in (beside, nested, none) if call.request]
    assert made == ["5m", "5m", ""]


def test_a_tool_that_is_asked_for_is_part_of_the_answer() -> None:
    asked = [{"type": "tool_use", "id": "t1", "name": "measure", "input": {"part": "chain"}}]
    call = only({"request": {"messages": "go"}, "response": message(asked)})
    assert call.answer == MessageFacts(
        role="assistant",
        tool_calls=(ToolCallFacts(name="measure", arguments='{"part":"chain"}', id="t1"),),
    )


def test_a_line_of_a_batch_is_billed_as_one() -> None:
    line = {
        "custom_id": "r-1",
        "result": {
            "type": "succeeded",
            "message": message([{"type": "text", "text": "ok"}], service_tier="batch"),
        },
    }
    MessageBatchIndividualResponse.model_validate(line)
    call = only(line)
    assert (call.tier, call.status, call.model) == ("batch", "ok", "claude-sonnet-4-5-20250929")
    assert call.answer == MessageFacts(role="assistant", text="ok")
    assert call.usage is not None
    assert call.usage.output_tokens == 26


def test_a_line_of_a_batch_that_failed_is_a_call_without_usage() -> None:
    line: dict[str, Any] = {
        "custom_id": "r-1",
        "result": {
            "type": "errored",
            "error": {
                "type": "error",
                "request_id": "q",
                "error": {"type": "invalid_request_error", "message": "m"},
            },
        },
    }
    MessageBatchIndividualResponse.model_validate(line)
    expired = {"custom_id": "r-2", "result": {"type": "expired"}}
    assert [only(line).status, only(expired).status] == ["error", "error"]
    assert only(line).usage is None
    assert only(line).answer is None
