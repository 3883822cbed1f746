"""Histories that another model can go on with.

A provider's tool call ids, reasoning blocks and cache markers mean nothing to another one, or are
refused by it. What a model made itself is never touched: its prompt cache goes by the bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from frugal_chains.providers import provider_id
from frugal_chains.routing import Candidate
from langchain_frugal.routing._answers import MARK

_MARKERS: Final = ("cache_control", "cachePoint")
_READS_MARKERS: Final = frozenset({"anthropic", "aws", "litellm", "openai-like", "openrouter"})
"""Providers of `frugal_chains.providers` that take Anthropic's or Bedrock's cache markers."""

_SAME: Final = {"azure": "openai"}
"""The same models under another name, which understand each other's blocks."""

_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}\Z")
"""Anthropic takes these letters (platform.claude.com, Messages API, `tool_use.id`), OpenAI 40
characters of any kind (error `string_above_max_length`); both read 2026-11-22."""
_MISTRAL_ID: Final = re.compile(r"[A-Za-z0-9]{9}\Z")
"""docs.mistral.ai, function calling: exactly nine letters or digits; read 2026-11-22."""


def history_for(candidate: Candidate, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages as this model can read them; the very same objects where it can already."""
    named = _ids_for(candidate, messages)
    marks = _takes_markers(candidate)
    return [_readable(message, candidate, named, marks) for message in messages]


def kwargs_for(candidate: Candidate, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """A request's keywords without the cache markers that this model's provider refuses."""
    if _takes_markers(candidate):
        return dict(kwargs)
    return {name: value for name, value in kwargs.items() if name not in _MARKERS}


def _takes_markers(candidate: Candidate) -> bool:
    """Who is unknown is given them: it may be a proxy."""
    return (
        not candidate.provider
        or candidate.provider in _READS_MARKERS
        or "claude" in candidate.model.lower()
    )


def _readable(
    message: BaseMessage, candidate: Candidate, named: Mapping[str, str], marks: bool
) -> BaseMessage:
    if not marks:
        message = _unmarked(message)
    if isinstance(message, ToolMessage) and message.tool_call_id in named:
        return message.model_copy(update={"tool_call_id": named[message.tool_call_id]})
    if isinstance(message, AIMessage) and _is_foreign(message, candidate):
        return _plain(message, named)
    return message


def _is_foreign(message: AIMessage, candidate: Candidate) -> bool:
    """Whether another model made it, as far as it says who did."""
    mark = message.response_metadata.get(MARK)
    if isinstance(mark, Mapping) and mark.get("candidate"):
        return bool(mark["candidate"] != candidate.name)
    maker = provider_id(str(message.response_metadata.get("model_provider") or ""))
    provider = candidate.provider
    return bool(maker and provider and _SAME.get(maker, maker) != _SAME.get(provider, provider))


def _plain(message: AIMessage, named: Mapping[str, str]) -> AIMessage:
    """Its words and its tool calls, without what only its maker understands: reasoning and its
    signatures, ids of items, calls of tools on the maker's servers."""
    content: Any = message.content
    if not isinstance(content, str):
        texts = [block if isinstance(block, str) else _text_of(block) for block in content]
        content = "\n".join(filter(None, texts))
    calls = [{**call, "id": named.get(call["id"] or "", call["id"])} for call in message.tool_calls]
    return AIMessage(content=content, tool_calls=calls, id=message.id, name=message.name)


def _text_of(block: Mapping[Any, Any]) -> str:
    return str(block.get("text") or "") if block.get("type") in ("text", None) else ""


def _unmarked(message: BaseMessage) -> BaseMessage:
    content = message.content
    if isinstance(content, str) or not any(map(_is_marked, content)):
        return message
    blocks = [
        {name: value for name, value in block.items() if name not in _MARKERS}
        if isinstance(block, Mapping)
        else block
        for block in content
    ]
    kept = [block for block in blocks if block and block != {"type": "cachePoint"}]
    return message.model_copy(update={"content": kept})


def _is_marked(block: Any) -> bool:
    return isinstance(block, Mapping) and any(name in block for name in _MARKERS)


def _ids_for(candidate: Candidate, messages: Sequence[BaseMessage]) -> dict[str, str]:
    """New ids for the tool calls whose own this model's provider would refuse."""
    refused = _MISTRAL_ID if candidate.provider == "mistral" else _PLAIN_ID
    make: Callable[[str], str] = _nine if candidate.provider == "mistral" else _safe
    foreign = (m for m in messages if isinstance(m, AIMessage) and _is_foreign(m, candidate))
    calls: list[Any] = [c for m in foreign for c in (*m.tool_calls, *m.invalid_tool_calls)]
    ids = {call["id"] for call in calls if call["id"]}
    return {id_: make(id_) for id_ in ids if not refused.match(id_)}


def _nine(id_: str) -> str:
    return hashlib.sha256(id_.encode()).hexdigest()[:9]


def _safe(id_: str) -> str:
    return "call_" + hashlib.sha256(id_.encode()).hexdigest()[:24]
