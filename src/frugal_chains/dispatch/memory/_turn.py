"""What a turn of a conversation comes to: what is asked on the way, and what is sent in the end."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from frugal_chains.memory import CompactionPlan, MemoryState, Reason, Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRequest:
    """A summary that a model is to be asked for.

    Sent back to the generator is what the model answered, or the exception that it raised.
    """

    kind: Literal["aligned", "flat"]
    prompt: str
    """`aligned`: the last message of the user, behind `view`; `flat`: the whole prompt."""
    limit_tokens: int
    """Of the summary: what is longer is cut. An output cap needs room above it, for reasoning and
    for models that count badly."""
    view: tuple[Shown, ...] = ()
    """`aligned`: what is sent in front of the prompt, as it was sent before, word for word, with
    the same tools and system prompt."""
    shortened: tuple[tuple[int, str], ...] = ()
    """As of `Turn`, for `view`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """One compaction that was carried out: an event, for logs and screens. No text."""

    id: str
    """For `undo`."""
    conversation: str
    reason: Reason
    kind: Literal["digest", "aligned", "flat"]
    messages: int
    """That left the view."""
    before_tokens: int
    """Of the request as it would have been."""
    after_tokens: int
    merged: bool
    """All earlier segments are part of the new one."""
    extra_usd: float | None
    """What this call and the summary cost more than this call without; below 0: less. None: the
    model has no price."""
    saves_usd: float | None
    """What each further call costs less."""
    handle: str = ""
    """Under which an archive has the messages that left, if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What to send, and what to remember."""

    view: tuple[Shown, ...]
    """Messages and segments, in order."""
    recalled: str = ""
    """Behind the question; empty: nothing."""
    question: int | None = None
    """Position of the message of the history behind which `recalled` stands."""
    state: MemoryState
    """For the next turn."""
    reason: Reason | Literal["waits", "failed", "off"]
    """Why the conversation was compacted, or was not."""
    plan: CompactionPlan | None = None
    """Carried out."""
    event: Compaction | None = None
    shortened: tuple[tuple[int, str], ...] = ()
    """Positions, and the texts that are sent in place of those of messages that do not fit."""

    @property
    def changed(self) -> bool:
        """Whether anything else is sent than the history as it is."""
        return bool(
            self.recalled
            or self.shortened
            or any(shown.position != at for at, shown in enumerate(self.view))
        )


Flow: TypeAlias = Generator[SummaryRequest, str | BaseException, Turn]
