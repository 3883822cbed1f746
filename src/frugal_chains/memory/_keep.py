"""What stays in the view when a conversation is compacted, and what leaves it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from frugal_chains.memory._facts import HeldMessage
from frugal_chains.memory._groups import Groups

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

    What leaves is everything before, but for system and pinned messages and the person's last one:
    it is what is being answered, however many tools have been called since.

    Args:
        messages: All of them.
        groups: From `start` on, or from before it.
        start: Messages before it have left already.
        keep_tokens: Of the newest, at least.
        room_tokens: Of all that stays, at most; older groups leave before that is passed.
    """
    question = last_question(messages)
    asked = messages[question].tokens if question is not None else 0
    broken = groups.broken
    end, newest = len(messages), 0
    for begin in reversed(groups.starts[bisect_left(groups.starts, start) :]):
        size = sum(messages[at].tokens for at in range(begin, end) if at not in broken)
        stays = asked if question is not None and question < begin else 0
        over = room_tokens is not None and newest + size + stays > room_tokens
        if end < len(messages) and (newest >= keep_tokens or over):
            break
        end, newest = begin, newest + size
    kept: list[int] = []
    dropped: list[int] = []
    for at in range(start, end):
        message = messages[at]
        stays_on = message.pinned or message.role == "system" or at == question
        (kept if stays_on and at not in broken else dropped).append(at)
    return Split(
        end=end,
        kept=tuple(kept),
        dropped=tuple(dropped),
        kept_tokens=sum(messages[at].tokens for at in kept),
        dropped_tokens=sum(messages[at].tokens for at in dropped),
        newest_tokens=newest,
    )


def merged(messages: Sequence[HeldMessage], cut: Split, covered: Sequence[int]) -> Split:
    """The same split where segments are merged: messages that earlier ones have kept, at positions
    `covered`, stay only if they are pinned."""
    stays = [at for at in covered if messages[at].pinned or messages[at].role == "system"]
    leaves = [at for at in covered if at not in stays]
    return replace(
        cut,
        kept=(*stays, *cut.kept),
        dropped=(*leaves, *cut.dropped),
        kept_tokens=cut.kept_tokens + sum(messages[at].tokens for at in stays),
        dropped_tokens=cut.dropped_tokens + sum(messages[at].tokens for at in leaves),
    )


def last_question(messages: Sequence[HeldMessage]) -> int | None:
    """Position of the person's last message."""
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].role == "user":
            return at
    return None


def shortened_to_fit(
    messages: Sequence[HeldMessage], positions: Sequence[int], over_tokens: int
) -> tuple[tuple[int, int], ...]:
    """Which messages are cut, and to how many tokens, so that a request has so many fewer.

    Results of tools first, the largest first of each kind; never a pinned one or a system message.
    What is left over when all are at their least cannot be helped.
    """
    cut: list[tuple[int, int]] = []
    candidates = [
        at for at in positions if not (messages[at].pinned or messages[at].role == "system")
    ]
    candidates.sort(key=lambda at: (messages[at].role != "tool", -messages[at].tokens, at))
    for at in candidates:
        if over_tokens <= 0:
            break
        tokens = messages[at].tokens
        to = max(min(LEAST_SHORTENED_TOKENS, tokens), tokens - over_tokens)
        if to < tokens:
            cut.append((at, to))
            over_tokens -= tokens - to
    return tuple(sorted(cut))
