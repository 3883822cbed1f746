"""Money: integer nano-USD inside, `Decimal` USD at the surface.

One nano-USD is 1e-9 USD. Sums of integers are exact whatever their order; a float or a rounded
Decimal would let two reports over the same rows disagree.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

NANOS_PER_USD = 1_000_000_000
_NANO = Decimal("1e-9")
_EXACT = Context(prec=28, rounding=ROUND_HALF_EVEN)
"""Our own, of as many digits as the default: the application may have set one of fewer."""


def usd_from_nanos(nanos: int) -> Decimal:
    """Nano-USD as exact USD: 1_500_000_000 is Decimal('1.500000000')."""
    return Decimal(nanos).scaleb(-9, _EXACT)


def nanos_from_usd(usd: Decimal | int | float | str) -> int:
    """USD as nano-USD, rounded half to even; a float is read by its shortest text (0.1 is 0.1)."""
    exact = Decimal(str(usd)) if isinstance(usd, float) else Decimal(usd)
    return int(exact.quantize(_NANO, context=_EXACT).scaleb(9, _EXACT))


def usd_text(usd: Decimal) -> str:
    """Exact USD with at least two decimals: `$0.000132`, `$1,250.00`. Never rounded."""
    sign = "-" if usd < 0 else ""
    whole, _, decimals = f"{usd.copy_abs():,f}".partition(".")
    return f"{sign}${whole}.{decimals.rstrip('0').ljust(2, '0')}"
