"""What models read from their providers' prompt caches, as lines of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from frugal_chains.money import usd_from_nanos, usd_text
from frugal_chains.report._cache import (
    MIN_ATTEMPTS,
    WARN_BELOW_PERCENT,
    ModelCache,
    State,
)
from frugal_chains.report._cache_drop import CacheDrop
from frugal_chains.report._cache_texts import advice, cause_text, minimum_text
from frugal_chains.report._layout import indented, name_table, title
from frugal_chains.report._money import count_text, plain_text, share_text

MAX_MODELS = 10
"""That have a line, and warnings that are explained."""
_CENT_NANOS = 10_000_000


def cache_lines(caches: Sequence[ModelCache]) -> Iterable[RenderableType]:
    """A table, a warning for each model that reads too little, and why others are not warned of;
    nothing where no model was called often enough to tell, nor has used its cache."""
    told = [c for c in caches if c.attempts >= MIN_ATTEMPTS or c.read_tokens + c.written_tokens]
    if not told:
        return
    names = _names(caches)
    yield ""
    yield _table(told[:MAX_MODELS], names)
    if len(told) > MAX_MODELS:
        yield Text(f"and {len(told) - MAX_MODELS:,} more models, all in --json")
    low = sorted((c for c in told if c.state == "low"), key=_matters)
    for cache in low[:MAX_MODELS]:
        yield from _warning(cache)
    if len(low) > MAX_MODELS:
        yield Text(f"and {len(low) - MAX_MODELS:,} more warnings, all in --json")
    for cache in told[:MAX_MODELS]:
        if cache.drop is not None and cache.state != "low":
            yield ""
            yield title(f"Less read from the prompt cache: {_named(cache)}")
            yield indented(drop_text(cache.drop))
    yield from _no_warnings(told[:MAX_MODELS], names)


def _matters(cache: ModelCache) -> tuple[int, int]:
    return -(cache.saved_nanos or 0), cache.read_tokens - cache.input_tokens


def _names(caches: Sequence[ModelCache]) -> Mapping[tuple[str, str], str]:
    """Models by their names, and their providers where several have one of that name."""
    count = Counter(cache.model for cache in caches)
    return {
        (cache.provider, cache.model): _named(cache)
        if count[cache.model] > 1
        else _model(cache.model)
        for cache in caches
    }


def _model(name: str) -> str:
    return plain_text(name) or "(no model)"


def _named(cache: ModelCache) -> str:
    served = f" ({plain_text(cache.provider)})" if cache.provider else ""
    return f"{_model(cache.model)}{served}"


def _table(caches: Sequence[ModelCache], names: Mapping[tuple[str, str], str]) -> RenderableType:
    grid = name_table(("prompt cache",))
    for head in ("calls", "a prompt", "kept from", "written", "read"):
        grid.add_column(head, justify="right", no_wrap=True)
    for cache in caches:
        figures = (
            count_text(cache.attempts),
            count_text(cache.prompt_tokens),
            f"{cache.min_tokens:,}" + "+" * (cache.highest_min_tokens > cache.min_tokens),
            share_text(cache.written_tokens, cache.input_tokens),
            share_text(cache.read_tokens, cache.input_tokens),
        )
        grid.add_row(*map(Text, (names[cache.provider, cache.model], *figures)))
    return grid


def _warning(cache: ModelCache) -> Iterable[RenderableType]:
    yield ""
    share = share_text(cache.read_tokens, cache.input_tokens)
    yield title(
        f"Warning: {_named(cache)} read {share} of its input from the prompt cache, below "
        f"{WARN_BELOW_PERCENT}%"
    )
    if cache.saved_nanos is not None:
        yield indented(
            f"cost: up to {_amount(cache.saved_nanos)} more than if all of it had been read"
        )
    if cache.drop is not None:
        yield indented(drop_text(cache.drop))
    yield indented(f"likely: {cause_text(cache)}")
    yield indented(f"what to do: {advice(cache)}")


def _amount(nanos: int) -> str:
    """To the cent, never above it; exact below one."""
    return usd_text(usd_from_nanos(nanos - nanos % _CENT_NANOS if nanos > _CENT_NANOS else nanos))


def drop_text(drop: CacheDrop) -> str:
    """`since 2026-11-20: 81.0% to 12.0%`."""
    before = share_text(drop.read_before, drop.tokens_before)
    return f"since {drop.since}: {before} to {share_text(drop.read_since, drop.tokens_since)}"


def _short(cache: ModelCache, name: str) -> str:
    return f"{name} ({count_text(cache.prompt_tokens)} tokens, kept from {minimum_text(cache)})"


_REASONS: Final[Mapping[State, tuple[str, Callable[[ModelCache, str], str]]]] = {
    "few": (f"too few calls to judge (under {MIN_ATTEMPTS})", lambda _, name: name),
    "short": ("prompts may be too short to be kept", _short),
    "no discount": ("cached tokens cost no less than others", lambda _, name: name),
}


def _no_warnings(
    caches: Sequence[ModelCache], names: Mapping[tuple[str, str], str]
) -> Iterable[RenderableType]:
    """Why the others below the line are no warning, in a line for each reason."""
    reasons = [
        (reason, [say(c, names[c.provider, c.model]) for c in caches if c.state == state])
        for state, (reason, say) in _REASONS.items()
    ]
    if any(models for _, models in reasons):
        yield ""
        yield title(f"Below {WARN_BELOW_PERCENT}% of input read, and no warning")
    for reason, models in reasons:
        if models:
            yield indented(f"{reason}: {', '.join(models)}")
