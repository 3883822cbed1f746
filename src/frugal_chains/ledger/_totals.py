"""`Totals`: one line of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from frugal_chains.money import usd_from_nanos
from frugal_chains.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over the attempts that share `key`."""

    key: Mapping[str, str]
    """One value for each name in `by`; empty text where an attempt has no such tag."""
    attempts: int
    operations: int
    """Operations whose first attempt is in this group: the groups sum to the whole."""
    usage: Usage
    nanos: int
    """Cost of the priced attempts."""
    unpriced: int
    """Attempts whose cost is unknown and therefore missing from `cost_usd`."""
    estimated: int
    """Attempts whose usage is not, or not wholly, the provider's word."""

    @property
    def cost_usd(self) -> Decimal:
        """Exact USD of the priced attempts; read it together with `unpriced`."""
        return usd_from_nanos(self.nanos)
