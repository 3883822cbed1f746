"""`HeldMessage`: what a decision about memory may look at of one message."""

from __future__ import annotations

from dataclasses import dataclass

from frugal_chains.errors import MemoryPlanError
from frugal_chains.facts import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldMessage:
    """One message of a conversation: its size and what it belongs to, never its text.

    Raises:
        MemoryPlanError: tokens below 0.
    """

    role: Role
    tokens: int
    """As it is sent: text, tool calls, images, reasoning blocks and the provider's framing."""
    calls: tuple[str, ...] = ()
    """Of an assistant's message: ids of the tool calls it asks for. Ids may repeat in a
    conversation: a result belongs to the nearest call before it."""
    answers: str = ""
    """Of a tool's message: the id of the call it answers."""
    key: str = ""
    """What tells this message from another: its id, or a hash of its content."""
    pinned: bool = False
    """Never leaves the context."""

    def __post_init__(self) -> None:
        if self.tokens < 0:
            raise MemoryPlanError(f"a message of {self.tokens} tokens: expected 0 or more")
