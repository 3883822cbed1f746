"""Where earlier requests have ended: a cache of breakpoints has entries there and nowhere between.

An entry lives for as long as it is used: when it is written, and when the next request reads it.
After a pause everything is written anew, but only with the latest request's end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

Ends: TypeAlias = tuple[tuple[int, float], ...]
"""In order: position of the first message behind it, and when it was last used, in seconds since
the epoch."""

REMEMBERED: Final = 32
"""The latest. What leaves mostly ends where one of the last ten requests has; of an older one that
is forgotten a summary is only taken to be dearer than it is."""


def living(ends: Iterable[tuple[int, float]], ttl_s: float, now_s: float) -> Ends:
    """Those that the cache should still have."""
    return tuple((position, used_s) for position, used_s in ends if now_s - used_s <= ttl_s)


def with_end(ends: Ends, position: int, now_s: float) -> Ends:
    """After a request that ends there: it has read the last of them, and has written its own.

    Args:
        ends: That are alive.
        position: Of the first message that the request has not.
        now_s: Seconds since the epoch.
    """
    read = [(ends[-1][0], now_s)] if ends else []
    older = [*ends[:-1], *read]
    kept = [end for end in older if end[0] < position]
    return (*kept[-(REMEMBERED - 1) :], (position, now_s))


def end_behind(ends: Ends, position: int) -> int | None:
    """The earliest of them that is behind this position."""
    return min((end for end, _ in ends if end > position), default=None)


def last_end(ends: Ends, position: int) -> int | None:
    """The latest of them that is not behind this position."""
    return max((end for end, _ in ends if end <= position), default=None)
