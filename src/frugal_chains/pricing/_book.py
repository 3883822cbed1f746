"""`PriceBook`: list prices, our corrections, and a user's own prices in front of both."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from pathlib import Path

from frugal_chains.errors import PriceFileError
from frugal_chains.pricing import _genai
from frugal_chains.pricing._aliases import resolve_name
from frugal_chains.pricing._explain import Explanation, explained
from frugal_chains.pricing._history import history
from frugal_chains.pricing._price import Free, Price, Unpriced
from frugal_chains.pricing._rates import Rates, compile_rates
from frugal_chains.pricing._resolve import Overrides, Resolution, edges, resolve
from frugal_chains.pricing._tables import TIERS, ServiceTier
from frugal_chains.usage import Usage

_EPOCH_ORDINAL = 719_163
"""`date(1970, 1, 1).toordinal()`."""
_DAY_US = 86_400_000_000
_MAX_COMPILED = 20_000
"""Compiled days kept. Replays of a year of fifty models fit; more starts over."""

_Outcome = Rates | Free | Unpriced


class _ByHour:
    """A day on which the price changes: what holds from which second."""

    __slots__ = ("outcomes", "starts_s")

    def __init__(self, starts_s: list[int], outcomes: list[_Outcome]) -> None:
        self.starts_s, self.outcomes = starts_s, outcomes

    def at(self, second: int) -> _Outcome:
        return self.outcomes[bisect_right(self.starts_s, second) - 1]


class PriceBook:
    """What models cost, on any day.

    Rates compile once per model, provider, tier and UTC day; a price that changes during the day
    keeps its hours. After that a price is one dictionary look-up and integer arithmetic.

    List prices know nothing of credits, free tiers, currencies, storage of caches by the hour, or
    the uplift of a regional endpoint; a `[[multiplier]]` in `prices.toml` can say the last. A day
    whose price no source at hand gives is unpriced, and Vertex AI is told from the Gemini API only
    by the provider's spelling (`google_vertexai`) or the model's (`publishers/...`).
    """

    def __init__(self, overrides: Overrides | None = None) -> None:
        self._overrides = overrides or Overrides()
        self._compiled: dict[tuple[str, str | None, str, int], _Outcome | _ByHour] = {}

    @classmethod
    def load(cls, path: str | Path | None = None) -> PriceBook:
        """The bundled prices with a user's `prices.toml` in front.

        None: the file named by `$FRUGAL_PRICES`, else the first of `./prices.toml` and
        `~/.config/frugal/prices.toml` that exists, else no file.

        Raises:
            PriceFileError: the file is missing, or says something that is not understood.
        """
        found = find_price_file(path)
        if found is None:
            return cls()
        from frugal_chains.pricing._file import read_price_file

        return cls(read_price_file(found))

    def price(
        self,
        usage: Usage,
        *,
        model: str,
        provider: str | None = None,
        tier: str = "standard",
        at: datetime | None = None,
    ) -> Price:
        """What the usage cost: `Priced`, `Free`, or `Unpriced` with the reason and the way out.

        Never raises on what a provider returned: an unknown tier is unpriced too.

        Args:
            usage: What the attempt consumed.
            model: As asked for or as answered; prefixes and the user's aliases are understood.
            provider: In any framework's spelling. None: told from the model where possible.
            tier: One of `TIERS`.
            at: When the call started; naive times are UTC. None: now.
        """
        if at is None:
            at_us = time.time_ns() // 1000
        else:
            if at.tzinfo is not UTC:
                at = _in_utc(at)
            second = (at.hour * 60 + at.minute) * 60 + at.second
            at_us = (at.toordinal() - _EPOCH_ORDINAL) * _DAY_US + second * 1_000_000
        return self.price_at(at_us, usage, model=model, provider=provider, tier=tier)

    def price_at(
        self,
        at_us: int,
        usage: Usage,
        *,
        model: str,
        provider: str | None = None,
        tier: str = "standard",
    ) -> Price:
        """`price` for a start in microseconds since 1970, as attempts carry it."""
        day = _EPOCH_ORDINAL + at_us // _DAY_US
        outcome = self._compiled.get((model, provider, tier, day))
        if type(outcome) is Rates:
            return outcome.price(usage)
        if outcome is None:
            if tier not in TIERS:
                return Unpriced(reason=_unknown_tier(tier))
            outcome = self._compile(model, provider, tier, day)
        if isinstance(outcome, _ByHour):
            outcome = outcome.at(at_us % _DAY_US // 1_000_000)
        return outcome.price(usage) if isinstance(outcome, Rates) else outcome

    def rates(
        self,
        *,
        model: str,
        provider: str | None = None,
        tier: ServiceTier = "standard",
        at: datetime | None = None,
    ) -> Rates | Free | Unpriced:
        """The compiled rates, to price many usages of one moment.

        Raises:
            ValueError: the tier is none of `TIERS`.
        """
        if tier not in TIERS:
            raise ValueError(_unknown_tier(tier))
        moment = _in_utc(at) if at is not None else datetime.now(UTC)
        day = moment.toordinal()
        outcome = self._compiled.get((model, provider, tier, day))
        if outcome is None:
            outcome = self._compile(model, provider, tier, day)
        if isinstance(outcome, _ByHour):
            return outcome.at(moment.hour * 3600 + moment.minute * 60 + moment.second)
        return outcome

    def explain(
        self,
        model: str,
        provider: str | None = None,
        *,
        tier: ServiceTier = "standard",
        at: datetime | None = None,
    ) -> Explanation:
        """What would be charged, in USD per 1,000,000 tokens, and where that comes from.

        Raises:
            ValueError: the tier is none of `TIERS`.
        """
        if tier not in TIERS:
            raise ValueError(_unknown_tier(tier))
        moment = _in_utc(at) if at is not None else datetime.now(UTC)
        return explained(resolve(model, provider, tier, moment, self._overrides), tier, moment)

    def history(
        self,
        model: str,
        provider: str | None = None,
        *,
        tier: ServiceTier = "standard",
        at: datetime | None = None,
    ) -> tuple[Explanation, ...]:
        """The price from the beginning and at each known change, oldest first.

        A price that changes during the day has its hours listed for the day of `at`.

        Raises:
            ValueError: the tier is none of `TIERS`.
        """
        if tier not in TIERS:
            raise ValueError(_unknown_tier(tier))
        moment = _in_utc(at) if at is not None else datetime.now(UTC)
        return history(model, provider, tier, moment, self._overrides)

    def context_window_tokens(self, model: str, provider: str | None = None) -> int | None:
        """The longest prompt the model takes, where genai-prices knows it."""
        name = resolve_name(model, provider, self._overrides.aliases)
        listing = _genai.find_listing(name.provider, name.model)
        return listing.info.context_window if listing else None

    def _compile(
        self, model: str, provider: str | None, tier: ServiceTier, day: int
    ) -> _Outcome | _ByHour:
        midnight = datetime.fromordinal(day).replace(tzinfo=UTC)
        starts_s, outcomes = [], []
        for minute in edges(model, provider, midnight, self._overrides):
            at = midnight + timedelta(minutes=minute)
            starts_s.append(minute * 60)
            outcomes.append(_outcome(resolve(model, provider, tier, at, self._overrides)))
        compiled = outcomes[0] if len(outcomes) == 1 else _ByHour(starts_s, outcomes)
        if len(self._compiled) >= _MAX_COMPILED:
            self._compiled.clear()
        self._compiled[(model, provider, tier, day)] = compiled
        return compiled


def _outcome(found: Resolution) -> _Outcome:
    if found.free:
        return Free(price_id=found.price_id)
    if found.prices is None:
        return Unpriced(reason=found.reason)
    return compile_rates(found.prices, price_id=found.price_id)


def _in_utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _unknown_tier(tier: str) -> str:
    return f"unknown service tier {tier!r}; expected one of {', '.join(TIERS)}"


def find_price_file(path: str | Path | None = None) -> Path | None:
    """The `prices.toml` that `PriceBook.load(path)` reads; None when there is none.

    Raises:
        PriceFileError: a file that was named does not exist.
    """
    named = path if path is not None else os.environ.get("FRUGAL_PRICES")
    if named:
        if not Path(named).exists():
            raise PriceFileError(f"{named}: no such file; give the path of a prices.toml")
        return Path(named)
    usual = (Path("prices.toml"), Path.home() / ".config" / "frugal" / "prices.toml")
    return next((found for found in usual if found.exists()), None)
