"""Every set of markers that is worth weighing for one request, with what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from frugal_chains.prompt_cache._bill import Mark, Scene, Split
from frugal_chains.prompt_cache._candidates import candidates, choose
from frugal_chains.prompt_cache._facts import CacheBlock
from frugal_chains.providers import CacheControls


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """Markers, and what this call and those that follow cost with them."""

    nanos: float
    marks: tuple[Mark, ...]
    """Those that the request carries."""
    mode: str
    long: bool
    """The provider's own marker has the long time to live too."""
    split: Split
    """Of this call."""
    found: Mapping[int, str]
    """By rank: why a marker may stand there."""
    slots: int
    """For markers that are not the caller's."""


def as_given(scene: Scene, own: tuple[Mark, ...], controls: CacheControls) -> Option:
    """With the caller's markers alone."""
    mode = "implicit" if controls.writes_unasked else ""
    long = controls.one_ttl and any(mark.long for mark in own)
    return _option(_in_mode(scene, mode, controls), own, mode, long, {}, 0)


def options(
    blocks: Sequence[CacheBlock],
    scene: Scene,
    own: tuple[Mark, ...],
    controls: CacheControls,
    *,
    lengths: frozenset[bool],
) -> Iterator[Option]:
    """All that may be done; the caller's markers stand in each. `lengths`: whether markers that
    are not the caller's may be short, long, or both."""
    # In front of a long one of the caller's ours has to be long.
    last_long = max((mark.rank for mark in own if mark.long and True not in lengths), default=-1)
    for mode in ("implicit", "explicit") if controls.writes_unasked else ("",):
        moded = _in_mode(scene, mode, controls)
        taken = {mark.rank for mark in (*own, *_unasked(moded, mode))}
        slots = controls.most_markers - len(own) - (mode == "implicit")
        found = {
            rank: why
            for rank, why in candidates(blocks, moded, controls).items()
            if rank not in taken and rank > last_long
        }
        sets = {tuple(choose(found, last, slots)) for last in found} | {()}
        for ranks in sorted(sets):
            timed = _timed(own, ranks, one_ttl=controls.one_ttl, lengths=lengths)
            for marks, long in timed:
                yield _option(moded, marks, mode, long, found, slots)


def _in_mode(scene: Scene, mode: str, controls: CacheControls) -> Scene:
    return replace(scene, lookback=controls.unasked_lookback) if mode == "implicit" else scene


def _unasked(scene: Scene, mode: str) -> tuple[Mark, ...]:
    """The provider's own marker, where the next request begins with all of this one."""
    last = len(scene.layout.ends) - 1
    return (Mark(last),) if mode == "implicit" and scene.layout.all_stable and last >= 0 else ()


def _option(
    scene: Scene,
    marks: tuple[Mark, ...],
    mode: str,
    long: bool,
    found: Mapping[int, str],
    slots: int,
) -> Option:
    taken = {mark.rank for mark in marks}
    unasked = [mark._replace(long=long) for mark in _unasked(scene, mode)]
    standing = (*marks, *(mark for mark in unasked if mark.rank not in taken))
    written = mode == "implicit"
    return Option(
        nanos=scene.nanos(standing, all_written=written),
        marks=marks,
        mode=mode,
        long=long,
        split=scene.split(standing, all_written=written),
        found=found,
        slots=slots,
    )


def _timed(
    own: tuple[Mark, ...], ranks: Sequence[int], *, one_ttl: bool, lengths: frozenset[bool]
) -> Iterator[tuple[tuple[Mark, ...], bool]]:
    """The markers with each choice of times to live: long ones first, the caller's as they are.
    And whether all of the request is long, where it has one time to live."""
    fixed = {mark.rank: mark.long for mark in own}
    standing = sorted({*fixed, *ranks})
    for split in (0, len(standing)) if one_ttl else range(len(standing) + 1):
        marks = tuple(Mark(rank, place < split) for place, rank in enumerate(standing))
        keeps = all(mark.long == fixed.get(mark.rank, mark.long) for mark in marks)
        may = all(mark.long in lengths for mark in marks if mark.rank not in fixed)
        if not keeps or not may:
            continue
        if not one_ttl:
            yield marks, False
        elif marks:
            yield marks, split > 0
        else:
            yield from ((marks, long) for long in sorted(lengths))
            return
