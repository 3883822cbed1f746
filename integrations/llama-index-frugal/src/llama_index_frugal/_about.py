"""Plain facts about LLMs, tools and messages, before there is a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from frugal_chains.facts import ToolFacts
from frugal_chains.providers import provider_id
from llama_index_frugal._request import as_json

LARGE_CHARS: Final = 100_000
"""Of messages that no summary covers: from so many on, an event loop is left to others meanwhile.
To weigh them takes about 0.2 us a character, and to pick sentences up to 5 us."""
_ROUTER: Final = "RoutingLLM"
"""It asks others: whom, it decides later."""


def who_answers(llm: Any) -> tuple[str, str]:
    """Model and provider of an LLM; empty where that is not known."""
    name = llm.class_name()
    if name == _ROUTER:
        return "", ""
    try:
        return llm.metadata.model_name, provider_id(name)
    except Exception:  # a model that is newer than its class
        return str(getattr(llm, "model", "")), provider_id(name)


def facts_of(tool: Any) -> ToolFacts:
    """What a model is told of a tool."""
    metadata = tool.metadata
    return ToolFacts(
        name=metadata.name or "",
        description=metadata.description or "",
        parameters=as_json(metadata.get_parameters_dict()),
    )


def is_large(messages: Iterable[Any]) -> bool:
    """Whether what is done with these messages may hold up an event loop."""
    chars = 0
    for message in messages:
        for block in message.blocks:
            chars += len(getattr(block, "text", None) or "")
        if chars > LARGE_CHARS:
            return True
    return False
