"""Which examples are taken, best first: one of each label, then what is least like those taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from frugal_chains.compression.prompt._likeness import Likeness

_POOL: Final = 128
"""Likeness to those chosen is looked at among so many of the most relevant: each choice compares
with all of them. Those behind come in the order of their relevance."""


class Room:
    """What is left of the budget, by the sum of the parts; the joined text is counted later."""

    def __init__(self, tokens: int, places: int, sizes: Sequence[int]) -> None:
        self.tokens = tokens
        self.places = places
        self.sizes = sizes

    def has(self, i: int, *, beside_tokens: int = 0) -> bool:
        return self.places > 0 and self.sizes[i] + beside_tokens <= self.tokens

    def take(self, i: int) -> None:
        self.places -= 1
        self.tokens -= self.sizes[i]


def one_per_label(labels: Sequence[str], relevance: Sequence[float], room: Room) -> list[int]:
    """The most relevant example of each label that leaves room for the other labels' smallest."""
    by_label: dict[str, list[int]] = {}
    for i in sorted(range(len(labels)), key=lambda i: (-relevance[i], i)):
        if labels[i]:
            by_label.setdefault(labels[i], []).append(i)
    smallest = {label: min(room.sizes[i] for i in members) for label, members in by_label.items()}
    reserved = 0
    shown: list[str] = []
    for label in by_label:
        if len(shown) < room.places and reserved + smallest[label] <= room.tokens:
            reserved += smallest[label]
            shown.append(label)
    picks = []
    for label in shown:
        reserved -= smallest[label]
        pick = next(i for i in by_label[label] if room.has(i, beside_tokens=reserved))
        room.take(pick)
        picks.append(pick)
    return picks


def fill(
    picks: list[int],
    relevance: Sequence[float],
    likeness: Likeness,
    room: Room,
    diversity: float,
    min_relevance: float,
) -> None:
    """Add to `picks`, best first, what fits in the room that is left."""
    taken = set(picks)
    ranked = [
        i
        for i in sorted(range(len(relevance)), key=lambda i: (-relevance[i], i))
        if i not in taken and relevance[i] >= min_relevance
    ]
    pool, behind = ranked[:_POOL], ranked[_POOL:]
    nearest = {i: max((likeness(i, j) for j in picks[:_POOL]), default=0.0) for i in pool}
    while pool := [i for i in pool if room.has(i)]:
        pick = max(
            pool,
            key=lambda i: (
                (1 - diversity) * relevance[i] - diversity * nearest[i],
                relevance[i],
                -i,
            ),
        )
        pool.remove(pick)
        room.take(pick)
        picks.append(pick)
        if diversity:
            nearest = {i: max(nearest[i], likeness(i, pick)) for i in pool}
    for i in behind:
        if room.has(i):
            room.take(i)
            picks.append(i)
