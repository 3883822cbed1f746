"""`SimulatedCache`: what a provider's prompt cache would bill, request after request.

By the rules of `providers` (dated, with their sources): some caches read any beginning that an
earlier prompt had, others only what has ended at a marker; entries live for so long after their
last use. Not simulated: parallel first calls, eviction before the time to live.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from frugal_chains.providers import cache_controls, cache_rule

_REMEMBERED: Final = 200_000
"""Ends of blocks that are kept of one model, the least recently used go first: some megabytes."""


@dataclass(frozen=True, slots=True)
class PromptPart:
    """One block of a prompt as it is sent."""

    key: int
    """The same for the same bytes."""
    tokens: int
    positions: int = 1
    """How many blocks it is for the provider's look-back."""


@dataclass(frozen=True, slots=True)
class CacheSplit:
    """The input tokens of one request as they are billed; together they are all of them."""

    fresh: int
    read: int = 0
    write_short: int = 0
    write_long: int = 0
    """For the provider's long time to live."""

    @property
    def tokens(self) -> int:
        return self.fresh + self.read + self.write_short + self.write_long


@dataclass(slots=True)
class _Entry:
    used_s: float
    ttl_s: float


class SimulatedCache:
    """Of one model. Prompts come in the order of time.

    Args:
        model, provider: Whose rules hold.
        ttl: The time to live of requests that are not marked, by the provider's name; empty: the
            shortest.
    """

    def __init__(self, model: str, provider: str = "", *, ttl: str = "") -> None:
        self._rule = cache_rule(provider, model)
        self._controls = cache_controls(provider, model)
        self._ttl_s = float(self._rule.kept_s(ttl))
        self._breakpoints = self._controls.matching == "breakpoints"
        self._entries: OrderedDict[int, _Entry] = OrderedDict()

    def send(
        self,
        parts: Sequence[PromptPart],
        at_s: float,
        *,
        marks: Sequence[tuple[int, str]] = (),
        implicit: bool = True,
    ) -> CacheSplit:
        """How a prompt is billed; it is kept where the rules say so.

        Args:
            parts: In the provider's order.
            at_s: When it is sent.
            marks: Places in `parts` after which a marker stands, and its time to live by the
                provider's name; only for caches that know markers.
            implicit: The provider's own marker at the end is not turned off.
        """
        ends, tokens = _ends(parts)
        if not self._breakpoints:
            return self._longest(ends, tokens, at_s) if self._rule.automatic else _fresh(tokens)
        own = [(len(parts) - 1, "")] if self._controls.writes_unasked and implicit else []
        return self._marked(parts, ends, tokens, at_s, [*marks, *own] if parts else [])

    @property
    def keeps_answers(self) -> bool:
        """Of the provider: see `CacheRule`."""
        return self._rule.keeps_answers

    def answered(self, parts: Sequence[PromptPart], at_s: float) -> None:
        """The answer to a prompt that was sent; it is kept where the rules say so.

        Args:
            parts: The prompt's, and the answer as a part of the next one.
            at_s: When it was sent.
        """
        if self._rule.keeps_answers and parts:
            ends, _ = _ends(parts)
            self._keep(ends[-1], at_s, self._ttl_s)

    def _longest(self, ends: list[int], tokens: list[int], at_s: float) -> CacheSplit:
        shared = 0
        for end, upto in zip(ends, tokens, strict=True):
            if not self._alive(end, at_s):
                break
            shared = upto
        for end in ends:
            self._keep(end, at_s, self._ttl_s)
        total = tokens[-1] if tokens else 0
        shared -= shared % self._rule.step_tokens
        read = shared if shared >= self._rule.min_tokens else 0
        return CacheSplit(total - read, read)

    def _marked(
        self,
        parts: Sequence[PromptPart],
        ends: list[int],
        tokens: list[int],
        at_s: float,
        marks: Sequence[tuple[int, str]],
    ) -> CacheSplit:
        total = tokens[-1] if tokens else 0
        least = self._rule.min_tokens
        known = sorted((at, ttl) for at, ttl in marks if tokens[at] >= least)
        found = [self._found(parts, ends, at, ttl, at_s) for at, ttl in known]
        longest = max((at for at in found if at is not None), default=None)
        read = 0
        if longest is not None:  # what is used is kept for as long again
            read = tokens[longest]
            self._keep(ends[longest], at_s, self._entries[ends[longest]].ttl_s)
        short = long = 0
        done = read
        for at, ttl in known:
            written = tokens[at] - done
            if written <= 0:  # it is there already, for as long as it was written for
                continue
            ttl_s = float(self._controls.ttl_s(ttl))
            self._keep(ends[at], at_s, ttl_s)
            done = tokens[at]
            if ttl_s > self._controls.ttl_s():
                long += written
            else:
                short += written
        return CacheSplit(total - done, read, short, long)

    def _found(
        self, parts: Sequence[PromptPart], ends: list[int], at: int, ttl: str, at_s: float
    ) -> int | None:
        """The latest place at or before a marker where there is an entry within its reach."""
        reach = self._controls.lookback if ttl else self._controls.unasked_lookback
        left = len(ends) if reach is None else reach
        for place in range(at, -1, -1):
            if self._alive(ends[place], at_s):
                return place
            left -= parts[place].positions
            if left <= 0:
                return None
        return None

    def _alive(self, end: int, at_s: float) -> bool:
        entry = self._entries.get(end)
        return entry is not None and at_s - entry.used_s < entry.ttl_s

    def _keep(self, end: int, at_s: float, ttl_s: float) -> None:
        entry = self._entries.get(end)
        if entry is None:
            self._entries[end] = _Entry(at_s, ttl_s)
            if len(self._entries) > _REMEMBERED:
                self._entries.popitem(last=False)
            return
        entry.used_s, entry.ttl_s = at_s, ttl_s
        self._entries.move_to_end(end)


def _ends(parts: Sequence[PromptPart]) -> tuple[list[int], list[int]]:
    """A name for each beginning, and its tokens."""
    ends, tokens = [], []
    name, total = 0, 0
    for part in parts:
        name = hash((name, part.key))
        total += part.tokens
        ends.append(name)
        tokens.append(total)
    return ends, tokens


def _fresh(tokens: list[int]) -> CacheSplit:
    return CacheSplit(tokens[-1] if tokens else 0)
