"""`Amount`: a number of a sheet, or the range it lies in. All arithmetic is exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal, Self, TypeAlias

End = Literal["low", "likely", "high"]
Ends: TypeAlias = Mapping[str, End]
"""Which end of each range is meant, by its key; a range that is not named is at `likely`."""
LIKELY: Ends = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """`low <= likely <= high`, exactly as the sheet has them."""

    low: Fraction
    likely: Fraction
    high: Fraction
    key: str = ""
    """Where the range stands in the sheet: two workloads that take it from the same place have the
    same number. Empty: a fixed number."""

    @classmethod
    def fixed(cls, value: Fraction | int) -> Self:
        exact = Fraction(value)
        return cls(low=exact, likely=exact, high=exact)

    @property
    def is_range(self) -> bool:
        return self.low != self.high

    def at(self, ends: Ends) -> Fraction:
        match ends.get(self.key, "likely"):
            case "low":
                return self.low
            case "high":
                return self.high
        return self.likely


def exact_decimal(value: Fraction) -> Decimal:
    """A fraction whose decimals end, as an exact Decimal. What a sheet says and products of it do;
    those of a quotient are cut after 12 places."""
    places, rest = 0, value.denominator
    while rest % 10 == 0:
        rest, places = rest // 10, places + 1
    for prime in (2, 5):
        while rest % prime == 0:
            rest, places = rest // prime, places + 1
    if rest != 1:
        places = 12
    units = abs(value.numerator) * 10**places // value.denominator
    return Decimal((int(value < 0), tuple(map(int, str(units))), -places))
