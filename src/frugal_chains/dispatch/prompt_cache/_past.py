"""What earlier requests have left in the providers' caches, and how conversations go."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from frugal_chains.prompt_cache import Traffic

_CONVERSATIONS: Final = 1_024
_ENTRIES: Final = 4_096
"""Beginnings that were marked, of all conversations, the least recently used go first."""
_CLOCK_S: Final = 5.0
"""A clock is set back by less than this without anything being wrong."""
_GAPS: Final = 16
"""The latest are remembered of a conversation."""
FIRST_GAP_S: Final = 60.0
"""Between two calls of a conversation of which only one is known: a person who reads and types.
Agents call every few seconds; what is marked for five minutes lasts for both."""
LEAST_AHEAD: Final = 4.0
"""Further calls of a conversation that begins, of which nothing is known; later as many as it has
had (what has lasted for long will, J. R. Gott, "Implications of the Copernican principle", Nature
363, 1993)."""


@dataclass(slots=True)
class _Talk:
    at_s: float
    calls: int = 0
    tokens: int = 0
    growth_tokens: int = 0
    gaps_s: deque[float] = field(default_factory=lambda: deque(maxlen=_GAPS))


class _Entry(NamedTuple):
    used_s: float
    ttl_s: float

    def lasts(self, now_s: float) -> bool:
        """Not what a clock that was set back says to be of the future."""
        return -_CLOCK_S <= now_s - self.used_s < self.ttl_s


class _Kept:
    """The beginnings that last, looked up one by one: one step for the interpreter."""

    __slots__ = ("_entries", "_now_s")

    def __init__(self, entries: Mapping[bytes, _Entry], now_s: float) -> None:
        self._entries, self._now_s = entries, now_s

    def __contains__(self, prefix: object) -> bool:
        entry = self._entries.get(prefix) if isinstance(prefix, bytes) else None
        return entry is not None and entry.lasts(self._now_s)


class CachePast:
    """Safe for threads. Times are seconds of one clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._talks: OrderedDict[str, _Talk] = OrderedDict()
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def kept(self, now_s: float) -> Container[bytes]:
        """Beginnings that should be in a cache now: a look at them, not a copy."""
        return _Kept(self._entries, now_s)

    def ahead(self, conversation: str, now_s: float) -> Traffic:
        """What is expected of a conversation before its next call."""
        with self._lock:
            talk = self._talks.get(conversation)
            if talk is None:
                return Traffic(calls=self._usual(now_s), gaps_s=(FIRST_GAP_S,))
            gaps = (*talk.gaps_s, max(0.0, now_s - talk.at_s))[-_GAPS:]
            return Traffic(
                calls=max(LEAST_AHEAD, float(talk.calls)),
                gaps_s=gaps,
                growth_tokens=talk.growth_tokens,
            )

    def _usual(self, now_s: float) -> float:
        """Further calls of a conversation that begins: `LEAST_AHEAD`, or fewer, where others had
        fewer. Questions that stand alone are marked in vain. The guess counts as one of them."""
        over = [t for t in self._talks.values() if t.calls > 1 or now_s - t.at_s > FIRST_GAP_S]
        further = sum(talk.calls - 1 for talk in over)
        return min(LEAST_AHEAD, (LEAST_AHEAD + further) / (1 + len(over)))

    def sent(self, conversation: str, tokens: int, now_s: float) -> None:
        """A request of a conversation was sent."""
        with self._lock:
            talk = self._talks.setdefault(conversation, _Talk(at_s=now_s))
            self._talks.move_to_end(conversation)
            if talk.calls:
                talk.gaps_s.append(max(0.0, now_s - talk.at_s))
                talk.growth_tokens = max(0, tokens - talk.tokens) or talk.growth_tokens
            talk.calls, talk.tokens, talk.at_s = talk.calls + 1, tokens, now_s
            if len(self._talks) > _CONVERSATIONS:
                self._talks.popitem(last=False)

    def keep(self, prefix: bytes, now_s: float, ttl_s: float) -> None:
        """A beginning is written to a cache, or read from it."""
        with self._lock:
            known = self._entries.get(prefix)
            if known is not None and known.lasts(now_s):
                # Who reads an hour's entry with a marker for five minutes does not shorten it.
                ttl_s = max(ttl_s, known.ttl_s)
            self._entries[prefix] = _Entry(now_s, ttl_s)
            self._entries.move_to_end(prefix)
            if len(self._entries) > _ENTRIES:
                self._entries.popitem(last=False)
