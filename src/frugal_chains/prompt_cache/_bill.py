"""What the input of this call and of those that follow is expected to cost, marker by marker.

One call: with A the end of what is read, B the end of the last marker with the long time to live
and C that of the last marker, A is read, B - A is written for long, C - B for short, and the rest
is fresh ("Mixing different TTLs", platform.claude.com/docs/en/build-with-claude/prompt-caching,
read 2026-11-22). A marker before another one with the same time to live costs nothing.

Calls that follow come in time or too late by the gaps that are expected. In time, all is read that
the call before had marked, and what is new is written; where only the long time to live has lasted,
what stands in front of its last marker is read; else all is written again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from frugal_chains.pricing import CacheTerms
from frugal_chains.prompt_cache._facts import Traffic
from frugal_chains.prompt_cache._layout import Layout


class Mark(NamedTuple):
    """A marker on the block of a rank."""

    rank: int
    long: bool = False


class Split(NamedTuple):
    """Input tokens of one call: read, written for long and short, fresh."""

    read: int
    long: int
    short: int
    fresh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a bill depends on, but for the markers."""

    layout: Layout
    kept: tuple[int, ...]
    """Ranks at which the cache should have an entry, in ascending order."""
    short: CacheTerms
    long: CacheTerms
    short_s: float
    long_s: float
    lookback: int | None
    ahead: Traffic
    others: Traffic

    def reachable(self, mark: int, kept: int) -> bool:
        """Whether a marker on one rank finds an entry that ends at another."""
        away = self.layout.places[mark] - self.layout.places[kept]
        return kept <= mark and (self.lookback is None or kept == mark or away < self.lookback)

    def warm_tokens(self, marks: Sequence[Mark]) -> int:
        """Of this request, that are read from what earlier ones have left."""
        ends, stable, least = self.layout.ends, self.layout.stable, self.short.min_tokens
        for kept in reversed(self.kept):  # the longest first
            if kept < stable and any(self.reachable(m.rank, kept) for m in marks):
                return ends[kept] if ends[kept] >= least else 0
        return 0

    def split(self, marks: Sequence[Mark], *, all_written: bool = False) -> Split:
        """Of this call. `all_written`: the provider writes up to the end, whatever is marked."""
        total, marks = self.layout.total_tokens, self._long_enough(marks)
        read = self.warm_tokens(marks)
        end = max((self.layout.ends[m.rank] for m in marks), default=0)
        end_long = max((self.layout.ends[m.rank] for m in marks if m.long), default=0)
        if all_written and total >= self.short.min_tokens:
            end = total
        end_long = max(read, end_long)
        end = max(end_long, end)
        return Split(read, end_long - read, end - end_long, total - end)

    def nanos(self, marks: Sequence[Mark], *, all_written: bool = False) -> float:
        """Of this call's input, of that of the calls that follow, and of others' instructions."""
        now, prices = self.split(marks, all_written=all_written), self.short.prices
        marks = self._long_enough(marks)
        cost = now.read * prices.cache_read + now.fresh * prices.fresh
        cost += now.long * self.long.prices.cache_write + now.short * prices.cache_write
        cost += self._further(marks, now, all_written=all_written)
        return cost + self._others(marks, all_written=all_written)

    def _long_enough(self, marks: Sequence[Mark]) -> tuple[Mark, ...]:
        least = self.short.min_tokens
        return tuple(m for m in marks if self.layout.ends[m.rank] >= least)

    def _further(self, marks: Sequence[Mark], now: Split, *, all_written: bool) -> float:
        calls, layout, prices = self.ahead.calls, self.layout, self.short.prices
        lasting = [m for m in marks if m.rank < layout.stable]
        end = layout.end(max((m.rank for m in lasting), default=-1))
        end_long = layout.end(max((m.rank for m in lasting if m.long), default=-1))
        moving = layout.grows and any(m.rank == layout.stable - 1 for m in lasting)
        before, marked = self.ahead.sums(end, self.ahead.growth_tokens if moving else 0)
        _, tokens = self.ahead.sums(layout.total_tokens, self.ahead.growth_tokens)
        write, write_long = prices.cache_write, self.long.prices.cache_write
        all_long = 0 < end <= end_long
        write_last = write_long if all_long else write
        head = marked if all_long else calls * end_long
        alive_long = self.ahead.alive(self.long_s) if end_long else 0.0
        alive = alive_long if all_long else self.ahead.alive(self.short_s)
        only_long = max(0.0, alive_long - alive)
        cost = alive * (before * prices.cache_read + (marked - before) * write_last)
        cost += only_long * (head * prices.cache_read + (marked - head) * write)
        cost += (1 - alive - only_long) * (head * write_long + (marked - head) * write)
        # Behind the last marker that lasts: written on every call where a marker stands there too.
        behind = tokens - marked
        in_vain = calls * max(0, now.read + now.long + now.short - end)
        if all_written:
            in_vain = behind if layout.total_tokens >= self.short.min_tokens else 0
        return cost + in_vain * write + (behind - in_vain) * prices.fresh

    def _others(self, marks: Sequence[Mark], *, all_written: bool) -> float:
        layout, calls = self.layout, self.others.calls
        last = max((m for m in marks if m.rank < layout.head), default=None)
        tokens, terms, ttl_s = 0, self.short, self.short_s
        if last is not None:
            tokens = layout.ends[last.rank]
            terms, ttl_s = (self.long, self.long_s) if last.long else (terms, ttl_s)
        alive, prices = self.others.alive(ttl_s), terms.prices
        marked = tokens * (alive * prices.cache_read + (1 - alive) * prices.cache_write)
        rest = self.short.prices.cache_write if all_written else prices.fresh
        # All their instructions, so that the same tokens are billed in whatever order they stand.
        return calls * (marked + (layout.end(layout.front - 1) - tokens) * rest)


def unmarked_nanos(scene: Scene) -> float:
    """Of the same calls where the provider caches by itself, and bills as it reads: the longest
    beginning that it has seen, in its steps."""
    layout, terms, ahead = scene.layout, scene.short, scene.ahead
    total, lasting = layout.total_tokens, layout.end(layout.stable - 1)
    warm = max((layout.ends[k] for k in scene.kept if k < layout.stable), default=0)
    cost = terms.call_nanos(total, warm)
    if total >= terms.min_tokens:
        before, _ = ahead.sums(lasting, ahead.growth_tokens if layout.grows else 0)
        _, tokens = ahead.sums(total, ahead.growth_tokens)
        rest = (terms.step_tokens - 1) / 2 * ahead.calls if layout.grows else 0.0
        if not layout.grows:
            before = ahead.calls * terms.read_tokens(total, lasting)
        read = ahead.alive(scene.short_s) * max(0.0, before - rest)
        read = read if lasting >= terms.min_tokens else 0.0
        gain = terms.prices.cache_write - terms.prices.cache_read
        cost += tokens * terms.prices.cache_write - read * gain
    else:
        cost += ahead.sums(total, ahead.growth_tokens)[1] * terms.prices.fresh
    return cost + _others_unmarked(scene)


def _others_unmarked(scene: Scene) -> float:
    layout, terms = scene.layout, scene.short
    head, front = layout.end(layout.head - 1), layout.end(layout.front - 1)
    alive = scene.others.alive(scene.short_s)
    one = alive * terms.call_nanos(front, head) + (1 - alive) * terms.call_nanos(front)
    return scene.others.calls * one
