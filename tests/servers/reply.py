"""`Reply`: what the scripted server answers to one request, and how it goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Token counts that share no bucket; the wire modules add them up as each provider does."""

    fresh: int = 0
    """Input tokens neither read from nor written to the prompt cache."""
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    visible: int = 0
    """Output tokens that are part of the answer."""
    reasoning: int = 0

    @property
    def cache_write(self) -> int:
        return self.cache_write_5m + self.cache_write_1h

    @property
    def input(self) -> int:
        return self.fresh + self.cache_read + self.cache_write

    @property
    def output(self) -> int:
        return self.visible + self.reasoning


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str = "call_1"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. Without arguments: an echo of the last user text, with usage counted from it."""

    text: str | None = None
    """None echoes the last user text; with tool calls it means no text."""
    _: KW_ONLY
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Tokens | Mapping[str, Any] | None = None
    """None: counted, through the prompt cache if one is on. A mapping is sent as it is."""
    omit_usage: bool = False
    """Leave usage out where the protocol allows it (what many compatible servers do)."""
    delta_usage: Literal["cumulative", "output_only"] = "cumulative"
    """Anthropic streams: what the last `message_delta` repeats. Both are in the documents: the
    web-search example repeats input and cache fields, the basic example has output alone
    (platform.claude.com, Streaming messages, read 2026-11-21)."""
    model: str | None = None
    """The model that answers; None repeats the one asked for."""
    service_tier: str | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    """More fields of a whole answer, beside those of its protocol."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    """Before the status line."""
    chunk_delay_s: float = 0.0
    """Before each server-sent event after the first."""
    disconnect: bool = False
    """Close the connection without an answer."""
    cut_after_chunks: int | None = None
    """End the stream after so many server-sent events."""
    cut_cleanly: bool = True
    """True: a complete HTTP body, as from a proxy that gives up; False: the connection breaks."""
    fail_after_chunks: int | None = None
    """Send the provider's error event after so many server-sent events, and end."""
    stall_after_chunks: int | None = None
    """Fall silent after so many server-sent events, until the server stops."""
