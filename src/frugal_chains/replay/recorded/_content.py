"""The content of one message: texts, media, tool calls and tool results among its blocks.

One table reads the blocks of all three APIs, as their names do not collide: content parts of
OpenAI's chat completions and responses (openai 2.54.0, chat_completion_content_part_param.py and
responses/response_input_content.py), content blocks of Anthropic's messages (anthropic 0.125.0,
types/content_block_param.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from frugal_chains.facts import MessageFacts, ToolCallFacts
from frugal_chains.replay.recorded._skipped import Malformed

_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def as_json(value: Any) -> str:
    """Compact JSON text; a text is taken for JSON already."""
    return value if isinstance(value, str) else _compact(value)


def word(value: object) -> str:
    """A name or an id as text; "" when it is none."""
    return value if isinstance(value, str) else ""


def text_of(value: object) -> str:
    """A text, where null is an empty one.

    Raises:
        Malformed: it is something else.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed("a text of a message is no text")
    return value


@dataclass(slots=True)
class Content:
    """What the blocks of one message hold."""

    texts: list[str] = field(default_factory=list)
    images: int = 0
    """Images, documents and other media but recordings."""
    audio: int = 0
    calls: list[ToolCallFacts] = field(default_factory=list)
    results: list[MessageFacts] = field(default_factory=list)
    """Tool results, which are messages of their own here."""
    ttl: str = ""
    """The longest time to live of a cache marker."""

    def add(self, value: object) -> None:
        """Add a text, a block, or a list of both."""
        if isinstance(value, str):
            if value:
                self.texts.append(value)
        elif isinstance(value, dict):
            self._add_block(value)
        elif isinstance(value, list):
            for each in value:
                self.add(each)
        elif value is not None:
            raise Malformed("the content of a message is no text and no list of blocks")

    def _add_block(self, block: Mapping[str, Any]) -> None:
        if "cache_control" in block:
            self.ttl = longer_ttl(self.ttl, block["cache_control"])
        kind = block.get("type")
        reader = _BLOCKS.get(kind) if isinstance(kind, str) else _text
        if reader is not None:
            reader(self, block)


def longer_ttl(ttl: str, marker: object) -> str:
    """The longer of a time to live and that of an Anthropic `cache_control`: 5 minutes, the
    default, or 1 hour (anthropic 0.125.0, cache_control_ephemeral_param.py)."""
    if not isinstance(marker, dict):
        return ttl
    return "1h" if "1h" in (ttl, marker.get("ttl")) else "5m"


def tool_call(name: object, arguments: Any, id_: object) -> ToolCallFacts:
    """A call that the assistant asks for; arguments are text at OpenAI, an object at Anthropic."""
    written = "" if arguments is None else as_json(arguments)
    return ToolCallFacts(name=word(name), arguments=written, id=word(id_))


def tool_result(content: object, id_: object, name: object = "") -> MessageFacts:
    """What a tool has answered."""
    read = Content()
    read.add(content)
    return MessageFacts(
        role="tool",
        text="\n".join(read.texts),
        tool_call_id=word(id_),
        name=word(name),
        images=read.images,
        audio=read.audio,
    )


def _text(content: Content, block: Mapping[str, Any]) -> None:
    content.add(text_of(block.get("text")))


def _refusal(content: Content, block: Mapping[str, Any]) -> None:
    content.add(text_of(block.get("refusal")))


def _thinking(content: Content, block: Mapping[str, Any]) -> None:
    content.add(text_of(block.get("thinking")))


def _image(content: Content, _: Mapping[str, Any]) -> None:
    content.images += 1


def _audio(content: Content, _: Mapping[str, Any]) -> None:
    content.audio += 1


def _document(content: Content, block: Mapping[str, Any]) -> None:
    """Anthropic's documents may be plain text, or blocks; all others are pages to look at."""
    source = block.get("source")
    inner = source if isinstance(source, dict) else {}
    if inner.get("type") == "text":
        content.add(text_of(inner.get("data")))
    elif inner.get("type") == "content":
        content.add(inner.get("content"))
    else:
        content.images += 1


def _search_result(content: Content, block: Mapping[str, Any]) -> None:
    content.add(text_of(block.get("title")))
    content.add(block.get("content"))


def _tool_use(content: Content, block: Mapping[str, Any]) -> None:
    content.calls.append(tool_call(block.get("name"), block.get("input"), block.get("id")))


def _tool_result(content: Content, block: Mapping[str, Any]) -> None:
    content.results.append(tool_result(block.get("content"), block.get("tool_use_id")))


_BLOCKS: Final[Mapping[str, Callable[[Content, Mapping[str, Any]], None]]] = {
    **dict.fromkeys(("text", "input_text", "output_text"), _text),
    "refusal": _refusal,
    "thinking": _thinking,
    **dict.fromkeys(
        ("image", "image_url", "input_image", "file", "input_file", "video", "container_upload"),
        _image,
    ),
    **dict.fromkeys(("audio", "input_audio"), _audio),
    "document": _document,
    "search_result": _search_result,
    **dict.fromkeys(("tool_use", "server_tool_use"), _tool_use),
    "tool_result": _tool_result,
}
"""Other kinds hold nothing to read: encrypted search results, redacted thinking."""
