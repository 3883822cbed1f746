"""What only ChatMessages show of a request: markers that LLM classes lose, or cannot take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from llama_index.core.base.llms.types import CachePoint, ChatMessage, MessageRole, TextBlock

_MARK: Final = "cache_control"


class SystemPart(NamedTuple):
    """A text of the system prompt, which Anthropic's class joins into one."""

    text: str
    mark: Mapping[str, Any] | None = None
    """The caller's: a `CachePoint` behind it, or `cache_control` of its message."""


def system_parts(messages: Sequence[ChatMessage]) -> list[SystemPart]:
    """The texts of all system messages, in order."""
    found: list[SystemPart] = []
    for message in messages:
        if message.role != MessageRole.SYSTEM:
            continue
        own: list[SystemPart] = []
        for block in message.blocks:
            if isinstance(block, TextBlock):
                own.append(SystemPart(block.text))
            elif isinstance(block, CachePoint) and own:
                own[-1] = own[-1]._replace(mark=block.cache_control.model_dump())
        mark = message.additional_kwargs.get(_MARK)
        if isinstance(mark, Mapping) and own:
            own[-1] = own[-1]._replace(mark=dict(mark))
        found += own
    return found


def with_marks_up_to(
    messages: Sequence[ChatMessage], cache_idx: int | None
) -> Sequence[ChatMessage]:
    """Copies of the messages that the class of `cache_idx` would write its markers into."""
    if cache_idx is None:
        return messages
    mark = {"type": "ephemeral"}
    return [
        _with_more(message, {_MARK: mark}) if cache_idx == -1 or at <= cache_idx else message
        for at, message in enumerate(messages)
    ]


def _with_more(message: ChatMessage, more: Mapping[str, Any]) -> ChatMessage:
    return message.model_copy(update={"additional_kwargs": {**message.additional_kwargs, **more}})


def without_points(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The messages without `CachePoint` blocks; those that have none are the same objects."""
    return [
        message.model_copy(
            update={"blocks": [b for b in message.blocks if not isinstance(b, CachePoint)]}
        )
        if any(isinstance(block, CachePoint) for block in message.blocks)
        else message
        for message in messages
    ]
