"""Texts in the content of a message, among blocks of other kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import BaseMessage

from frugal_chains.compression.payload import argument_words

MARKERS: Final = ("cache_control", "cachePoint")
"""Anthropic's and Bedrock's: what stands before one is in the provider's cache, by its bytes."""


def texts_of(content: str | Sequence[Any]) -> list[str]:
    """Every text, in order."""
    if isinstance(content, str):
        return [content]
    return [text for text in map(_text, content) if text is not None]


def with_texts(content: str | Sequence[Any], texts: Sequence[str]) -> str | list[Any]:
    """The same blocks with other texts; a block whose text is empty now is left out, because
    providers refuse one."""
    if isinstance(content, str):
        return texts[0]
    left = iter(texts)
    blocks: list[Any] = []
    for block in content:
        old = _text(block)
        if old is None:
            blocks.append(block)
        elif new := next(left):
            blocks.append(block if new == old else _replaced(block, new))
        elif not old:
            blocks.append(block)
    return blocks or ""


def is_marked(message: BaseMessage) -> bool:
    """Whether a cache marker stands in it."""
    if any(name in message.additional_kwargs for name in MARKERS):
        return True
    blocks = [] if isinstance(message.content, str) else message.content
    return any(isinstance(block, Mapping) and _has_marker(block) for block in blocks)


def words_of(call: Mapping[str, Any]) -> str:
    """The arguments of a tool call as words."""
    return argument_words((call.get("args") or {}).items())


def _has_marker(block: Mapping[Any, Any]) -> bool:
    inner = block.get("content")
    nested = inner if isinstance(inner, list) else ()
    return any(name in block for name in MARKERS) or any(
        isinstance(each, Mapping) and any(name in each for name in MARKERS) for each in nested
    )


def _text(block: Any) -> str | None:
    if isinstance(block, str):
        return block
    if isinstance(block, Mapping) and block.get("type") == "text":
        text = block.get("text")
        return text if isinstance(text, str) else None
    return None


def _replaced(block: Any, text: str) -> Any:
    return text if isinstance(block, str) else {**block, "text": text}
