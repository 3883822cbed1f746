"""What tells one message from another, cheaply: a whole history is read before every call."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final
from zlib import crc32

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, ToolMessage

_BARE: Final = frozenset(("human", "system"))
"""Types of messages that have nothing but content, and a name at most: most are."""
_MARKERS: Final = frozenset(("cache_control", "prompt_cache_breakpoint"))


def key_of(message: BaseMessage, *, ids: bool = True) -> str:
    """The same for the same message, word for word, in every process.

    A message with an id is told by it, and by a sum that shows whether it was edited since; one
    without by a hash of what it says.

    Args:
        message: Any.
        ids: False: ids say nothing. A graph without a checkpointer gives new ones in every run.
    """
    content: Any = message.content
    if type(content) is not str:
        content = _unmarked(content)
    more = _more(message)
    if ids and message.id:
        if type(content) is str:
            data = content.encode("utf-8", "surrogatepass")
            return f"{message.id}:{len(data):x}:{crc32(data, more):x}"
        return f"{message.id}:{_sum(content, more):x}"
    said = content if type(content) is str else repr(content)
    data = f"{message.type}:{more}:{said}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=12).hexdigest()


def _unmarked(content: Any) -> Any:
    """Blocks without cache markers, which move from call to call and make a block of a text."""
    blocks = [
        {name: part for name, part in block.items() if name not in _MARKERS}
        if isinstance(block, Mapping)
        else block
        for block in content
        if not (isinstance(block, Mapping) and "cachePoint" in block)
    ]
    if len(blocks) == 1 and isinstance(blocks[0], dict) and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]
    return blocks


def _more(message: BaseMessage) -> int:
    """Of what stands beside the content."""
    more = _sum(message.name, 0) if message.name else 0
    if message.type in _BARE:
        return more
    if isinstance(message, AIMessage):
        if calls := message.tool_calls or message.additional_kwargs.get("function_call"):
            more = _sum(calls, more)
        if message.invalid_tool_calls:
            more = _sum(message.invalid_tool_calls, more)
    elif isinstance(message, ToolMessage):
        more = _sum(str(message.tool_call_id), more)
    elif isinstance(message, ChatMessage):
        more = _sum(message.role, more)
    return more


def _sum(value: Any, before: int) -> int:
    """Of nested blocks, without making one text of them: images have millions of characters."""
    if isinstance(value, str):
        return crc32(value.encode("utf-8", "surrogatepass"), before + 1)
    if isinstance(value, Mapping):
        for name, part in value.items():
            before = _sum(part, crc32(str(name).encode("utf-8", "surrogatepass"), before))
        return crc32(b"}", before)
    if isinstance(value, list | tuple):
        for part in value:
            before = _sum(part, before)
        return crc32(b"]", before)
    return crc32(repr(value).encode("utf-8", "surrogatepass"), before)
