"""`cache_misses`: what was not read from the providers' prompt caches although it could have been,
which part of the prompts had changed, since when, and what that cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from frugal_chains.ledger import Attempt, Ledger, moment
from frugal_chains.pricing import CacheTerms, PriceBook, TokenPrices
from frugal_chains.prompt_cache import Diagnosis, diagnose, terms_by_ttl
from frugal_chains.providers import CacheControls, cache_controls, cache_rule
from frugal_chains.report._conversations import Conversations, Followed, Request, request_of
from frugal_chains.report._misses_facts import Block, CacheMiss, CacheMisses

_LOOK_BACK: Final = timedelta(days=1)
"""Before the period: what its first requests follow. No provider keeps a prompt for longer."""
_LONG_PROMPT: Final = 100_000
"""Tokens: prices of some models step up above; below, one price is asked for."""
_FREE: Final = TokenPrices(fresh=0, cache_read=0, cache_write=0)
_PURPOSES: Final = frozenset({"answer", "retry"})
"""Drafts, summaries and the like have prompts of their own."""

_BLOCKS: Final[Mapping[str, Block]] = {
    "tools": "tool",
    "system": "system",
    "messages": "message",
}


def cache_misses(
    ledger: Ledger,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    model: str | None = None,
    thread_id: str | None = None,
    book: PriceBook | None = None,
) -> CacheMisses:
    """Why requests did not read what the ones before them had left.

    Only requests with fingerprints are compared (`track_cost(fingerprints=True)`), each with the
    one it goes on from. Retries, drafts, summaries, batches and requests that ran at the same time
    are no misses; neither is the first request of a conversation.

    Args:
        ledger: Whose attempts are read.
        since, until: The period, its end left out; None: all there is.
        model: Only requests to this one, by the name that was asked or that answered.
        thread_id: Only this conversation.
        book: Of prices; None: list prices behind the user's.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    look = _Look(book or PriceBook.load(), since=since, model=model)
    start = since and since - _LOOK_BACK
    for attempt in ledger.attempts(status="ok", since=start, until=until, thread_id=thread_id):
        look.at(attempt)
    return look.result(until)


class _Look:
    """One pass over attempts, the oldest first."""

    def __init__(self, book: PriceBook, *, since: datetime | None, model: str | None) -> None:
        self._terms = lru_cache(maxsize=1024)(lambda *about: _terms(book, *about))
        self._since, self._model = since, model
        self._conversations = Conversations()
        self._groups: dict[tuple[Any, ...], _Group] = {}
        self._counts: Counter[str] = Counter()

    def at(self, attempt: Attempt) -> None:
        if not _can_show(attempt):
            return
        asked = (
            (self._since is None or attempt.at >= self._since)
            and attempt.purpose != "retry"
            and self._model in (None, attempt.model, attempt.model_asked)
        )
        request = request_of(attempt)
        self._counts["answers"] += asked
        if request is None:
            return
        followed = self._conversations.follow(request)
        if asked:
            self._counts["fingerprinted"] += 1
            self._judge(request, followed)

    def _judge(self, request: Request, followed: Followed) -> None:
        if followed.kind != "follows":
            self._counts[followed.kind] += 1
            return
        attempt = request.attempt
        controls = cache_controls(attempt.provider, request.model)
        if controls.control == "none":
            return
        self._counts["judged"] += 1
        before, found, priced = self._diagnosis(request, followed, controls)
        if found.cause in ("hit", "parallel"):
            self._counts["hits" if found.cause == "hit" else "parallel"] += 1
            return
        key, block, index, last_index, name = _what(request, before, found)
        group = self._groups.setdefault((*request.who, *key), _Group(request, found, block, name))
        group.add(request, followed, found, index, last_index, priced=priced)

    def _diagnosis(
        self, request: Request, followed: Followed, controls: CacheControls
    ) -> tuple[Request, Diagnosis, bool]:
        """Against the request before of the same model; where others came between and nothing has
        changed but the model, against the last of these."""
        attempt = request.attempt
        tokens = attempt.usage.input_tokens
        terms, priced = self._terms(
            attempt.provider,
            attempt.model,
            request.model,
            attempt.service_tier,
            attempt.at.replace(minute=0, second=0, microsecond=0),
            tokens if tokens > _LONG_PROMPT else 10_000,
        )
        found: list[tuple[Request, Diagnosis, bool]] = []
        for before in (followed.same_model, followed.latest):
            if before is not None:
                told = diagnose(
                    before.sent, request.sent, controls=controls, terms=terms, theirs=request.reason
                )
                found.append((before, told, priced))
        own = found[0]
        if len(found) == 1 or own[1].cause == "hit":
            return own
        changed = own[1].difference
        content = changed is not None and changed.change == own[1].cause
        return own if content else found[1]

    def result(self, until: datetime | None) -> CacheMisses:
        counts = self._counts
        misses = [group.miss() for group in self._groups.values()]
        return CacheMisses(
            since=self._since,
            until=until,
            answers=counts["answers"],
            fingerprinted=counts["fingerprinted"],
            judged=counts["judged"],
            hits=counts["hits"],
            parallel=counts["parallel"],
            misses=tuple(
                sorted(
                    misses, key=lambda m: (-m.cost_nanos, -m.missed_tokens, -m.requests, m.cause)
                )
            ),
        )


def _can_show(attempt: Attempt) -> bool:
    """Whether a prompt cache can show in an attempt, by the provider's own word."""
    return (
        attempt.purpose in _PURPOSES
        and attempt.service_tier != "batch"
        and attempt.usage.source == "provider"
        and attempt.usage.input_tokens > 0
    )


def _terms(
    book: PriceBook, provider: str, model: str, asked: str, tier: Any, at: datetime, tokens: int
) -> tuple[Mapping[str, CacheTerms], bool]:
    """What input costs, and whether that is known; at no price where it is not."""
    for name in dict.fromkeys((model, asked)):
        found = terms_by_ttl(book, model=name, provider=provider, tier=tier, at=at, tokens=tokens)
        if found:
            return found, True
    shortest = next(iter(cache_controls(provider, asked).ttls), ("", 0))[0]
    return {shortest: CacheTerms.of(_FREE, cache_rule(provider, asked))}, False


def _what(
    request: Request, before: Request, found: Diagnosis
) -> tuple[tuple[Any, ...], Block, int | None, int | None, str]:
    """What is one cause: of tools and instructions the same block; messages move on."""
    changed = found.difference
    if changed is None or changed.change != found.cause:
        return (found.cause,), "", None, None, ""
    if changed.change == "model-changed":
        name = before.model
        if name == request.model:
            name = f"{name} ({before.attempt.provider})"
        return (found.cause, name), "model", None, None, name
    if changed.change == "setting-changed":
        return (found.cause, changed.name), "setting", None, None, changed.name
    block = _BLOCKS[changed.level]
    last = changed.index if changed.last_index is None else changed.last_index
    key = (found.cause,) if block == "message" else (found.cause, changed.index)
    return key, block, changed.index, last, ""


@dataclass(slots=True)
class _Group:
    """Of one cause, as it fills."""

    request: Request
    found: Diagnosis
    block: Block
    name: str
    conversations: set[str] = field(default_factory=set)
    indexes: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    tokens: int = 0
    nanos: int = 0
    unpriced: int = 0
    theirs: Counter[str] = field(default_factory=Counter)
    disagreed: int = 0

    def add(
        self,
        request: Request,
        followed: Followed,
        found: Diagnosis,
        index: int | None,
        last_index: int | None,
        *,
        priced: bool,
    ) -> None:
        self.conversations.add(followed.conversation)
        self.indexes += [i for i in (index, last_index) if i is not None]
        self.times.append(request.attempt.at_us)
        self.tokens += found.missed_tokens
        self.nanos += found.cost_nanos
        self.unpriced += not priced and found.missed_tokens > 0
        if found.theirs is not None and found.theirs.reason:
            self.theirs[found.theirs.reason] += 1
        self.disagreed += found.agrees is False

    def miss(self) -> CacheMiss:
        return CacheMiss(
            cause=self.found.cause,
            provider=self.request.attempt.provider,
            model=self.request.model,
            block=self.block,
            first_index=min(self.indexes, default=None),
            last_index=max(self.indexes, default=None),
            name=self.name,
            requests=len(self.times),
            conversations=len(self.conversations),
            since=moment(min(self.times)),
            last=moment(max(self.times)),
            missed_tokens=self.tokens,
            cost_nanos=self.nanos,
            unpriced=self.unpriced,
            theirs=tuple(self.theirs.most_common()),
            disagreed=self.disagreed,
        )
