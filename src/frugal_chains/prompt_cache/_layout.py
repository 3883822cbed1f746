"""A request as the provider's cache reads it: in which order, how far it stays the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Protocol

from frugal_chains.errors import CachePlanError
from frugal_chains.prompt_cache._facts import RANK, CacheBlock, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Blocks by their *rank*: their place in the order in which they are read."""

    order: tuple[int, ...]
    """By rank: the index of the block."""
    ends: tuple[int, ...]
    """By rank: tokens up to the end of the block."""
    places: tuple[int, ...]
    """By rank: the look-back's position of the block, counted from the first one."""
    stable: int
    """Ranks below this are the same in the next request."""
    front: int
    """Ranks below this are tools and instructions, stable or not."""
    head: int
    """Ranks below this are stable tools and instructions: what other conversations share."""
    grows: bool
    """What is new in the next request comes behind all that is stable in this one."""

    @property
    def total_tokens(self) -> int:
        return self.ends[-1] if self.ends else 0

    @property
    def all_stable(self) -> bool:
        return self.stable == len(self.ends)

    def end(self, rank: int) -> int:
        """Tokens up to and with this rank; 0 for the rank before the first."""
        return self.ends[rank] if rank >= 0 else 0


class Placed(Protocol):
    """What can be put in order: a block, with its text or without."""

    @property
    def kind(self) -> Kind: ...

    @property
    def volatile(self) -> bool: ...


def static_first(blocks: Sequence[Placed]) -> tuple[int, ...]:
    """Indices in an order in which instructions that stay the same stand before those that do not;
    all else stays where it is."""
    system = [i for i, block in enumerate(blocks) if block.kind == "system"]
    moved = iter(sorted(system, key=lambda i: blocks[i].volatile))
    return tuple(next(moved) if block.kind == "system" else i for i, block in enumerate(blocks))


def positions(blocks: Sequence[CacheBlock], *, runs_count_once: bool) -> tuple[int, ...]:
    """Of each block, as a look-back counts them, from 1 on: a run of calls, or of results, may be
    one."""
    found: list[int] = []
    place, run = 0, ""
    for block in blocks:
        same_run = bool(runs_count_once and block.run and block.run == run)
        place += 0 if same_run else block.positions
        run = block.run
        found.append(place)
    return tuple(found)


def lay_out(
    blocks: Sequence[CacheBlock], order: Sequence[int], *, runs_count_once: bool = False
) -> Layout:
    """Of blocks that are sent in this order.

    Raises:
        CachePlanError: tools or instructions behind a message, or tools behind instructions.
    """
    sent = [blocks[i] for i in order]
    for before, after in pairwise(sent):
        if RANK[before.kind] > RANK[after.kind]:
            raise CachePlanError(
                f"a block of kind {after.kind!r} behind one of kind {before.kind!r}: "
                "expected tools, then system, then messages, as the provider reads them"
            )
    stable = next((rank for rank, block in enumerate(sent) if block.volatile), len(sent))
    front = sum(block.kind != "message" for block in sent)
    return Layout(
        order=tuple(order),
        ends=tuple(accumulate(block.tokens for block in sent)),
        places=positions(sent, runs_count_once=runs_count_once),
        stable=stable,
        front=front,
        head=min(front, stable),
        grows=all(block.volatile for block in sent[stable:]),
    )
