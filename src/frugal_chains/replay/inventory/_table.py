"""Groups in bounded memory, whatever the order in which their calls come."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from frugal_chains.replay.inventory._place import Place
from frugal_chains.replay.inventory._tally import Tally


class Table:
    """A tally for each of at most `limit` places; calls of all others go to `beyond`.

    Kept are the places of the lowest ranks. One that is pushed out by lower ones never comes back,
    as the ranks that are kept only fall: what is kept has seen all its calls, and which places are
    kept does not depend on the order.
    """

    def __init__(self, limit: int, beyond: Callable[[Place], Tally]) -> None:
        self._limit = limit
        self._beyond = beyond
        self._kept: dict[int, tuple[Place, Tally]] = {}
        self._highest: list[int] = []  # a heap of negated ranks
        self.full = False
        """There were more places than `limit`."""

    def at(self, rank: int, place: Place) -> Tally:
        """The tally that a call of this place is added to."""
        found = self._kept.get(rank)
        if found is not None:
            return found[1]
        if len(self._kept) >= self._limit:
            self.full = True
            if rank > -self._highest[0]:
                return self._beyond(place)
            pushed_out, tally = self._kept.pop(-heapq.heappop(self._highest))
            self._beyond(pushed_out).merge(tally)
        made = Tally()
        self._kept[rank] = place, made
        heapq.heappush(self._highest, -rank)
        return made

    def __iter__(self) -> Iterator[tuple[Place, Tally]]:
        return iter(self._kept.values())
