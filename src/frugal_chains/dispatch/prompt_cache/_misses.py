"""`MissWatch`: says when less of a request was read from the provider's cache than an earlier one
had left, and why. Nothing is kept but hashes, sizes and names of tools."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from frugal_chains.dispatch._prefix import CAREFUL
from frugal_chains.dispatch.prompt_cache._blocks import BlockReader, PromptBlock
from frugal_chains.dispatch.prompt_cache._miss import CacheMiss, changed_block
from frugal_chains.dispatch.prompt_cache._prices import known_terms
from frugal_chains.dispatch.prompt_cache._requests import begins_with
from frugal_chains.errors import wordless
from frugal_chains.pricing import CacheTerms, PriceBook
from frugal_chains.prompt_cache import (
    BlockText,
    CachePlan,
    SentRequest,
    diagnose,
    fingerprints,
    from_json,
    positions,
    to_json,
)
from frugal_chains.providers import CacheControls, cache_controls, cache_rule
from frugal_chains.tokens import TokenCounter
from frugal_chains.usage import Usage

logger = logging.getLogger("frugal_chains.dispatch")

_CONVERSATIONS: Final = 256
_EARLIER: Final = 8
"""Requests of a conversation that are remembered: since when it has been so."""
_NO_MISS: Final = frozenset({"hit", "first"})
_MESSAGES: Final = frozenset({"message-added", "message-removed", "message-changed"})


class MissWatch:
    """Compares each request with the one before it. Safe for threads.

    Args:
        on_miss: Told of every miss; None: the log is.
        counter: Of tokens.
        prices: None: list prices behind the user's `prices.toml`.
        clock: Seconds.
    """

    def __init__(
        self,
        on_miss: Callable[[CacheMiss], None] | None = None,
        *,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._on_miss, self._prices, self._clock = on_miss, prices, clock
        self._reader, self._key = BlockReader(counter), os.urandom(16)
        self._lock = threading.Lock()
        self._sent: OrderedDict[str, list[SentRequest]] = OrderedDict()

    def now_s(self) -> float:
        """When a request is sent."""
        return self._clock()

    def answered(
        self,
        blocks: Sequence[PromptBlock],
        plan: CachePlan,
        *,
        usage: Usage,
        at_s: float,
        model: str,
        provider: str = "",
        conversation: str = "",
        settings: Mapping[str, str] | None = None,
        theirs: Mapping[str, Any] | None = None,
    ) -> CacheMiss | None:
        """What was missed; None: nothing, or it could not be told. Never raises.

        Args:
            blocks: Of the request, as they were given to `CacheKeeper.plan`.
            plan: What came of that.
            usage: Of the answer.
            at_s: When the request was sent, by `now_s`.
            model, provider: Who has read it.
            conversation: Its name; empty: by its first message. Two may begin alike then, so of
                other messages nothing is told.
            settings: As of `CacheKeeper.plan`.
            theirs: The provider's own word: the response, or its part about the cache.
        """
        try:
            ordered = _as_sent(blocks, plan)
            controls = cache_controls(provider, model)
            sent = self._request(ordered, plan, controls, usage, at_s, model, provider, settings)
            messages = [block for block in ordered if block.kind == "message"]
            earlier = self._before(conversation or begins_with(messages), sent)
            found = diagnose(
                earlier[-1] if earlier else None,
                sent,
                controls=controls,
                terms=_terms(self._prices, model, provider, self._clock()),
                earlier=earlier[:-1],
                theirs=theirs,
            )
        except Exception as error:
            logger.warning("prompt cache: a miss could not be told", exc_info=wordless(error))
            return None
        if found.cause in _NO_MISS or not found.missed_tokens:
            return None
        if not conversation and found.cause in _MESSAGES:
            return None
        miss = CacheMiss(
            block=changed_block(found, ordered), diagnosis=found, conversation=conversation,
            model=model, provider=provider,
        )  # fmt: skip
        self._tell(miss)
        return miss

    # -- parts ---------------------------------------------------------------------------------

    def _tell(self, miss: CacheMiss) -> None:
        if self._on_miss is None:
            logger.warning("prompt cache: %s", miss)
            return
        try:
            self._on_miss(miss)
        except Exception as error:
            logger.warning("prompt cache: on_miss failed", exc_info=wordless(error))

    def _request(
        self,
        blocks: Sequence[PromptBlock],
        plan: CachePlan,
        controls: CacheControls,
        usage: Usage,
        at_s: float,
        model: str,
        provider: str,
        settings: Mapping[str, str] | None,
    ) -> SentRequest:
        read = self._reader.read(blocks, model=model, provider=provider, kept=set())
        texts = (
            BlockText(
                kind=block.kind,
                text=block.text + block.hidden,
                tokens=counted.tokens,
                name=block.name if block.kind == "tools" else "",
            )
            for block, counted in zip(blocks, read.blocks, strict=True)
        )
        known = {k: v for k, v in (settings or {}).items() if k in controls.resets}
        places = positions(read.blocks, runs_count_once=controls.runs_count_once)
        of_plan = _positions(plan, blocks)
        return SentRequest(
            print=fingerprints(texts, key=self._key, model=model, settings=known),
            usage=usage,
            at_s=at_s,
            marked=tuple(places[at] for at in of_plan),
            ttl=plan.markers[-1].ttl if plan.markers else "",
        )

    def _before(self, name: str, sent: SentRequest) -> list[SentRequest]:
        """The requests of a conversation before this one, which is remembered. Of all but the last
        only what fits a few hundred bytes."""
        with self._lock:
            earlier = self._sent.pop(name, [])
            small = [
                each if at + 2 < len(earlier) else _small(each)
                for at, each in enumerate(earlier[:-1])
            ]
            self._sent[name] = [*small, *earlier[-1:], sent][-_EARLIER:]
            if len(self._sent) > _CONVERSATIONS:
                self._sent.popitem(last=False)
            return earlier


def _terms(
    book: PriceBook | None, model: str, provider: str, now_s: float
) -> Mapping[str, CacheTerms]:
    """Without a price it costs nothing that could be told."""
    found = known_terms(book, model=model, provider=provider, at_s=now_s)
    if found:
        return found
    free = replace(CAREFUL, fresh=0.0, cache_read=0.0, cache_write=0.0, output=0.0)
    names = [name for name, _ in cache_controls(provider, model).ttls] or [""]
    return {names[0]: CacheTerms.of(free, cache_rule(provider, model))}


def _small(sent: SentRequest) -> SentRequest:
    return replace(sent, print=from_json(to_json(sent.print)))


def _as_sent(blocks: Sequence[PromptBlock], plan: CachePlan) -> list[PromptBlock]:
    return [blocks[at] for at in _order(blocks, plan)]


def _order(blocks: Sequence[PromptBlock], plan: CachePlan) -> list[int]:
    moved = iter(plan.order)
    system = {*plan.order}
    return [next(moved) if at in system else at for at in range(len(blocks))]


def _positions(plan: CachePlan, sent: Sequence[PromptBlock]) -> list[int]:
    """Where the markers stand among the blocks as they were sent."""
    place_of = {at: place for place, at in enumerate(_order(sent, plan))}
    return sorted(place_of[marker.index] for marker in plan.markers)
