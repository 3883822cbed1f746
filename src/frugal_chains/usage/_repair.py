"""From the counts a reader found to a `Usage` that can be true.

Repairs only ever raise a count: a parent grows to its parts, an unexplained rest of a total is
taken for output, the dearer side. An overcount is seen on the bill and corrected; an undercount is
not. Every repair is a problem with both numbers, and turns `source` to `mixed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from frugal_chains.usage._reading import UsageReading
from frugal_chains.usage._usage import INCLUSIONS, Usage

Counts = dict[str, int]
"""Counts by their name in `Usage`; a name left out is 0."""

PARTS: Final = tuple({part for _, parts in INCLUSIONS for part in parts})

CACHE_PARTS: Final = ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")

REASONING_BESIDE: Final = frozenset({"xai", "x-ai", "grok"})
"""Their chat API counts reasoning beside `completion_tokens` (docs.x.ai, consumption and rate
limits, as quoted in vercel/ai#12425: "counted separately from completion_tokens")."""

CACHE_BESIDE: Final = frozenset({"aws", "bedrock", "amazon_bedrock", "bedrock_converse"})
"""Converse counts cache reads and writes beside `inputTokens`: see `read_bedrock`."""


def add_what_stands_beside(counts: Counts, total: int, provider: str = "") -> None:
    """Fold reasoning and cache tokens into their parents where a provider counts them beside.

    OpenAI's shape includes both in the parents; some servers that speak it do not, and show it by
    a total that is larger by exactly those tokens: xAI chat and Gemini behind OpenAI-compatible
    gateways (reasoning), Bedrock as LlamaIndex repeats it (cache). Without a total the name of
    the provider decides, where the shape leaves it open.
    """
    reasoning = counts.get("reasoning_tokens", 0)
    cached = sum(counts.get(part, 0) for part in CACHE_PARTS)
    if total:
        excess = total - counts["input_tokens"] - counts["output_tokens"]
        readings = ((0, 0), (0, reasoning), (cached, 0), (cached, reasoning))
        beside = next((pair for pair in readings if sum(pair) == excess), (0, 0))
    else:
        beside = (
            cached if provider in CACHE_BESIDE else 0,
            reasoning if provider in REASONING_BESIDE else 0,
        )
    counts["input_tokens"] += beside[0]
    counts["output_tokens"] += beside[1]


def check_total(counts: Counts, total: int, problems: list[str]) -> None:
    """Hold input + output against the total the provider states; 0 means it states none."""
    read, written = counts["input_tokens"], counts["output_tokens"]
    excess = total - read - written
    if not total or not excess:
        return
    stated = f"total_tokens = {total}, but input_tokens = {read} and output_tokens = {written}"
    if excess < 0:
        problems.append(stated)
        return
    taken_for = "output_tokens" if read else "input_tokens"
    counts[taken_for] += excess
    problems.append(f"{stated}: the other {excess} are taken for {taken_for}")


def split_writes(total: int, five: int, hour: int, problems: list[str]) -> tuple[int, int]:
    """Cache writes at the short and at the long time to live.

    `total` is what the response says was written, `five` and `hour` how it splits that. Without a
    split all is written at the short one, the default. A rest the split leaves out goes to the
    dearer of the times to live it names.
    """
    rest = total - five - hour
    if not rest or not (five or hour):
        return five + max(rest, 0), hour
    problems.append(f"cache writes: {total} in total, but {five} short and {hour} long by TTL")
    if rest < 0:
        return five, hour
    return (five, hour + rest) if hour else (five + rest, hour)


def finish(
    counts: Counts, problems: list[str], *, tier: str = "", billed_usd: str | None = None
) -> UsageReading | None:
    """The reading; None when not one count is above 0, because then nothing was reported."""
    if not any(counts.values()):
        return None
    _raise_parents(counts, problems)
    if not counts.get("input_tokens") and counts.get("output_tokens"):
        problems.append(
            f"input_tokens = 0 beside output_tokens = {counts['output_tokens']}: the input was not "
            "reported, count it from the request"
        )
    return UsageReading(
        usage=Usage(**counts, source="mixed" if problems else "provider"),
        service_tier=tier,
        problems=tuple(problems),
        billed_usd=billed_usd,
    )


def _raise_parents(counts: Counts, problems: list[str]) -> None:
    """Raise every parent that its parts exceed."""
    if not any(map(counts.get, PARTS)):
        return
    # INCLUSIONS lists grandparents first; a raised parent must be seen by its own parent.
    for parent, parts in reversed(INCLUSIONS):
        present: Mapping[str, int] = {part: counts[part] for part in parts if counts.get(part)}
        total, limit = sum(present.values()), counts.get(parent, 0)
        if total > limit:
            counts[parent] = total
            named = " + ".join(present)
            problems.append(f"{named} = {total} exceeds {parent} = {limit}, raised to {total}")
