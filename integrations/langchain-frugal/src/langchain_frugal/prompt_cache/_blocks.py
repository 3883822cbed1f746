"""Tools and messages as the blocks that a provider is sent, and which of them can be marked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import BaseTool

from frugal_chains.dispatch import PromptBlock
from frugal_chains.facts import ToolFacts
from frugal_chains.providers import CacheControls
from langchain_frugal._facts import as_json, tool_facts
from langchain_frugal.prompt_cache._forms import BEDROCK, MARKS, Form, ttl_in

WHOLE: Final = -1
"""The place of a block that is all of its message: its content is a text, or a tool's result."""
_DEFERRED: Final = "defer_loading"
_OWN_DEFINITION: Final = "provider_tool_definition"
_REASONING: Final = frozenset(
    {"thinking", "redacted_thinking", "reasoning", "reasoning_content", "function_call"}
)
_MEDIA: Final = frozenset({"image", "image_url", "document", "file", "video", "media", "audio",
                           "input_audio", "input_image", "input_file"})  # fmt: skip
_KEEPS_MARKER: Final = frozenset(
    {"text", "image", "document", "file", "search_result", "tool_result"}
)
"""Blocks of langchain-anthropic that leave a marker where it is: an `image_url` is rewritten
without it, a `tool_use` from the message's calls."""


def tool_text(tool: Any, facts: ToolFacts | None, extras: Mapping[str, Any]) -> tuple[str, str]:
    """What is sent of a tool, as near as can be told, and its name."""
    if isinstance(tool, BaseTool):
        more = {name: value for name, value in extras.items() if name not in MARKS}
        beside = as_json(more) if more else ""
        if facts is None:
            return f"{tool.name}\n{tool.description}\n{beside}", tool.name
        return f"{facts.name}\n{facts.description}\n{facts.parameters}{beside}", facts.name
    if isinstance(tool, Mapping):
        shown = {name: value for name, value in tool.items() if name not in MARKS}
        return as_json(shown), tool_facts(tool).name
    name = str(getattr(tool, "__name__", "") or type(tool).__name__)
    return f"{name}\n{getattr(tool, '__doc__', '') or ''}", name


def schema_block(schema: str) -> PromptBlock:
    return PromptBlock(kind="tools", text=schema, markable=False)


def can_mark_tool(tool: Any, extras: Mapping[str, Any], form: Form) -> bool:
    """Anthropic refuses a marker on a tool that it finds by itself; a function or a class has no
    place for one."""
    if form == "bedrock":
        return True
    if form != "anthropic" or extras.get(_DEFERRED) or _OWN_DEFINITION in extras:
        return False
    if isinstance(tool, BaseTool):
        return True
    # Of a tool in OpenAI's words langchain-anthropic sends on what it knows, and no marker.
    return (
        isinstance(tool, Mapping)
        and "function" not in tool
        and ("input_schema" in tool or isinstance(tool.get("type"), str))
    )


def parts_of(
    message: BaseMessage,
    form: Form,
    controls: CacheControls,
    kind: Literal["system", "message"],
    media_tokens: int,
) -> Iterator[tuple[PromptBlock, int]]:
    """The blocks that a provider is sent of one message, in order."""
    role = message.type
    if isinstance(message, ToolMessage) and not _is_results(message.content):
        yield _result(message, form, controls, media_tokens), WHOLE
        return
    content: Any = message.content
    can = _can_mark(message, form, kind)
    if isinstance(content, str):
        if content or not isinstance(message, AIMessage):
            text = PromptBlock(
                kind=kind, text=f"{role}\n{content}", markable=can and bool(content.strip())
            )
            yield text, WHOLE
        content = ()
    calls = _calls(message)
    for part, each in enumerate(content):
        if isinstance(each, Mapping) and each.get("type") in ("tool_use", "tool_call"):
            own = {k: v for k, v in each.items() if k not in (*MARKS, "index")}
            yield _call(calls.pop(str(each.get("id") or ""), as_json(own)), role, kind), WHOLE
            continue
        block = _block(each, role, kind, message, can, media_tokens, controls, form)
        if block is not None:
            yield _with_point(block, content, part, controls), part
    for call in calls.values():
        yield _call(call, role, kind), WHOLE


def _calls(message: BaseMessage) -> dict[str, str]:
    """By id: what is sent of a message's calls. They stand where its content has them, or behind
    it."""
    if not isinstance(message, AIMessage):
        return {}
    whole: list[Any] = [*message.tool_calls, *message.invalid_tool_calls]
    return {
        str(call.get("id") or at): f"{call['name']}\n{as_json(call['args'])}\n{call.get('id')}"
        for at, call in enumerate(whole)
    }


def _call(text: str, role: str, kind: Literal["system", "message"]) -> PromptBlock:
    return PromptBlock(kind=kind, text=f"{role}\n{text}", run="calls", markable=False)


def _can_mark(message: BaseMessage, form: Form, kind: str) -> bool:
    """Whether a text of this message can carry a marker."""
    if form == "anthropic":
        if isinstance(message, SystemMessage):
            return kind == "system"
        made_by_v1 = message.response_metadata.get("output_version") == "v1"
        return isinstance(message, HumanMessage | ToolMessage | AIMessage) and not (
            isinstance(message, AIMessage) and made_by_v1
        )
    # OpenAI takes breakpoints on input, Bedrock's points stand behind what people say.
    return form in ("openai", "bedrock") and isinstance(message, SystemMessage | HumanMessage)


def _block(
    each: Any,
    role: str,
    kind: Literal["system", "message"],
    message: BaseMessage,
    can: bool,
    media_tokens: int,
    controls: CacheControls,
    form: Form,
) -> PromptBlock | None:
    """None: the provider is sent nothing of it, or it is told elsewhere."""
    if isinstance(each, str):
        return PromptBlock(kind=kind, text=f"{role}\n{each}", markable=can and bool(each.strip()))
    if not isinstance(each, Mapping) or BEDROCK in each:
        return None
    name = str(each.get("type") or "")
    own = own_ttl(each, controls)
    if name in ("", "text") and isinstance(each.get("text"), str):
        text = str(each["text"])
        if not text.strip() and isinstance(message, AIMessage | HumanMessage):
            return None
        return PromptBlock(
            kind=kind, text=f"{role}\n{text}", marker=own, markable=can and bool(text.strip())
        )
    if name == "input_json_delta":
        return None
    rest = {key: value for key, value in each.items() if key not in MARKS}
    if name in _MEDIA:
        keeps = name in _KEEPS_MARKER if form == "anthropic" else form == "bedrock"
        return PromptBlock(
            kind=kind, text=f"{role}\n{name}", hidden=as_json(rest), media_tokens=media_tokens,
            marker=own, markable=can and keeps,
        )  # fmt: skip
    return PromptBlock(
        kind=kind, text=f"{role}\n{as_json(rest)}", marker=own,
        markable=can and name not in _REASONING and form == "anthropic" and name in _KEEPS_MARKER,
        run="results" if name == "tool_result" else "",
    )  # fmt: skip


def _with_point(
    block: PromptBlock, content: Sequence[Any], part: int, controls: CacheControls
) -> PromptBlock:
    """With the caller's marker, where Bedrock's stands behind the block."""
    behind = content[part + 1] if part + 1 < len(content) else None
    if isinstance(behind, Mapping) and BEDROCK in behind and controls.control == BEDROCK:
        return replace(block, marker=ttl_in(behind[BEDROCK], controls))
    return block


def _result(
    message: ToolMessage, form: Form, controls: CacheControls, media_tokens: int
) -> PromptBlock:
    """A tool's result: one block, whatever it is made of."""
    content: Any = message.content
    head = f"{message.type}\n{message.tool_call_id}\n{message.status}\n"
    if isinstance(content, str):
        return PromptBlock(
            kind="message", text=head + content, run="results",
            markable=form == "anthropic" and bool(content.strip()),
        )  # fmt: skip
    texts, media, hidden, own = [], 0, [], ""
    for each in content:
        if not isinstance(each, Mapping):
            texts.append(str(each))
            continue
        own = (
            ttl_in(next((each[m] for m in MARKS if each.get(m) is not None), None), controls) or own
        )
        rest = {key: value for key, value in each.items() if key not in MARKS}
        if str(each.get("type") or "") in _MEDIA:
            media += 1
            hidden.append(as_json(rest))
        else:
            texts.append(str(each["text"]) if "text" in each else as_json(rest))
    return PromptBlock(
        kind="message", text=head + "\n".join(texts), hidden="\n".join(hidden), run="results",
        media_tokens=media * media_tokens, marker=own,
        markable=form == "anthropic" and bool(content),
    )  # fmt: skip


def own_ttl(block: Mapping[str, Any], controls: CacheControls) -> str:
    """The time to live of the caller's marker on a block; empty: there is none."""
    return ttl_in(next((block[m] for m in MARKS if block.get(m) is not None), None), controls)


def _is_results(content: Any) -> bool:
    """Whether a tool message holds Anthropic's own blocks already."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(
            isinstance(block, Mapping) and block.get("type") == "tool_result" for block in content
        )
    )
