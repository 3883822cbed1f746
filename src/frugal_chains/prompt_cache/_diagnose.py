"""`diagnose`: why a request was not read from the provider's cache, since when, at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from frugal_chains.pricing import CacheTerms
from frugal_chains.prompt_cache._diagnosis import Diagnosis, SentRequest
from frugal_chains.prompt_cache._judge import judge
from frugal_chains.prompt_cache._theirs import UNCHANGED, TheirReason, read_reason
from frugal_chains.providers import CacheControls


def diagnose(
    previous: SentRequest | None,
    current: SentRequest,
    *,
    controls: CacheControls,
    terms: Mapping[str, CacheTerms],
    earlier: Sequence[SentRequest] = (),
    theirs: Mapping[str, Any] | None = None,
) -> Diagnosis:
    """Why `current` read what it read.

    Args:
        previous: The request of the same conversation before it; None: there was none.
        current: The request in question.
        controls: Of the provider (`providers.cache_controls`).
        terms: What input costs, by the name of a time to live, as for `plan_breakpoints`.
        earlier: Those before `previous`, the oldest first: for how long it has been so.
        theirs: The provider's own reason: the response, or its `diagnostics` (Anthropic) or
            `prompt_cache_diagnostics` (OpenAI) alone.

    Raises:
        CachePlanError: no terms of any time to live of this provider.
    """
    reason = read_reason(theirs) if theirs is not None else None
    if previous is None:
        found = Diagnosis(cause="first", read_tokens=current.usage.cache_read_tokens)
    else:
        found = judge(previous, current, controls, terms)
    if found.missed_tokens and previous is not None:
        found = _dated(found, [*earlier, previous, current], controls, terms)
    if reason is None:
        return found
    return replace(found, theirs=reason, agrees=_agrees(found, reason))


def _dated(
    found: Diagnosis,
    requests: Sequence[SentRequest],
    controls: CacheControls,
    terms: Mapping[str, CacheTerms],
) -> Diagnosis:
    """With the requests in a row, up to this one, that missed for the same cause."""
    row = 0
    since, total = requests[-1].at_s, 0
    for before, after in reversed(list(pairwise(requests))):
        each = judge(before, after, controls, terms)
        if not each.missed_tokens or _what(each) != _what(found):
            break
        row, since, total = row + 1, after.at_s, total + each.cost_nanos
    return replace(found, since_s=since, requests=row, total_nanos=total)


def _what(found: Diagnosis) -> tuple[str, int | None]:
    """The same cause: of tools and instructions also the same block. Messages move on."""
    changed = found.difference
    if changed is None or changed.change != found.cause or changed.level == "messages":
        return found.cause, None
    return found.cause, changed.index


_PARTS: Mapping[str, str] = {
    "model-changed": "model",
    "tool-added": "tools",
    "tool-removed": "tools",
    "tool-changed": "tools",
    "tools-reordered": "tools",
    "system-added": "system",
    "system-removed": "system",
    "system-changed": "system",
    "system-reordered": "system",
    "message-added": "messages",
    "message-removed": "messages",
    "message-changed": "messages",
}


def _agrees(found: Diagnosis, reason: TheirReason) -> bool | None:
    """Both name the same part, or both say that the requests agree."""
    if not reason.parts:
        return None
    changed = found.difference
    if changed is None:
        return UNCHANGED in reason.parts
    part = changed.name if changed.change == "setting-changed" else _PARTS[changed.change]
    unseen = found.cause not in ("hit", changed.change)
    return part in reason.parts or ((found.cause == "hit" or unseen) and UNCHANGED in reason.parts)
