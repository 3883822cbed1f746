"""Requests as blocks in the provider's order, each with the place that it has among LangChain's
tools and messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import BaseTool

from frugal_chains.dispatch import PromptBlock
from frugal_chains.facts import ToolFacts
from frugal_chains.providers import CacheControls, tokenizer_facts
from langchain_frugal._facts import as_json, tool_facts
from langchain_frugal.compression._tool_words import MARKER, ToolWords
from langchain_frugal.memory._messages import is_ours
from langchain_frugal.prompt_cache._forms import BEDROCK, MARKS, Form, ttl_in

Volatile = Callable[[BaseMessage], bool]
"""Whether a message, or a system message with one block of the system prompt, will have changed by
the next call."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a block stands among the objects of a request."""

    where: Literal["tools", "messages"]
    item: int
    """Of the tool, or of the message."""
    part: int = WHOLE
    """Of the block in the message's content."""


@dataclass(frozen=True, slots=True)
class Read:
    """The blocks of a request, and their places."""

    blocks: tuple[PromptBlock, ...]
    places: tuple[Place, ...]
    may_reorder: bool
    """The blocks of the system prompt stand in one message."""


class RequestReader:
    """Reads requests, tools once. Safe for threads.

    Args:
        volatile: The caller's word on what changes.
    """

    def __init__(self, volatile: Volatile | None = None) -> None:
        self._volatile, self._words = volatile, ToolWords()

    def read(
        self,
        tools: Sequence[Any],
        messages: Sequence[BaseMessage],
        *,
        form: Form,
        controls: CacheControls,
        model: str,
        schema: str = "",
        tail_marker: Any = None,
        in_place: bool = False,
    ) -> Read:
        """The blocks of a request.

        Args:
            tools: As they are bound.
            messages: The system prompt among them.
            form: Of the integration.
            controls: Of the provider.
            model: Who answers: what its images cost.
            schema: Of an answer that is asked for as one more tool.
            tail_marker: The caller's, for the last block of all (`cache_control` beside them).
            in_place: System messages inside the history are sent where they stand.
        """
        media = tokenizer_facts(model).image_tokens
        found = [*self._tools(tools, form, controls)]
        if schema:
            found.append((_tool_block(schema), Place(where="tools", item=len(tools))))
        leading = _leading(messages)
        for at, message in enumerate(messages):
            system = isinstance(message, SystemMessage) and (at < leading or not in_place)
            kind: Literal["system", "message"] = "system" if system else "message"
            each = _parts(message, form, controls, kind, media)
            later = at + 1 < len(messages)
            found += [(self._told(block, message, part, later), Place(
                where="messages", item=at, part=part)) for block, part in each]  # fmt: skip
        found.sort(key=lambda pair: ("tools", "system", "message").index(pair[0].kind))
        if tail_marker is not None:
            found = _with_tail(found, ttl_in(tail_marker, controls))
        items = {place.item for block, place in found if block.kind == "system"}
        return Read(
            tuple(block for block, _ in found), tuple(place for _, place in found), len(items) == 1
        )

    # -- parts ---------------------------------------------------------------------------------

    def _tools(
        self, tools: Sequence[Any], form: Form, controls: CacheControls
    ) -> Iterator[tuple[PromptBlock, Place]]:
        for at, tool in enumerate(tools):
            given = (tool.extras or {}) if isinstance(tool, BaseTool) else tool
            if isinstance(given, Mapping) and BEDROCK in given:
                continue  # it stands for no tool; the one before it is marked
            extras = given if isinstance(given, Mapping) else {}
            facts = self._words.facts(tool) if isinstance(tool, BaseTool) else None
            text, name = _tool_text(tool, facts, extras)
            behind = tools[at + 1] if form == "bedrock" and at + 1 < len(tools) else None
            own = behind.get(BEDROCK) if isinstance(behind, Mapping) else extras.get(MARKER)
            block = PromptBlock(
                kind="tools",
                text=text,
                name=name,
                marker=ttl_in(own, controls),
                markable=_can_mark_tool(tool, extras, form),
            )
            yield block, Place(where="tools", item=at)

    def _told(
        self, block: PromptBlock, message: BaseMessage, part: int, later: bool
    ) -> PromptBlock:
        """With what the caller and the memory say of it."""
        if is_ours(message):
            # A summary has an id and stays; recalled text has none, and goes with its question.
            block = replace(block, segment=bool(message.id), volatile=not message.id and not later)
        if self._volatile is None:
            return block
        asked = message
        if block.kind == "system" and part != WHOLE:
            asked = message.model_copy(update={"content": [message.content[part]]})
        return replace(block, volatile=True) if self._volatile(asked) else block


def _leading(messages: Sequence[BaseMessage]) -> int:
    """How many system messages stand at the beginning."""
    return next(
        (at for at, each in enumerate(messages) if not isinstance(each, SystemMessage)),
        len(messages),
    )


def _tool_text(
    tool: Any, facts: ToolFacts | None, extras: Mapping[str, Any]
) -> tuple[str, str]:
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


def _tool_block(schema: str) -> PromptBlock:
    return PromptBlock(kind="tools", text=schema, markable=False)


def _can_mark_tool(tool: Any, extras: Mapping[str, Any], form: Form) -> bool:
    """Anthropic refuses a marker on a tool that it finds by itself; a function or a class has no
    place for one."""
    if form == "bedrock":
        return True
    if form != "anthropic" or extras.get(_DEFERRED) or _OWN_DEFINITION in extras:
        return False
    if isinstance(tool, BaseTool):
        return True
    # Of a tool in OpenAI's words langchain-anthropic sends on what it knows, and no marker.
    return isinstance(tool, Mapping) and "function" not in tool and (
        "input_schema" in tool or isinstance(tool.get("type"), str)
    )


def _parts(
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
    else:
        for part, each in enumerate(content):
            block = _block(each, role, kind, message, can, media_tokens, controls, form)
            if block is not None:
                yield _with_point(block, content, part, controls), part
    if isinstance(message, AIMessage):
        for call in message.tool_calls:
            text_of = f"{role}\n{call['name']}\n{as_json(call['args'])}\n{call.get('id') or ''}"
            yield PromptBlock(kind=kind, text=text_of, run="calls", markable=False), WHOLE


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
    own = ttl_in(next((each[m] for m in MARKS if each.get(m) is not None), None), controls)
    if name in ("", "text") and isinstance(each.get("text"), str):
        text = str(each["text"])
        if not text.strip() and isinstance(message, AIMessage | HumanMessage):
            return None
        return PromptBlock(
            kind=kind, text=f"{role}\n{text}", marker=own, markable=can and bool(text.strip())
        )
    if name in ("tool_use", "tool_call", "input_json_delta"):
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
        own = ttl_in(next((each[m] for m in MARKS if each.get(m) is not None), None), controls) or own
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


def _is_results(content: Any) -> bool:
    """Whether a tool message holds Anthropic's own blocks already."""
    return isinstance(content, list) and bool(content) and all(
        isinstance(block, Mapping) and block.get("type") == "tool_result" for block in content
    )


def _with_tail(
    found: list[tuple[PromptBlock, Place]], ttl: str
) -> list[tuple[PromptBlock, Place]]:
    """With the marker that stands beside the messages on the block that the provider puts it."""
    if not found or not ttl or found[-1][0].marker:
        return found
    block, place = found[-1]
    return [*found[:-1], (replace(block, marker=ttl), place)]


def settings_of(settings: Mapping[str, Any], model: Any) -> dict[str, str]:
    """What else the provider's cache goes by, by the names of `CacheControls.resets`."""
    while hasattr(model, "bound"):
        model = model.bound
    found: dict[str, str] = {}
    for name, keys in _SETTINGS.items():
        values = [settings.get(key, getattr(model, key, None)) for key in keys]
        if any(value is not None for value in values):
            found[name] = json.dumps(values, default=repr, sort_keys=True)
    return found


_SETTINGS: Final[Mapping[str, Sequence[str]]] = {
    "tool_choice": ("tool_choice",),
    "thinking": ("thinking",),
    "effort": ("reasoning_effort", "effort", "output_config", "reasoning"),
    "format": ("response_format",),
    "speed": ("speed",),
    "service_tier": ("service_tier",),
    "verbosity": ("verbosity",),
    "parallel_tool_calls": ("parallel_tool_calls",),
}
"""By name of a setting: the keywords and fields in which it may be said."""
