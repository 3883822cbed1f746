"""What is read off a request before it is sent: texts, tools, images, caps, cache markers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.instrumentation.events.llm import (
    LLMChatStartEvent,
    LLMCompletionStartEvent,
)
from llama_index.core.llms import MockLLM
from llama_index.core.tools import FunctionTool
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.openai import OpenAI, OpenAIResponses

from frugal_chains.facts import MessageFacts, ToolCallFacts
from frugal_chains.tracking import CallStart
from llama_index_frugal._request import llm_start
from llama_index_frugal._spans import Span


def start_of(instance: Any, messages: Any = (), **options: Any) -> CallStart:
    event = LLMChatStartEvent(
        messages=list(messages), additional_kwargs=options, model_dict=instance.to_payload(),
        span_id="a span",
    )  # fmt: skip
    return llm_start(event, Span("a span", None, instance))


def openai(**options: Any) -> OpenAI:
    return OpenAI("gpt-4o", api_key="test", **options)


PIXEL = b"\x89PNG\r\n\x1a\n"
BLOCKS: list[tuple[ChatMessage, MessageFacts]] = [
    (ChatMessage("hi", role="user"), MessageFacts(role="user", text="hi")),
    (ChatMessage("hi", role="developer"), MessageFacts(role="system", text="hi")),
    (ChatMessage("hi", role="model"), MessageFacts(role="assistant", text="hi")),
    (ChatMessage(role="user", blocks=[]), MessageFacts(role="user")),
    (
        ChatMessage(role="user", blocks=[TextBlock(text="a"), TextBlock(text="b")]),
        MessageFacts(role="user", text="a\nb"),
    ),
    (
        ChatMessage(role="user", blocks=[
            TextBlock(text="see"), ImageBlock(image=PIXEL), DocumentBlock(data=b"x"),
            AudioBlock(audio=b"x"),
        ]),
        MessageFacts(role="user", text="see", images=2, audio=1),
    ),
    (  # what older integrations put beside the blocks: OpenAI's objects, Anthropic's mappings
        ChatMessage(role="assistant", blocks=[], additional_kwargs={"tool_calls": [
            SimpleNamespace(
                id="c1", function=SimpleNamespace(name="add", arguments='{"a": 1}')
            ),
            {"id": "c2", "name": "sub", "input": {"b": 2}},
        ]}),
        MessageFacts(role="assistant", tool_calls=(
            ToolCallFacts(name="add", arguments='{"a": 1}', id="c1"),
            ToolCallFacts(name="sub", arguments='{"b": 2}', id="c2"),
        )),
    ),
    (
        ChatMessage(role="user", blocks=[
            CitableBlock(title="T", source="S", content=[TextBlock(text="body")])
        ]),
        MessageFacts(role="user", text="T\nS\nbody"),
    ),
    (
        ChatMessage(role="assistant", blocks=[
            ThinkingBlock(content="hm"),
            ToolCallBlock(tool_call_id="c1", tool_name="beans", tool_kwargs={"kind": "pinto"}),
            ToolCallBlock(tool_call_id="c2", tool_name="beans", tool_kwargs='{"kind": "'),
        ]),
        MessageFacts(role="assistant", text="hm", tool_calls=(
            ToolCallFacts(name="beans", arguments='{"kind": "pinto"}', id="c1"),
            ToolCallFacts(name="beans", arguments='{"kind": "', id="c2"),
        )),
    ),
    (
        ChatMessage("3", role="tool", additional_kwargs={"tool_call_id": "c1", "name": "beans"}),
        MessageFacts(role="tool", text="3", tool_call_id="c1", name="beans"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("message", "facts"), BLOCKS)
def test_messages(message: ChatMessage, facts: MessageFacts) -> None:
    assert start_of(openai(), [message]).request().messages == (facts,)


def test_every_role_is_known() -> None:
    for role in MessageRole:
        (facts,) = start_of(openai(), [ChatMessage("hi", role=role)]).request().messages
        assert facts.text == "hi"


def test_completion_prompt() -> None:
    llm = MockLLM()
    event = LLMCompletionStartEvent(
        prompt="once", additional_kwargs={}, model_dict=llm.to_payload(), span_id="s"
    )
    facts = llm_start(event, Span("s", None, llm)).request()
    assert facts.messages == (MessageFacts(role="user", text="once"),)


def beans(kind: str) -> str:
    """Count beans."""
    return kind


@pytest.mark.parametrize(
    "llm", [openai(), Anthropic("claude-sonnet-5", api_key="test")], ids=["openai", "anthropic"]
)
def test_tools_as_the_llm_prepares_them(llm: Any) -> None:
    options = llm._prepare_chat_with_tools([FunctionTool.from_defaults(beans)], user_msg="hi")
    messages = options.pop("messages")
    (tool,) = start_of(llm, messages, **options).request().tools
    assert tool.name == "beans"
    assert "Count beans." in tool.description
    assert '"kind"' in tool.parameters


def test_response_schema() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "Bean"}}
    assert "Bean" in start_of(openai(), response_format=schema).request().output_schema


CLAUDE: dict[str, Any] = {"model": "claude-sonnet-5", "api_key": "test"}
CAPS: list[tuple[Any, dict[str, Any], int | None]] = [
    (openai(), {}, None),
    (openai(max_tokens=100), {}, 100),
    (openai(max_tokens=100, additional_kwargs={"max_tokens": 50}), {}, 50),
    (openai(max_tokens=100), {"max_tokens": 20}, 20),
    (openai(), {"max_completion_tokens": 20}, 20),
    (openai(max_tokens=100, additional_kwargs={"n": 3}), {}, 300),
    (openai(max_tokens=100), {"n": 2}, 200),
    (OpenAIResponses("gpt-4o", api_key="test", max_output_tokens=70), {}, 70),
    (Anthropic(**CLAUDE), {}, 512),
    (Anthropic(**CLAUDE, max_tokens=9), {}, 9),
    (MockLLM(), {}, None),
]


@pytest.mark.parametrize(("llm", "options", "cap"), CAPS)
def test_output_cap(llm: Any, options: dict[str, Any], cap: int | None) -> None:
    assert start_of(llm, **options).output_cap_tokens == cap


@pytest.mark.parametrize(
    ("llm", "options", "tier"),
    [
        (openai(), {}, "standard"),
        (openai(additional_kwargs={"service_tier": "flex"}), {}, "flex"),
        (openai(), {"service_tier": "priority"}, "priority"),
        (openai(), {"service_tier": "auto"}, "standard"),
    ],
)
def test_service_tier(llm: Any, options: dict[str, Any], tier: str) -> None:
    assert start_of(llm, **options).service_tier == tier


def point(ttl: str) -> ChatMessage:
    mark = CachePoint(cache_control=CacheControl(type="ephemeral", ttl=ttl))
    return ChatMessage(role="user", blocks=[TextBlock(text="hi"), mark])


MARKED = ChatMessage("hi", role="user", additional_kwargs={"cache_control": {"type": "ephemeral"}})
TOOL_MARK = {"name": "beans", "cache_control": {"type": "ephemeral", "ttl": "1h"}}


@pytest.mark.parametrize(
    ("messages", "options", "idx", "ttl"),
    [
        ([ChatMessage("hi")], {}, None, ""),
        ([point("5m")], {}, None, "5m"),
        ([point("5m"), point("1h")], {}, None, "1h"),
        ([MARKED], {}, None, "5m"),
        ([ChatMessage("hi")], {"tools": [TOOL_MARK]}, None, "1h"),
        ([ChatMessage("hi")], {}, -1, "5m"),
    ],
)
def test_cache_markers(messages: Any, options: dict[str, Any], idx: int | None, ttl: str) -> None:
    llm = Anthropic(**CLAUDE, cache_idx=idx)
    assert start_of(llm, messages, **options).request().cache_ttl == ttl


@pytest.mark.parametrize(
    ("payload", "provider", "model"),
    [
        (openai().to_payload(), "openai", "gpt-4o"),
        (Anthropic(**CLAUDE).to_payload(), "anthropic", "claude-sonnet-5"),
        ({"class_name": "Bedrock_Converse_LLM", "model_name": "x"}, "aws", "x"),
        ({"class_name": "custom_llm", "model_name": "unknown"}, "custom_llm", "custom_llm"),
        ({}, "", ""),
    ],
)
def test_provider_and_model(payload: dict[str, Any], provider: str, model: str) -> None:
    event = SimpleNamespace(
        span_id="s", additional_kwargs={}, tags={}, model_dict=payload, messages=[]
    )
    start = llm_start(event, Span("s"))
    assert (start.provider, start.model) == (provider, model)


@pytest.mark.parametrize(
    ("llm", "options", "answers"),
    [
        (openai(), {}, 1),
        (openai(), {"n": 3}, 3),
        (openai(additional_kwargs={"n": 2}), {}, 2),
        (openai(max_tokens=100), {"n": 3}, 1),  # the cap is that of all answers: 300
    ],
)
def test_number_of_answers(llm: Any, options: dict[str, Any], answers: int) -> None:
    assert start_of(llm, **options).answers == answers
