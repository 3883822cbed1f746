"""`plan_breakpoints`: which blocks of a request are marked for the provider's cache, and for how
long.

All that could be marked is weighed by what this call and those that follow are expected to cost:
`_bill` adds it up, here the cheapest is taken. Nothing is marked that does not pay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from frugal_chains.pricing import CacheTerms
from frugal_chains.prompt_cache._bill import Scene, unmarked_nanos
from frugal_chains.prompt_cache._facts import CacheBlock, Traffic
from frugal_chains.prompt_cache._key import prompt_cache_key
from frugal_chains.prompt_cache._layout import Layout, lay_out, static_first
from frugal_chains.prompt_cache._options import Option, as_given, options
from frugal_chains.prompt_cache._own import own_marks
from frugal_chains.prompt_cache._terms import shortest_and_longest
from frugal_chains.providers import CacheControls

NOBODY: Final = Traffic()
_NONE_OF_OURS: Final[Mapping[str, str]] = {
    "": "does-not-pay",
    "implicit": "unasked",
    "explicit": "nothing-written",
}
"""By mode: why there is no marker of ours where there could be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMarker:
    """One marker of the request, the caller's own among them."""

    index: int
    """Of the block it stands on."""
    ttl: str
    """Its time to live, by the provider's name."""
    reason: str
    """`callers`, or what ends there: `tools-end`, `system-end`, `segment-end`, `conversation-end`,
    `stable-end` (what follows will differ), `earlier-end` and `look-back` (an earlier request's
    marker, the second beyond the reach of the end), `step` (where that reach stops)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePlan:
    """What to do with one request. Indices are those of the blocks that were given."""

    markers: tuple[CacheMarker, ...] = ()
    """All that the request should carry, in the order in which they are read."""
    dropped: tuple[int, ...] = ()
    """Blocks whose markers of the caller's are to be taken off: there are more than are allowed."""
    order: tuple[int, ...] = ()
    """Of the blocks of the system prompt, where another order is better; empty: leave them."""
    ttl: str = ""
    """Of the whole request, where the provider takes one for all markers, its own among them."""
    mode: str = ""
    """`implicit` or `explicit`, where the provider marks the end by itself unless told not to."""
    cache_key: str = ""
    """For the provider that takes one; empty: none."""
    read_tokens: int = 0
    """Of this request, expected."""
    write_tokens: int = 0
    """To be written by this request, expected: 0 where the provider does not bill it apart."""
    write_long_tokens: int = 0
    """Of those, for the longer time to live."""
    saving_nanos: int = 0
    """Over this call and those expected, against the request as it was given. Never below 0."""
    reasons: tuple[str, ...] = ()
    """Stable codes. Nothing of ours is marked: `automatic`, `no-control`, `below-minimum`,
    `does-not-pay`, `unasked` (the provider's own marker is as good), `nothing-written` (and that
    is told not to be written either). Of what is: `long-ttl`, `slots` (there were too few). Of the
    blocks: `static-first` (see `order`), `volatile-in-front` (something that differs stands before
    messages that do not: those are never read). Of the caller's: `callers-too-many`,
    `callers-ttl-order`."""


def plan_breakpoints(
    blocks: Sequence[CacheBlock],
    *,
    controls: CacheControls,
    terms: Mapping[str, CacheTerms],
    ahead: Traffic,
    others: Traffic = NOBODY,
    may_reorder: bool = True,
    salt: str = "",
    prefix: str = "",
) -> CachePlan:
    """Where markers stand, in which order instructions are sent, and under which key.

    Args:
        blocks: Of the request: tools, then system, then messages, as they are sent.
        controls: What the provider lets a request ask for (`providers.cache_controls`).
        terms: What input costs, by the name of a time to live; under an empty name where the
            provider caches by itself. Times to live that have no terms are not used.
        ahead: Further calls of this conversation.
        others: Calls of other conversations with the same tools and instructions.
        may_reorder: Blocks of the system prompt that stay the same may be put before those that do
            not. It is the same for every request with such blocks, whatever calls are expected.
        salt: What keys are kept apart by, say a tenant; never sent as it is.
        prefix: The fingerprint of the static part, for the key.

    Raises:
        CachePlanError: blocks out of order, or no terms.
    """
    given = tuple(range(len(blocks)))
    order = static_first(blocks) if may_reorder else given
    once = controls.runs_count_once
    layouts = [lay_out(blocks, each, runs_count_once=once) for each in (given, order)]
    moved = tuple(i for i in order if blocks[i].kind == "system") if order != given else ()
    key = prompt_cache_key(salt, prefix) if controls.cache_key and prefix else ""
    plan = CachePlan(order=moved, cache_key=key, reasons=_of_layout(layouts[1], moved))
    if controls.control == "none":
        return replace(plan, reasons=("no-control", *plan.reasons))
    before, after = (_scene(blocks, each, controls, terms, ahead, others) for each in layouts)
    if controls.control == "automatic":
        return _automatic(plan, before, after)
    lengths = frozenset(place > 0 for place, (name, _) in enumerate(controls.ttls) if name in terms)
    return _marked(plan, blocks, before, after, controls, lengths)


def _scene(
    blocks: Sequence[CacheBlock],
    layout: Layout,
    controls: CacheControls,
    terms: Mapping[str, CacheTerms],
    ahead: Traffic,
    others: Traffic,
) -> Scene:
    short, long = shortest_and_longest(controls, terms)
    return Scene(
        layout=layout,
        kept=tuple(rank for rank, index in enumerate(layout.order) if blocks[index].kept),
        short=terms[short],
        long=terms[long],
        short_s=controls.ttl_s(short),
        long_s=controls.ttl_s(long),
        lookback=controls.lookback,
        ahead=ahead,
        others=others,
    )


def _of_layout(layout: Layout, moved: Sequence[int]) -> tuple[str, ...]:
    reasons = ["static-first"] if moved else []
    return (*reasons, *(() if layout.grows else ("volatile-in-front",)))


def _automatic(plan: CachePlan, before: Scene, after: Scene) -> CachePlan:
    layout, terms = after.layout, after.short
    warm = max((layout.ends[rank] for rank in after.kept if rank < layout.stable), default=0)
    return replace(
        plan,
        read_tokens=terms.read_tokens(layout.total_tokens, warm),
        saving_nanos=max(0, int(unmarked_nanos(before) - unmarked_nanos(after))),
        reasons=("automatic", *plan.reasons),
    )


def _marked(
    plan: CachePlan,
    blocks: Sequence[CacheBlock],
    before: Scene,
    after: Scene,
    controls: CacheControls,
    lengths: frozenset[bool],
) -> CachePlan:
    baseline = as_given(before, own_marks(blocks, before.layout, controls)[0], controls)
    own, dropped, reasons = own_marks(blocks, after.layout, controls)
    weighed = list(options(blocks, after, own, controls, lengths=lengths))
    alone = as_given(after, own, controls)
    best = min([alone, *weighed], key=_rank)
    if best.nanos > alone.nanos - 1:
        best = alone
    names = {False: controls.ttls[0][0], True: controls.ttls[-1][0]}
    callers = {mark.rank for mark in own}
    markers = tuple(
        CacheMarker(
            index=after.layout.order[mark.rank],
            ttl=names[mark.long],
            reason="callers" if mark.rank in callers else best.found[mark.rank],
        )
        for mark in best.marks
    )
    return replace(
        plan,
        markers=markers,
        dropped=dropped,
        ttl=names[best.long] if controls.one_ttl and best is not alone else "",
        mode=best.mode,
        read_tokens=best.split.read,
        write_tokens=best.split.long + best.split.short,
        write_long_tokens=best.split.long,
        saving_nanos=max(0, int(baseline.nanos - best.nanos)),
        reasons=(*reasons, *_of_choice(best, after, callers), *plan.reasons),
    )


def _rank(option: Option) -> tuple[int, bool, int, tuple[tuple[int, bool], ...]]:
    """The cheapest to a nano; among equals the provider's own way, and the one that keeps most."""
    return (round(option.nanos), option.mode == "explicit", -len(option.marks), option.marks)


def _of_choice(best: Option, scene: Scene, callers: set[int]) -> list[str]:
    ours = [mark for mark in best.marks if mark.rank not in callers]
    reasons = []
    if scene.layout.end(scene.layout.stable - 1) < scene.short.min_tokens:
        reasons.append("below-minimum")
    elif not ours:
        reasons.append(_NONE_OF_OURS[best.mode])
    if best.long or any(mark.long for mark in ours):
        reasons.append("long-ttl")
    if len(best.found) > len(ours) and len(ours) == best.slots:
        reasons.append("slots")
    return reasons
