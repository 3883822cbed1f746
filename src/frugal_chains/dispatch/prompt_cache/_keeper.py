"""`CacheKeeper`: plans the markers of each request, and knows what earlier ones have left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from frugal_chains.dispatch._prefix import CAREFUL
from frugal_chains.dispatch.prompt_cache._blocks import BlockReader, PromptBlock, Read, digest_of
from frugal_chains.dispatch.prompt_cache._effect import report_marks
from frugal_chains.dispatch.prompt_cache._habits import KINDS, Habits, part_of
from frugal_chains.dispatch.prompt_cache._past import CachePast
from frugal_chains.dispatch.prompt_cache._prices import known_terms
from frugal_chains.dispatch.prompt_cache._reads_only import reads_only as reads_only_plan
from frugal_chains.dispatch.prompt_cache._requests import (
    as_given,
    begins_with,
    by_level,
    head_of,
)
from frugal_chains.errors import wordless
from frugal_chains.pricing import CacheTerms, PriceBook
from frugal_chains.prompt_cache import (
    CachePlan,
    Traffic,
    plan_breakpoints,
    static_first,
)
from frugal_chains.providers import CacheControls, cache_controls, cache_rule
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker

logger = logging.getLogger("frugal_chains.dispatch")

_NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One request as it will be sent: static blocks of the system prompt first."""

    blocks: Sequence[PromptBlock]
    order: Sequence[int]
    """By place in `blocks`: the position at which the block was given."""
    read: Read
    controls: CacheControls
    terms: Mapping[str, CacheTerms]
    priced: bool
    conversation: str
    now_s: float


class CacheKeeper:
    """Marks requests for providers' prompt caches where that pays. Safe for threads.

    What keeps changing from call to call is seen and not marked: a system prompt with the time in
    it, a window that slides.

    Args:
        salt: What cache keys are kept apart by, say a tenant; never sent as it is.
        others: Calls of other conversations that begin with the same tools and system prompt, and
            the gaps between them; None: none are expected.
        ttl: The time to live of every marker, by the provider's name; None: what pays. A provider
            that has none of that name is not concerned.
        counter: Of tokens.
        prices: None: list prices behind the user's `prices.toml`.
        clock: Seconds.
    """

    def __init__(
        self,
        *,
        salt: str = "",
        others: Traffic | None = None,
        ttl: str | None = None,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._salt, self._others, self._ttl = salt, others or Traffic(), ttl
        self._reader, self._past, self._habits = BlockReader(counter), CachePast(), Habits()
        self._prices, self._clock = prices, clock

    def plan(
        self,
        blocks: Sequence[PromptBlock],
        *,
        model: str,
        provider: str = "",
        conversation: str = "",
        settings: Mapping[str, str] = _NO_SETTINGS,
        may_reorder: bool = True,
        reads_only: bool = False,
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> CachePlan:
        """Where the markers of a request stand. Never raises: a request whose markers cannot be
        planned is sent as it is.

        Args:
            blocks: Of the request, in the provider's order.
            model, provider: Who reads it.
            conversation: Its name; empty: by what its first blocks are.
            settings: What else the cache goes by, by the names of `CacheControls.resets`: with
                another `tool_choice` nothing is expected of messages that were marked before.
            may_reorder: Static blocks of the system prompt may be put before volatile ones.
            reads_only: The conversation does not go on from this request, such as one for a
                summary: it is marked where an earlier one was, and nothing is written for later.
            operation_id: Of the calls it belongs to.
            trackers: Of handlers that an adapter finds on the call, for the effect.
        """
        try:
            asked = self._asked(
                blocks, model, provider, conversation, settings, may_reorder, reads_only
            )
            plan = (
                reads_only_plan(
                    asked.read,
                    asked.controls,
                    asked.terms,
                    salt=self._salt,
                    prefix=head_of(asked.read),
                )
                if reads_only
                else self._planned(asked)
            )
            self._remember(plan, asked)
            report_marks(
                plan, tokens=asked.read.tokens, terms=asked.terms, priced=asked.priced,
                model=model, provider=provider, operation_id=operation_id, trackers=trackers,
            )  # fmt: skip
            return as_given(plan, asked.order, blocks)
        except Exception as error:
            logger.warning("prompt cache: nothing is marked", exc_info=wordless(error))
            return CachePlan(reasons=("failed",))

    # -- parts ---------------------------------------------------------------------------------

    def _asked(
        self,
        blocks: Sequence[PromptBlock],
        model: str,
        provider: str,
        conversation: str,
        settings: Mapping[str, str],
        may_reorder: bool,
        reads_only: bool,
    ) -> _Asked:
        now_s = self._clock()
        controls = cache_controls(provider, model)
        terms, priced = self._terms(model, provider, now_s)
        name = f"{provider}:{model}:" + (conversation or begins_with(blocks))
        digests = [digest_of(block) for block in blocks]
        blocks = self._as_they_change(
            blocks, digests, name, named=bool(conversation), remember=not reads_only
        )
        order = static_first(blocks) if may_reorder else tuple(range(len(blocks)))
        sent = [blocks[at] for at in order]
        read = self._reader.read(
            sent,
            digests=[digests[at] for at in order],
            model=model,
            provider=provider,
            kept=self._past.kept(now_s),
            settings=by_level(settings, controls),
        )
        return _Asked(
            blocks=sent, order=order, read=read, controls=controls, terms=terms, priced=priced,
            conversation=name, now_s=now_s,
        )  # fmt: skip

    def _as_they_change(
        self,
        blocks: Sequence[PromptBlock],
        digests: Sequence[bytes],
        name: str,
        *,
        named: bool,
        remember: bool,
    ) -> Sequence[PromptBlock]:
        """The blocks, those that keep changing called volatile."""
        places = {
            kind: [at for at, block in enumerate(blocks) if block.kind == kind] for kind in KINDS
        }
        parts = {
            kind: part_of([digests[at] for at in each], [blocks[at].volatile for at in each])
            for kind, each in places.items()
        }
        changing = self._habits.changing(name, parts, named=named, remember=remember)
        found = [*blocks]
        for kind, changed in changing.items():
            behind = min(changed, default=None) if kind != "system" else None
            for place, at in enumerate(places[kind]):
                if place in changed or (behind is not None and place >= behind):
                    found[at] = replace(blocks[at], volatile=True)
        return found

    def _planned(self, asked: _Asked) -> CachePlan:
        plan = plan_breakpoints(
            asked.read.blocks,
            controls=asked.controls,
            terms=asked.terms,
            ahead=self._past.ahead(asked.conversation, asked.now_s),
            others=self._others,
            may_reorder=False,  # they stand so already
            salt=self._salt,
            prefix=head_of(asked.read),
        )
        self._past.sent(asked.conversation, asked.read.tokens, asked.now_s)
        return plan

    def _terms(
        self, model: str, provider: str, now_s: float
    ) -> tuple[Mapping[str, CacheTerms], bool]:
        found = known_terms(self._prices, model=model, provider=provider, at_s=now_s)
        if self._ttl is not None and self._ttl in found:
            found = {self._ttl: found[self._ttl]}
        if found:
            return found, True
        names = [name for name, _ in cache_controls(provider, model).ttls]
        name = self._ttl if self._ttl in names else next(iter(names), "")
        return {name: CacheTerms.of(CAREFUL, cache_rule(provider, model))}, False

    def _remember(self, plan: CachePlan, asked: _Asked) -> None:
        """What this request leaves in the cache, as the request will have been sent."""
        prefixes, controls, now_s = asked.read.prefixes, asked.controls, asked.now_s
        if prefixes and (controls.control == "automatic" or plan.mode == "implicit"):
            self._past.keep(prefixes[-1], now_s, controls.ttl_s(plan.ttl))
        for marker in plan.markers:
            self._past.keep(prefixes[marker.index], now_s, controls.ttl_s(marker.ttl))
