"""Hard constraints: why a model cannot answer a request at all."""

from __future__ import annotations

from collections.abc import Callable

from frugal_chains.routing._candidate import Candidate
from frugal_chains.routing._request import RoutingFacts


def why_unfit(
    candidate: Candidate,
    facts: RoutingFacts,
    *,
    region: str = "",
    max_latency_s: float | None = None,
) -> str:
    """The first constraint the model does not meet; empty: it meets them all."""
    if region and region not in candidate.regions:
        known = ", ".join(sorted(candidate.regions)) or "no region"
        return f"it names {known}, not {region}"
    if max_latency_s is not None and (candidate.latency_s or 0.0) > max_latency_s:
        return f"it takes {candidate.latency_s:g} s, the policy allows {max_latency_s:g} s"
    reasons = (check(candidate, facts) for check in _CHECKS)
    return next(filter(None, reasons), "")


def _context(candidate: Candidate, facts: RoutingFacts) -> str:
    window, needed = candidate.context_window_tokens, facts.input_tokens.get(candidate.name)
    if window is None or needed is None:
        return ""
    room = facts.output_cap_tokens or 0
    if needed + room <= window:
        return ""
    output = f" and {room:,} of output" if room else ""
    return f"{needed:,} tokens{output} do not fit its window of {window:,}"


def _output_cap(candidate: Candidate, facts: RoutingFacts) -> str:
    cap, most = facts.output_cap_tokens, candidate.max_output_tokens
    too_much = cap is not None and most is not None and cap > most
    return f"the request allows {cap:,} tokens of output, it gives {most:,}" if too_much else ""


def _modalities(candidate: Candidate, facts: RoutingFacts) -> str:
    taken = candidate.modalities
    if taken is None:
        return ""
    messages = facts.request.messages
    if "image" not in taken and any(message.images for message in messages):
        return "it does not take images"
    if "audio" not in taken and any(message.audio for message in messages):
        return "it does not take audio"
    return ""


def _tools(candidate: Candidate, facts: RoutingFacts) -> str:
    wanted = facts.request.tools or any(m.tool_calls for m in facts.request.messages)
    return "it cannot call tools" if wanted and candidate.tools is False else ""


def _structure(candidate: Candidate, facts: RoutingFacts) -> str:
    lacking = facts.request.output_schema and candidate.structured_output is False
    return "it cannot hold an answer to a schema" if lacking else ""


def _available(candidate: Candidate, facts: RoutingFacts) -> str:
    return facts.unavailable.get(candidate.name, "")


_CHECKS: tuple[Callable[[Candidate, RoutingFacts], str], ...] = (
    _context, _output_cap, _modalities, _tools, _structure, _available,
)  # fmt: skip
