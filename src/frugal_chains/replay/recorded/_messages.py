"""The messages of a request, in any of the three APIs, as facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from frugal_chains.facts import MessageFacts, Role, ToolCallFacts
from frugal_chains.replay.recorded._content import (
    Content,
    longer_ttl,
    text_of,
    tool_call,
    tool_result,
    word,
)
from frugal_chains.replay.recorded._skipped import Malformed

_ROLES: Final[Mapping[str, Role]] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "ai", "model"), "assistant"),
    **dict.fromkeys(("tool", "function"), "tool"),
}
"""Any other role is somebody who speaks to the model."""
_CALLS: Final[Mapping[str, str]] = {"function_call": "arguments", "custom_tool_call": "input"}
"""Items of OpenAI's responses that are calls, and what they name the arguments."""
_RESULTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})


class Messages:
    """Reads messages one by one, and what is said about caching beside them."""

    __slots__ = ("_items", "made", "ttl")

    def __init__(self) -> None:
        self.made: list[MessageFacts] = []
        self.ttl = ""
        self._items = False
        """The last one was made of items of OpenAI's responses, which split what the assistant
        said in one turn: its text, and each of its calls."""

    def add_system(self, value: object) -> None:
        """Instructions beside the messages: text, blocks, or items with a role."""
        if isinstance(value, list) and value and _has_role(value[0]):
            self.add_all(value)
        elif value:
            self._add_content("system", value, {})

    def add_all(self, value: object) -> None:
        """A list of messages or items; a bare text is what the user says.

        Raises:
            Malformed: it is neither, or one of them is no message.
        """
        if isinstance(value, str):
            self.made.append(MessageFacts(role="user", text=value))
            return
        if not isinstance(value, list):
            raise Malformed("the messages of the request are no list")
        for each in value:
            if type(each) is not dict:
                if not isinstance(each, str):
                    raise Malformed("a message is no object")
                each = {"role": "user", "content": each}
            self._add(each)

    def _add(self, message: Mapping[str, Any]) -> None:
        role = message.get("role")
        if not isinstance(role, str):
            self._add_item(message)
            return
        known = _ROLES.get(role) or _ROLES.get(role.lower(), "user")
        items = message.get("type") == "message"
        if items and known == "assistant" and self._continues_turn():
            self._merge(message)
            return
        content = message.get("content")
        if type(content) is str and len(message) == 2:
            self.made.append(
                MessageFacts(
                    role=known,
                    text=content,
                    text_lengths=(len(content),) if known == "system" else (),
                )
            )
        else:
            self._add_content(known, content, message)
        self._items = items

    def _add_content(self, role: Role, content: object, message: Mapping[str, Any]) -> None:
        read = Content()
        read.add(content)
        if "refusal" in message:
            read.add(text_of(message["refusal"]))
        read.audio += isinstance(message.get("audio"), dict)
        self.ttl = longer_ttl(self.ttl, {"ttl": read.ttl}) if read.ttl else self.ttl
        self.made += read.results
        if read.results and not (read.texts or read.images or read.audio):
            return
        self.made.append(
            MessageFacts(
                role=role,
                text="\n".join(read.texts),
                tool_calls=(*read.calls, *_chat_calls(message)),
                tool_call_id=word(message.get("tool_call_id")),
                name=word(message.get("name")),
                images=read.images,
                audio=read.audio,
                text_lengths=tuple(map(len, read.texts)) if role == "system" else (),
            )
        )

    def _add_item(self, item: Mapping[str, Any]) -> None:
        """An item of OpenAI's responses that is no message. Those that hold nothing to read are
        passed over: reasoning is encrypted, tools of the provider's own keep their results."""
        kind = item.get("type")
        if not isinstance(kind, str):
            raise Malformed("a message has no role")
        if kind in _RESULTS:
            self.made.append(tool_result(item.get("output"), item.get("call_id")))
            self._items = False
        elif kind in _CALLS:
            call = tool_call(item.get("name"), item.get(_CALLS[kind]), item.get("call_id"))
            if not self._continues_turn():
                self.made.append(MessageFacts(role="assistant"))
                self._items = True
            last = self.made[-1]
            self.made[-1] = replace(last, tool_calls=(*last.tool_calls, call))

    def _continues_turn(self) -> bool:
        return self._items and bool(self.made) and self.made[-1].role == "assistant"

    def _merge(self, message: Mapping[str, Any]) -> None:
        read, last = Content(), self.made[-1]
        read.add(message.get("content"))
        text = "\n".join(filter(None, (last.text, *read.texts)))
        self.made[-1] = replace(last, text=text, images=last.images + read.images)


def _chat_calls(message: Mapping[str, Any]) -> Sequence[ToolCallFacts]:
    """Calls beside the content, as chat completions have them; `function_call` is the older way."""
    calls: list[ToolCallFacts] = []
    asked = message.get("tool_calls")
    if asked is not None and not isinstance(asked, list):
        raise Malformed("the tool calls of a message are no list")
    for each in asked or ():
        if not isinstance(each, dict):
            raise Malformed("a tool call is no object")
        body = each.get("function") or each.get("custom") or each
        if not isinstance(body, dict):
            raise Malformed("a tool call is no object")
        arguments = body.get("arguments", body.get("input"))
        calls.append(tool_call(body.get("name"), arguments, each.get("id")))
    older = message.get("function_call")
    if isinstance(older, dict):
        calls.append(tool_call(older.get("name"), older.get("arguments"), ""))
    return calls


def _has_role(entry: object) -> bool:
    return isinstance(entry, dict) and "role" in entry
