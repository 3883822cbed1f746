"""Work that takes too long for an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from langchain_core.messages import BaseMessage

R = TypeVar("R")

LONG_CHARS: Final = 20_000
"""Texts from which on counting and picking sentences takes milliseconds: not those of a loop."""
MANY: Final = 200
"""Messages from which on a history is read elsewhere than in an event loop."""


async def worked(work: Callable[..., R], *args: Any, long: bool) -> R:
    """Done in a thread where it takes long."""
    return await asyncio.to_thread(work, *args) if long else work(*args)


def is_long(messages: Sequence[BaseMessage]) -> bool:
    """Whether reading these messages is no work for an event loop."""
    if len(messages) > MANY:
        return True
    return sum(_chars(message.content) for message in messages) > LONG_CHARS


def _chars(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    return sum(
        len(part) if isinstance(part, str) else len(str(part.get("text") or ""))
        for part in content
        if isinstance(part, str | Mapping)
    )
