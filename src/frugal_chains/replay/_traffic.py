"""`RecordedCall`: one call of recorded traffic, whatever it was recorded in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """One request to a provider and what came of it.

    What the recording does not say is None or empty, never guessed: a replay says which of its
    figures rest on a guess.
    """

    model: str
    provider: str = ""
    """In any spelling; empty: told from the model."""
    tier: str = "standard"
    """Of the service: one of `pricing.TIERS`."""
    at_us: int | None = None
    """When it was sent, microseconds since 1970; None: the recording has no times."""
    conversation: str = ""
    """Calls of one conversation continue one another; empty: not known."""
    operation: str = ""
    """Calls that the application made for one request of its own; empty: each is one."""
    task: str = ""
    """What the call was for: a tag of the application's; empty: none."""
    purpose: str = "answer"
    """As of an attempt in the ledger: drafts, retries and summaries are not answers."""
    status: str = "ok"
    request: RequestFacts | None = None
    """Tools and messages; None: only sizes were recorded."""
    prints: Mapping[str, Any] | None = None
    """Fingerprints of the request, as a ledger has them; None: it has none."""
    answer: MessageFacts | None = None
    usage: Usage | None = None
    """As the provider has counted; None: it is counted from the texts."""
    nanos: int | None = None
    """What it has cost, in nano-USD, where the recording says so; None: it is priced."""
    line: int = 0
    """Where it stands in the recording, from 1: for messages."""
