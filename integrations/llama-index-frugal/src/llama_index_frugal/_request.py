"""Plain facts read off LlamaIndex: what a call is about to send, and on whose behalf.

Everything is read by name, so that nothing here imports `llama_index.core`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from frugal_chains.facts import MessageFacts, RequestFacts, Role, ToolCallFacts, ToolFacts
from frugal_chains.providers import provider_id
from frugal_chains.tracking import CallStart, cache_settings
from llama_index_frugal._spans import Span

FRAMEWORK: Final = "llama_index"

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "assistant": "assistant",
    "model": "assistant",
    "chatbot": "assistant",
    "tool": "tool",
    "function": "tool",
}
"""`MessageRole` of llama-index-core 0.14.25; the rest is the user's."""
_TEXTS: Mapping[str, str] = {"text": "text", "thinking": "content"}
"""Content blocks with text, by `block_type`, and the field that holds it."""
_CAP_KEYS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict")
_TIERS: Final = frozenset({"flex", "priority", "batch"})
_RUN_TAG: Final = "llamaindex.run_id"
_OWN_TAGS: Final = frozenset({_RUN_TAG, "llamaindex.step.input_summary"})
"""Tags of workflows that are no labels: one differs in every run, the other quotes the prompt."""
_MAX_TAG_LENGTH: Final = 64
"""Longer tag values are texts, not labels."""
_UNNAMED: Final = frozenset({"", "unknown"})
"""What LlamaIndex calls a model that has no name (`LLMMetadata.model_name`)."""


def llm_start(event: Any, span: Span) -> CallStart:
    """The facts of a chat or completion that is about to be sent."""
    instance, tags = span.instance, event.tags
    if span.origins:
        tags = {**span.origin_tags, **tags}
    places = places_of(instance, event.additional_kwargs)
    cap = output_cap(places)
    return CallStart(
        key=event.span_id or event.id_,
        framework=FRAMEWORK,
        provider=provider_id(str(event.model_dict.get("class_name", ""))),
        model=model_name(event.model_dict),
        request=_request_of(event, instance),
        output_cap_tokens=cap,
        service_tier=service_tier(places),
        root_id=span.root_id,
        parent_id=span.parent_id,
        thread_id=str(tags.get(_RUN_TAG, "")),
        tags=labels(tags),
        answers=_answers(places) if cap is None else 1,
        settings=lambda: cache_settings(*places),
    )


def embedding_start(
    key: str,
    model_dict: Mapping[str, Any],
    texts: Callable[[], Sequence[str]],
    *,
    root_id: str = "",
    parent_id: str = "",
    tags: Mapping[str, Any] | None = None,
) -> CallStart:
    """The facts of a batch of texts that is about to be embedded."""
    return CallStart(
        key=key,
        framework=FRAMEWORK,
        provider=provider_id(str(model_dict.get("class_name", ""))),
        model=model_name(model_dict),
        request=lambda: texts_facts(texts()),
        output_cap_tokens=0,
        purpose="embed",
        root_id=root_id,
        parent_id=parent_id,
        thread_id=str((tags or {}).get(_RUN_TAG, "")),
        tags=labels(tags or {}),
    )


def model_name(model_dict: Mapping[str, Any]) -> str:
    """The model asked for; the class, where the model has no name (mocks)."""
    name = str(model_dict.get("model_name") or "")
    return str(model_dict.get("class_name", "")) if name in _UNNAMED else name


def as_json(value: Any) -> str:
    """JSON text of anything; a text is JSON already."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


# -- the request -------------------------------------------------------------------------------


def _request_of(event: Any, instance: Any) -> Callable[[], RequestFacts]:
    prompt = vars(event).get("prompt")  # pydantic takes 1 us to say that a chat has none
    if prompt is not None:
        return lambda: texts_facts([prompt])
    return lambda: chat_facts(event.messages, event.additional_kwargs, instance)


def texts_facts(texts: Sequence[str]) -> RequestFacts:
    """The facts of a completion, or of texts that are embedded."""
    return RequestFacts(messages=tuple(MessageFacts(role="user", text=text) for text in texts))


def chat_facts(
    messages: Sequence[Any], options: Mapping[str, Any], instance: Any = None
) -> RequestFacts:
    """The facts of a chat.

    Args:
        messages: What is sent.
        options: Those of the call.
        instance: The LLM, whose own settings count too.
    """
    tools = _tools_of(options, instance)
    schema = options.get("response_format")
    return RequestFacts(
        messages=tuple(message_facts(message) for message in messages),
        tools=tuple(_tool_facts(tool) for tool in tools),
        output_schema=as_json(schema) if isinstance(schema, Mapping) else "",
        cache_ttl=_longest_ttl(_cache_marks(messages, tools, instance)),
    )


def longest_ttl(
    messages: Sequence[Any], options: Mapping[str, Any], instance: Any = None
) -> Literal["", "5m", "1h"]:
    """The longest time to live among a chat's cache markers; arguments as of `chat_facts`."""
    return _longest_ttl(_cache_marks(messages, _tools_of(options, instance), instance))


def _tools_of(options: Mapping[str, Any], instance: Any) -> list[Any]:
    return [*(getattr(instance, "tools", None) or ()), *(options.get("tools") or ())]


def message_facts(message: Any) -> MessageFacts:
    """The facts of one `ChatMessage`."""
    more = message.additional_kwargs
    content = content_of(message.blocks)
    role = _ROLES.get(str(getattr(message.role, "value", message.role)), "user")
    return MessageFacts(
        role=role,
        text="\n".join(content.texts),
        tool_calls=tuple(tool_calls_of(message)),
        tool_call_id=str(more.get("tool_call_id") or ""),
        name=str(more.get("name") or ""),
        images=content.images,
        audio=content.audio,
        text_lengths=tuple(map(len, content.texts)) if role == "system" else (),
    )


def tool_calls_of(message: Any) -> Iterable[ToolCallFacts]:
    """The calls in a message's blocks; where it has none, those that older integrations put beside
    them, in the shape of their provider."""
    calls = [b for b in message.blocks if getattr(b, "block_type", "") == "tool_call"]
    for call in calls:
        yield ToolCallFacts(
            name=call.tool_name, arguments=as_json(call.tool_kwargs), id=call.tool_call_id or ""
        )
    for old in () if calls else message.additional_kwargs.get("tool_calls") or ():
        body = field_of(old, "function") or old
        arguments = field_of(body, "arguments") or field_of(body, "input") or ""
        yield ToolCallFacts(
            name=str(field_of(body, "name") or ""),
            arguments=as_json(arguments),
            id=str(field_of(old, "id") or ""),
        )


def field_of(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


class Content(NamedTuple):
    """What the blocks of a message hold."""

    texts: list[str]
    images: int
    """Images and other media, but for audio."""
    audio: int


def content_of(blocks: Iterable[Any]) -> Content:
    """The texts of a message's blocks, and how many of them are media."""
    texts: list[str] = []
    images = audio = 0
    for block in blocks:
        kind = str(getattr(block, "block_type", ""))
        if (field := _TEXTS.get(kind)) is not None:
            texts.append(str(getattr(block, field, None) or ""))
        elif kind == "citable":
            inner = content_of(block.content)
            texts += [block.title, block.source, *inner.texts]
            images += inner.images
            audio += inner.audio
        elif kind == "citation":
            texts.append(str(getattr(block.cited_content, "text", "")))
        elif kind == "audio":
            audio += 1
        elif kind in ("image", "video", "document"):
            images += 1
    return Content(texts, images, audio)


def _tool_facts(tool: Any) -> ToolFacts:
    """A tool as LLM classes prepare it: OpenAI's `function` shape, or Anthropic's."""
    if not isinstance(tool, Mapping):
        return ToolFacts(name=str(tool))
    body: Mapping[str, Any] = tool.get("function", tool)
    schema = body.get("parameters") or body.get("input_schema")
    return ToolFacts(
        name=str(body.get("name") or tool.get("type") or ""),
        description=str(body.get("description") or ""),
        parameters=as_json(schema) if schema else "",
    )


def _cache_marks(messages: Sequence[Any], tools: Sequence[Any], instance: Any) -> Iterable[str]:
    """The time to live of every prompt-cache marker: `CachePoint` blocks, `cache_control` options,
    the `cache_idx` of the Anthropic class, which marks messages while it sends them, and those of
    `cached_llm`, which does so too."""
    if getattr(instance, "cache_idx", None) is not None:
        yield "5m"
    if own := getattr(instance, "frugal_cache_ttl", ""):
        yield str(own)
    for message in messages:
        for block in message.blocks:
            if getattr(block, "block_type", "") == "cache":
                yield str(block.cache_control.ttl)
    for holder in (*(message.additional_kwargs for message in messages), *tools):
        mark = holder.get("cache_control") if isinstance(holder, Mapping) else None
        if isinstance(mark, Mapping):
            yield str(mark.get("ttl") or "5m")


def _longest_ttl(marks: Iterable[str]) -> Literal["", "5m", "1h"]:
    found = set(marks)
    if not found:
        return ""
    return "1h" if "1h" in found else "5m"


# -- its options -------------------------------------------------------------------------------


def places_of(instance: Any, options: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Where a request's options stand: in the call, in the LLM's `additional_kwargs`, in its
    fields, in the order in which the LLM classes let one replace the other."""
    fields: Mapping[str, Any] = getattr(instance, "__dict__", {})
    return options, fields.get("additional_kwargs") or {}, fields


def _option(name: str, places: Sequence[Mapping[str, Any]]) -> Any:
    for place in places:
        if (value := place.get(name)) is not None:
            return value
    return None


def output_cap(places: Sequence[Mapping[str, Any]]) -> int | None:
    """The cap on output tokens, for all answers of the call together."""
    for name in _CAP_KEYS:
        cap = _option(name, places)
        if isinstance(cap, int) and cap > 0:
            return cap * _answers(places)
    return None


def _answers(places: Sequence[Mapping[str, Any]]) -> int:
    """How many answers a call asks for."""
    answers = _option("n", places)
    return answers if isinstance(answers, int) and answers > 0 else 1


def service_tier(places: Sequence[Mapping[str, Any]]) -> str:
    """The tier that a request asks for, of those that have a price of their own."""
    asked = _option("service_tier", places)
    return asked if asked in _TIERS else "standard"


def labels(tags: Mapping[str, Any]) -> dict[str, str]:
    """The tags of `instrument_tags` that can serve as labels."""
    if not tags:
        return {}
    return {
        name: text
        for name, value in tags.items()
        if name not in _OWN_TAGS
        and isinstance(value, str | int | bool)
        and len(text := str(value)) <= _MAX_TAG_LENGTH
    }
