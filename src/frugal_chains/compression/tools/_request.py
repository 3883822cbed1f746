"""What a choice of tools may look at, and the limits it keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from frugal_chains.errors import ToolPlanError

Action = Literal["leave", "slim", "prune"]
"""All tools as they are; all in fewer words; some, and `find_tool`, in fewer words if allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What a conversation has been offered so far: `ToolPlan.offered` of its last plan."""

    action: Action
    names: tuple[str, ...]
    """In the order in which they are sent, without `find_tool`."""
    slim: bool = False
    find_tool: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRequest:
    """One request, as far as its tools go."""

    query: str = ""
    """The last message of the user."""
    before: tuple[str, ...] = ()
    """The user's earlier messages, oldest first; they count less, the older the less."""
    instructions: str = ""
    """The system text: tools it names are kept."""
    used: tuple[str, ...] = ()
    """Names of the tools that were called in this conversation."""
    forced: tuple[str, ...] = ()
    """Named by `tool_choice`."""
    found: tuple[str, ...] = ()
    """What `find_tool` has found in this conversation."""
    offered: Offered | None = None
    """None: this is the conversation's first request."""
    after_tokens: int = 0
    """Of what the cache keeps after the tools: instructions and messages up to the last marker, or
    all of them where the provider keeps all."""
    vector: Sequence[float] | None = None
    """Of the query, where the index has vectors."""

    def __post_init__(self) -> None:
        if self.after_tokens < 0:
            raise ToolPlanError(f"after_tokens is {self.after_tokens}: expected 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPolicy:
    """How far tools may be pruned. The defaults lose one needed tool in 37 of 300, one in 110 of 30
    (docs/notes/compression-tools.md), which the model can ask for."""

    most: int = 10
    """Tools that a question is offered, beside those that have to be there. With no more than this
    many none is dropped."""
    limit: int = 30
    """Tools that a conversation is offered in the end; those that have to be there may pass it."""
    least_fit: float = 0.25
    """Of the best tool's score, 0 to 1: what fits worse is not offered, even if there is room."""
    least_saving: float = 0.05
    """Of the cheapest way to offer all, 0 to 1: for less than this none is dropped."""
    prune: bool = True
    slim: bool = True
    find_tool: bool = True
    """Whether a dropped tool can be asked for. Without, none is dropped for a question that shares
    no word with any."""
    follow: bool = True
    """Whether tools are added when a new question's best one is missing, though that breaks the
    cached prefix; False: only those that the model asks for."""

    def __post_init__(self) -> None:
        if self.most < 1 or self.limit < self.most:
            raise ToolPlanError(
                f"most is {self.most} and limit {self.limit}: expected 1 <= most <= limit"
            )
        for name in ("least_fit", "least_saving"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= 1):
                raise ToolPlanError(f"{name} is {value}: expected 0 to 1")
