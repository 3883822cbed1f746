"""Finding out whether a starting call is one of those that say nothing when they are cancelled."""

from __future__ import annotations

import asyncio
from types import FrameType
from typing import Final

from langchain_core.language_models import BaseChatModel, BaseLLM

_SILENT_WHEN_CANCELLED: Final = frozenset(
    {BaseChatModel.agenerate.__code__, BaseLLM.agenerate.__code__}
)
"""They report neither end nor error when they are cancelled (langchain-core 1.7 to 1.8)."""
_REPORTS_EVERY_END: Final = frozenset({BaseChatModel.generate.__code__, BaseLLM.generate.__code__})
"""Synchronous calls, which may be made in a running loop (a notebook) and inside a silent one."""
_HOW_FAR_UP: Final = 12


def in_a_loop() -> bool:
    """Whether this code runs in an event loop; asking asyncio costs a third of raising to know."""
    return asyncio._get_running_loop() is not None


def silent_maker(frame: FrameType | None) -> FrameType | None:
    """The frame that made this call, if it is one that says nothing when cancelled."""
    for _ in range(_HOW_FAR_UP):
        if frame is None or frame.f_code in _REPORTS_EVERY_END:
            return None
        if frame.f_code in _SILENT_WHEN_CANCELLED:
            return frame
        frame = frame.f_back
    return None
