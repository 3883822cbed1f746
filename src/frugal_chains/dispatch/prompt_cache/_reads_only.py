"""The plan of a request that nobody goes on from: it reads, and writes nothing for later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from frugal_chains.dispatch.prompt_cache._blocks import Read
from frugal_chains.pricing import CacheTerms
from frugal_chains.prompt_cache import CacheMarker, CachePlan, Traffic, plan_breakpoints
from frugal_chains.providers import CacheControls


def reads_only(
    read: Read,
    controls: CacheControls,
    terms: Mapping[str, CacheTerms],
    *,
    salt: str,
    prefix: str,
) -> CachePlan:
    """One marker, on the last block where an earlier request has left something, beside the
    caller's own; the key is that of the conversation, which brings it to the same machine.

    Args:
        read: The request.
        controls: Of the provider.
        terms: What input costs, by the name of a time to live.
        salt, prefix: As of `plan_breakpoints`.
    """
    alone = plan_breakpoints(
        read.blocks, controls=controls, terms=terms, ahead=Traffic(), may_reorder=False,
        salt=salt, prefix=prefix,
    )  # fmt: skip
    if not controls.most_markers:
        return alone
    own = tuple(marker for marker in alone.markers if marker.reason == "callers")
    kept = [at for at, block in enumerate(read.blocks) if block.kept and block.markable]
    last = kept[-1] if kept else None
    marked = own
    if last is not None and last not in {m.index for m in own} and len(own) < controls.most_markers:
        one = CacheMarker(index=last, ttl=_ttl(own, last, controls), reason="earlier-end")
        marked = tuple(sorted((*own, one), key=lambda marker: marker.index))
    return replace(
        alone,
        markers=marked,
        mode="explicit" if controls.writes_unasked else "",
        read_tokens=sum(b.tokens for b in read.blocks[: last + 1]) if last is not None else 0,
        write_tokens=0,
        write_long_tokens=0,
        saving_nanos=0,
        reasons=("reads-only",),
    )


def _ttl(own: Sequence[CacheMarker], at: int, controls: CacheControls) -> str:
    """The usual one; where a caller's marker behind it has a long one, as long."""
    behind = [marker.ttl for marker in own if marker.index > at]
    return behind[0] if behind else controls.ttls[0][0]
