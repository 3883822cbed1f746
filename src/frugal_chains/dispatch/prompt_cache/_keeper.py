"""`CacheKeeper`: plans the markers of each request, and knows what earlier ones have left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from frugal_chains.dispatch._prefix import CAREFUL
from frugal_chains.dispatch.prompt_cache._blocks import BlockReader, PromptBlock, Read
from frugal_chains.dispatch.prompt_cache._past import CachePast
from frugal_chains.pricing import CacheTerms, PriceBook
from frugal_chains.prompt_cache import CachePlan, Traffic, plan_breakpoints, terms_by_ttl
from frugal_chains.providers import CacheControls, cache_controls, cache_rule
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker, report_effect, shared_prices

logger = logging.getLogger("frugal_chains.dispatch")

LEVER = "prompt_cache.mark"


class CacheKeeper:
    """Marks requests for providers' prompt caches where that pays. Safe for threads.

    Args:
        salt: What cache keys are kept apart by, say a tenant; never sent as it is.
        others: Calls of other conversations that begin with the same tools and system prompt, and
            the gaps between them; None: what is seen here.
        counter: Of tokens.
        prices: None: list prices behind the user's `prices.toml`.
        clock: Seconds.
    """

    def __init__(
        self,
        *,
        salt: str = "",
        others: Traffic | None = None,
        counter: TokenCounter | None = None,
        prices: PriceBook | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._salt, self._others = salt, others or Traffic()
        self._reader, self._past = BlockReader(counter), CachePast()
        self._prices, self._clock = prices, clock

    def plan(
        self,
        blocks: Sequence[PromptBlock],
        *,
        model: str,
        provider: str = "",
        conversation: str = "",
        may_reorder: bool = True,
        operation_id: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> CachePlan:
        """Where the markers of a request stand. Never raises: a request whose markers cannot be
        planned is sent as it is.

        Args:
            blocks: Of the request, in the provider's order.
            model, provider: Who reads it.
            conversation: Its name; empty: by what its first blocks are.
            may_reorder: Static blocks of the system prompt may be put before volatile ones.
            operation_id: Of the calls it belongs to.
            trackers: Of handlers that an adapter finds on the call, for the effect.
        """
        try:
            return self._planned(
                blocks, model, provider, conversation, may_reorder, operation_id, trackers
            )
        except Exception:
            logger.warning("prompt cache: nothing is marked", exc_info=True)
            return CachePlan(reasons=("failed",))

    # -- parts ---------------------------------------------------------------------------------

    def _planned(
        self,
        blocks: Sequence[PromptBlock],
        model: str,
        provider: str,
        conversation: str,
        may_reorder: bool,
        operation_id: str,
        trackers: Sequence[Tracker],
    ) -> CachePlan:
        now_s = self._clock()
        controls = cache_controls(provider, model)
        terms, priced = self._terms(model, provider, now_s)
        kept = self._past.kept(now_s)
        order = _static_first(blocks) if may_reorder else [*range(len(blocks))]
        sent = [blocks[at] for at in order]
        read = self._reader.read(sent, model=model, provider=provider, kept=kept)
        name = conversation or _begins_with(read)
        plan = plan_breakpoints(
            read.blocks,
            controls=controls,
            terms=terms,
            ahead=self._past.ahead(name, now_s),
            others=self._others,
            may_reorder=False,  # they stand so already
            salt=self._salt,
            prefix=_head(read),
        )
        self._past.sent(name, read.tokens, now_s)
        self._remember(plan, read, controls, now_s)
        self._report(plan, read, controls, terms, priced, model, provider, operation_id, trackers)
        return _as_given(plan, order, blocks)

    def _terms(
        self, model: str, provider: str, now_s: float
    ) -> tuple[Mapping[str, CacheTerms], bool]:
        at = datetime.fromtimestamp(max(0.0, now_s), UTC)
        book = self._prices or shared_prices()
        found = terms_by_ttl(book, model=model, provider=provider, at=at)
        if found:
            return found, True
        names = [name for name, _ in cache_controls(provider, model).ttls[:1]] or [""]
        return {names[0]: CacheTerms.of(CAREFUL, cache_rule(provider, model))}, False

    def _remember(self, plan: CachePlan, read: Read, controls: CacheControls, now_s: float) -> None:
        """What this request leaves in the cache, as the request will have been sent."""
        if controls.control == "automatic":
            self._past.keep(read.prefixes[-1], now_s + controls.ttl_s())
        for marker in plan.markers:
            self._past.keep(read.prefixes[marker.index], now_s + controls.ttl_s(marker.ttl))

    def _report(
        self,
        plan: CachePlan,
        read: Read,
        controls: CacheControls,
        terms: Mapping[str, CacheTerms],
        priced: bool,
        model: str,
        provider: str,
        operation_id: str,
        trackers: Sequence[Tracker],
    ) -> None:
        """What the markers do to this one call: the surcharge of writing first, then what reading
        saves. Where the provider caches by itself nothing of that is ours."""
        if not any(marker.reason != "callers" for marker in plan.markers):
            return
        prices = next(iter(terms.values())).prices
        longest = max((m.ttl for m in plan.markers), key=controls.ttl_s)
        write = terms[longest].prices.cache_write if longest in terms else prices.cache_write
        net = plan.read_tokens * (prices.fresh - prices.cache_read)
        net -= plan.write_tokens * (write - prices.fresh)
        report_effect(
            LEVER,
            tokens_before=read.tokens,
            tokens_after=read.tokens,
            exact=False,
            model=model,
            provider=provider,
            net_nanos=round(net) if priced else None,
            detail={
                "markers": [marker.reason for marker in plan.markers],
                "read_tokens": plan.read_tokens,
                "write_tokens": plan.write_tokens,
                "reasons": list(plan.reasons),
            },
            operation_id=operation_id,
            trackers=trackers,
        )


def _static_first(blocks: Sequence[PromptBlock]) -> list[int]:
    """Positions, with blocks of the system prompt that stay the same before those that do not."""
    system = [at for at, block in enumerate(blocks) if block.kind == "system"]
    moved = iter(sorted(system, key=lambda at: blocks[at].volatile))
    return [next(moved) if block.kind == "system" else at for at, block in enumerate(blocks)]


def _as_given(plan: CachePlan, order: Sequence[int], blocks: Sequence[PromptBlock]) -> CachePlan:
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


def _head(read: Read) -> str:
    """Names tools and system prompt, less what differs the next time."""
    last = b""
    for block, prefix in zip(read.blocks, read.prefixes, strict=True):
        if block.kind == "message" or block.volatile:
            break
        last = prefix
    return last.hex()


def _begins_with(read: Read) -> str:
    """Names a conversation by all that stands up to its first message."""
    for block, prefix in zip(read.blocks, read.prefixes, strict=True):
        if block.kind == "message":
            return prefix.hex()
    return ""
