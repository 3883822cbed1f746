"""Which places become groups of their own: a bounded number, the largest ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from frugal_chains.replay.inventory._place import Place
from frugal_chains.replay.inventory._table import Table
from frugal_chains.replay.inventory._tally import Tally

MAX_GROUPS: Final = 200
"""Groups that are shown, `other` among them."""
_MAX_TASKS: Final = 2_048
_MAX_LEADS: Final = 4_096
_MAX_HEADS: Final = 2_048
"""Groups under way: a few kB each, so 40 MB at most."""
LEAST_LEAD_CALLS: Final = 3
LEAST_LEAD_PERCENT: Final = 5
"""First words make a group of their own from so many calls on, and from such a share of the calls
with the same system prompt and tools; below that they are chance."""


class Grouped(NamedTuple):
    """The groups at the end."""

    groups: list[tuple[Place | None, Tally]]
    """None: all others."""
    in_other: int
    more: bool
    """There were more than could be told apart."""


class Grouping:
    """Tallies of places: of tags, of prompts with their first words, of prompts without them."""

    def __init__(self) -> None:
        self._other = Tally()
        self._tasks = Table(_MAX_TASKS, lambda _: self._other)
        self._heads = Table(_MAX_HEADS, lambda _: self._other)
        self._leads = Table(_MAX_LEADS, self._head)
        self._rank: Callable[[Place], int] = hash
        self._ranks: dict[Place, int] = {}

    def tally(self, place: Place, rank: Callable[[Place], int]) -> Tally:
        """Where a call of this place is counted."""
        self._rank = rank
        if place.kind == "prompt" and place.lead:
            return self._leads.at(self._ranked(place), place)
        if place.kind == "prompt":
            return self._head(place)
        return self._tasks.at(self._ranked(place), place)

    def _head(self, place: Place) -> Tally:
        whole = place._replace(lead=0)
        return self._heads.at(self._ranked(whole), whole)

    def _ranked(self, place: Place) -> int:
        """The rank, remembered: hashing takes longer than all else here."""
        found = self._ranks.get(place)
        if found is None:
            if len(self._ranks) >= _MAX_LEADS:
                self._ranks.clear()
            found = self._ranks[place] = self._rank(place)
        return found

    def groups(self, limit: int) -> Grouped:
        """At most `limit` groups, those of the most calls, the rest as one."""
        made: list[tuple[Place, Tally]] = [*self._tasks]
        made += self._prompts()
        made.sort(key=_most_calls_first)
        kept, rest = made, made[limit:]
        if rest or self._other.calls:
            kept, rest = made[: limit - 1], made[limit - 1 :]
        for _, tally in rest:
            self._other.merge(tally)
        groups: list[tuple[Place | None, Tally]] = [*kept]
        if self._other.calls:
            groups.append((None, self._other))
        more = self._tasks.full or self._heads.full
        return Grouped(groups, in_other=len(rest), more=more)

    def _prompts(self) -> list[tuple[Place, Tally]]:
        """Prompts with first words that many calls share, and one group of all others each."""
        calls: dict[Place, int] = {}
        for place, tally in (*self._leads, *self._heads):
            whole = place._replace(lead=0)
            calls[whole] = calls.get(whole, 0) + tally.calls
        heads = dict(self._heads)
        made = []
        for place, tally in self._leads:
            whole = place._replace(lead=0)
            if _stands_alone(tally.calls, calls[whole]):
                made.append((place, tally))
            else:
                heads.setdefault(whole, Tally()).merge(tally)
        return [*made, *heads.items()]


def _stands_alone(calls: int, of_calls: int) -> bool:
    return calls >= LEAST_LEAD_CALLS and calls * 100 >= of_calls * LEAST_LEAD_PERCENT


def _most_calls_first(group: tuple[Place, Tally]) -> tuple[int, int, tuple[int, str], str]:
    place, tally = group
    nanos = tally.sums[-1]
    return -tally.calls, -nanos, tally.example or (0, ""), place.name
