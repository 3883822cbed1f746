"""The provider's prompt cache as a figure: how much of the input each model read from it, whether
that is too little, and what the totals can tell of why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from frugal_chains.ledger import Totals
from frugal_chains.pricing import PriceBook
from frugal_chains.providers import (
    LOCAL_PROVIDERS,
    CacheControls,
    CacheRule,
    cache_controls,
    cache_rule,
    provider_id,
)
from frugal_chains.report._cache_drop import CacheDrop, DaySums, cache_drop
from frugal_chains.report._cache_price import saved_by_reading

CACHES: Final = ("provider", "model", "purpose", "status", "service_tier", "usage_source")
"""What to ask a ledger: with these apart, what says nothing of a prompt cache is left out."""
CACHE_DAYS: Final = ("day", *CACHES)
"""The same by day: it takes longer with every day, and is asked for the last `RECENT_DAYS`."""
RECENT_DAYS: Final = 35
"""Four weeks in which a fall is news, and the week before them."""

WARN_BELOW_PERCENT: Final = 50
"""Of input tokens. Two calls with one prompt can reach it; agents and chats, which repeat theirs in
every call, should be far above."""
MIN_ATTEMPTS: Final = 20
"""The first call with a prompt is written, never read, and so are calls beside it at a start. Of 2
calls half can be read at best; of 20 with one prompt 95 %, and with 9 different prompts still more
than half."""

State = Literal["well", "low", "few", "short", "no discount", "estimated"]
"""`low` alone is a warning. Below 50 % too, but no warning: `few` attempts; prompts too `short` to
be kept for sure; `no discount` on what is read; all usage `estimated` here."""

Cause = Literal["not marked", "little marked", "not read again", "changing prefix"]
"""What totals can tell: the provider keeps only what is marked, and nothing was; most of the input
was neither read nor written; most was written and not read again; the provider caches unasked, and
yet little was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCache:
    """What one model read from its provider's prompt cache.

    Tokens are of the attempts that ended well in no batch, embeddings left out, with usage that is
    the provider's word: of others the share is not known, or is no one's choice.
    """

    provider: str
    model: str
    attempts: int
    left_out: int
    """Attempts with estimated usage, of which the cache's part is not known."""
    input_tokens: int
    read_tokens: int
    written_tokens: int
    min_tokens: int
    """A shorter prefix is not kept."""
    highest_min_tokens: int
    """What `min_tokens` may be in truth; the same where it is sure."""
    ttl_s: int
    """Seconds that an entry is kept after its last use, unless a request asks for longer."""
    control: str
    """How a request marks what to keep: see `providers.CacheControls`."""
    state: State
    cause: Cause | None = None
    """The most likely one, of a warning."""
    saved_nanos: int | None = None
    """What a warning costs at most: had every token been read that was not, at the prices of the
    last day of the report. None: no warning, or some of it has no price."""
    drop: CacheDrop | None = None

    @property
    def read_share(self) -> float:
        """Of the input tokens, 0 to 1; 0 without any."""
        return self.read_tokens / self.input_tokens if self.input_tokens else 0.0

    @property
    def written_share(self) -> float:
        return self.written_tokens / self.input_tokens if self.input_tokens else 0.0

    @property
    def prompt_tokens(self) -> int:
        """Of a prompt, on average."""
        return round(self.input_tokens / self.attempts) if self.attempts else 0


def recent_since(days: Sequence[Totals], since: datetime | None) -> datetime | None:
    """The start of the last `RECENT_DAYS` of a report that starts at `since`; None without a day.

    Args:
        days: Totals by day.
        since: None: from the beginning.
    """
    if not days:
        return None
    first = _start_of(max(line.key["day"] for line in days)) - timedelta(days=RECENT_DAYS - 1)
    return first if since is None else max(first, since)


def model_caches(
    lines: Sequence[Totals],
    recent: Sequence[Totals] = (),
    *,
    book: PriceBook | None = None,
    last_day: str = "",
) -> tuple[ModelCache, ...]:
    """Of each model whose provider caches prompts; the one with the most input first.

    Args:
        lines: The answer to `CACHES`.
        recent: The answer to `CACHE_DAYS`, since when less is read; without it that is not told.
        book: For what a warning costs; None: no amount is given.
        last_day: Of the report, `2026-11-20`: the prices are those of its noon, UTC.
    """
    days = _by_model(recent)
    at = _start_of(last_day) + timedelta(hours=12) if last_day else None
    caches = []
    for (provider, model), group in _by_model(lines).items():
        cache = _cache_of(provider, model, group)
        if cache is not None:
            drop = cache_drop(_days(days.get((provider, model), ())), min_attempts=MIN_ATTEMPTS)
            caches.append(replace(_priced(cache, group, book, at), drop=drop))
    return tuple(sorted(caches, key=lambda c: (-c.input_tokens, c.provider, c.model)))


def _start_of(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T00:00:00+00:00")


def _by_model(lines: Iterable[Totals]) -> dict[tuple[str, str], list[Totals]]:
    """Those that a prompt cache can show in."""
    models: dict[tuple[str, str], list[Totals]] = {}
    for line in lines:
        key = line.key
        if (
            key["status"] == "ok"  # others have no whole answer, or none of the provider's
            and key["purpose"] != "embed"
            # In any order, at any time: hits are best effort, or of no use.
            and key["service_tier"] != "batch"
        ):
            models.setdefault((key["provider"], key["model"]), []).append(line)
    return models


def _told(lines: Iterable[Totals]) -> list[Totals]:
    """By the provider."""
    return [line for line in lines if line.key["usage_source"] == "provider"]


def _cache_of(provider: str, model: str, lines: Sequence[Totals]) -> ModelCache | None:
    """By totals alone; None where nothing is known of a cache."""
    told = _told(lines)
    tokens = sum(line.usage.input_tokens for line in told)
    read = sum(line.usage.cache_read_tokens for line in told)
    written = sum(line.usage.cache_write_tokens for line in told)
    rule, controls = cache_rule(provider, model), cache_controls(provider, model)
    local = provider_id(provider) in LOCAL_PROVIDERS
    # Many local servers and unknown providers do not say what they read: 0 is no word of theirs.
    if (local or controls.control == "none") and not read + written:
        return None
    attempts = sum(line.attempts for line in told)
    state = _state(attempts, tokens, read, rule)
    if state == "low" and local:
        state = "no discount"
    return ModelCache(
        provider=provider,
        model=model,
        attempts=attempts,
        left_out=sum(line.attempts for line in lines) - attempts,
        input_tokens=tokens,
        read_tokens=read,
        written_tokens=written,
        min_tokens=rule.min_tokens,
        highest_min_tokens=_surely_kept(rule),
        ttl_s=rule.ttl_s,
        control=controls.control,
        state=state,
        cause=_cause(controls, tokens, read, written) if state == "low" else None,
    )


def _priced(
    cache: ModelCache, lines: Sequence[Totals], book: PriceBook | None, at: datetime | None
) -> ModelCache:
    """A warning with its cost; none where a read costs no less than other input."""
    if cache.state != "low" or book is None or at is None:
        return cache
    saved = saved_by_reading(_told(lines), cache.provider, cache.model, book, at)
    if saved == 0:
        return replace(cache, state="no discount", cause=None)
    return replace(cache, saved_nanos=saved)


def _surely_kept(rule: CacheRule) -> int:
    return rule.min_tokens if rule.highest_min_tokens is None else rule.highest_min_tokens


def _state(attempts: int, tokens: int, read: int, rule: CacheRule) -> State:
    if not attempts:
        return "estimated"
    if tokens and 100 * read >= WARN_BELOW_PERCENT * tokens:
        return "well"
    if attempts < MIN_ATTEMPTS:
        return "few"
    # Prompts of this size on average: some are longer, and what repeats is a part of each.
    return "short" if tokens < _surely_kept(rule) * attempts else "low"


_MARKED: Final[frozenset[str]] = frozenset({"cache_control", "cachePoint"})


def _cause(controls: CacheControls, tokens: int, read: int, written: int) -> Cause:
    """What the larger part of the input tells that was not read."""
    fresh = tokens - read - written
    if written > fresh:
        return "not read again"
    if controls.control not in _MARKED:
        return "changing prefix"
    return "little marked" if read + written else "not marked"


def _days(lines: Iterable[Totals]) -> list[DaySums]:
    sums: dict[str, DaySums] = {}
    for line in _told(lines):
        day, usage = line.key["day"], line.usage
        known = sums.get(day, DaySums(day))
        sums[day] = DaySums(
            day,
            known.attempts + line.attempts,
            known.tokens + usage.input_tokens,
            known.read + usage.cache_read_tokens,
        )
    return [sums[day] for day in sorted(sums)]
