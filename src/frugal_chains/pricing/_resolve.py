"""Which price applies to one model, at one provider, in one tier, at one moment.

The order: the user's aliases; free models; the user's own prices; genai-prices with our
corrections; then the service tier, the user's multipliers, and the rules for buckets without a
price of their own. Pure: the moment comes in as an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from frugal_chains.pricing import _genai
from frugal_chains.pricing._aliases import Aliases, Name, resolve_name
from frugal_chains.pricing._corrections import CORRECTIONS
from frugal_chains.pricing._entries import Multiplier, PriceEntry, matches
from frugal_chains.pricing._genai import Listing
from frugal_chains.pricing._rules import BILLED_AS, FREE_MODELS, REFUSED_PROVIDERS, TIER_RULES
from frugal_chains.pricing._tables import Band, PriceList, ServiceTier
from frugal_chains.providers import LOCAL_PROVIDERS

WAY_OUT = "give it a [[price]] or [[free]] entry, or an [alias] to a listed model, in prices.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What a user's `prices.toml` says."""

    aliases: Aliases = field(default_factory=Aliases)
    entries: tuple[PriceEntry, ...] = ()
    """In file order; the last active one wins."""
    multipliers: tuple[Multiplier, ...] = ()
    """In file order; the last active one wins, for each factor apart."""
    free: tuple[tuple[str, str], ...] = ()
    """`(provider, glob)`."""
    price_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The answer: a price list, known-free, or the reason why not."""

    name: Name
    listed_as: str = ""
    prices: PriceList | None = None
    free: bool = False
    reason: str = ""
    price_id: str = ""
    notes: tuple[str, ...] = ()
    context_window_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A price on its way: the list so far (or a refusal), and what was applied to it."""

    prices: PriceList | None = None
    refusal: str = ""
    corrected: tuple[str, ...] = ()
    """Ids of the rows and rules that changed a token price."""
    notes: tuple[str, ...] = ()

    def refused(self, why: str) -> _Found:
        return replace(self, prices=None, refusal=why)

    def with_prices(self, prices: PriceList, *notes: str, rule: str = "") -> _Found:
        return replace(
            self,
            prices=prices,
            refusal="",
            corrected=(*self.corrected, rule) if rule else self.corrected,
            notes=(*self.notes, *notes),
        )


def resolve(
    model: str, provider: str | None, tier: ServiceTier, at: datetime, overrides: Overrides
) -> Resolution:
    name = resolve_name(model, provider, overrides.aliases)
    answer = Resolution(name=name)
    if name.loop:
        return replace(answer, reason=f"[alias] leads in a circle: {' -> '.join(name.chain)}")
    if _listed_in(overrides.free, name):
        return replace(answer, free=True, price_id=overrides.price_id)
    own = _own_price(name, tier, at, overrides)
    if own is not None:
        return _finished(answer, own, overrides.price_id)
    if name.provider in LOCAL_PROVIDERS:
        return _local(answer)
    if not name.provider:
        return replace(answer, reason=f"no provider known for model {model!r}; {WAY_OUT}")
    if _listed_in(FREE_MODELS, name):
        if name.provider == "google" and _on_vertex(model, provider):
            why = f"{name.model} is free at the Gemini API, not on Vertex AI"
            return replace(answer, reason=f"{why}; {WAY_OUT}")
        return replace(answer, free=True, price_id=_list_id())
    listing = _genai.find_listing(name.provider, name.model)
    if listing is not None:
        answer = replace(
            answer,
            listed_as=f"{listing.provider}/{listing.model}",
            context_window_tokens=listing.info.context_window,
        )
        if listing.provider != name.provider and _by_the_clock(name, listing):
            return replace(answer, reason=_other_hours(name, listing))
    found = _discounted(_tiered(name, listing, tier, at, overrides), name, at, overrides)
    price_id = _list_id(found.corrected)
    if any(m.discount is not None or tier in m.factors for m in _active(overrides, name, at)):
        price_id = f"{price_id}, {overrides.price_id}"
    return _finished(answer, found, price_id)


def edges(
    model: str, provider: str | None, midnight: datetime, overrides: Overrides
) -> tuple[int, ...]:
    """Minutes of the UTC day at which this model's price may change; the first is 0."""
    name = resolve_name(model, provider, overrides.aliases)
    listing = _genai.find_listing(name.provider, name.model) if name.provider else None
    minutes = {0}
    for entry in corrections_of(name, listing):
        minutes |= {edge for span in (entry.window.spans if entry.window else ())
                    for edge in span}  # fmt: skip
        minutes |= {_minute(moment, midnight) for moment in (entry.since, entry.until)}
    if listing is not None:
        minutes |= _genai.clock_minutes(listing)
    return tuple(sorted(minute for minute in minutes if 0 <= minute < 24 * 60))


def corrections_of(name: Name, listing: Listing | None) -> tuple[PriceEntry, ...]:
    """The rows that correct this model on some day, in their order.

    A reseller without a price list of its own takes the lister's rows with the lister's price.
    """
    sellers = {name.provider, listing.provider if listing else name.provider}
    return tuple(
        entry
        for entry in CORRECTIONS
        if entry.provider in sellers and matches(entry.models, name.key)
    )


def _by_the_clock(name: Name, listing: Listing) -> bool:
    rows = corrections_of(name, listing)
    return bool(_genai.clock_minutes(listing)) or any(row.window is not None for row in rows)


def _other_hours(name: Name, listing: Listing) -> str:
    return (
        f"{listing.provider} bills {listing.model} by the hour of the day, which {name.provider}, "
        f"without a price list of its own, need not; {WAY_OUT}"
    )


def _minute(moment: datetime | None, midnight: datetime) -> int:
    return -1 if moment is None else int((moment - midnight).total_seconds() // 60)


def _on_vertex(model: str, provider: str | None) -> bool:
    """`google` is both the Gemini API and Vertex AI; only the spelling tells them apart."""
    prefix = model.partition("/")[0]
    return "vertex" in f"{provider or ''} {prefix}".lower() or "publishers/" in model


def _listed_in(rows: Iterable[tuple[str, str]], name: Name) -> bool:
    return any(p in ("*", name.provider) and matches((glob,), name.key) for p, glob in rows)


def _list_id(corrected: tuple[str, ...] = ()) -> str:
    listed = f"genai-prices {_genai.version()}"
    return f"{listed} corrected {'+'.join(dict.fromkeys(corrected))}" if corrected else listed


def _local(answer: Resolution) -> Resolution:
    if answer.name.provider == "ollama" and answer.name.key.endswith("cloud"):
        return replace(answer, reason=f"Ollama's cloud models are billed by plan; {WAY_OUT}")
    return replace(answer, free=True, price_id="local")


def _own_price(name: Name, tier: ServiceTier, at: datetime, overrides: Overrides) -> _Found | None:
    """The user's own price, if the file has one for this moment."""
    for entry in reversed(overrides.entries):
        if entry.prices is None or not entry.active(name.provider, name.key, at):
            continue
        found = _Found(prices=entry.prices, notes=(f"{entry.source}",))
        if tier == "standard":
            return found
        if tier not in entry.factors:
            return found.refused(
                f"prices.toml prices {name.model!r} ({entry.source}) but not its {tier} tier; "
                f"add `{tier}` to that entry, as a multiple of its standard prices"
            )
        return found.with_prices(entry.prices.times(entry.factors[tier]))
    return None


def _tiered(
    name: Name, listing: Listing | None, tier: ServiceTier, at: datetime, overrides: Overrides
) -> _Found:
    """The list price in the tier asked for."""
    listed = _listed(name, listing, at)
    standard = _corrected(listed, name, listing, "standard", at)
    if tier == "standard" or standard.prices is None:
        return standard
    factors = [m.factors[tier] for m in _active(overrides, name, at) if tier in m.factors]
    if factors:
        note = f"{tier} is {factors[-1]} times standard, {overrides.price_id}"
        return standard.with_prices(standard.prices.times(factors[-1]), note)
    borrowed = listing is None or listing.provider != name.provider
    apart = None if borrowed or listing is None else _genai.tier_prices(listing, tier, at)
    if apart is not None and listed.prices is not None:
        merged = listed.with_prices(_merged(listed.prices, apart, tier))
        return _corrected(merged, name, listing, tier, at)
    return _by_rule(standard, name, listing, tier, at)


def _listed(name: Name, listing: Listing | None, at: datetime) -> _Found:
    """What genai-prices says, before any correction."""
    if listing is None:
        return _Found(refusal=_unlisted(name))
    prices = _genai.standard_prices(listing, at)
    if isinstance(prices, str):
        return _Found(refusal=f"{listing.provider}/{listing.model}: {prices}")
    notes = _genai.notes(listing, at)
    if listing.provider == name.provider:
        return _Found(prices=prices, notes=notes)
    why = f"{name.provider} may charge another fee than {listing.provider}"
    return _Found(
        prices=replace(prices, per_thousand={}, gaps=dict.fromkeys(prices.per_thousand, why)),
        notes=(*notes, f"{listing.provider}'s list price: {name.provider} has none of its own"),
    )


def _unlisted(name: Name) -> str:
    if name.provider in REFUSED_PROVIDERS:
        return f"{name.provider}: {REFUSED_PROVIDERS[name.provider]}; {WAY_OUT}"
    if not _genai.is_listed(name.provider):
        return f"no price list for provider {name.provider!r}; {WAY_OUT}"
    return f"no price for model {name.model!r} at {name.provider}; {WAY_OUT}"


def _corrected(
    found: _Found, name: Name, listing: Listing | None, tier: ServiceTier, at: datetime
) -> _Found:
    """Fold the correction rows over a listed price, the later over the earlier."""
    for entry in corrections_of(name, listing):
        if tier in entry.tiers and entry.active_at(at):
            found = _apply(entry, found)
    return found


def _apply(entry: PriceEntry, found: _Found) -> _Found:
    if entry.prices is not None and not entry.overlay:
        # A whole new price starts a new history: what corrected the old one is no part of it.
        return _Found().with_prices(entry.prices, _told(entry), rule=entry.id)
    if entry.refuse and not entry.refuse_above_tokens:
        return found.refused(f"{entry.refuse} ({entry.source})")
    if found.prices is None:
        return found
    if entry.refuse:
        capped = found.prices.capped(entry.refuse_above_tokens, why=entry.refuse)
        return found.with_prices(capped, _told(entry))
    assert entry.prices is not None, "a correction has prices or a refusal"
    overlaid = found.prices.overlaid(entry.prices)
    if entry.prices.bands[0].per_mtok:
        return found.with_prices(overlaid, _told(entry), rule=entry.id)
    return found.with_prices(overlaid, *((_told(entry),) if entry.prices.per_thousand else ()))


def _told(entry: PriceEntry) -> str:
    return f"{entry.id}: {entry.refuse or 'corrected'} ({entry.source})"


def _merged(standard: PriceList, apart: PriceList, tier: ServiceTier) -> PriceList:
    """A tier's own prices over the standard ones.

    genai-prices has one price where the provider publishes the tier for short prompts only; the
    standard list then shows where long prompts begin.
    """
    merged = standard.overlaid(apart)
    long_from = [band.above_tokens for band in standard.bands[1:]]
    if long_from and len(apart.bands) == 1 and "input" in apart.bands[0].per_mtok:
        return merged.capped(
            long_from[0],
            why=f"no {tier} price is published above {long_from[0]:,} input tokens",
        )
    return merged


def _by_rule(
    standard: _Found, name: Name, listing: Listing | None, tier: ServiceTier, at: datetime
) -> _Found:
    """A provider's published rule for the tier, or a refusal: never the standard price."""
    assert standard.prices is not None, "only a known standard price has tiers"
    any_date = (
        _genai.tier_prices(listing, tier, at, any_date=True)
        if listing is not None and listing.provider == name.provider
        else None
    )
    for rule in TIER_RULES:
        if not rule.active(name.provider, name.key, tier, at):
            continue
        note = f"{rule.id}: {rule.source}"
        if rule.buckets and rule.factor is not None:
            why = f"{name.provider} publishes no {tier} price for it"
            prices = standard.prices.keeping(rule.buckets, why=why).times(rule.factor)
            return standard.with_prices(prices, note, rule=rule.id)
        if any_date is not None and rule.factor is not None:
            named = [bucket for band in any_date.bands for bucket in band.per_mtok]
            prices = standard.prices.times(rule.factor, buckets=named)
            return standard.with_prices(prices, note, rule=rule.id)
        if any_date is not None:
            prices = _merged(standard.prices, any_date, tier)
            return standard.with_prices(prices, note, rule=rule.id)
    return standard.refused(
        f"no {tier} price known for {name.model!r} at {name.provider} on {at:%Y-%m-%d}; give "
        f"`{tier}`, as a multiple of the standard price, in a [[multiplier]] entry of prices.toml"
    )


def _active(overrides: Overrides, name: Name, at: datetime) -> list[Multiplier]:
    return [m for m in overrides.multipliers if m.active(name.provider, name.key, at)]


def _discounted(found: _Found, name: Name, at: datetime, overrides: Overrides) -> _Found:
    """The user's discount on a list price, fees included."""
    discounts = [m.discount for m in _active(overrides, name, at) if m.discount is not None]
    if found.prices is None or not discounts:
        return found
    prices = found.prices.times(discounts[-1]).times_fees(discounts[-1])
    return found.with_prices(prices, f"times {discounts[-1]}, {overrides.price_id}")


def _finished(answer: Resolution, found: _Found, price_id: str) -> Resolution:
    if found.prices is None:
        return replace(answer, reason=found.refusal, notes=found.notes)
    prices, leant = _filled(found.prices, answer.name)
    return replace(answer, prices=prices, price_id=price_id, notes=(*found.notes, *leant))


def _filled(prices: PriceList, name: Name) -> tuple[PriceList, list[str]]:
    """Buckets without a price of their own, at the rate the provider bills them at."""
    bands, notes = list(prices.bands), []
    for rule in BILLED_AS:
        if rule.provider not in ("*", name.provider) or not matches(rule.models, name.key):
            continue
        if rule.bucket in prices.gaps:
            continue
        for i, band in enumerate(bands):
            if rule.bucket not in band.per_mtok and rule.rate_of in band.per_mtok:
                rate = band.per_mtok[rule.rate_of]
                bands[i] = Band(above_tokens=band.above_tokens,
                                per_mtok={**band.per_mtok, rule.bucket: rate})  # fmt: skip
                if rule.provider != "*" and i == 0:
                    notes.append(f"{rule.bucket} is billed as {rule.rate_of}: {rule.source}")
    return replace(prices, bands=tuple(bands)), notes
