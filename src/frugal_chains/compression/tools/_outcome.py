"""`ToolPlan`: which tools a request offers, in which words, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from frugal_chains.compression.tools._request import Action, Offered

Reason = Literal[
    "cheapest", "few_tools", "nothing_to_drop", "not_worth_it", "switched_off", "sticky"
]
"""Why this action: it is the cheapest; there are no more than `most` tools; none can be dropped;
dropping some saves less than `least_saving`; the policy drops none; the conversation has begun with
it."""
WhyDropped = Literal["fits_badly", "no_room"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One way to offer the tools, and its price."""

    action: Action
    tokens: int
    """Of the tools, in one request."""
    nanos: float
    """Expected for the input of this call and of the forecast ones, additions included."""


class Dropped(NamedTuple):
    """A tool that is not offered. A tuple, because most plans have hundreds."""

    number: int
    reason: WhyDropped
    score: float
    """Of the best that words and meaning give, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPlan:
    """What to offer. Numbers are those of the tools in the index."""

    action: Action
    reason: Reason
    kept: tuple[int, ...]
    """In the order in which they are to be sent, behind `find_tool`."""
    dropped: tuple[Dropped, ...]
    slim: bool
    """Send `index.slim[number]`, not `index.tools[number]`."""
    find_tool: bool
    """Send `index.find_tool` before all others."""
    tokens: int
    tokens_saved: int
    """Against all tools as they are."""
    alternatives: tuple[Alternative, ...]
    """What was compared, `leave` first. Of a conversation under way: leaving, as if all had been
    left from its start, and what is done."""
    block_key: str
    """For `CacheFacts.warm`, once this has been sent."""
    offered: Offered
    """For the conversation's next request."""

    @property
    def saved_nanos(self) -> float:
        """Expected, against leaving all tools as they are."""
        chosen = next(each for each in self.alternatives if each.action == self.action)
        return self.alternatives[0].nanos - chosen.nanos
