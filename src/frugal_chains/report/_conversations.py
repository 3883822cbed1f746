"""Which request of the books followed which: the pairs that a missed cache is looked for in.

A conversation is a thread, where the framework names one; else the requests that begin with the
same message, or belong to one operation. Within it a request follows the latest one that it goes on
from: agents that take turns in one thread are each compared with themselves.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from frugal_chains.errors import CachePlanError
from frugal_chains.ledger import Attempt
from frugal_chains.prompt_cache import (
    Difference,
    MessagesPrint,
    RequestPrint,
    SentRequest,
    first_difference,
)
from frugal_chains.tracking import read_prints

_REMEMBERED: Final = 8
"""Requests of one conversation that the next may follow."""
_CONVERSATIONS: Final = 20_000
"""Those that were silent for longest are forgotten."""
_NEARLY_ALL: Final = 0.9
"""Of the tokens that are shared at most: stored hashes tell the place of a change only roughly, and
the later of two requests that share as much is the one before."""
_SPEAKERS: Final = ("agent", "node")
"""Tags that LangChain's adapter reads off a run."""
_KEPT_APART: Final = frozenset({"llama_index"})
"""Frameworks whose thread is one run, and a conversation many: llama-index-workflows names runs."""


@dataclass(frozen=True, slots=True)
class Request:
    """One attempt with fingerprints."""

    attempt: Attempt
    sent: SentRequest
    first: str
    """The hash of its first message, as text."""
    tail: tuple[bytes, ...]
    """Those of its last messages, the last one at the end."""
    reason: Mapping[str, Any] | None
    """The provider's own, where it was kept."""

    @property
    def model(self) -> str:
        """That was asked: an answer may name it in another way each time."""
        return self.attempt.model_asked or self.attempt.model

    @property
    def who(self) -> tuple[str, str]:
        return self.attempt.provider, self.model


@dataclass(frozen=True, slots=True)
class Followed:
    """What came before a request in its conversation."""

    conversation: str
    kind: Literal["first", "parallel", "follows"]
    """`parallel`: only requests that had not been answered when it was sent."""
    same_model: Request | None = None
    latest: Request | None = None
    """Of any model, where that is a later one."""


def request_of(attempt: Attempt) -> Request | None:
    """None: no fingerprints, or of a form that is not known."""
    if attempt.prints is None:
        return None
    try:
        stored = read_prints(attempt.prints)
    except CachePlanError:
        return None
    tier = hashlib.blake2b(attempt.service_tier.encode(), digest_size=8).digest()
    read = replace(
        stored.request,
        model=f"{attempt.provider}:{attempt.model_asked or attempt.model}",
        settings={**stored.request.settings, "service_tier": tier},
    )
    at_s = attempt.at_us / 1e6
    began_s = attempt.latency_s if attempt.first_token_s is None else attempt.first_token_s
    sent = SentRequest(
        print=read,
        usage=attempt.usage,
        at_s=at_s,
        ttl=stored.ttl,
        answered_s=None if began_s is None else at_s + began_s,
    )
    return Request(attempt, sent, stored.first, stored.tail, stored.reason)


class Conversations:
    """Takes requests in the order in which they were sent."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, deque[Request]] = OrderedDict()
        self._operations: dict[str, str] = {}

    def follow(self, request: Request) -> Followed:
        """What it follows; it is remembered for those to come."""
        key, named = self._key(request)
        known = self._known.setdefault(key, deque(maxlen=_REMEMBERED))
        self._known.move_to_end(key)
        found = _followed(request, known, key, named=named)
        known.append(request)
        self._operations[request.attempt.operation_id] = key
        while len(self._known) > _CONVERSATIONS:
            self._known.popitem(last=False)
            self._operations = {op: k for op, k in self._operations.items() if k in self._known}
        return found

    def _key(self, request: Request) -> tuple[str, bool]:
        """Of its conversation, and whether the framework has named it."""
        attempt = request.attempt
        if attempt.thread_id and attempt.framework not in _KEPT_APART:
            return f"thread:{attempt.thread_id}", True
        key = f"first:{request.first}"
        if key not in self._known:
            key = self._operations.get(attempt.operation_id, key)
        return key, False


def _followed(request: Request, known: Sequence[Request], key: str, *, named: bool) -> Followed:
    if known and _only_adds(known[-1], request):
        return Followed(key, "follows", known[-1])
    linked = [
        (other, _shared(other, request)) for other in known if _goes_on(other, request, named=named)
    ]
    before = [(other, shared) for other, shared in linked if not _overlaps(other, request)]
    if not before:
        return Followed(key, "parallel" if linked else "first")
    latest = _latest(before)
    same = [(other, shared) for other, shared in before if other.who == request.who]
    if latest.who == request.who:
        return Followed(key, "follows", _latest(same))
    return Followed(key, "follows", _latest(same) if same else None, latest)


def _latest(found: Sequence[tuple[Request, int]]) -> Request:
    most = max(shared for _, shared in found)
    return next(other for other, shared in reversed(found) if shared >= most * _NEARLY_ALL)


def _overlaps(other: Request, request: Request) -> bool:
    answered_s = other.sent.answered_s
    return answered_s is not None and answered_s > request.sent.at_s


def _shared(other: Request, request: Request) -> int:
    """Tokens that both begin with, whoever reads them."""
    one, two = (replace(r.sent.print, model="", settings={}) for r in (other, request))
    found = first_difference(one, two, {})
    return one.tokens if found is None else found.same_tokens


def _goes_on(other: Request, request: Request, *, named: bool) -> bool:
    """Whether a request goes on from an earlier one, or was meant to.

    It has all of its messages, or the last of them, whatever has become of those before. In a
    conversation with a name the same instructions are enough, as messages may have been cut or
    summed up. Who answers under another name, as several agents do, does not go on.
    """
    one, two = other.attempt.tags, request.attempt.tags
    if any(one.get(tag) != two.get(tag) for tag in _SPEAKERS):
        return False
    before, after = other.sent.print.messages, request.sent.print.messages
    head = _same_head(other, request)
    begins = other.first == request.first
    if begins and before.count <= after.count and _difference(before, after) is None:
        return head or before.count < after.count
    if other.tail and other.tail[-1] in request.tail[:-1]:
        return True
    # Questions of one message each, with the same instructions, are conversations of their own.
    return named and head and (begins or (before.count >= 2 and after.count >= 3))


def _only_adds(last: Request, request: Request) -> bool:
    """The usual case, told at once: the latest request, with more behind it."""
    before, after = last.sent.print.messages, request.sent.print.messages
    return (
        last.who == request.who
        and last.first == request.first
        and before.count < after.count
        and not _overlaps(last, request)
        and _difference(before, after) is None
        and _same_head(last, request)
        and _goes_on(last, request, named=False)
    )


def _difference(before: MessagesPrint, after: MessagesPrint) -> Difference | None:
    return first_difference(RequestPrint(messages=before), RequestPrint(messages=after), {})


def _same_head(other: Request, request: Request) -> bool:
    before, after = (
        RequestPrint(tools=r.sent.print.tools, system=r.sent.print.system) for r in (other, request)
    )
    return first_difference(before, after, {}) is None
