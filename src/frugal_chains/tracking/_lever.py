"""What a lever decided about the calls that are made now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from frugal_chains.ledger import Purpose
from frugal_chains.tracking._threads import block


class Lever(NamedTuple):
    """One decision, for the rows of the calls that follow from it."""

    decision: Mapping[str, Any]
    """Plain JSON, without any text of the user."""
    purpose: Purpose


_current: ContextVar[Lever | None] = ContextVar("frugal_lever", default=None)


@contextmanager
def decided(decision: Mapping[str, Any], *, purpose: Purpose = "answer") -> Iterator[None]:
    """Write the decision on the row of every call that is made inside the block.

    The purpose replaces `answer` alone: a summary that was routed is still a summary.
    """
    with block(_current, Lever(decision, purpose)):
        yield


def current_lever() -> Lever | None:
    """The decision that this code follows, if any."""
    return _current.get()
