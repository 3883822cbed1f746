"""Nano-USD and USD, whatever the application does to decimals."""

from __future__ import annotations

from decimal import Decimal, localcontext

from frugal_chains import Budget
from frugal_chains.money import nanos_from_usd, usd_from_nanos


def test_money_is_exact_under_any_decimal_context() -> None:
    with localcontext() as context:
        context.prec = 6
        assert usd_from_nanos(123_456_789_012) == Decimal("123.456789012")
        assert nanos_from_usd(Decimal("123.456789012")) == 123_456_789_012
        assert Budget.usd(5).limit_nanos == 5_000_000_000


def test_half_a_nano_goes_to_the_even_one() -> None:
    assert [nanos_from_usd(f"0.00000000{half}") for half in ("05", "15", "25")] == [0, 2, 2]
