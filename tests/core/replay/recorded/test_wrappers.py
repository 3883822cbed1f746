"""What a line wraps request and response in, and what it says about the call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from frugal_chains.facts import MessageFacts
from frugal_chains.replay import RecordedCall
from frugal_chains.replay.recorded import read_recording

REQUEST = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
RESPONSE = {
    "model": "gpt-4o-2024-08-06",
    "choices": [{"message": {"role": "assistant", "content": "hello"}}],
    "usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10},
}
DAY_US = 86_400_000_000
NOON_US = 20_412 * DAY_US + DAY_US // 2  # 2025-11-20T12:00:00Z


def only(line: dict[str, Any]) -> RecordedCall:
    (call,) = read_recording([json.dumps(line)])
    return call


@pytest.mark.parametrize(
    "line",
    [
        {"request": REQUEST, "response": RESPONSE},
        {"request_body": REQUEST, "response_body": RESPONSE},
        {"requestBody": json.dumps(REQUEST), "responseBody": json.dumps(RESPONSE)},
        {"reqPayload": json.dumps(REQUEST), "respPayload": json.dumps(RESPONSE)},
        {"body": REQUEST, "response": {"status_code": 200, "body": RESPONSE}},
        {"request": {"method": "POST", "url": "/v1", "body": REQUEST}, "response": RESPONSE},
        {"input": REQUEST["messages"], "model": "gpt-4o", "output": RESPONSE},
        {"input": "hi", "output": "hello", "model": "gpt-4o-2024-08-06",
         "usage": RESPONSE["usage"]},
        {"messages": REQUEST["messages"], "model": "gpt-4o", "response": RESPONSE},
        {"prompt": "hi", "model": "gpt-4o", "response": RESPONSE},
        {"object": "chat.completion", "messages": REQUEST["messages"], **RESPONSE},
    ],
)  # fmt: skip
def test_the_same_call_in_every_wrapper(line: dict[str, Any]) -> None:
    call = only(line)
    assert call.model == "gpt-4o-2024-08-06"
    assert call.request is not None
    assert call.request.messages == (MessageFacts(role="user", text="hi"),)
    assert call.answer == MessageFacts(role="assistant", text="hello")
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.output_tokens) == (8, 2)


def test_a_line_of_litellm() -> None:
    # Fields as docs.litellm.ai/docs/proxy/logging_spec lists them (read 2026-11-22).
    call = only(
        {
            "id": "chatcmpl-1",
            "trace_id": "trace-1",
            "call_type": "acompletion",
            "response_cost": 0.00003,
            "status": "success",
            "prompt_tokens": 8,
            "completion_tokens": 2,
            "startTime": 1_763_640_000.5,
            "endTime": 1_763_640_001.0,
            "model": "gpt-4o",
            "custom_llm_provider": "openai",
            "cache_hit": False,
            "request_tags": ["support", "beta"],
            "metadata": {"user_api_key_hash": "x"},
            "messages": REQUEST["messages"],
            "response": RESPONSE,
            "error_str": None,
            "model_parameters": {
                "tools": [{"type": "function", "function": {"name": "find"}}],
                "stream": False,
            },
        }
    )
    assert (call.operation, call.provider, call.task) == ("trace-1", "openai", "beta,support")
    assert call.at_us == NOON_US + 500_000
    assert call.nanos == 30_000
    assert call.request is not None
    assert [tool.name for tool in call.request.tools] == ["find"]
    failed = only({"model": "gpt-4o", "messages": "hi", "status": "failure", "error_str": "429"})
    assert (failed.status, failed.usage) == ("error", None)


def test_a_line_of_helicone() -> None:
    call = only(
        {
            "request_body": REQUEST,
            "response_body": RESPONSE,
            "response_status": 200,
            "request_created_at": "2025-11-20T12:00:00.000Z",
            "request_properties": {"feature": "search", "Tenant": "acme"},
            "provider": "OPENAI",
            "costUSD": "0.00004",
        }
    )
    assert (call.task, call.at_us, call.nanos) == ("search", NOON_US, 40_000)
    assert (call.status, call.provider) == ("ok", "OPENAI")


def test_a_line_of_openai_batches_is_billed_as_one() -> None:
    done = {"custom_id": "a", "error": None,
            "response": {"status_code": 200, "request_id": "r", "body": RESPONSE}}  # fmt: skip
    refused = {"custom_id": "b", "error": None,
               "response": {"status_code": 400, "body": {"error": {"code": "bad"}}}}  # fmt: skip
    assert (only(done).tier, only(done).status, only(done).request) == ("batch", "ok", None)
    assert (only(refused).tier, only(refused).status) == ("batch", "error")


@pytest.mark.parametrize(
    "at",
    [
        "2025-11-20T12:00:00Z",
        "2025-11-20T13:00:00+01:00",
        "2025-11-20 12:00:00",
        1_763_640_000,
        1_763_640_000.0,
        1_763_640_000_000,
        1_763_640_000_000_000,
        1_763_640_000_000_000_000,
        "1763640000",
        "1763640000000",
    ],
)
@pytest.mark.parametrize("name", ["timestamp", "at", "created", "startTime"])
def test_times_in_every_unit_are_one_moment(name: str, at: object) -> None:
    assert only({"request": REQUEST, name: at}).at_us == NOON_US


@pytest.mark.parametrize(
    "at", [None, "", "yesterday", True, 0, -5, 12, 1e300, [], {}, "0001-01-01", "9999-12-31"]
)
def test_what_is_no_time_stays_unknown(at: object) -> None:
    assert only({"request": REQUEST, "timestamp": at}).at_us is None


@pytest.mark.parametrize(
    ("cost", "nanos"),
    [
        (0.0004, 400_000),
        ("1.5", 1_500_000_000),
        (0, None),  # loggers write it where they know no price
        (-1, None),
        ("nan", None),
        (1e9, None),
        (True, None),
        ({"total": 1}, None),
    ],
)
def test_a_cost_is_taken_where_it_can_be_one(cost: object, nanos: int | None) -> None:
    assert only({"request": REQUEST, "cost_usd": cost}).nanos == nanos


def test_the_provider_s_own_charge_comes_before_the_logger_s() -> None:
    # OpenRouter: usage.cost, in credits of 1 USD.
    charged = {**RESPONSE, "usage": {**RESPONSE["usage"], "cost": 0.002}}  # type: ignore[dict-item]
    assert only({"request": REQUEST, "response": charged, "cost": 0.5}).nanos == 2_000_000


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ({"status": 200}, "ok"),
        ({"status": 429}, "error"),
        ({"status_code": "503"}, "error"),
        ({"status": "cancelled"}, "aborted"),
        ({"error": {"type": "overloaded"}}, "error"),
        ({"cache_hit": True}, "cached"),
        ({"status": "whatever"}, "ok"),
    ],
)
def test_how_a_call_ended(line: dict[str, Any], status: str) -> None:
    assert only({"request": REQUEST, **line}).status == status


@pytest.mark.parametrize(
    ("line", "task"),
    [
        ({"task": "billing", "feature": "x"}, "billing"),
        ({"tags": {"tenant": "acme", "task": "billing"}}, "billing"),
        ({"tags": "billing"}, "billing"),
        ({"tags": ["b", "a", 3]}, "a,b"),
        ({"metadata": {"feature": "billing"}}, "billing"),
        ({"metadata": ["billing"]}, ""),
        ({"tags": {"tenant": "acme"}}, ""),
        ({"task": "x" * 65}, ""),  # a text, not a label
        ({"task": {"a": 1}}, ""),
    ],
)
def test_the_task_of_a_call(line: dict[str, Any], task: str) -> None:
    assert only({"request": REQUEST, **line}).task == task


def test_a_model_may_be_an_arn_and_a_conversation_an_object() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/" + "a" * 12
    assert len(arn) > 64
    call = only({"request": {**REQUEST, "model": arn, "conversation": {"id": "conv_1"}}})
    assert (call.model, call.conversation) == (arn, "conv_1")
    assert only({"request": {**REQUEST, "model": "x" * 257}}).model == ""


def test_the_purpose_is_one_the_ledger_knows() -> None:
    vectors = {"object": "list", "data": [], "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    assert only({"request": REQUEST, "purpose": "draft"}).purpose == "draft"
    assert only({"request": REQUEST, "purpose": "fun"}).purpose == "answer"
    embedded = {"request": {"model": "e", "input": ["a", "b"]}, "response": vectors}
    assert only(embedded).purpose == "embed"
