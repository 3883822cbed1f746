"""Conversations with LlamaIndex that a provider's prompt cache may keep, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer

from tests.llama_index.remembering import words
from tests.servers import (
    AnthropicPromptCache,
    ManualClock,
    OpenAIPromptCache,
    Reply,
    Request,
    Tokens,
    ToolCall,
)

Body = Mapping[str, Any]

CHATS = ("chat", "stream_chat", "achat", "astream_chat")
MODEL = "claude-sonnet-5"
"""Keeps 1,024 tokens and more."""
RULES = words("You help people with parcels", 3_000)
"""A system prompt of 4,500 characters."""
WEIGHTS = Tokens(fresh=100, cache_read=10, cache_write_5m=125, cache_write_1h=200)
"""Of a token, in hundredths of a fresh one (platform.claude.com, pricing, read 2026-11-22)."""


class Watched(AnthropicPromptCache):
    """A cache that remembers what it has told."""

    def __init__(self, **options: Any) -> None:
        super().__init__(clock=ManualClock(), **options)
        self.told: list[Tokens] = []

    def look_up(self, body: Body) -> Tokens:
        self.told.append(AnthropicPromptCache.look_up(self, body))
        return self.told[-1]


class WatchedOpenAI(OpenAIPromptCache):
    """A cache that remembers what it has told."""

    def __init__(self) -> None:
        super().__init__(clock=ManualClock())
        self.told: list[Tokens] = []

    def look_up(self, body: Body) -> Tokens:
        self.told.append(OpenAIPromptCache.look_up(self, body))
        return self.told[-1]


def bill(told: Iterable[Tokens]) -> float:
    """In fresh tokens."""
    return (
        sum(
            each.fresh * WEIGHTS.fresh
            + each.cache_read * WEIGHTS.cache_read
            + each.cache_write_5m * WEIGHTS.cache_write_5m
            + each.cache_write_1h * WEIGHTS.cache_write_1h
            for each in told
        )
        / 100
    )


def without_markers(body: Any) -> Any:
    """The same request without any marker, every text a list of the one block it stands for."""
    if isinstance(body, Mapping):
        return {
            key: [{"type": "text", "text": value}]
            if key in ("system", "content") and isinstance(value, str)
            else without_markers(value)
            for key, value in body.items()
            if key not in ("cache_control", "prompt_cache_breakpoint")
        }
    return [without_markers(each) for each in body] if isinstance(body, list) else body


def markers(body: Any) -> int:
    """How many there are, wherever they stand."""
    if isinstance(body, Mapping):
        return ("cache_control" in body) + sum(map(markers, body.values()))
    return sum(map(markers, body)) if isinstance(body, list) else 0


def marked_parts(body: Body) -> list[str]:
    """In which parts of a request its markers stand."""
    return [
        part for part in ("tools", "system", "messages") for _ in range(markers(body.get(part)))
    ]


def said(body: Body) -> str:
    """The system prompt of a request as one text."""
    given = body["system"]
    return given if isinstance(given, str) else "".join(block["text"] for block in given)


def looks_once(request: Request) -> Reply:
    """Each question is answered after one look at a page."""
    number = len(request.body["messages"])
    last = request.body["messages"][-1]
    if "tool_result" in str(last) or last["role"] == "tool":
        return Reply(words(f"Answer {number}", 60))
    return Reply(tool_calls=(ToolCall("look_up", {"order": f"W{number}"}, f"c{number}"),))


def look_up(order: str) -> str:
    """Find an order."""
    return words(f"Result {order}", 120)


def weigh(order: str) -> str:
    """Weigh the parcel of an order, in grams."""
    return "320"


async def chat_in(llm: Any, way: str, messages: list[ChatMessage], **options: Any) -> None:
    """Asks in one of `CHATS`, and reads a stream to its end."""
    answer = getattr(llm, way)(messages, **options)
    if way.startswith("a"):
        answer = await answer
    if "astream" in way:
        assert [chunk async for chunk in answer]
    elif "stream" in way:
        assert list(answer)


def system(text: str) -> ChatMessage:
    return ChatMessage(text, role="system")


def everything() -> ChatMemoryBuffer:
    return ChatMemoryBuffer.from_defaults(token_limit=10**6)
