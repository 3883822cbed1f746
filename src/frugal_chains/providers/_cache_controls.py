"""How a provider's prompt cache is asked to keep something, what it matches, and what loses it.

`cache_rule` says how much is kept and for how long; this is what a request can do about it. Prices
are not here: `pricing.TokenPrices` has them. Who has which: `_cache_control_table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Control = Literal["cache_control", "cachePoint", "prompt_cache_breakpoint", "automatic", "none"]
"""What a request says to the cache: Anthropic's mark on a block, Bedrock's block behind one,
OpenAI's mark on a block (GPT-5.6 and later), nothing where it caches anyway or not at all."""

Matching = Literal["longest prefix", "breakpoints"]
"""What is read: all that a prompt shares with an earlier one, in steps; or only what ends where an
earlier request was marked or ended."""

Level = Literal["tools", "system", "messages"]
"""A prompt is tools, then system, then messages: what is lost is lost with all behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheControls:
    """What one provider's cache lets a request ask for, as it is for one model."""

    control: Control
    matching: Matching
    source: str
    """The page and its date."""
    ttls: tuple[tuple[str, int], ...] = ()
    """Names and seconds of the times to live that a request may ask for, shortest first; the first
    is what it gets unasked, and has no name where nothing asks. As `CacheRule.ttl_s`."""
    most_markers: int = 0
    """That one request may have, or may write."""
    one_ttl: bool = False
    """A time to live is the request's, not the marker's."""
    lookback: int | None = None
    """Positions that are searched for an earlier entry from each marker on, the marker's own
    counted; 1: only what ends exactly there. None: all of them."""
    runs_count_once: bool = False
    """Tool calls in a row are one position, and so are tool results in a row."""
    most_considered: int | None = None
    """Markers of one request that are looked at: the first two, and the latest of the others."""
    marks_tools: bool = True
    """A tool definition can carry a marker."""
    writes_unasked: bool = False
    """It marks the end of the prompt by itself, and bills the write, unless told not to."""
    unasked_lookback: int | None = None
    """`lookback` of that marker: earlier messages that end where an entry may."""
    cache_key: bool = False
    """It takes a `prompt_cache_key`, up to 64 characters."""
    interval_tokens: int = 1
    """Entries end at multiples of this: a read may be shorter by as much."""
    stored_object: str = ""
    """A cache that is made by a call of its own and billed by the hour, where there is one."""
    resets: Mapping[str, Level] = field(default_factory=lambda: MappingProxyType({}))
    """By the setting that changes: the first level whose entries are lost. What is not here loses
    nothing, as far as the documents say."""

    def ttl_s(self, name: str = "") -> int:
        """Seconds of a time to live by its name; of the shortest, where the name is not known."""
        known = dict(self.ttls)
        return known.get(name, self.ttls[0][1] if self.ttls else 0)

    def reads_parts(self, *, marked: bool = False) -> bool:
        """Whether a request reads the beginning that it shares with an earlier one which went on
        in another way, as after a compaction; else only what an earlier one ended with is read.

        Args:
            marked: The end of that beginning carries a marker in both requests. It only matters
                where the provider marks the end of a prompt by itself: where it keeps nothing but
                what is marked, tools, instructions and summaries are taken to be.
        """
        # DeepSeek takes no marker: a beginning that requests share, as the tools and instructions
        # of an application, is found to be shared and kept.
        return marked or not self.writes_unasked
