"""What a diagnosis is made of: requests that were sent, and what is found out about one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from frugal_chains.prompt_cache._compare import Change, Difference
from frugal_chains.prompt_cache._prints import RequestPrint
from frugal_chains.prompt_cache._theirs import TheirReason
from frugal_chains.usage import Usage

Cause = (
    Change
    | Literal[
        "hit",
        "first",
        "expired",
        "parallel",
        "look-back",
        "unmarked",
        "below-minimum",
        "evicted",
    ]
)
"""What differs first, or, where nothing does: all was read; there was no request before; the entry
had expired; the request before had not begun to be answered; no marker stood near enough to the
earlier one; none stood anywhere; the prompt was too short to be kept; none of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """One request of a conversation, with what came of it."""

    print: RequestPrint
    usage: Usage
    at_s: float
    """When it was sent: seconds of any clock, the same for all requests."""
    marked: tuple[int, ...] | None = None
    """Its markers: by position, as the look-back counts them; None: not known."""
    ttl: str = ""
    """Of its last marker; empty: what the provider gives unasked."""
    answered_s: float | None = None
    """When its answer began; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Why one request read less than the one before had left. Nothing in it is text of a prompt."""

    cause: Cause
    difference: Difference | None = None
    """What has changed, and where; None: nothing, as far as can be told."""
    reusable_tokens: int = 0
    """What the request before had left in the cache."""
    read_tokens: int = 0
    missed_tokens: int = 0
    """Of what was left: not read, but written again or billed as fresh."""
    cost_nanos: int = 0
    """What that cost, against reading it."""
    since_s: float | None = None
    """When the first of the requests in a row was sent that missed for the same cause; None: this
    one missed nothing."""
    requests: int = 0
    """How many they are."""
    total_nanos: int = 0
    """What they cost."""
    theirs: TheirReason | None = None
    """What the provider says."""
    agrees: bool | None = None
    """Whether it blames the same part; None: it says nothing, or was not asked."""
