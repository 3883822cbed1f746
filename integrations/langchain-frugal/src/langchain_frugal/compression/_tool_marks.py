"""What a conversation was offered, written on its answers: it is saved, and forked, with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from langchain_core.messages import AIMessage, BaseMessage

from frugal_chains.compression.tools import Action, Offered

MARK: Final = "frugal_tools"
"""The key of `response_metadata`. No provider is sent it."""
_ACTIONS: Final[tuple[Action, ...]] = ("leave", "slim", "prune")


def offered_in(messages: Sequence[Any], tools: Sequence[str], *, agent: str) -> Offered | None:
    """What the last answer of this agent says that was offered; None: none says it.

    Args:
        messages: Of the conversation.
        tools: The names of all tools there are now.
        agent: Its name: several may share the messages.
    """
    for message in reversed(messages):
        if not isinstance(message, AIMessage):
            continue
        mark = message.response_metadata.get(MARK)
        if isinstance(mark, Mapping) and mark.get("agent", "") == agent:
            return _read(mark, tools)
    return None


def marked(response: Any, offered: Offered, *, agent: str) -> Any:
    """A model's response whose answers say what was offered."""
    mark: dict[str, Any] = {"action": offered.action}
    if offered.action == "prune":
        mark |= {"names": [*offered.names], "slim": offered.slim, "find_tool": offered.find_tool}
    if agent:
        mark["agent"] = agent
    if isinstance(response, BaseMessage):
        return _with(response, mark)
    inner = getattr(response, "model_response", None)
    if inner is not None:
        return replace(response, model_response=marked(inner, offered, agent=agent))
    return replace(response, result=[_with(message, mark) for message in response.result])


def _with(message: BaseMessage, mark: Mapping[str, Any]) -> BaseMessage:
    if not isinstance(message, AIMessage):
        return message
    metadata = {**message.response_metadata, MARK: dict(mark)}
    return message.model_copy(update={"response_metadata": metadata})


def _read(mark: Mapping[str, Any], tools: Sequence[str]) -> Offered | None:
    """It may come from a file, or from another version: None where it makes no sense."""
    action, names = mark.get("action"), mark.get("names")
    if action not in _ACTIONS:
        return None
    if action != "prune":
        return Offered(action=cast(Action, action), names=tuple(tools), slim=action == "slim")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return Offered(
        action="prune",
        names=tuple(names),
        slim=mark.get("slim") is True,
        find_tool=mark.get("find_tool") is True,
    )
