"""How much fits a model's window: the limit that no request goes over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from frugal_chains.dispatch.memory import Compactor
from frugal_chains.memory import CompactionPolicy
from frugal_chains.pricing import PriceBook
from frugal_chains.tracking import shared_prices
from langchain_frugal._who import models_of, who


def within_window(
    policy: CompactionPolicy | None,
    model: Any,
    prices: PriceBook | None,
    settings: Mapping[str, Any] | None = None,
) -> CompactionPolicy:
    """The policy with a limit, where it has none and the model's window is known.

    Args:
        policy: The caller's; None: the defaults.
        model: Who answers: a model or its name. Of several, the one with the smallest window.
        prices: That know the windows of models which do not say.
        settings: Of the call; they may name another model.
    """
    policy = policy or CompactionPolicy()
    if policy.limit_tokens is not None:
        return policy
    sizes = [_window_tokens(each, settings or {}, prices) for each in models_of(model)]
    return policy.within(min((size for size in sizes if size), default=None))


class Compactors:
    """One for each window: an agent may ask another model at every call.

    Args:
        make: Of a policy with its limit.
        policy: The caller's.
        prices: That know windows.
    """

    def __init__(
        self,
        make: Callable[[CompactionPolicy], Compactor],
        policy: CompactionPolicy | None,
        prices: PriceBook | None,
    ) -> None:
        self._make, self._policy, self._prices = make, policy, prices
        self._made: dict[int | None, Compactor] = {}

    def of(self, model: Any, settings: Mapping[str, Any]) -> Compactor:
        """For a call of this model."""
        policy = within_window(self._policy, model, self._prices, settings)
        found = self._made.get(policy.limit_tokens)
        if found is None:  # two threads at once: the one that comes later finds the first's
            found = self._made.setdefault(policy.limit_tokens, self._make(policy))
        return found


def _window_tokens(model: Any, settings: Mapping[str, Any], prices: PriceBook | None) -> int | None:
    """None: not known."""
    profile = getattr(model, "profile", None)
    if isinstance(profile, Mapping) and "model" not in settings:
        said = profile.get("max_input_tokens")
        if isinstance(said, int) and said > 0:
            return said
    try:
        name, provider = who(model, settings)
        book = prices or shared_prices()
        return book.context_window_tokens(name, provider or None) if name else None
    except Exception:  # a book that cannot be read is no reason for no answer
        return None
