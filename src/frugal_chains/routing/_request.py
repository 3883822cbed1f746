"""What a routing decision looks at: the request, its conversation, and the moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from frugal_chains.facts import MessageFacts, RequestFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmPrefix:
    """What a provider's prompt cache may still hold of a conversation, for one candidate."""

    tokens: int
    """Of the conversation's beginning, as the last answer's usage said."""
    age_s: float
    """Since the last call that read or wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationFacts:
    """What earlier calls of the same conversation left behind."""

    bound_to: str = ""
    """The candidate whose tool calls or reasoning blocks the history holds: only its provider
    understands their ids, so it goes on until the loop of tool calls is over."""
    warm: Mapping[str, WarmPrefix] = field(default_factory=dict)
    """By candidate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingFacts:
    """Everything one decision may depend on."""

    request: RequestFacts
    at: datetime
    """Now; aware. Rules on the time of day use its own zone."""
    input_tokens: Mapping[str, int]
    """By candidate, in its own tokenizer; one that is missing is not priced."""
    output_tokens: Mapping[str, int] = field(default_factory=dict)
    """Expected of each candidate that has answered before."""
    output_cap_tokens: int | None = None
    """The request's own `max_tokens`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    conversation: ConversationFacts = ConversationFacts()
    asked: str = ""
    """A tier or a candidate that this request names itself; empty: the policy decides."""
    unavailable: Mapping[str, str] = field(default_factory=dict)
    """Candidates that cannot be called now, and why (`circuit open until ...`)."""
    error_tolerance: Literal["low", "normal", "high"] = "normal"
    """How much a wrong answer hurts, where the application says so: rules look at it."""
    left_nanos: int | None = None
    """What is left of the budgets with `on_exceeded="downgrade"`; None: there are none."""
    embedding: Sequence[float] | None = None
    """Of what differs in `question_of(request)`, where the policy asks for one: without what the
    gain model knows that many requests share."""


def question_of(request: RequestFacts) -> str:
    """The text that makes this request differ from others: the last message of the user.

    Everything before it, a system prompt or few-shot examples, is shared by all requests of a
    chain: signals that looked at it would find every request the same.
    """
    for message in reversed(request.messages):
        if message.role == "user" and message.text.strip():
            return message.text
    return request.messages[-1].text if request.messages else ""


def depth_of(request: RequestFacts) -> int:
    """How many turns of the user the conversation has."""
    return sum(message.role == "user" for message in request.messages)


def in_tool_loop(request: RequestFacts) -> bool:
    """Whether the model is between a tool call and the answer that ends the loop."""
    return bool(request.messages) and _is_of_loop(request.messages[-1])


def _is_of_loop(message: MessageFacts) -> bool:
    return message.role == "tool" or bool(message.tool_calls)
