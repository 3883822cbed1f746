"""`frugal prices`: what a model costs, and where that price comes from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frugal_chains.cli._options import JsonOption, moment, now
from frugal_chains.cli._printing import console, plain_errors, print_json

if TYPE_CHECKING:
    from frugal_chains.pricing import ServiceTier
    from frugal_chains.report import PriceFacts
    from frugal_chains.usage import Usage

_Model = Annotated[str, typer.Argument(help="As in your code or as a provider answered it.")]
_Provider = Annotated[
    str | None, typer.Option(help="Where it is served; told from the model where possible.")
]
_Tier = Annotated[str, typer.Option(help="standard, batch, flex, priority or fast.")]
_At = Annotated[str | None, typer.Option(help="Another moment than now, such as 2026-01-31; UTC.")]
_Input = Annotated[
    int | None, typer.Option("--input", help="Price these input tokens, cached ones included.")
]
_Output = Annotated[int | None, typer.Option("--output", help="Output tokens, reasoning included.")]
_CacheRead = Annotated[
    int | None, typer.Option(help="Input tokens read from the provider's cache.")
]
_CacheWrite5m = Annotated[
    int | None, typer.Option(help="Input tokens written to it, for the short time to live.")
]
_CacheWrite1h = Annotated[int | None, typer.Option(help="The same, for the long one.")]
_WebSearches = Annotated[int | None, typer.Option(help="Searches by the provider's own tool.")]


def prices(
    model: _Model,
    provider: _Provider = None,
    tier: _Tier = "standard",
    at: _At = None,
    input_tokens: _Input = None,
    output_tokens: _Output = None,
    cache_read: _CacheRead = None,
    cache_write_5m: _CacheWrite5m = None,
    cache_write_1h: _CacheWrite1h = None,
    web_searches: _WebSearches = None,
    as_json: JsonOption = False,
) -> None:
    """What a model costs, and where that price comes from. Exit code 1: it has no price.

    Example: frugal prices claude-sonnet-4-5 --tier batch --input 10000 --output 500
    """
    from frugal_chains.report import prices_json, prices_view

    named = _tier(tier)
    with plain_errors():
        usage = _usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cache_read_tokens=cache_read,
            cache_write_5m_tokens=cache_write_5m,
            cache_write_1h_tokens=cache_write_1h,
            web_searches=web_searches,
        )
        facts = _read_prices(model, provider, named, moment(at, "--at") or now(), usage)
    if as_json:
        print_json(prices_json(facts))
    else:
        console().print(prices_view(facts))
    if facts.unpriced:
        raise typer.Exit(1)


def _tier(name: str) -> ServiceTier:
    from frugal_chains.pricing import TIERS

    named = next((known for known in TIERS if known == name), None)
    if named is None:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(TIERS)}", param_hint="--tier")
    return named


def _usage(**asked: int | None) -> Usage | None:
    """The tokens asked about, or None when there are none. Raises `UsageError`."""
    from frugal_chains.usage import Usage

    counts: dict[str, Any] = {name: count for name, count in asked.items() if count is not None}
    return Usage(**counts) if counts else None


def _read_prices(
    model: str, provider: str | None, tier: ServiceTier, at: datetime, usage: Usage | None
) -> PriceFacts:
    from frugal_chains.pricing import PriceBook, find_price_file
    from frugal_chains.report import PriceFacts

    path = find_price_file()
    book = PriceBook.load(path)
    charge = (
        None
        if usage is None
        else book.price(usage, model=model, provider=provider, tier=tier, at=at)
    )
    return PriceFacts(
        asked=model,
        price=book.explain(model, provider, tier=tier, at=at),
        standard=book.explain(model, provider, at=at),
        history=book.history(model, provider, tier=tier, at=at),
        price_file=str(path or ""),
        usage=usage,
        charge=charge,
    )
