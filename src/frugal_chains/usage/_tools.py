"""Server-side tools: searches and code that a provider runs, and bills beside the tokens.

OpenAI states them in the items of its output, Google in the grounding of a candidate, the others
in the usage. What is billed and cannot be counted becomes a problem, so that a price which leaves
it out is not taken for the whole bill.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from frugal_chains.usage._fields import Fields
from frugal_chains.usage._repair import Counts

_TOOLS_IN_USAGE: Final = (
    "server_tool_use",
    "server_side_tool_usage_details",
    "num_server_side_tools_used",
    "num_sources_used",
)


def tools_in_usage(fields: Fields) -> Counts:
    """What the usage itself counts: Anthropic, OpenRouter and xAI."""
    if not fields.has(*_TOOLS_IN_USAGE):
        return {}
    own = fields.part("server_tool_use")
    counts = {"web_searches": own.count("web_search_requests"), **_anthropic_code(own)}
    for name, count in _xai_calls(fields).items():
        counts[name] = max(count, counts.get(name, 0))
    return counts


def _anthropic_code(own: Fields) -> Counts:
    """Code executions, unless a search or a fetch may have paid for them.

    "Code execution is free when used with web search or web fetch", in their versions of 2026
    (platform.claude.com, code execution tool, read 2026-11-21); the usage does not tell versions.
    """
    runs = own.count("code_execution_requests")
    if not own.count("web_search_requests", "web_fetch_requests"):
        return {"code_executions": runs}
    if runs:
        own.problems.append(
            f"server_tool_use: {runs} code executions beside web searches or fetches are not "
            "counted: free with the search tools of 2026, billed by container time with older ones"
        )
    return {}


_XAI_CALLS: Final[Mapping[str, str]] = {
    "web_search_calls": "web_searches",
    "code_interpreter_calls": "code_executions",
    "file_search_calls": "file_searches",
}
_XAI_UNCOUNTED: Final = (
    "x_search_calls", "x_posts_fetched", "x_users_fetched", "document_search_calls",
    "image_generation_calls",
)  # fmt: skip
"""Billed by call, by post and by profile, or as images; MCP calls cost only their tokens."""


def _xai_calls(fields: Fields) -> Counts:
    """xAI's successful calls, "which determine your billing".

    Sources: docs.x.ai/developers/tools/tool-usage-details and /pricing (read 2026-11-21); the names
    as QuantumNous/new-api `relay/channel/xai/web_search.go` reads them, which also has it that
    `num_sources_used` is no billed count there. It was one of Live Search. `cost_in_usd_ticks`
    includes all tools: with it nothing is missing.
    """
    details = fields.part("server_side_tool_usage_details")
    counts = {ours: details.count(name) for name, ours in _XAI_CALLS.items()}
    if fields.has("cost_in_usd_ticks"):
        return counts
    for name in _XAI_UNCOUNTED:
        _note_uncounted(details, name)
    if not fields.has("server_side_tool_usage_details"):
        _note_uncounted(fields, "num_server_side_tools_used")
        _note_uncounted(fields, "num_sources_used")
    return counts


def _note_uncounted(fields: Fields, name: str) -> None:
    count = fields.count(name)
    if count:
        fields.problems.append(f"{name} = {count} may be billed beside the tokens; not counted")


_GROUNDING: Final = ("groundingMetadata", "grounding_metadata")


def tools_beside_usage(fields: Fields) -> Counts:
    """What a response or message counts outside its usage: OpenAI's items, Google's grounding."""
    counts: Counts = {}
    if not fields.has("output", "candidates", *_GROUNDING):
        return counts
    for item in fields.items("output"):
        bucket = _bucket_of(item)
        if bucket:
            counts[bucket] = counts.get(bucket, 0) + 1
    return {**counts, **_google_searches(fields)}


_OPENAI_ITEMS: Final[Mapping[str, str]] = {
    "web_search_call": "web_searches",
    "file_search_call": "file_searches",
    "code_interpreter_call": "code_executions",
}
_LANGCHAIN_BLOCKS: Final[Mapping[str, str]] = {
    "web_search": "web_searches",
    "file_search": "file_searches",
    "code_interpreter": "code_executions",
}
"""Names of the `server_tool_call` blocks that langchain_core 1.7.2 makes of OpenAI's items
(messages/block_translators/openai.py)."""


def _bucket_of(item: Fields) -> str:
    """The bucket of an item of OpenAI's output, or of a block LangChain made of one; "" for none.

    Sources: openai/types/responses/response_function_web_search.py (openai 2.54.0): of the actions
    only `search` queries the web, `open_page` and `find_in_page` read what it found;
    response_function_shell_tool_call.py: a shell runs in a container or with the caller. The image
    model's tokens are no part of response_usage.py.
    """
    kind = item.word("type")
    bucket = _OPENAI_ITEMS.get(kind, "")
    if kind == "server_tool_call" and not item.word("id").startswith("srvtoolu_"):
        # Anthropic counts its own, named srvtoolu_..., in the usage.
        bucket = _LANGCHAIN_BLOCKS.get(item.word("name"), "")
    elif kind == "shell_call" and item.part("environment").word("type") == "container_reference":
        bucket = "code_executions"
    elif kind == "image_generation_call":
        item.problems.append("image_generation_call: the image model is billed apart; not counted")
    if bucket == "web_searches" and item.part("action", "args").word("type") not in ("search", ""):
        return ""
    return bucket


_GEMINI_VERSION: Final = re.compile(r"gemini-([0-9]{1,3})")


def _google_searches(fields: Fields) -> Counts:
    """Google searches of a Gemini response, a candidate or LangChain's `response_metadata`.

    Gemini 3 bills every query, empty and repeated ones left out; older models bill the request
    once, however many queries it ran (ai.google.dev/gemini-api/docs/google-search and /pricing, as
    quoted in discuss.ai.google.dev/t/168136 and /t/102927 and in iyulab/TokenMeter v0.13.0).
    """
    queries: set[str] = set()
    for part in (fields, *fields.items("candidates")):
        if part.has(*_GROUNDING):
            grounding = part.part(*_GROUNDING)
            queries.update(grounding.texts("webSearchQueries", "web_search_queries"))
            if any(c.has("maps") for c in grounding.items("groundingChunks", "grounding_chunks")):
                fields.problems.append("grounding with Google Maps is billed apart; not counted")
    if not queries:
        return {}
    version = _GEMINI_VERSION.search(
        fields.word("modelVersion", "model_version", "model_name", "model")
    )
    if version and int(version[1]) < 3:
        return {"web_searches": 1}
    if not version and len(queries) > 1:
        fields.problems.append(
            f"grounding: {len(queries)} queries of an unnamed model are counted one by one, as "
            "Gemini 3 bills them; older models bill the request once"
        )
    return {"web_searches": len(queries)}


def google_billed_searches(fields: Fields) -> int:
    """The searches that Gemini's usage says are billed; 0 where it says nothing.

    Source: `usageMetadata.billedToolCalls` as in discuss.ai.google.dev/t/174074: some responses
    carry it, some the grounding, some neither though a search was billed.
    """
    searches = 0
    for call in fields.items("billedToolCalls", "billed_tool_calls"):
        tool = call.word("tool")
        count = call.count("successfulToolCallCount", "successful_tool_call_count")
        if tool.startswith("google_search"):
            searches += count
        elif count:
            fields.problems.append(f"{count} calls of {tool[:40]!r} are billed; not counted")
    return searches
