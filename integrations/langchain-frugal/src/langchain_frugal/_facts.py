"""Plain facts read off LangChain objects: requests, starts and ends of calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final, Literal, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult

from frugal_chains.facts import MessageFacts, RequestFacts, Role, ToolCallFacts, ToolFacts
from frugal_chains.ledger import Purpose
from frugal_chains.providers import provider_id
from frugal_chains.tracking import CallEnd, CallStart, classify_error
from frugal_chains.usage import read_langchain_usage

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
_TIERS_ASKED: Mapping[Any, str] = {"flex": "flex", "priority": "priority", "batch": "batch"}
_MODEL_NAMES: Final = ("model_name", "model", "model_id")
_NOTHING: Final[Mapping[str, Any]] = {}
_OWN_TAGS: Final = ("seq:", "map:", "retry:", "graph:", "langsmith:", "nostream")
"""Prefixes of tags that LangChain writes itself."""

_STREAM_HINT: Final = (
    "the stream carried no usage: pass stream_usage=True to the chat model "
    "(ChatOpenAI leaves it off for a custom base_url)"
)


def request_facts(messages: Sequence[BaseMessage], params: Mapping[str, Any]) -> RequestFacts:
    """What a chat model is about to send."""
    shown = tuple(_message_facts(message) for message in messages)
    tools = tuple(
        _tool_facts(tool) for tool in params.get("tools") or params.get("functions") or ()
    )
    schema = params.get("response_format")
    return RequestFacts(
        messages=shown,
        tools=tools,
        output_schema=_json(schema) if isinstance(schema, Mapping) else "",
        cache_ttl=_cache_ttl([*(m.content for m in messages), params.get("tools")]),
    )


def prompt_facts(prompt: str) -> RequestFacts:
    """What a plain text model is about to send."""
    return RequestFacts(messages=(MessageFacts(role="user", text=prompt),))


def decision_facts(request: Any) -> RequestFacts:
    """What a decision model is about to send: state and questions, as JSON."""
    return prompt_facts(_json(request))


def decision_end(response: Any) -> CallEnd:
    """The facts of an answered decision: its usage stands on the response itself."""
    usage = getattr(response, "usage", None)
    return CallEnd(
        reading=read_langchain_usage(usage) if usage else None,
        model=str(getattr(response, "model", None) or ""),
        output_text=lambda: str(getattr(response, "answers", None) or ""),
    )


def _message_facts(message: BaseMessage) -> MessageFacts:
    texts, images = _content(message.content)
    calls = message.tool_calls if isinstance(message, AIMessage) else ()
    return MessageFacts(
        role=_ROLES.get(message.type, "user"),
        text="\n".join(texts),
        tool_calls=tuple(
            ToolCallFacts(name=c["name"], arguments=_json(c["args"]), id=c.get("id") or "")
            for c in calls
        ),
        tool_call_id=str(getattr(message, "tool_call_id", "") or ""),
        name=message.name or "",
        images=images,
    )


def _content(content: str | list[Any]) -> tuple[list[str], int]:
    """The texts of a message's content, and how many of its blocks are images or other media."""
    if isinstance(content, str):
        return [content], 0
    texts, images = [], 0
    for block in content:
        if isinstance(block, str):
            texts.append(block)
        elif (kind := block.get("type", "")) in ("text", "reasoning", "thinking"):
            texts.append(str(block.get("text") or block.get(kind) or ""))
        elif "image" in kind or kind in ("file", "audio", "video", "document", "media"):
            images += 1
        elif kind == "tool_result":
            texts += _content(block.get("content") or "")[0]
    return texts, images


def _tool_facts(tool: Any) -> ToolFacts:
    """A tool as bound to a request: OpenAI's `function` shape, or Anthropic's `input_schema`."""
    if not isinstance(tool, Mapping):
        return ToolFacts(name=str(tool))
    function = tool.get("function")
    body: Mapping[str, Any] = function if isinstance(function, Mapping) else tool
    schema = body.get("parameters") or body.get("input_schema")
    return ToolFacts(
        name=str(body.get("name") or tool.get("type") or ""),
        description=str(body.get("description") or ""),
        parameters=_json(schema) if schema else "",
    )


def _cache_ttl(parts: Sequence[Any]) -> Literal["", "5m", "1h"]:
    """The longest time to live among Anthropic-style `cache_control` markers."""
    found: Literal["", "5m", "1h"] = ""
    for part in parts:
        for block in part if isinstance(part, list) else ():
            marker = block.get("cache_control") if isinstance(block, Mapping) else None
            if marker:
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
    about = _entries_of(tuple(metadata))
    return CallStart(
        key=key,
        framework=FRAMEWORK,
        provider=_provider_id(metadata.get("ls_provider") or ""),
        model=str(
            metadata.get("ls_model_name") or params.get("model") or params.get("model_name") or ""
        ),
        request=request,
        output_cap_tokens=_output_cap(params, metadata),
        service_tier=_TIERS_ASKED.get(params.get("service_tier"), "standard"),
        purpose=_purpose(metadata, tags) if tags or about.source else "answer",
        root_id=root_id,
        parent_id=parent_id,
        thread_id=_first_text(metadata, about.threads) if about.threads else "",
        tags=_labels(metadata, about.labels, tags) if tags or about.labels else {},
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


def _is_label(name: str) -> bool:
    """Whether a metadata entry is the application's own, and something to group by."""
    return not name.startswith(_OWN_METADATA) and name not in _ONE_OF_A_KIND


def _output_cap(params: Mapping[str, Any], metadata: Mapping[str, Any]) -> int | None:
    """The request's cap on output tokens, for all its answers together."""
    cap = metadata.get("ls_max_tokens")
    if not _CAP_KEYS.isdisjoint(params):
        cap = next((params[name] for name in _CAP_ORDER if name in params), cap)
    return cap * (params.get("n") or 1) if isinstance(cap, int) else None


def _purpose(metadata: Mapping[str, Any], tags: Sequence[str]) -> Purpose:
    source = metadata.get("lc_source")
    if source is not None and (known := _PURPOSES.get(source)) is not None:
        return known
    if any(tag.startswith("retry:attempt:") for tag in tags):
        return "retry"
    return "answer"


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


def call_end(response: LLMResult, *, streamed: Callable[[], bool]) -> CallEnd:
    """The facts of a call that ended without an error. `streamed` is asked when no usage came."""
    message = _message(response)
    metadata: Mapping[str, Any] = message.response_metadata if message else {}
    usage = message.usage_metadata if message else None
    output = response.llm_output
    if usage is not None and output is None and "total_cost" in usage:
        # LangChain marks answers out of its LLM cache with a cost of 0 and keeps their old tokens.
        return CallEnd(status="cached", model=_model(metadata, {}))
    raw = usage or (output and (output.get("token_usage") or output.get("usage")))
    reading = read_langchain_usage(raw, response_metadata=metadata) if raw else None
    if reading is not None:
        return CallEnd(reading=reading, model=_model(metadata, output or _NOTHING))
    in_pieces = streamed()
    cut = in_pieces and _is_cut(metadata)
    return CallEnd(
        status="aborted" if cut else "ok",
        error_kind="cut" if cut else "",
        model=_model(metadata, output or _NOTHING),
        output_text=lambda: _output_text(response),
        note=_STREAM_HINT if in_pieces and not cut else "",
    )


def failed_end(error: BaseException, response: LLMResult | None) -> CallEnd:
    """The facts of a call that ended with an error, or was given up by its caller."""
    facts = classify_error(error)
    message = _message(response) if response else None
    metadata: Mapping[str, Any] = message.response_metadata if message else {}
    usage = message.usage_metadata if message else None
    return CallEnd(
        status="aborted" if facts.abandoned else "error",
        error_kind=facts.kind,
        reading=read_langchain_usage(usage, response_metadata=metadata) if usage else None,
        model=_model(metadata, {}),
        output_text=lambda: _output_text(response) if response else "",
        sent=facts.sent,
    )


def _message(response: LLMResult) -> AIMessage | None:
    """The first answer: with n > 1 every other one repeats its usage."""
    first = next(chain.from_iterable(response.generations), None)
    message = getattr(first, "message", None)
    return message if isinstance(message, AIMessage) else None


def _output_text(response: LLMResult) -> str:
    """Everything the model wrote, in all its answers."""
    return "\n".join(_produced(g) for group in response.generations for g in group)


def _produced(generation: Generation) -> str:
    """Everything a generation made the model write: text, reasoning, and calls of tools."""
    if not isinstance(generation, ChatGeneration):
        return generation.text
    message = generation.message
    texts, _ = _content(message.content)
    if isinstance(message, AIMessage):
        texts += [c["name"] + _json(c["args"]) for c in message.tool_calls]
        texts += [str(c.get("args") or "") for c in message.invalid_tool_calls]
    return "\n".join(texts)


def _model(metadata: Mapping[str, Any], output: Mapping[str, Any]) -> str:
    found = metadata.get("model_name")  # where most integrations put it
    if not found:
        places = ((place, name) for place in (metadata, output) for name in _MODEL_NAMES)
        found = next((found for place, name in places if (found := place.get(name))), "")
    return str(found)


def _is_cut(metadata: Mapping[str, Any]) -> bool:
    """A provider's stream that ended without saying why it finished was cut on the way.

    Both integrations accept such streams in silence. Only streams that name their provider are
    judged: test doubles give no reasons.
    """
    return "model_provider" in metadata and not (
        metadata.get("finish_reason") or metadata.get("stop_reason") or metadata.get("status")
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
