"""`price` answers from rates compiled by the day, `explain` and `history` for one moment: they
must say the same of every model, seller, tier and minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from genai_prices.data import providers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from frugal_chains.pricing import PriceBook, Rates, Unpriced
from frugal_chains.pricing._corrections import CORRECTIONS
from frugal_chains.pricing._rates import compile_rates
from frugal_chains.pricing._tables import TIERS, PriceList, ServiceTier
from frugal_chains.usage import Usage

BOOK = PriceBook()
ASKED = Usage(input_tokens=1000, output_tokens=1000)
LONG = Usage(input_tokens=300_000, output_tokens=1000)
START = datetime(2024, 1, 1, tzinfo=UTC)
MINUTES = (datetime(2027, 3, 1, tzinfo=UTC) - START) // timedelta(minutes=1)
CORRECTED = sorted({(r.provider, glob.replace("*", "")) for r in CORRECTIONS for glob in r.models})
MODELS = sorted(
    {(p.id, m.id) for p in providers for m in p.models}
    | set(CORRECTED)
    # Resellers, under the names of those they take their price from.
    | {("azure", m.id) for p in providers for m in p.models
       if p.id in ("openai", "anthropic", "deepseek", "x-ai", "moonshotai")}
    | {("google", m.id) for p in providers for m in p.models if p.id == "anthropic"}
)  # fmt: skip
# Where prices change, a random minute rarely falls; the hour around each change is drawn as often.
CHANGES = sorted({moment for row in CORRECTIONS for moment in (row.since, row.until) if moment})
MOMENTS = st.one_of(
    st.integers(0, MINUTES).map(lambda minute: START + timedelta(minutes=minute)),
    st.builds(
        lambda change, minute: change + timedelta(minutes=minute),
        st.sampled_from(CHANGES), st.integers(-1500, 1500),
    ),
)  # fmt: skip


@given(st.sampled_from(MODELS), st.sampled_from(TIERS), MOMENTS)
@example(("azure", "deepseek-v4-pro"), "standard", datetime(2026, 8, 16, 20, tzinfo=UTC))
@example(("deepseek", "deepseek-v4-pro"), "standard", datetime(2026, 8, 16, 15, 59, tzinfo=UTC))
@example(("deepseek", "deepseek-v4-pro"), "standard", datetime(2026, 8, 16, 16, 0, tzinfo=UTC))
@settings(max_examples=400, deadline=None)
def test_price_and_explain_agree(sold: tuple[str, str], tier: ServiceTier, at: datetime) -> None:
    provider, model = sold
    told = BOOK.explain(model, provider, tier=tier, at=at)
    compiled = BOOK.rates(model=model, provider=provider, tier=tier, at=at)
    if told.outcome != "priced":
        assert type(compiled).__name__.lower() == told.outcome
        return
    assert isinstance(compiled, Rates)
    alone = compile_rates(
        PriceList(bands=told.bands, per_thousand=told.fees), price_id=told.price_id
    )
    for usage in (ASKED, LONG):
        expected = alone.price(usage)
        got = BOOK.price(usage, model=model, provider=provider, tier=tier, at=at)
        assert type(got) is type(expected)
        assert isinstance(got, Unpriced) or got == expected


def test_history_tells_the_day_of_a_cut() -> None:
    cut = datetime(2025, 1, 31, tzinfo=UTC)  # litellm#8151
    lines = BOOK.history("o1-mini", "openai", at=datetime(2026, 3, 1, tzinfo=UTC))
    assert [line.at for line in lines] == [datetime(1970, 1, 1, tzinfo=UTC), cut]


@given(st.sampled_from(CORRECTED) | st.sampled_from(MODELS), MOMENTS)
@settings(max_examples=60, deadline=None)
def test_history_and_explain_agree(sold: tuple[str, str], at: datetime) -> None:
    provider, model = sold
    told = BOOK.explain(model, provider, at=at)
    line = [line for line in BOOK.history(model, provider, at=at) if line.at <= at][-1]
    assert (line.outcome, line.bands, line.fees) == (told.outcome, told.bands, told.fees)


@pytest.mark.parametrize(
    "model", ["deepseek-chat", "DeepSeek-R1", "deepseek-v4-flash", "deepseek-v4-pro"]
)
@pytest.mark.parametrize("hour", [2, 12, 20])
def test_a_reseller_does_not_inherit_hours_of_the_day(model: str, hour: int) -> None:
    # api-docs.deepseek.com states them for DeepSeek's own API alone.
    got = BOOK.price(
        ASKED, model=model, provider="azure", at=datetime(2025, 6, 2, hour, tzinfo=UTC)
    )
    assert isinstance(got, Unpriced)
    assert "by the hour of the day" in got.reason
    assert "prices.toml" in got.reason
