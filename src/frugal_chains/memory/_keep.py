"""What stays in the view when a conversation is compacted, and what leaves it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from frugal_chains.memory._facts import HeldMessage
from frugal_chains.memory._groups import Groups, group_messages

LEAST_SHORTENED_TOKENS = 64
"""A message that is cut to fit the window keeps at least so many tokens, to say what it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Positions: those before `end` leave the view, but for `kept`."""

    end: int
    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    kept_tokens: int
    dropped_tokens: int
    newest_tokens: int
    """From `end` on, without what is broken."""


def split(
    messages: Sequence[HeldMessage],
    groups: Groups,
    *,
    start: int,
    keep_tokens: int,
    room_tokens: int | None,
) -> Split:
    """The newest groups stay, until they hold `keep_tokens`; the last one always does.

    What leaves is everything before, but for groups with a system or pinned message, and the
    person's last one: it is what is being answered, however many tools have been called since.

    Args:
        messages: All of them.
        groups: From `start` on, or from before it.
        start: Messages before it have left already.
        keep_tokens: Of the newest, at least.
        room_tokens: Of all that stays from `start` on, at most; older groups leave before that is
            passed.
    """
    broken = groups.broken
    starts = groups.starts[bisect_left(groups.starts, start) :]
    staying = _staying(messages, starts, broken)
    held = sum(messages[at].tokens for at in staying)
    end, newest = len(messages), 0
    for begin in reversed(starts):
        group = [at for at in range(begin, end) if at not in broken]
        size = sum(messages[at].tokens for at in group)
        before = held - sum(messages[at].tokens for at in group if at in staying)
        over = room_tokens is not None and newest + size + before > room_tokens
        if end < len(messages) and (newest >= keep_tokens or over):
            break
        end, newest, held = begin, newest + size, before
    kept = sorted(at for at in staying if at < end)
    dropped = tuple([at for at in range(start, end) if at not in staying])
    return Split(
        end=end,
        kept=tuple(kept),
        dropped=dropped,
        kept_tokens=sum(messages[at].tokens for at in kept),
        dropped_tokens=sum([messages[at].tokens for at in dropped]),
        newest_tokens=newest,
    )


def _staying(
    messages: Sequence[HeldMessage], starts: Sequence[int], broken: frozenset[int]
) -> set[int]:
    """Positions in groups of which one message may not leave."""
    if not starts:
        return set()
    asked = last_question(messages)
    newest = messages[starts[0] :]
    fixed = [
        at
        for at, message in enumerate(newest, starts[0])
        if message.pinned or message.role == "system"
    ]
    if asked is not None and asked >= starts[0]:
        fixed.append(asked)
    staying: set[int] = set()
    for at in fixed:
        if at not in broken:
            number = bisect_right(starts, at)
            stop = starts[number] if number < len(starts) else len(messages)
            staying.update(range(starts[number - 1], stop))
    return staying - broken


def still_held(
    messages: Sequence[HeldMessage], covered: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of messages that segments have kept: those that may not leave, and those that now may, as
    they were questions that are answered by now or have been pinned then."""
    inside = [messages[at] for at in covered]
    asked = last_question(messages)
    stays: list[int] = []
    leaves: list[int] = []
    for begin, stop in pairwise((*group_messages(inside).starts, len(inside))):
        group = covered[begin:stop]
        fixed = any(
            messages[at].pinned or messages[at].role == "system" or at == asked for at in group
        )
        (stays if fixed else leaves).extend(group)
    return tuple(stays), tuple(leaves)


def merged(
    messages: Sequence[HeldMessage], cut: Split, stays: Sequence[int], leaves: Sequence[int]
) -> Split:
    """The same split where segments are merged, and with them what they have kept (`still_held`)
    stays or leaves."""
    return replace(
        cut,
        kept=(*stays, *cut.kept),
        dropped=(*leaves, *cut.dropped),
        kept_tokens=cut.kept_tokens + sum(messages[at].tokens for at in stays),
        dropped_tokens=cut.dropped_tokens + sum(messages[at].tokens for at in leaves),
    )


def last_question(messages: Sequence[HeldMessage]) -> int | None:
    """Position of the person's last message."""
    for behind, message in enumerate(reversed(messages), 1):
        if message.role == "user":
            return len(messages) - behind
    return None


def shortened_to_fit(
    messages: Sequence[HeldMessage], positions: Sequence[int], over_tokens: int
) -> tuple[tuple[int, int], ...]:
    """Which messages are cut, and to how many tokens, so that a request has so many fewer.

    Results of tools first, the largest first of each kind; never a pinned one or a system message.
    What is left over when all are at their least cannot be helped.
    """
    sizes = [message.tokens for message in messages]
    tools: list[int] = []
    others: list[int] = []
    for at in positions:
        message = messages[at]
        if message.tokens > LEAST_SHORTENED_TOKENS and not (
            message.pinned or message.role == "system"
        ):
            (tools if message.role == "tool" else others).append(at)
    for kind in (tools, others):
        kind.sort(key=sizes.__getitem__, reverse=True)
    cut: list[tuple[int, int]] = []
    for at in tools + others:
        if over_tokens <= 0:
            break
        most = sizes[at] - LEAST_SHORTENED_TOKENS
        fewer = over_tokens if over_tokens < most else most
        cut.append((at, sizes[at] - fewer))
        over_tokens -= fewer
    cut.sort()
    return tuple(cut)
