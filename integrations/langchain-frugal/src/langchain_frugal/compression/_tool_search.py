"""`find_tool` as a tool of the agent: it answers, and what it names is offered from then on."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool

from frugal_chains.compression.tools import FIND_TOOL
from frugal_chains.dispatch import ToolChoice, ToolChooser

_REMEMBERED: Final = 1_024
"""Calls of it that wait for their answer: the oldest are forgotten beyond these, and answered with
what the next request finds."""

Call = tuple[str, str]
"""Ids of the message and of the call in it: some models number their calls anew in each message."""


class FindTool(StructuredTool):
    """A class of its own, to be known among others of that name."""


class Searches:
    """Which tools a model had when it asked for others. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[Call, ToolChoice] = OrderedDict()

    def note(self, messages: Sequence[Any], choice: ToolChoice) -> None:
        """A model has answered a request that offered this choice."""
        for message in messages:
            calls = message.tool_calls if isinstance(message, AIMessage) else ()
            for call in calls:
                if call["name"] == FIND_TOOL.name:
                    self._put((message.id or "", call["id"] or ""), choice)

    def choice(self, messages: Sequence[Any], call_id: str | None) -> ToolChoice | None:
        """That of the request whose answer holds this call."""
        for message in reversed(messages):
            if isinstance(message, AIMessage) and any(
                call["id"] == call_id for call in message.tool_calls
            ):
                with self._lock:
                    return self._open.get((message.id or "", call_id or ""))
        return None

    def _put(self, call: Call, choice: ToolChoice) -> None:
        with self._lock:
            self._open[call] = choice
            if len(self._open) > _REMEMBERED:
                self._open.popitem(last=False)


def find_tool(chooser: ToolChooser, searches: Searches) -> FindTool:
    """The tool that the agent runs."""

    def find(task: str, runtime: ToolRuntime) -> str:
        return chooser.find(task, _asked_with(runtime))

    async def afind(task: str, runtime: ToolRuntime) -> str:
        return await chooser.afind(task, _asked_with(runtime))

    def _asked_with(runtime: ToolRuntime) -> ToolChoice | None:
        return searches.choice(messages_of(runtime.state), runtime.tool_call_id)

    made = FindTool.from_function(
        find, afind, name=FIND_TOOL.name, description=FIND_TOOL.description
    )
    assert isinstance(made, FindTool)
    return made


def messages_of(state: Any) -> Sequence[Any]:
    """Of an agent's state, whatever kind it is."""
    found = state.get("messages") if isinstance(state, Mapping) else getattr(state, "messages", ())
    return found if isinstance(found, Sequence) else ()
