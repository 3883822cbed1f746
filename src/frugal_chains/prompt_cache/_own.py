"""Markers that the caller has put on a request: they win, as far as the provider allows."""

from __future__ import annotations

from collections.abc import Sequence

from frugal_chains.prompt_cache._bill import Mark
from frugal_chains.prompt_cache._facts import CacheBlock
from frugal_chains.prompt_cache._layout import Layout
from frugal_chains.providers import CacheControls


def own_marks(
    blocks: Sequence[CacheBlock], layout: Layout, controls: CacheControls
) -> tuple[tuple[Mark, ...], tuple[int, ...], tuple[str, ...]]:
    """The caller's markers that stay, the blocks whose markers do not, and reasons.

    A request with more markers than are allowed is refused, as is one with a long time to live
    behind a short one. Of too many the last of the tools, the last of the instructions and the
    latest of the messages stay; a long one behind a short one becomes short.
    """
    long_names = {name for name, _ in controls.ttls[1:]}
    marked = [rank for rank, index in enumerate(layout.order) if blocks[index].marker]
    stay = _stay(blocks, layout, marked, controls)
    dropped = tuple(sorted(layout.order[rank] for rank in marked if rank not in stay))
    reasons = ["callers-too-many"] if dropped else []
    marks: list[Mark] = []
    for rank in stay:
        asked = blocks[layout.order[rank]].marker in long_names
        allowed = not marks or marks[-1].long
        if controls.one_ttl and marks:
            asked = allowed = marks[0].long
        if asked and not allowed:
            reasons.append("callers-ttl-order")
        marks.append(Mark(rank, asked and allowed))
    return tuple(marks), dropped, tuple(dict.fromkeys(reasons))


def _stay(
    blocks: Sequence[CacheBlock], layout: Layout, marked: Sequence[int], controls: CacheControls
) -> list[int]:
    most = controls.most_considered or controls.most_markers
    kind = {rank: blocks[layout.order[rank]].kind for rank in marked}
    last = {kind[rank]: rank for rank in marked}
    first = [last[head] for head in ("tools", "system") if head in last]
    rest = [rank for rank in reversed(marked) if rank not in first]
    return sorted([*first, *rest][:most])
