"""Server-side tools: counted as each provider bills them, or noted, and never silent."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_openai.chat_models.base import _construct_lc_result_from_responses_api
from openai.types.responses import Response

from frugal_chains.usage import Usage, UsageReading, read_langchain_usage, read_usage

TOKENS = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
CHAT = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
GEMINI = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
ANTHROPIC = {"input_tokens": 10, "output_tokens": 5}

ITEMS: list[dict[str, Any]] = [
    {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "q"},
    },
    {
        "type": "web_search_call",
        "id": "ws_2",
        "status": "completed",
        "action": {"type": "open_page", "url": "https://example.org"},
    },
    {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["q"]},
    {
        "type": "code_interpreter_call",
        "id": "ci_1",
        "status": "completed",
        "code": "1 + 1",
        "container_id": "cntr_1",
        "outputs": [],
    },
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Two.", "annotations": []}],
    },
]
COUNTED = Usage(
    input_tokens=10, output_tokens=5, web_searches=1, file_searches=1, code_executions=1
)


def _grounded(model: str, *queries: str) -> dict[str, Any]:
    """A response as the examples of ai.google.dev/gemini-api/docs/google-search show it."""
    candidate = {"groundingMetadata": {"webSearchQueries": [*queries], "groundingChunks": []}}
    return {"candidates": [candidate], "modelVersion": model, "usageMetadata": GEMINI}


def _xai(**calls: int) -> dict[str, Any]:
    """The names of a response recorded from api.x.ai, whose other counts are 0."""
    details = dict.fromkeys(
        ("web_search_calls", "x_search_calls", "code_interpreter_calls", "file_search_calls",
         "mcp_calls", "document_search_calls", "image_generation_calls"), 0,
    )  # fmt: skip
    return {
        **TOKENS,
        "num_sources_used": 0,
        "num_server_side_tools_used": sum(calls.values()),
        "server_side_tool_usage_details": {**details, **calls},
    }


COUNTS: list[tuple[str, Any, dict[str, Any]]] = [
    (
        "openai: searches of the web, not its page visits",
        {"output": ITEMS, "usage": TOKENS},
        {"web_searches": 1, "file_searches": 1, "code_executions": 1},
    ),
    (
        "openai: a shell in a container, not one of the caller's",
        {
            "output": [
                {"type": "shell_call", "environment": {"type": "container_reference"}},
                {"type": "shell_call", "environment": {"type": "local"}},
                {"type": "shell_call"},
            ],
            "usage": TOKENS,
        },
        {"code_executions": 1},
    ),
    ("gemini 3: every query", _grounded("gemini-3-flash-preview", "a", "b"), {"web_searches": 2}),
    (
        "gemini 3: neither empty queries nor repeated ones",
        _grounded("gemini-3.5-flash", "", "a", "", "b", "a"),
        {"web_searches": 2},
    ),
    ("gemini 2: the request", _grounded("gemini-2.5-flash", "a", "b", "c"), {"web_searches": 1}),
    ("gemini: asked, but nothing searched", _grounded("gemini-3-flash-preview"), {}),
    ("gemini without a name, one query", _grounded("", "a"), {"web_searches": 1}),
    (
        "gemini: what is billed before what was asked",
        {
            **_grounded("gemini-3.5-flash", "a", "b"),
            "usageMetadata": {
                **GEMINI,
                "billedToolCalls": [
                    {"tool": "GOOGLE_SEARCH_RETRIEVAL", "successfulToolCallCount": 3}
                ],
            },
        },
        {"web_searches": 3},
    ),
    (
        "llamaindex: the candidate is the response",
        {
            "grounding_metadata": {"web_search_queries": ["a"]},
            "usage_metadata": {"prompt_token_count": 10, "candidates_token_count": 5},
        },
        {"web_searches": 1},
    ),
    (
        "xai",
        _xai(web_search_calls=2, code_interpreter_calls=1, file_search_calls=4, mcp_calls=7),
        {"web_searches": 2, "code_executions": 1, "file_searches": 4},
    ),
    (
        "xai: its usage counts what succeeded, its items what was tried",
        {"output": [ITEMS[0]] * 3, "usage": _xai(web_search_calls=2)},
        {"web_searches": 2},
    ),
    (
        "xai: the charge includes what has no bucket",
        {**_xai(x_search_calls=3, web_search_calls=1), "cost_in_usd_ticks": 292331500},
        {"web_searches": 1},
    ),
    (
        "anthropic: code alone",
        {**ANTHROPIC, "server_tool_use": {"code_execution_requests": 2}},
        {"code_executions": 2},
    ),
]


@pytest.mark.parametrize(("raw", "counts"), [c[1:] for c in COUNTS], ids=[c[0] for c in COUNTS])
def test_tools_are_counted_as_they_are_billed(raw: Any, counts: dict[str, Any]) -> None:
    reading = read_usage(raw)
    assert reading is not None
    assert reading.problems == ()
    assert reading.usage == Usage(input_tokens=10, output_tokens=5, **counts)


NOTES: list[tuple[str, Any, str]] = [
    ("images", {"output": [{"type": "image_generation_call"}], "usage": TOKENS}, "image_gen"),
    ("posts of X", _xai(x_search_calls=3), "x_search_calls = 3"),
    ("unnamed tools of xai", {**TOKENS, "num_server_side_tools_used": 2}, "tools_used = 2"),
    ("live search", {**CHAT, "num_sources_used": 5}, "num_sources_used = 5"),
    ("several queries of an unnamed gemini", _grounded("", "a", "b"), "2 queries"),
    (
        "maps",
        {
            "candidates": [{"groundingMetadata": {"groundingChunks": [{"maps": {"uri": "u"}}]}}],
            "usageMetadata": GEMINI,
        },
        "Google Maps",
    ),
    (
        "another tool that gemini bills",
        {**GEMINI, "billedToolCalls": [{"tool": "google_maps", "successfulToolCallCount": 2}]},
        "google_maps",
    ),
    (
        "code beside searches, which may be free",
        {
            **ANTHROPIC,
            "server_tool_use": {"code_execution_requests": 2, "web_fetch_requests": 1},
        },
        "2 code executions",
    ),
]


@pytest.mark.parametrize(("raw", "note"), [c[1:] for c in NOTES], ids=[c[0] for c in NOTES])
def test_what_cannot_be_counted_is_noted(raw: Any, note: str) -> None:
    reading = read_usage(raw)
    assert reading is not None
    (problem,) = reading.problems
    assert note in problem
    assert reading.usage.source == "mixed"
    assert reading.usage.code_executions == 0


@pytest.mark.parametrize(
    ("model", "searches"), [("gemini-3-flash-preview", 2), ("gemini-2.5-pro", 1)]
)
def test_grounding_in_langchain(model: str, searches: int) -> None:
    metadata = {
        "model_provider": "google_genai",
        "model_name": model,
        "grounding_metadata": {"web_search_queries": ["a", "b"]},
    }
    reading = read_langchain_usage(TOKENS, response_metadata=metadata)
    assert reading == UsageReading(
        usage=Usage(input_tokens=10, output_tokens=5, web_searches=searches)
    )


def test_no_grounding_in_langchain_is_no_search() -> None:
    metadata = {"model_name": "gemini-3-flash-preview", "grounding_metadata": {}}
    reading = read_langchain_usage(TOKENS, response_metadata=metadata)
    assert reading == UsageReading(usage=Usage(input_tokens=10, output_tokens=5))


def test_tools_of_xai_in_langchain() -> None:
    """ChatXAI keeps the raw usage of chat completions."""
    raw = {**CHAT, "server_side_tool_usage_details": {"web_search_calls": 2}}
    reading = read_langchain_usage(TOKENS, response_metadata={"token_usage": raw})
    assert reading == UsageReading(usage=Usage(input_tokens=10, output_tokens=5, web_searches=2))
    raw = {**CHAT, "num_sources_used": 5}
    noted = read_langchain_usage(TOKENS, response_metadata={"token_usage": raw})
    assert noted is not None
    assert "num_sources_used = 5" in noted.problems[0]


@pytest.mark.parametrize("version", ["responses/v1", "v1", "v0"])
def test_tools_of_openai_in_the_content_of_langchain(version: str) -> None:
    """Built by langchain-openai itself: the content is the only place that keeps them."""
    response = Response.model_validate(
        {
            "id": "resp_1",
            "object": "response",
            "created_at": 0,
            "model": "gpt-5",
            "output": ITEMS,
            "status": "completed",
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                **TOKENS,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 0},
            },
        }
    )
    asked = "responses/v1" if version == "v1" else version
    message = _construct_lc_result_from_responses_api(response, output_version=asked).generations[0]
    answer = message.message
    assert isinstance(answer, AIMessage)
    content = {
        "responses/v1": answer.content,
        "v1": answer.content_blocks,
        "v0": answer.additional_kwargs.get("tool_outputs"),
    }[version]
    metadata = answer.response_metadata
    unseen = read_langchain_usage(answer.usage_metadata, response_metadata=metadata)
    assert unseen is not None
    assert unseen.usage == Usage(input_tokens=10, output_tokens=5)
    reading = read_langchain_usage(
        answer.usage_metadata, response_metadata=metadata, content=content
    )
    assert reading is not None
    assert (reading.usage, reading.problems) == (COUNTED, ())


def test_content_adds_nothing_to_what_the_usage_counts() -> None:
    raw = {**CHAT, "server_side_tool_usage_details": {"web_search_calls": 2}}
    reading = read_langchain_usage(
        TOKENS, response_metadata={"token_usage": raw}, content=[ITEMS[0]] * 3
    )
    assert reading == UsageReading(usage=Usage(input_tokens=10, output_tokens=5, web_searches=2))


def test_what_anthropic_counts_in_its_usage_is_not_counted_in_the_content() -> None:
    """Its blocks, as `content_blocks` of langchain_core 1.7.2 names them."""
    raw = {**ANTHROPIC, "server_tool_use": {"web_search_requests": 2}}
    content = [
        {"type": "server_tool_call", "name": "web_search", "id": "srvtoolu_1", "args": {}},
        {"type": "server_tool_call", "name": "code_interpreter", "id": "srvtoolu_2", "args": {}},
        {"type": "text", "text": "Two."},
        "Two.",
    ]
    reading = read_langchain_usage(TOKENS, response_metadata={"usage": raw}, content=content)
    assert reading == UsageReading(usage=Usage(input_tokens=10, output_tokens=5, web_searches=2))


def test_content_that_cannot_be_counted_is_noted() -> None:
    reading = read_langchain_usage(TOKENS, content=[{"type": "image_generation_call"}])
    assert reading is not None
    assert reading.usage == Usage(input_tokens=10, output_tokens=5, source="mixed")
    assert "image_generation_call" in reading.problems[0]


def test_a_tool_that_was_offered_and_not_used_is_not_billed() -> None:
    # litellm#15227 and #10384 charge for the declaration. A response repeats the request's tools.
    response = {
        "object": "response",
        "tools": [{"type": "web_search"}, {"type": "file_search"}, {"type": "code_interpreter"}],
        "output": [{"type": "message", "content": []}],
        "usage": TOKENS,
    }
    assert read_usage(response, provider="openai") == UsageReading(
        usage=Usage(input_tokens=10, output_tokens=5)
    )
