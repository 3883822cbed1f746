"""The gate: requests that need no model, because they are refused or their answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.routing._seen import Seen
from frugal_chains.routing._signals import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """Refuses requests."""

    name: str
    when: Signal
    message: str
    """What the user reads instead of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CannedAnswer:
    """Answers a frequent question without any model.

    Only the first question of a conversation is answered so, and none that carries images, tools
    or a schema: later ones may mean something else with the same words.
    """

    name: str
    when: Signal
    """`SimilarTo(("What are your opening hours?", ...), at_least=0.8)`, say."""
    answer: str


@dataclass(frozen=True, slots=True)
class AtTheGate:
    """What happened there."""

    action: Literal["answer", "refuse"]
    name: str
    text: str
    why: str


def at_the_gate(
    guardrails: Sequence[Guardrail], answers: Sequence[CannedAnswer], seen: Seen
) -> AtTheGate | None:
    """The refusal or the answer; None: the request goes on to a model."""
    request = seen.facts.request
    malformed = what_is_malformed(request)
    if malformed:
        text = f"This request cannot be answered: {malformed}."
        return AtTheGate("refuse", "malformed", text, malformed)
    for guardrail in guardrails:
        why = guardrail.when.why(seen)
        if why:
            return AtTheGate("refuse", guardrail.name, guardrail.message, why)
    if not _is_plain(request) or seen.depth > 1:
        return None
    for canned in answers:
        why = canned.when.why(seen)
        if why:
            return AtTheGate("answer", canned.name, canned.answer, why)
    return None


def what_is_malformed(request: RequestFacts) -> str:
    """What every provider would refuse, or bill for nothing; empty when there is nothing."""
    if not request.messages:
        return "it has no messages"
    if not any(map(_says_something, request.messages)):
        return "all its messages are empty"
    called = {call.id for message in request.messages for call in message.tool_calls if call.id}
    for message in request.messages:
        if message.role == "tool" and message.tool_call_id and message.tool_call_id not in called:
            return f"it has a result for the tool call {message.tool_call_id!r}, which is not in it"
    return ""


def _says_something(message: MessageFacts) -> bool:
    return bool(message.text.strip() or message.images or message.audio or message.tool_calls)


def _is_plain(request: RequestFacts) -> bool:
    media = any(message.images or message.audio for message in request.messages)
    return not (request.tools or request.output_schema or media)
