"""Whether a provider would take a request: its rules about the order of messages.

Sources, read 2026-11: developers.openai.com/api/docs/guides/function-calling and
platform.claude.com/docs/en/build-with-claude/tool-use. Both refuse a result without its call and a
call without its result (400); Anthropic also refuses a conversation that does not begin with the
user, and empty text. System messages count for none of them: adapters lift those out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from memory.protocol import Block, Request

Rule = Literal[
    "result without call",
    "call without result",
    "second result",
    "first message",
    "empty",
    "no message",
]
PAIR_RULES: Final[frozenset[Rule]] = frozenset(
    ("result without call", "call without result", "second result")
)
"""Those that every provider has."""


class Breach(NamedTuple):
    """One message that a provider would refuse."""

    rule: Rule
    block: int
    """Its number in the request."""


def breaches(blocks: Sequence[Block]) -> list[Breach]:
    """Everything that is wrong with a request's messages, in order.

    A result has to answer a call of the assistant's message before it, with nothing but results
    between the two; every call has to be answered before the next message that is no result, and
    before the end.
    """
    found: list[Breach] = []
    open_calls: list[str] = []
    answered: list[str] = []
    asked_at, first = -1, True
    for number, block in enumerate(blocks):
        if block.role == "system":
            continue
        if block.role == "tool":
            if block.answers in open_calls:
                open_calls.remove(block.answers)
                answered.append(block.answers)
            else:
                twice = block.answers in answered
                found.append(Breach("second result" if twice else "result without call", number))
        else:
            found += [Breach("call without result", asked_at) for _ in open_calls]
            open_calls = [call.id for call in block.calls] if block.role == "assistant" else []
            answered, asked_at = [], number
            if not block.text.strip() and not block.calls:
                found.append(Breach("empty", number))
        if first and block.role != "user":
            found.append(Breach("first message", number))
        first = False
    found += [Breach("call without result", asked_at) for _ in open_calls]
    if first:
        found.append(Breach("no message", len(blocks)))
    return found


class Validity(NamedTuple):
    """How many requests a provider would take."""

    requests: int
    valid: int
    """By all rules;"""
    paired: int
    """by those about tool calls alone."""

    @property
    def valid_percent(self) -> float:
        return 100.0 * self.valid / self.requests if self.requests else 100.0

    @property
    def paired_percent(self) -> float:
        return 100.0 * self.paired / self.requests if self.requests else 100.0


def validity(requests: Iterable[Request]) -> Validity:
    """Of all requests, those of the summariser too."""
    counted = valid = paired = 0
    for request in requests:
        rules = {breach.rule for breach in breaches(request.blocks)}
        counted += 1
        valid += not rules
        paired += not rules & PAIR_RULES
    return Validity(counted, valid, paired)
