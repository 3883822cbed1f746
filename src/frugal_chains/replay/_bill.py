"""`ReplayBill`: what replayed calls have cost, in sums that do not grow with them."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from frugal_chains.money import usd_from_nanos
from frugal_chains.usage import Usage

GROUPS: Final = 64
"""Conversations fall into so many groups, by a hash of their names. How far the groups' sums lie
apart says how far the whole might be from that of other traffic like it (random groups: K. Wolter,
"Introduction to Variance Estimation", 2nd edition 2007, chapter 2), and takes no more memory for a
million calls than for a hundred."""
_LEAST_GROUPS: Final = 8
"""With fewer that have any call, an interval would be a guess."""
_T_95: Final = 2.0
"""Student's t for 95 % and the 63 degrees of freedom of 64 groups."""


def group_of(name: str) -> int:
    """The group of a conversation: the same in every process."""
    return zlib.crc32(name.encode("utf-8", "surrogatepass")) % GROUPS


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayBill:
    """Of one setup."""

    calls: int
    nanos: int
    """Of the calls that have a price."""
    unpriced: int
    usage: Usage
    """Of all calls."""
    by_model: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Nanos."""
    groups: tuple[int, ...] = (0,) * GROUPS
    """Nanos of each group of conversations."""
    used: int = 0
    """Groups with any call."""

    @property
    def usd(self) -> Decimal:
        """Exact; read it together with `unpriced`."""
        return usd_from_nanos(self.nanos)

    @property
    def cached_share(self) -> float | None:
        """Of the input tokens, what is read from the provider's cache; None: there are none."""
        tokens = self.usage.input_tokens
        return self.usage.cache_read_tokens / tokens if tokens else None

    def spread_nanos(self, less: ReplayBill | None = None) -> float | None:
        """Half of the 95 % interval of the bill, for other traffic like this; None: there are too
        few conversations to tell.

        Args:
            less: Of the same calls: of the difference to it.
        """
        if self.used < _LEAST_GROUPS:
            return None
        other = less.groups if less is not None else (0,) * GROUPS
        found = [mine - theirs for mine, theirs in zip(self.groups, other, strict=True)]
        mean = sum(found) / GROUPS
        variance = GROUPS / (GROUPS - 1) * sum((each - mean) ** 2 for each in found)
        return _T_95 * math.sqrt(variance)


class BillBooks:
    """Adds calls up."""

    def __init__(self) -> None:
        self._calls = self._nanos = self._unpriced = 0
        self._counts = [0] * 5
        self._models: Counter[str] = Counter()
        self._groups = [0] * GROUPS
        self._seen = bytearray(GROUPS)

    def add(self, group: int, model: str, usage: Usage, nanos: int | None) -> None:
        """One call more; None: it has no price."""
        self._calls += 1
        self._seen[group] = 1
        counts = self._counts
        counts[0] += usage.input_tokens
        counts[1] += usage.output_tokens
        counts[2] += usage.cache_read_tokens
        counts[3] += usage.cache_write_5m_tokens
        counts[4] += usage.cache_write_1h_tokens
        if nanos is None:
            self._unpriced += 1
            return
        self._nanos += nanos
        self._models[model] += nanos
        self._groups[group] += nanos

    def bill(self) -> ReplayBill:
        """All of them."""
        asked, answered, read, short, long = self._counts
        return ReplayBill(
            calls=self._calls,
            nanos=self._nanos,
            unpriced=self._unpriced,
            usage=Usage(
                input_tokens=asked,
                output_tokens=answered,
                cache_read_tokens=read,
                cache_write_5m_tokens=short,
                cache_write_1h_tokens=long,
                source="estimated",
            ),
            by_model=MappingProxyType(dict(self._models)),
            groups=tuple(self._groups),
            used=sum(self._seen),
        )
