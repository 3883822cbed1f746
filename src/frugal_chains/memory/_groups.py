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
        at += 1
        calls = message.calls
        if not calls:
            if message.role == "tool":
                broken.append(at - 1)
        elif (
            len(calls) == 1
            and at + 1 < end
            and messages[at].role == "tool"
            and messages[at].answers == calls[0]
            and messages[at + 1].role != "tool"
        ):
            at += 1  # one call and its result: most groups of most agents
        else:
            at, refused = _calls_at(messages, at)
            broken += refused
    return Groups(tuple(starts), frozenset(broken))


def _calls_at(messages: Sequence[HeldMessage], after: int) -> tuple[int, Sequence[int]]:
    """Where the group ends whose calls stand before `after`, and what of it is broken."""
    first, end, calls = after, len(messages), messages[after - 1].calls
    answers: list[str] = []
    while after < end and messages[after].role == "tool":
        answers.append(messages[after].answers)
        after += 1
    if calls == tuple(answers):
        return after, ()  # as it mostly is
    waiting = Counter(calls)  # calls without ids are answered in their order
    broken: list[int] = []
    answered: list[int] = []
    for place, answer in enumerate(answers, first):
        if waiting[answer] > 0:
            waiting[answer] -= 1
            answered.append(place)
        else:
            broken.append(place)
    if waiting.total() and after < end:
        broken += [first - 1, *answered]
    return after, broken
