"""A plan put into copies of a request's tools, messages and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.tools import BaseTool

from frugal_chains.prompt_cache import CachePlan
from frugal_chains.providers import CacheControls
from langchain_frugal._tool_words import with_marker
from langchain_frugal.prompt_cache._blocks import WHOLE
from langchain_frugal.prompt_cache._forms import (
    ANTHROPIC,
    BEDROCK,
    KEY,
    MARKS,
    OPENAI,
    OPTIONS,
    Form,
    marker,
)
from langchain_frugal.prompt_cache._read import Place, Read

_OF_FORM: Final[Mapping[Form, str]] = {
    "anthropic": ANTHROPIC,
    "openai": OPENAI,
    "bedrock": BEDROCK,
}
_SETTINGS_OF: Final[Mapping[Form, frozenset[str]]] = {
    "anthropic": frozenset({KEY, OPTIONS, "prompt_cache_retention"}),
    "openai": frozenset({ANTHROPIC}),
    "bedrock": frozenset({KEY, OPTIONS, "prompt_cache_retention", ANTHROPIC}),
}
"""Of other providers: this one's client refuses keywords that it does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an adapter hands to a model."""

    tools: Sequence[Any]
    messages: Sequence[BaseMessage]
    settings: Mapping[str, Any]


def own_only(parts: Parts, form: Form, controls: CacheControls) -> Parts:
    """Without markers that are meant for another provider; the same objects where there are
    none."""
    if not form:
        return parts
    own = _OF_FORM[form] if controls.control == _OF_FORM[form] else ""
    foreign = frozenset(MARKS) - {own}
    settings = {k: v for k, v in parts.settings.items() if k not in _SETTINGS_OF[form]}
    return Parts(
        tools=[
            _tool_without(tool, foreign)
            for tool in parts.tools
            if not (BEDROCK in foreign and isinstance(tool, Mapping) and BEDROCK in tool)
        ],
        messages=[_without(message, foreign) for message in parts.messages],
        settings=settings,
    )


def applied(plan: CachePlan, read: Read, parts: Parts, form: Form) -> Parts:
    """The request as it is sent. Nothing of what was given is changed.

    Args:
        plan: Of `read.blocks`.
        read: Of these parts.
        parts: As they were given.
        form: Of the integration.
    """
    put: dict[Place, Any] = {}
    beside: dict[str, Any] = {}
    last = len(read.blocks) - 1 if read.tail_marked else None
    for each in plan.markers:
        if each.reason == "callers" and each.ttl == read.blocks[each.index].marker:
            continue
        if each.index == last:
            beside[ANTHROPIC] = marker(form, each.ttl)
        else:
            put[read.places[each.index]] = marker(form, each.ttl)
    for index in plan.dropped:
        if index == last:
            beside[ANTHROPIC] = None
        else:
            put[read.places[index]] = None
    order = [read.places[index].part for index in plan.order]
    moved = read.places[plan.order[0]].item if plan.order else None
    return Parts(
        tools=_tools(parts.tools, put, form),
        messages=[
            _message(
                message,
                {place.part: m for place, m in put.items() if _is_in(place, at)},
                form,
                order if at == moved else (),
            )
            for at, message in enumerate(parts.messages)
        ],
        settings={**parts.settings, **beside},  # None takes back what stands in the model as well
    )


def _is_in(place: Place, item: int) -> bool:
    return place.where == "messages" and place.item == item


def _tools(tools: Sequence[Any], put: Mapping[Place, Any], form: Form) -> list[Any]:
    found: list[Any] = []
    marks = {place.item: m for place, m in put.items() if place.where == "tools"}
    for at, tool in enumerate(tools):
        if at - 1 in marks and marks[at - 1] is None and _is_point(tool):
            continue
        if at not in marks:
            found.append(tool)
        elif form == "bedrock":
            found += [tool] if marks[at] is None else [tool, {BEDROCK: marks[at]}]
        elif isinstance(tool, BaseTool):
            found.append(with_marker(tool, marks[at]))
        else:
            found.append(_marked(tool, ANTHROPIC, marks[at]))
    return found


def _message(
    message: BaseMessage, marks: Mapping[int, Any], form: Form, order: Sequence[int]
) -> BaseMessage:
    if not marks and not order:
        return message
    key = _OF_FORM.get(form, "")
    if WHOLE in marks:
        return message.model_copy(update={"content": _whole(message, key, marks[WHOLE])})
    pieces: list[list[Any]] = []
    for part, block in enumerate(cast("Sequence[Any]", message.content)):
        if part not in marks:
            pieces.append([block])
        elif key != BEDROCK:
            pieces.append([_marked(block, key, marks[part])])
        else:
            pieces.append([block] if marks[part] is None else [block, {BEDROCK: marks[part]}])
        if part - 1 in marks and marks[part - 1] is None and _is_point(block):
            pieces[-1] = []
    content = [each for part in (order or range(len(pieces))) for each in pieces[part]]
    return message.model_copy(update={"content": content})


def _whole(message: BaseMessage, key: str, mark: Any) -> list[Any]:
    """The content of a message that is one block, as a list of it. The bytes that are sent are the
    same as before, but for the marker."""
    content: Any = message.content
    if isinstance(message, ToolMessage):
        result = {
            "type": "tool_result",
            "content": _unmarked(content),
            "tool_use_id": message.tool_call_id,
            "is_error": message.status == "error",
        }
        return [_marked(result, key, mark)]
    text = {"type": "text", "text": content}
    return [text, {BEDROCK: mark}] if key == BEDROCK else [_marked(text, key, mark)]


def _marked(block: Any, key: str, mark: Any) -> dict[str, Any]:
    given = {"type": "text", "text": block} if isinstance(block, str) else dict(block)
    if mark is None:
        given.pop(key, None)
        return given
    return {**given, key: mark}


def _unmarked(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [
        {k: v for k, v in block.items() if k not in MARKS} if isinstance(block, Mapping) else block
        for block in content
    ]


def _is_point(block: Any) -> bool:
    return isinstance(block, Mapping) and BEDROCK in block


def _without(message: BaseMessage, foreign: frozenset[str]) -> BaseMessage:
    content: Any = message.content
    if isinstance(content, str) or not any(_names(block, foreign) for block in content):
        return message
    kept = [
        {k: v for k, v in block.items() if k not in foreign}
        if isinstance(block, Mapping)
        else block
        for block in content
        if not (BEDROCK in foreign and _is_point(block))
    ]
    return message.model_copy(update={"content": kept})


def _tool_without(tool: Any, foreign: frozenset[str]) -> Any:
    if isinstance(tool, BaseTool):
        return (
            with_marker(tool, None)
            if ANTHROPIC in foreign and _names(tool.extras, frozenset({ANTHROPIC}))
            else tool
        )
    if isinstance(tool, Mapping) and _names(tool, foreign):
        return {k: v for k, v in tool.items() if k not in foreign}
    return tool


def _names(block: Any, names: frozenset[str]) -> bool:
    return isinstance(block, Mapping) and not names.isdisjoint(block)
