"""Tool calls in the response of any model."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatResponse
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.utils import parse_partial_json

from llama_index_frugal._request import tool_calls_of


def selections_in(response: ChatResponse, *, error_on_no_tool_call: bool) -> list[ToolSelection]:
    """What the model wants called; of a chunk in the middle of a stream, as far as it goes.

    Raises:
        ValueError: it calls none, and that is an error here.
    """
    calls = list(tool_calls_of(response.message))
    if not calls and error_on_no_tool_call:
        raise ValueError("Expected at least one tool call, but got 0 tool calls.")
    return [
        ToolSelection(tool_id=call.id, tool_name=call.name, tool_kwargs=_read(call.arguments))
        for call in calls
    ]


def _read(arguments: str) -> dict[str, Any]:
    try:
        found = parse_partial_json(arguments)
    except (ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
