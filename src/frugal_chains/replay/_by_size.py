"""`SizeSender`: calls as one setup would have sent them, where only sizes are known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final, Literal

from frugal_chains.dispatch import CacheKeeper, PromptBlock
from frugal_chains.pricing import PriceBook
from frugal_chains.providers import CacheControls, cache_controls
from frugal_chains.replay._cache import CacheSplit, PromptPart, SimulatedCache
from frugal_chains.replay._outline import HEAD, Outline, Piece
from frugal_chains.replay._setup import Setup
from frugal_chains.replay._size_memory import SizeMemory
from frugal_chains.tokens import TokenCounter

_PIECES: Final = 50_000
"""Of which the block is not made again: each request has most of the one before."""
_NEAR: Final = 0.02
"""Of a request: so far from the end of a piece its provider's count of what was marked may be."""


class SizeSender:
    """Of one setup, whatever else than memory and markers is on.

    Args:
        setup: The levers that are on.
        counter: Of tokens.
        prices: Of models.
    """

    def __init__(self, setup: Setup, *, counter: TokenCounter, prices: PriceBook) -> None:
        self._now_s = 0.0
        self._cache_ttl = setup.cache_ttl
        marks = setup.prompt_cache
        self._keeper = (
            None
            if marks is None
            else CacheKeeper(
                ttl=marks.ttl, clock=lambda: self._now_s, counter=counter, prices=prices
            )
        )
        self._memory = None if setup.memory is None else SizeMemory(setup.memory.policy, prices)
        self._caches: dict[tuple[str, str], SimulatedCache] = {}
        self._last: tuple[Outline | None, CacheSplit] = None, CacheSplit(0)

    def send(self, outline: Outline, *, model: str, provider: str, at_s: float) -> CacheSplit:
        """How one call's input would have been billed; they come in the order of time."""
        if self._last[0] is not outline:  # another sender has just asked for it
            split = self._split(outline, model, provider, at_s)
            self._last = outline, split
        return self._last[1]

    def _split(self, outline: Outline, model: str, provider: str, at_s: float) -> CacheSplit:
        self._now_s = at_s
        controls = cache_controls(provider, model)
        ttl = _ttl(outline, controls)
        pieces, conversation = outline.pieces, str(outline.strand)
        if self._memory is not None:
            pieces = self._memory.sent(
                pieces, conversation=conversation, model=model, provider=provider,
                ttl=self._kept(outline, ttl), at_s=at_s,
            )  # fmt: skip
        marks, implicit = _as_recorded(outline, pieces, ttl), True
        if self._keeper is not None and controls.most_markers:
            plan = self._keeper.plan(
                [_block(piece) for piece in pieces], model=model, provider=provider,
                conversation=conversation, may_reorder=False,
            )  # fmt: skip
            marks = [(one.index, one.ttl) for one in plan.markers]
            implicit = plan.mode != "explicit"
        key = (model, provider)
        if key not in self._caches:
            self._caches[key] = SimulatedCache(model, provider)
        parts = [PromptPart(piece.key, piece.tokens) for piece in pieces]
        return self._caches[key].send(parts, at_s, marks=marks, implicit=implicit)

    def _kept(self, outline: Outline, ttl: str) -> Literal["", "5m", "1h"]:
        """For how long a memory may expect what is marked to last."""
        if self._keeper is not None:
            return self._cache_ttl
        return "" if not ttl else "1h" if outline.long else "5m"


@lru_cache(_PIECES)
def _block(piece: Piece) -> PromptBlock:
    return PromptBlock(
        kind="tools"
        if piece.kind == "tools"
        else "system"
        if piece.kind == "system"
        else "message",
        text="",
        hidden=str(piece.key),
        media_tokens=piece.tokens,
        segment=piece.segment,
        run="results" if piece.kind == "tool" else "calls" if piece.call else "",
    )


def _ttl(outline: Outline, controls: CacheControls) -> str:
    """Of the recorded markers, by the provider's name; empty: there were none."""
    if not controls.most_markers or not outline.marked_tokens or controls.writes_unasked:
        return ""
    names = [name for name, _ in controls.ttls]
    return names[-1] if outline.long else names[0]


def _as_recorded(outline: Outline, pieces: Sequence[Piece], ttl: str) -> list[tuple[int, str]]:
    """Where the recorded marker stood, in what is sent now."""
    if not ttl or not pieces:
        return []
    if len(pieces) != len(outline.pieces) or any(piece.segment for piece in pieces):
        return [(len(pieces) - 1, ttl)]  # most are marked at their end
    # Most are marked behind what is static, too: it has to be known where that ends.
    static = [at for at, piece in enumerate(pieces) if piece.kind in HEAD][-1:]
    reach = outline.marked_tokens + _NEAR * sum(piece.tokens for piece in pieces)
    ends = accumulate(piece.tokens for piece in pieces)
    within = [at for at, end in enumerate(ends) if end <= reach]
    return [(at, ttl) for at in sorted({*static, *within[-1:]} & {*within})]
