"""What a system prompt is shortened for, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from frugal_chains.compression.prompt import Conciseness, DiffView, PromptPlan, diff_text
from frugal_chains.dispatch.prompt._parts import Parts


class Place(NamedTuple):
    """Where a text stands among the other texts of a system prompt."""

    front_tokens: int = 0
    behind_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortPrompt:
    """One text of a system prompt, and what was done to it."""

    text: str
    """As it is to be sent."""
    before: str
    tokens_before: int = 0
    tokens_after: int = 0
    reason: str = "failed"
    """`shorter`, or `longer` by a line that shortens answers; or why it is as it was: `all needed`,
    `no signal` (the person has said nothing about any section), `cache` (shortening may cost more
    than it saves), `off`, `too long` (no instructions), `empty` (nothing would be left), `failed`.
    """
    plan: PromptPlan | None = None
    """Of the sections, in their shortened words."""
    joined: tuple[int, ...] = ()
    """Sections that this request is the first to need."""
    parts: Parts | None = None
    """The sections, and what was done to their words."""
    net_nanos: int | None = None
    """What this request saves, as far as prices are known; negative: what it costs."""

    @property
    def brevity(self) -> Conciseness | None:
        """The line that asks for short answers, and its arithmetic."""
        return self.parts.brevity if self.parts else None

    def diff(self, view: DiffView = "lines") -> str:
        """What changed; empty where nothing did."""
        return diff_text(self.before, self.text, view)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is known of the request that a system prompt stands in."""

    questions: Sequence[str] = ()
    """What the person has said in this conversation, oldest first."""
    answered: bool = False
    """Something has been said since: the request goes on with what an earlier one has begun."""
    behind_tokens: Callable[[], int] = lambda: 0
    """Of the messages that an earlier request has sent. Only counted where it matters."""
