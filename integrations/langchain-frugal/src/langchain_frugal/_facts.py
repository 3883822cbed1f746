"""Requests and starts of calls as plain facts, read off what LangChain hands over."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage

from frugal_chains.errors import wordless
from frugal_chains.facts import MessageFacts, RequestFacts, Role, ToolCallFacts, ToolFacts
from frugal_chains.ledger import Purpose
from frugal_chains.providers import provider_id
from frugal_chains.tracking import CallStart, cache_settings

logger = logging.getLogger("langchain_frugal")

FRAMEWORK: Final = "langchain"
_MAX_TAG_LENGTH: Final = 64
"""Longer metadata values are texts, not labels."""

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "human": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "tool": "tool",
    "function": "tool",
    "chat": "user",
}
_SPOKEN: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
}
"""Roles of a `ChatMessage`; any other is somebody who speaks to the model."""
_PURPOSES: Mapping[str, Purpose] = {"summarization": "summary", "decision": "classify"}
_OWN_METADATA: Final = ("ls_", "lc_", "langgraph_", "checkpoint_", "__", "langsmith", "LANGSMITH")
"""Prefixes of metadata that LangChain, LangGraph and LangSmith write themselves."""
_ONE_OF_A_KIND: Final = frozenset(
    {"run_id", "request_id", "trace_id", "message_id", "revision_id", "session_id",
     "conversation_id", "thread_id", "versions"}
)  # fmt: skip
"""Metadata that differs in every call or conversation: no use as a label to group by."""
_NAMED_BY_LANGCHAIN: Final = (("lc_agent_name", "agent"), ("langgraph_node", "node"))
_THREAD_NAMES: Final = ("thread_id", "session_id", "conversation_id")
_CAP_ORDER: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict")
_CAP_KEYS: Final = frozenset(_CAP_ORDER)
_ANSWER_COUNTS: Final = frozenset({"n", "best_of"})
"""Each answer may fill the cap, and OpenAI bills those that `best_of` drops as well
(developers.openai.com, API reference of completions, read 2026-11-21)."""
_TIERS_ASKED: Mapping[Any, str] = {"flex": "flex", "priority": "priority", "batch": "batch"}
RETRIED: Final = "retry:attempt:"
"""Prefix of the tag on a further attempt of `with_retry`."""
_OWN_TAGS: Final = ("seq:", "map:", "retry:", "graph:", "langsmith:", "nostream")
"""Prefixes of tags that LangChain writes itself."""


def request_facts(messages: Sequence[BaseMessage], params: Mapping[str, Any]) -> RequestFacts:
    """What a chat model is about to send."""
    shown = tuple(message_facts(message) for message in messages)
    tools = tuple(tool_facts(tool) for tool in params.get("tools") or params.get("functions") or ())
    schema = params.get("response_format")
    return RequestFacts(
        messages=shown,
        tools=tools,
        output_schema=as_json(schema) if isinstance(schema, Mapping) else "",
        cache_ttl=cache_ttl_of(
            # Anthropic also takes the marker beside the messages, for the last block of them.
            [
                *(m.content for m in messages),
                params.get("tools"),
                [params, params.get("model_kwargs")],
            ]
        ),
    )


def prompt_facts(prompt: str) -> RequestFacts:
    """What a plain text model is about to send."""
    return RequestFacts(messages=(MessageFacts(role="user", text=prompt),))


def decision_facts(request: Any) -> RequestFacts:
    """What a decision model is about to send: state and questions, as JSON."""
    return prompt_facts(as_json(request))


def message_facts(message: BaseMessage) -> MessageFacts:
    """One message, whatever its kind."""
    content = content_of(message.content)
    calls = message.tool_calls if isinstance(message, AIMessage) else ()
    role = _ROLES.get(message.type, "user")
    if isinstance(message, ChatMessage):
        role = _SPOKEN.get(message.role.casefold(), "user")
    return MessageFacts(
        role=role,
        text="\n".join(content.texts),
        tool_calls=tuple(
            ToolCallFacts(name=c["name"], arguments=as_json(c["args"]), id=c.get("id") or "")
            for c in calls
        ),
        tool_call_id=str(getattr(message, "tool_call_id", "") or ""),
        name=message.name or "",
        images=content.images,
        audio=content.audio,
        text_lengths=tuple(map(len, content.texts)) if role == "system" else (),
    )


class Content(NamedTuple):
    """What a message's content is made of."""

    texts: list[str]
    images: int = 0
    """Images and other media but recordings."""
    audio: int = 0


def content_of(content: str | list[Any]) -> Content:
    """The texts of a message's content, and how many images and recordings it has."""
    if isinstance(content, str):
        return Content([content])
    texts: list[str] = []
    images = audio = 0
    for block in content:
        if not isinstance(block, Mapping):
            texts.append(str(block))
        elif (kind := str(block.get("type") or "")) in ("", "text", "reasoning", "thinking"):
            texts.append(str(block.get("text") or block.get(kind) or ""))
        elif _is_audio(kind, block):
            audio += 1
        elif "image" in kind or kind in ("file", "video", "document", "media"):
            images += 1
        elif kind == "tool_result":
            texts += content_of(block.get("content") or "").texts
    return Content(texts, images, audio)


def _is_audio(kind: str, block: Mapping[Any, Any]) -> bool:
    """LangChain's own block is `audio`, OpenAI's `input_audio`; Gemini's `media` names the type."""
    of_audio = str(block.get("mime_type") or "").startswith("audio/")
    return kind in ("audio", "input_audio") or (of_audio and kind in ("media", "file"))


def tool_facts(tool: Any) -> ToolFacts:
    """A tool as bound to a request: OpenAI's `function` shape, or Anthropic's `input_schema`."""
    if not isinstance(tool, Mapping):
        return ToolFacts(name=str(tool))
    function = tool.get("function")
    body: Mapping[str, Any] = function if isinstance(function, Mapping) else tool
    schema = body.get("parameters") or body.get("input_schema")
    return ToolFacts(
        name=str(body.get("name") or tool.get("type") or ""),
        description=str(body.get("description") or ""),
        parameters=as_json(schema) if schema else "",
    )


def cache_ttl_of(parts: Sequence[Any]) -> Literal["", "5m", "1h"]:
    """The longest time to live among Anthropic-style `cache_control` markers."""
    found: Literal["", "5m", "1h"] = ""
    for part in parts:
        for block in part if isinstance(part, list) else ():
            marker = block.get("cache_control") if isinstance(block, Mapping) else None
            if isinstance(marker, Mapping):
                found = "1h" if marker.get("ttl") == "1h" or found == "1h" else "5m"
    return found


def call_start(
    key: str,
    *,
    request: Callable[[], RequestFacts],
    params: Mapping[str, Any],
    metadata: Mapping[str, Any],
    tags: Sequence[str],
    root_id: str,
    parent_id: str,
) -> CallStart:
    """The facts of a starting call: whose model, for whom, with which cap."""
    try:
        about = _entries_of(tuple(metadata))
        answers = 1 if _ANSWER_COUNTS.isdisjoint(params) else _answers(params)
        return CallStart(
            key=key,
            framework=FRAMEWORK,
            provider=_provider_id(metadata.get("ls_provider") or ""),
            model=str(
                metadata.get("ls_model_name")
                or params.get("model")
                or params.get("model_name")
                or ""
            ),
            request=request,
            output_cap_tokens=_output_cap(params, metadata, answers),
            service_tier=_TIERS_ASKED.get(params.get("service_tier"), "standard"),
            purpose=_purpose(metadata, tags) if tags or about.source else "answer",
            root_id=root_id,
            parent_id=parent_id,
            thread_id=_first_text(metadata, about.threads) if about.threads else "",
            tags=_labels(metadata, about.labels, tags) if tags or about.labels else {},
            answers=answers,
            settings=lambda: cache_settings(params),
        )
    except Exception as error:
        logger.error(
            "a call could not be described: it is booked without its labels",
            exc_info=wordless(error),
        )
        return _bare_start(key, request, metadata, root_id, parent_id)


def _bare_start(
    key: str,
    request: Callable[[], RequestFacts],
    metadata: Mapping[str, Any],
    root_id: str,
    parent_id: str,
) -> CallStart:
    return CallStart(
        key=key,
        framework=FRAMEWORK,
        provider=_provider_id(str(metadata.get("ls_provider") or "")),
        model=str(metadata.get("ls_model_name") or ""),
        request=request,
        root_id=root_id,
        parent_id=parent_id,
    )


_provider_id = lru_cache(maxsize=256)(provider_id)


class _Entries(NamedTuple):
    """Which entries of a run's metadata say something to us."""

    labels: tuple[tuple[str, str], ...]
    """Name in the metadata, and name as a label."""
    threads: tuple[str, ...]
    source: bool


@lru_cache(maxsize=1024)
def _entries_of(names: tuple[str, ...]) -> _Entries:
    """Decided once for all metadata with the same names: a chain's calls have the same ones."""
    labels = tuple((name, name) for name in names if _is_label(name))
    labels += tuple((name, label) for name, label in _NAMED_BY_LANGCHAIN if name in names)
    threads = tuple(name for name in _THREAD_NAMES if name in names)
    return _Entries(labels=labels, threads=threads, source="lc_source" in names)


def _is_label(name: Any) -> bool:
    """Whether a metadata entry is the application's own, and something to group by."""
    return (
        isinstance(name, str) and not name.startswith(_OWN_METADATA) and name not in _ONE_OF_A_KIND
    )


def _output_cap(params: Mapping[str, Any], metadata: Mapping[str, Any], answers: int) -> int | None:
    """The request's cap on output tokens, for all its answers together.

    -1 is no cap but the model's own: OpenAI's text models and Ollama document it.
    """
    if not _CAP_KEYS.isdisjoint(params):
        for name in _CAP_ORDER:
            cap = params.get(name)
            if isinstance(cap, int) and cap > 0:
                return cap * answers
    cap = metadata.get("ls_max_tokens")
    return cap * answers if isinstance(cap, int) and cap > 0 else None


def _answers(params: Mapping[str, Any]) -> int:
    counts = [params.get(name) for name in _ANSWER_COUNTS]
    return max([1, *(count for count in counts if isinstance(count, int))])


def _purpose(metadata: Mapping[str, Any], tags: Sequence[str]) -> Purpose:
    source = metadata.get("lc_source")
    if source is not None and (known := _PURPOSES.get(source)) is not None:
        return known
    if any(tag.startswith(RETRIED) for tag in tags):
        return "retry"
    return "answer"


def labels_of(metadata: Mapping[str, Any], tags: Sequence[str]) -> dict[str, str]:
    """The labels that a call with such metadata and tags has in the books."""
    return _labels(metadata, _entries_of(tuple(metadata)).labels, tags)


def thread_of(metadata: Mapping[str, Any]) -> str:
    """The conversation that a run belongs to, where its metadata names one."""
    return _first_text(metadata, _entries_of(tuple(metadata)).threads)


def output_cap(params: Mapping[str, Any]) -> int | None:
    """The request's own cap on output tokens."""
    return _output_cap(params, {}, 1)


def _first_text(metadata: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((str(metadata[name]) for name in names if metadata[name]), "")


def _labels(
    metadata: Mapping[str, Any], names: Sequence[tuple[str, str]], tags: Sequence[str]
) -> dict[str, str]:
    """The application's own labels: its metadata and tags, the agent's and the node's names."""
    labels: dict[str, str] = {}
    for name, label in names:
        value = metadata[name]
        if isinstance(value, str | int | bool):
            text = str(value)
            if len(text) <= _MAX_TAG_LENGTH:
                labels[label] = text
    if tags and (own := sorted(tag for tag in tags if not tag.startswith(_OWN_TAGS))):
        labels["tags"] = ",".join(own)
    return labels


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
