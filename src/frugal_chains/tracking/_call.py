"""The facts of one call: what is known when it starts, and what is known when it ends.

Named tuples, as attempts are, because two are made for every call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from frugal_chains.facts import RequestFacts
from frugal_chains.ledger import Purpose, Status
from frugal_chains.usage import UsageReading

_NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})


def _no_text() -> str:
    return ""


def _nothing() -> Sequence[object]:
    return ()


def _no_settings() -> Sequence[tuple[str, str]]:
    return ()


class CallStart(NamedTuple):
    """What an adapter knows when a call starts.

    `request` is a function because reading a long prompt costs time: it is called only when
    tokens must be counted (a budget reserves, or the provider's usage never comes).
    """

    key: str
    """The framework's id of this call, unique while open. A key reported twice is one call."""
    framework: str
    provider: str
    model: str
    request: Callable[[], RequestFacts]
    output_cap_tokens: int | None = None
    """The request's own output cap (`max_tokens`), if any; for all answers together when n > 1."""
    service_tier: str = "standard"
    """The tier asked for; the response's own word replaces it."""
    streamed: bool = False
    purpose: Purpose = "answer"
    root_id: str = ""
    """The outermost run this call belongs to; empty means the call itself."""
    parent_id: str = ""
    thread_id: str = ""
    tags: Mapping[str, str] = _NO_TAGS
    answers: int = 1
    """Answers asked for with one request (`n`): each may grow to the model's own cap."""
    settings: Callable[[], Sequence[tuple[str, str]]] = _no_settings
    """What else the provider's prompt cache goes by (`cache_settings`); only fingerprints ask."""


class CallEnd(NamedTuple):
    """What an adapter knows when a call ends.

    Without a `reading` the usage is estimated from the request and from `output_text`, and flagged.
    """

    status: Status = "ok"
    error_kind: str = ""
    reading: UsageReading | None = None
    model: str = ""
    """The model that answered, where the response names it."""
    provider: str = ""
    output_text: Callable[[], str] = _no_text
    """Everything the model produced so far, tool-call arguments included."""
    note: str = ""
    """For the user: why usage is missing and how to turn it on."""
    sent: bool = True
    """False when the request was refused before it can have been billed (4xx, no connection):
    without a reading its usage is then zero, not an estimate."""
    of_batch: bool = False
    """The reading is of several calls together: nothing is to be learned from it about this one."""
    raw: Callable[[], Sequence[object]] = _nothing
    """What the provider returned, as far as the framework has it: it may explain a missed cache."""
