"""Requests as they are sent and remembered: their order, their names, what their settings lose."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from frugal_chains.dispatch.prompt_cache._blocks import PromptBlock, Read, digest_of
from frugal_chains.prompt_cache import CachePlan
from frugal_chains.providers import CacheControls, Level


def as_given(plan: CachePlan, order: Sequence[int], blocks: Sequence[PromptBlock]) -> CachePlan:
    """The plan with the positions that the blocks were given at."""
    if all(at == place for place, at in enumerate(order)):
        return plan
    return replace(
        plan,
        markers=tuple(replace(marker, index=order[marker.index]) for marker in plan.markers),
        dropped=tuple(order[at] for at in plan.dropped),
        order=tuple(at for at in order if blocks[at].kind == "system"),
        reasons=("static-first", *plan.reasons),
    )


def head_of(read: Read) -> str:
    """Names tools and system prompt, less what differs the next time."""
    last = b""
    for block, prefix in zip(read.blocks, read.prefixes, strict=True):
        if block.kind == "message" or block.volatile:
            break
        last = prefix
    return last.hex()


def by_level(settings: Mapping[str, str], controls: CacheControls) -> dict[Level, str]:
    """What is told of settings at each level: of those alone that lose something there."""
    found: dict[Level, str] = {}
    for name in sorted(settings):
        level = controls.resets.get(name)
        if level is not None:
            found[level] = f"{found.get(level, '')}\0{name}={settings[name]}"
    return found


def begins_with(blocks: Sequence[PromptBlock]) -> str:
    """Names a conversation by its tools and its first message: the system prompt may change."""
    whole = hashlib.blake2b(digest_size=12)
    for block in blocks:
        if block.kind != "system":
            whole.update(digest_of(block))
        if block.kind == "message":
            break
    return whole.hexdigest()
