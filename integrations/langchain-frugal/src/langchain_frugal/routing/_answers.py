"""Answers as plain facts, and the decision written on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from frugal_chains.facts import ToolCallFacts
from frugal_chains.routing.cascade import AnswerFacts
from frugal_chains.usage import Usage, read_langchain_usage
from langchain_frugal._facts import as_json

MARK: Final = "frugal"
"""The key of `response_metadata`, and of a run's metadata, that holds what was decided."""

_REASONS: Final = ("finish_reason", "stop_reason", "done_reason", "stopReason")
"""OpenAI's and Gemini's, Anthropic's, Ollama's, Bedrock Converse's."""
_REFUSALS: Final = frozenset({"refusal", "content_filter", "safety", "prohibited_content"})
"""Anthropic's, OpenAI's and Gemini's words for an answer that was withheld."""


def answer_facts(message: BaseMessage, *, schema_error: str = "") -> AnswerFacts:
    """What validators look at."""
    metadata = message.response_metadata
    reason = str(next(filter(None, map(metadata.get, _REASONS)), ""))
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    return AnswerFacts(
        text=str(message.text),
        finish_reason=reason,
        refused=reason.lower() in _REFUSALS or bool(message.additional_kwargs.get("refusal")),
        tool_calls=tuple(
            ToolCallFacts(name=c["name"], arguments=as_json(c["args"]), id=c.get("id") or "")
            for c in calls
        ),
        logprobs=_logprobs(metadata.get("logprobs")),
        schema_error=schema_error,
    )


def _logprobs(given: Any) -> tuple[float, ...] | None:
    """OpenAI's chat completions: `{"content": [{"token": ..., "logprob": ...}, ...]}`."""
    tokens = given.get("content") if isinstance(given, Mapping) else None
    if not isinstance(tokens, Sequence):
        return None
    found = [token.get("logprob") for token in tokens if isinstance(token, Mapping)]
    return tuple(float(p) for p in found if isinstance(p, int | float)) or None


def usage_of(message: BaseMessage) -> Usage | None:
    """What an answer's provider says it used."""
    usage = getattr(message, "usage_metadata", None)
    if not usage:
        return None
    reading = read_langchain_usage(usage, response_metadata=message.response_metadata)
    return reading.usage if reading else None


def marked(message: Any, mark: Mapping[str, Any]) -> Any:
    """A copy of a message that says who answered and why."""
    if not isinstance(message, BaseMessage):
        return message
    metadata = {**message.response_metadata, MARK: dict(mark)}
    return message.model_copy(update={"response_metadata": metadata})


def as_chunk(message: AIMessage) -> AIMessageChunk:
    """A whole answer as the only piece of a stream."""
    if isinstance(message, AIMessageChunk):
        return message
    return AIMessageChunk(
        content=message.content,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        tool_calls=message.tool_calls,
        invalid_tool_calls=message.invalid_tool_calls,
        usage_metadata=message.usage_metadata,
        id=message.id,
        name=message.name,
        chunk_position="last",
    )
