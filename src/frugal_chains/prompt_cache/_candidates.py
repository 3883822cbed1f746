"""Which blocks are worth a marker, and which of them get one where there are more than slots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from frugal_chains.prompt_cache._bill import Scene
from frugal_chains.prompt_cache._facts import CacheBlock
from frugal_chains.providers import CacheControls

_FIRST: Final = (
    "conversation-end",
    "stable-end",
    "earlier-end",
    "look-back",
    "system-end",
    "segment-end",
    "step",
    "tools-end",
)
"""What a slot is given to first. What the arithmetic needs comes before what only serves when
something changes: tools alone outlive a new system prompt, a segment outlives a compaction."""


def candidates(
    blocks: Sequence[CacheBlock], scene: Scene, controls: CacheControls
) -> Mapping[int, str]:
    """By rank: why a marker may stand there. None below the minimum, none where the next request
    will differ.

    `look-back` is an entry of an earlier request that a marker at the end would not find any more;
    where nothing is known of earlier requests, `step` is where the look-back of the end stops.
    """
    layout = scene.layout
    fit = [
        rank
        for rank in range(layout.stable)
        if _can(blocks[layout.order[rank]], controls)
        and layout.ends[rank] >= scene.short.min_tokens
    ]
    if not fit:
        return {}
    found: dict[int, str] = {}

    def mark(ranks: Sequence[int], reason: str) -> None:
        if ranks and ranks[-1] not in found:
            found[ranks[-1]] = reason

    end = fit[-1]
    in_messages = end >= layout.head
    if in_messages:
        mark(fit, "conversation-end" if layout.grows else "stable-end")
    kind = {rank: blocks[layout.order[rank]].kind for rank in fit}
    mark([r for r in fit if kind[r] == "system"], "system-end")
    mark([r for r in fit if blocks[layout.order[r]].segment], "segment-end")
    mark([r for r in fit if kind[r] == "tools"], "tools-end")
    kept = [r for r in scene.kept if r in kind]
    if kept:
        mark(kept, "earlier-end" if scene.reachable(end, kept[-1]) else "look-back")
    elif in_messages and scene.lookback is not None and scene.lookback > 1:
        last = layout.places[end] - scene.lookback
        mark([r for r in fit if r >= layout.head and layout.places[r] <= last], "step")
    return found


def _can(block: CacheBlock, controls: CacheControls) -> bool:
    return block.markable and (controls.marks_tools or block.kind != "tools")


def choose(found: Mapping[int, str], last: int, slots: int) -> list[int]:
    """Ranks to be marked where the last marker stands on rank `last`, at most so many."""
    if slots < 1:
        return []
    others = sorted(
        (rank for rank in found if rank < last), key=lambda rank: (_FIRST.index(found[rank]), -rank)
    )
    return sorted([last, *others[: slots - 1]])
