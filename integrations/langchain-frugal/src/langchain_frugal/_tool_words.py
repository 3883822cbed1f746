"""LangChain's tools as plain facts, and copies of them in other words."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from frugal_chains.facts import ToolFacts
from langchain_frugal._facts import as_json

MARKER: Final = "cache_control"
"""Anthropic's, in a tool's extras: what stands up to it is kept in the provider's cache."""
_UNTOUCHED: Final = ("provider_tool_definition", "defer_loading")
"""In extras: Anthropic's own tools, and those that it finds by itself and does not bill before
(platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool, read 2026-11-22)."""
_REMEMBERED: Final = 2_048
"""Tools: reading a schema takes about a millisecond, and agents have the same ones all along."""


@dataclass(slots=True)
class _Read:
    tool: BaseTool
    said: tuple[Any, ...]
    """What the facts were read from: a tool that has changed is read anew."""
    facts: ToolFacts | None
    copies: dict[ToolFacts, BaseTool]


class ToolWords:
    """Reads tools once. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, _Read] = OrderedDict()

    def unread(self, tools: Iterable[Any]) -> int:
        """How many of these have not been read yet."""
        with self._lock:
            return sum(id(tool) not in self._known for tool in tools)

    def facts(self, tool: Any) -> ToolFacts | None:
        """What a provider is told of a tool; None where that is not for us to say: a provider's own
        tool, one that cannot be read, or one that is only sent when it is asked for."""
        return self._read(tool).facts if isinstance(tool, BaseTool) else None

    def worded(self, tool: BaseTool, words: ToolFacts) -> BaseTool:
        """The tool itself, where it says these words already; else a copy that does, to be shown to
        a model. Calls are run by the agent's own tool of that name."""
        read = self._read(tool)
        if words == read.facts:
            return tool
        if words not in read.copies:
            read.copies[words] = _copy(tool, words) or tool
        return read.copies[words]

    def _read(self, tool: BaseTool) -> _Read:
        said = (tool.name, tool.description, tool.args_schema, tool.extras, tool.metadata)
        with self._lock:
            read = self._known.get(id(tool))
            if read is not None and read.tool is tool and _same(read.said, said):
                self._known.move_to_end(id(tool))
                return read
        read = _Read(tool, said, _facts(tool), {})
        with self._lock:
            self._known[id(tool)] = read
            self._known.move_to_end(id(tool))
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return read


def shown(words: ToolFacts) -> BaseTool:
    """A tool that only says these words: none that could be run."""
    return StructuredTool(
        name=words.name, description=words.description, args_schema=json.loads(words.parameters)
    )


def marker_of(tool: Any) -> Any:
    """A tool's cache marker; None: it has none."""
    extras = tool.get("extras", tool) if isinstance(tool, Mapping) else tool.extras
    return extras.get(MARKER) if isinstance(extras, Mapping) else None


def with_marker(tool: BaseTool, marker: Any) -> BaseTool:
    """A copy with this cache marker, or without any."""
    extras = {name: value for name, value in (tool.extras or {}).items() if name != MARKER}
    if marker is not None:
        extras[MARKER] = marker
    return tool.model_copy(update={"extras": extras or None})


def _facts(tool: BaseTool) -> ToolFacts | None:
    if any(name in (tool.extras or {}) for name in _UNTOUCHED):
        return None
    try:
        function = convert_to_openai_tool(tool).get("function")
    except Exception:  # its model will say what is wrong with it
        return None
    if not isinstance(function, Mapping):  # OpenAI's custom tools
        return None
    schema = function.get("parameters")
    return ToolFacts(
        name=str(function.get("name") or ""),
        description=str(function.get("description") or ""),
        parameters=as_json(schema) if schema else "",
    )


def _copy(tool: BaseTool, words: ToolFacts) -> BaseTool | None:
    """None: LangChain would say something else of a copy."""
    try:
        copy = StructuredTool(
            name=words.name,
            description=words.description,
            args_schema=json.loads(words.parameters),
            extras=tool.extras,
            metadata=tool.metadata,
            tags=tool.tags,
        )
        said = _facts(copy)
    except Exception:
        return None
    if said is None or (said.name, said.description) != (words.name, words.description):
        return None
    return copy if json.loads(said.parameters) == json.loads(words.parameters) else None


def _same(before: tuple[Any, ...], now: tuple[Any, ...]) -> bool:
    """Schemas are told apart by identity: comparing a large one is as dear as reading it."""
    return all(a is b or (isinstance(a, str) and a == b) for a, b in zip(before, now, strict=True))
