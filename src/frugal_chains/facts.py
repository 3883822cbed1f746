"""What a decision may look at: plain facts about messages, tools and requests.

Adapters read these off framework objects; nothing below an adapter ever sees a framework object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallFacts:
    """A call the assistant asked for, as it is sent back to the provider in the history."""

    name: str
    arguments: str
    """JSON text."""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFacts:
    """One message of a request."""

    role: Role
    text: str = ""
    """All text blocks joined by newlines; images and other media are counted apart."""
    tool_calls: tuple[ToolCallFacts, ...] = ()
    tool_call_id: str = ""
    """For role `tool`: the call this answers."""
    name: str = ""
    images: int = 0
    audio: int = 0
    """Recordings."""
    text_lengths: tuple[int, ...] = field(default=(), compare=False)
    """Of a system message: characters of each of its text blocks; empty: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFacts:
    """One tool the model is offered."""

    name: str
    description: str = ""
    parameters: str = ""
    """JSON schema of the arguments, as JSON text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """What is sent to the provider in one request."""

    messages: tuple[MessageFacts, ...] = ()
    tools: tuple[ToolFacts, ...] = ()
    output_schema: str = ""
    """JSON schema of a structured answer, as JSON text, where the request carries one."""
    cache_ttl: Literal["", "5m", "1h"] = ""
    """The longest time to live among the request's prompt-cache markers; empty: none."""
