"""Groups: messages that only make sense together, and those that a provider would refuse.

OpenAI and Anthropic answer 400 when a tool's result has no call directly before it, and when a call
is not answered before the next other message (platform.openai.com/docs/guides/function-calling and
platform.claude.com, tool use, read 2026-11-20).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from frugal_chains.memory._facts import HeldMessage


@dataclass(frozen=True, slots=True)
class Groups:
    """Positions of messages from `start` on, in groups that stay or leave as a whole."""

    starts: tuple[int, ...]
    """Where each group begins; one ends where the next begins."""
    broken: frozenset[int]
    """What no provider takes: results without their call, calls without their results."""


def group_messages(messages: Sequence[HeldMessage], start: int = 0) -> Groups:
    """An assistant's message with its tool results is one group; any other message is its own.

    Calls of the last messages may still wait for their results: they are not broken.

    Args:
        messages: In order; a result belongs to the nearest message with calls before it.
        start: Position to begin at; it does not lie within a group.
    """
    starts: list[int] = []
    broken: list[int] = []
    at, end = start, len(messages)
    while at < end:
        message = messages[at]
        starts.append(at)
        if message.calls:
            after, refused = _calls_at(messages, at)
            broken += refused
            at = after
            continue
        if message.role == "tool":
            broken.append(at)
        at += 1
    return Groups(tuple(starts), frozenset(broken))


def _calls_at(messages: Sequence[HeldMessage], at: int) -> tuple[int, list[int]]:
    """Where the group of the calls at `at` ends, and what of it is broken."""
    waiting = Counter(messages[at].calls)
    nameless = waiting.pop("", 0)  # calls without ids are answered in their order
    broken: list[int] = []
    answered: list[int] = []
    after = at + 1
    while after < len(messages) and messages[after].role == "tool":
        answers = messages[after].answers
        if waiting[answers] > 0:
            waiting[answers] -= 1
            answered.append(after)
        elif not answers and nameless:
            nameless -= 1
            answered.append(after)
        else:
            broken.append(after)
        after += 1
    missing = nameless + sum(waiting.values())
    if missing and after < len(messages):
        broken += [at, *answered]
    return after, broken
