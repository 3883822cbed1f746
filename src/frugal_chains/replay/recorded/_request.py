"""A recorded request as `RequestFacts`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, cast

from frugal_chains.facts import RequestFacts, ToolFacts
from frugal_chains.replay.recorded._content import as_json, longer_ttl, word
from frugal_chains.replay.recorded._messages import Messages
from frugal_chains.replay.recorded._names import MESSAGES, first
from frugal_chains.replay.recorded._skipped import Malformed

_SYSTEM: Final = ("system", "instructions")
"""Anthropic's messages, OpenAI's responses."""
_ANY_OBJECT: Final = '{"type":"object"}'
"""What OpenAI's JSON mode asks for."""
_KEPT_TOOLS: Final = 8


class Tools:
    """Reads lists of tools, and remembers the last few: the calls of an agent offer the same."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: list[tuple[list[Any], tuple[tuple[ToolFacts, ...], str]]] = []

    def read(self, raw: object) -> tuple[tuple[ToolFacts, ...], str]:
        """The tools, and the longest time to live of their cache markers."""
        if not raw:
            return (), ""
        if not isinstance(raw, list):
            raise Malformed("the tools of the request are no list")
        for known, facts in self._known:
            if known == raw:
                return facts
        made = tuple(map(_tool, raw)), _ttl(raw)
        # JSON takes 1 for 1.0 and true, and so does ==: no schema is different by that alone.
        self._known = [(raw, made), *self._known[: _KEPT_TOOLS - 1]]
        return made


def request_facts(request: Mapping[str, Any], tools: Tools) -> RequestFacts | None:
    """What was sent; None when the recording has no messages of it.

    Raises:
        Malformed: messages or tools are not of the kind that they have to be.
    """
    sent = first(request, MESSAGES)
    if isinstance(sent, dict):  # LiteLLM's `messages` may be the whole body
        return request_facts(sent, tools)
    if not sent:
        return None
    offered, ttl = tools.read(request.get("tools") or request.get("functions"))
    messages = Messages()
    for name in _SYSTEM:
        if name in request:
            messages.add_system(request[name])
    messages.add_all(sent)
    for found in (ttl, messages.ttl):
        ttl = longer_ttl(ttl, {"ttl": found}) if found else ttl
    if "cache_control" in request:
        ttl = longer_ttl(ttl, request["cache_control"])
    return RequestFacts(
        messages=tuple(messages.made),
        tools=offered,
        output_schema=_schema(request),
        cache_ttl=cast(Literal["", "5m", "1h"], ttl),
    )


def _tool(raw: object) -> ToolFacts:
    """A tool: OpenAI's `function` or `custom`, the flat one of responses, Anthropic's."""
    if not isinstance(raw, dict):
        raise Malformed("a tool is no object")
    inner = raw.get("function") or raw.get("custom")
    body: Mapping[str, Any] = inner if isinstance(inner, dict) else raw
    schema = body.get("parameters") or body.get("input_schema") or body.get("format")
    return ToolFacts(
        name=word(body.get("name")) or word(raw.get("type")),
        description=word(body.get("description")),
        parameters=as_json(schema) if schema else "",
    )


def _ttl(tools: list[Any]) -> str:
    ttl = ""
    for tool in tools:
        if isinstance(tool, dict) and "cache_control" in tool:
            ttl = longer_ttl(ttl, tool["cache_control"])
    return ttl


def _schema(request: Mapping[str, Any]) -> str:
    """The schema that the answer has to fit.

    Chat completions `response_format`, responses `text.format`, Anthropic `output_config.format`
    and, before it, `output_format`.
    """
    for outer, inner in _FORMATS:
        asked = request.get(outer)
        if inner and isinstance(asked, dict):
            asked = asked.get(inner)
        if isinstance(asked, dict):
            return _of_format(asked)
    return ""


_FORMATS: Final = (
    ("response_format", ""),
    ("text", "format"),
    ("output_config", "format"),
    ("output_format", ""),
)


def _of_format(asked: Mapping[str, Any]) -> str:
    kind = asked.get("type")
    if kind == "json_object":
        return _ANY_OBJECT
    if kind != "json_schema":
        return ""
    inner = asked.get("json_schema")
    schema = (inner if isinstance(inner, dict) else asked).get("schema")
    return as_json(schema) if schema else _ANY_OBJECT
