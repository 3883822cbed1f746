"""The shipped examples: real payloads by the SDKs' own types, and what is read of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses import Response
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from frugal_chains.replay.recorded import read_recording

EXAMPLES = Path(__file__).parents[4] / "examples" / "traffic"


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (EXAMPLES / name).read_text("utf-8").splitlines()]


@pytest.mark.parametrize("line", lines("openai.jsonl"))
def test_openai_s_payloads_are_what_the_sdk_sends_and_reads(line: dict[str, Any]) -> None:
    chat = "messages" in line["request"]
    asked = CompletionCreateParamsNonStreaming if chat else ResponseCreateParamsNonStreaming
    TypeAdapter(asked).validate_python(line["request"])
    if "response" in line:
        (ChatCompletion if chat else Response).model_validate(line["response"])


@pytest.mark.parametrize("line", lines("anthropic.jsonl"))
def test_anthropic_s_payloads_are_what_the_sdk_sends_and_reads(line: dict[str, Any]) -> None:
    batch = line.get("result", {})
    TypeAdapter(MessageCreateParamsNonStreaming).validate_python(
        line["params"] if batch else line["request"]
    )
    Message.model_validate(batch["message"] if batch else line["response"])


def test_what_is_read_of_them() -> None:
    openai = list(read_recording(EXAMPLES / "openai.jsonl"))
    assert [call.task for call in openai] == [
        *["sort mail"] * 4, *["read orders"] * 2, *[""] * 3, *["questions"] * 2, "sort mail"
    ]  # fmt: skip
    # The three steps of one agent: no line names a conversation.
    assert [call.conversation for call in openai[6:9]] == ["from line 7"] * 3
    assert [call.conversation for call in openai[9:11]] == ["s-9"] * 2
    assert [call.tier for call in openai[9:11]] == ["flex"] * 2
    assert openai[-1].status == "error"
    anthropic = list(read_recording(EXAMPLES / "anthropic.jsonl"))
    told = [call.conversation for call in anthropic]
    assert told == ["from line 1", "from line 1", "from line 3", "from line 3", "from line 5"]
    assert [call.request.cache_ttl for call in anthropic if call.request] == [
        "1h",
        "1h",
        "",
        "",
        "",
    ]
    assert anthropic[-1].tier == "batch"
