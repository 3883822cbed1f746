"""Long conversations for tests of memory, and what a provider refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from frugal_chains.memory import CompactionPolicy
from tests.servers import Reply, Request, ScriptedServer

SUMMARY = "Facts:\nThe order number is 4711.\nThe person lives in Oslo."
EAGER = CompactionPolicy(keep_tokens=200, least_dropped_tokens=50, limit_tokens=1_500)
"""Compacts whenever a request would have more than 1,500 tokens, whatever the bill."""
FILLER = "It is about the parcel that was sent to the harbour and came back in the rain. "


def said(number: int, size: int = 8) -> str:
    """What somebody says at a turn: about 17 tokens for each of `size`."""
    return f"Point {number}. " + FILLER * size


def conversation(turns: int, *, ids: bool = False, size: int = 8) -> list[BaseMessage]:
    """Questions and answers, without a question at the end."""
    messages: list[BaseMessage] = []
    for turn in range(turns):
        messages.append(HumanMessage(said(turn, size), id=f"q{turn}" if ids else None))
        messages.append(AIMessage(said(turn, size), id=f"a{turn}" if ids else None))
    return messages


def answers_and_summaries(summary: str | Callable[[Request], Reply] = SUMMARY) -> Any:
    """A script: questions are answered, requests for summaries get that summary."""

    def reply(request: Request) -> Reply:
        if asks_for_summary(request.body):
            return summary(request) if callable(summary) else Reply(summary)
        return Reply(said(len(request.body["messages"])))

    return reply


def asks_for_summary(body: Mapping[str, Any]) -> bool:
    """Whether a request is one for a summary."""
    last = texts(body["messages"][-1])
    return "Summarize everything before this message" in last or "Summarize the conv" in last


def answered_requests(scripted: ScriptedServer) -> list[Mapping[str, Any]]:
    """The bodies of all requests but those for summaries."""
    return [r.body for r in scripted.requests if not asks_for_summary(r.body)]


def summary_requests(scripted: ScriptedServer) -> list[Mapping[str, Any]]:
    """The bodies of requests for summaries."""
    return [r.body for r in scripted.requests if asks_for_summary(r.body)]


def texts(message: Mapping[str, Any]) -> str:
    """All text of a message of OpenAI's or Anthropic's."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text") or "") for block in content)


def segments_in(body: Mapping[str, Any]) -> list[str]:
    """The summaries in a request."""
    mark = "[Summary of earlier messages]"
    found: list[str] = []
    for message in body["messages"]:
        content = message.get("content") or ""
        blocks = [content] if isinstance(content, str) else [str(b.get("text")) for b in content]
        found += [block for block in blocks if block.startswith(mark)]
    return found


def refused(body: Mapping[str, Any]) -> str:
    """Why OpenAI or Anthropic would answer 400 to these messages; empty: they would not.

    A tool's result stands directly behind the message that asks for it, and every call is answered
    before the next other message (platform.openai.com, function calling; platform.claude.com, tool
    use, read 2026-11-20).
    """
    if any("tool_use" in json.dumps(m) or "tool_result" in json.dumps(m) for m in body["messages"]):
        return _refused_by_anthropic(body["messages"])
    waiting: list[str] = []
    for at, message in enumerate(body["messages"]):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return f"message {at} answers no call before it"
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            return f"calls {waiting} are not answered before message {at}"
        waiting = [call["id"] for call in message.get("tool_calls") or ()]
        if not waiting and not message.get("content") and message["role"] != "assistant":
            return f"message {at} is empty"
    return f"calls {waiting} are not answered at all" if waiting else ""


def _refused_by_anthropic(messages: Sequence[Mapping[str, Any]]) -> str:
    waiting: set[str] = set()
    for at, message in enumerate(messages):
        content = message["content"]
        blocks = content if isinstance(content, list) else []
        answered = {b["tool_use_id"] for b in blocks if b["type"] == "tool_result"}
        if answered != waiting:
            return f"message {at} answers {answered}, asked was {waiting}"
        waiting = {b["id"] for b in blocks if b["type"] == "tool_use"}
    return f"calls {waiting} are not answered" if waiting else ""


def common_start(first: Mapping[str, Any], second: Mapping[str, Any]) -> int:
    """With how many messages two requests begin alike, byte for byte, with their tools."""
    if json.dumps(first.get("tools")) != json.dumps(second.get("tools")):
        return 0
    if json.dumps(first.get("system")) != json.dumps(second.get("system")):
        return 0
    same = 0
    for one, other in zip(first["messages"], second["messages"], strict=False):
        if json.dumps(one) != json.dumps(other):
            break
        same += 1
    return same


def tool_round(number: int, *, size: int = 8, ids: bool = False) -> list[BaseMessage]:
    """An assistant's message with two calls, and both results."""
    one, other = f"call_{number}_a", f"call_{number}_b"
    calls = [{"name": "look", "args": {"at": number}, "id": each} for each in (one, other)]
    return [
        AIMessage("", tool_calls=calls, id=f"t{number}" if ids else None),  # type: ignore[arg-type]
        ToolMessage(said(number, size), tool_call_id=one, id=f"r{number}a" if ids else None),
        ToolMessage(said(number, size), tool_call_id=other, id=f"r{number}b" if ids else None),
    ]
