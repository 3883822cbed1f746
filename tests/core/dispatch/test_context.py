"""Context and payloads to a budget at work: effects in the books, and never a reason to fail."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains import Ledger
from frugal_chains.compression import Ahead, ContextBudget, budget_tokens
from frugal_chains.compression.extract import Passage
from frugal_chains.dispatch import (
    Compressed,
    ContextCompressor,
    Likeness,
    PayloadCompressor,
    PrefixFacts,
    cosines,
)
from frugal_chains.errors import CompressionError
from frugal_chains.pricing import PriceBook
from frugal_chains.tokens import TokenCounter
from frugal_chains.tracking import Tracker

PASSAGES = [
    Passage(label="[1]\n", text="Hats are worn on heads. Some are made of felt."),
    Passage(label="[2]\n", text="The bridge was built in 1907. It is made of stone."),
]
MODEL = {"model": "gpt-4o", "provider": "openai"}


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger.open("memory://") as books:
        yield books


async def _ask(compressor: ContextCompressor, query: str, **options: Any) -> Compressed:
    return compressor.compress(query, PASSAGES, **options)


async def _aask(compressor: ContextCompressor, query: str, **options: Any) -> Compressed:
    return await compressor.acompress(query, PASSAGES, **options)


both_ways = pytest.mark.parametrize("ask", [_ask, _aask], ids=["sync", "async"])


@both_ways
async def test_what_it_did_is_in_the_books(ask: Any, ledger: Ledger) -> None:
    tracker = Tracker(ledger)
    compressor = ContextCompressor(16, **MODEL)
    found = await ask(
        compressor, "When was the bridge built?", operation_id="op", trackers=[tracker]
    )
    assert found.extraction.texts == (None, "The bridge was built in 1907.")
    (effect,) = ledger.effects()
    assert (effect.lever, effect.operation_id, effect.model) == (
        "compression.extract",
        "op",
        "gpt-4o",
    )
    count = TokenCounter().count_text
    whole = "\n\n".join(passage.label + passage.text for passage in PASSAGES)
    assert effect.tokens_before == count(whole, **MODEL).tokens
    assert effect.tokens_after == count("[2]\nThe bridge was built in 1907.", **MODEL).tokens
    assert effect.exact
    assert effect.detail == {"reason": "budget", "budget_tokens": 16, "passages": 2, "dropped": 1}


def test_without_a_known_model_the_count_is_an_estimate(ledger: Ledger) -> None:
    ContextCompressor(16).compress("bridge", PASSAGES, trackers=[Tracker(ledger)])
    (effect,) = ledger.effects()
    assert not effect.exact


class Broken(TokenCounter):
    def text_counter(self, *, model: str, provider: str | None = None) -> Any:
        def count(text: str) -> int:
            raise ZeroDivisionError("counter")

        return count

    def count_text(self, text: str, *, model: str = "", provider: str | None = None) -> Any:
        raise ZeroDivisionError("counter")


class BrokenPrices(PriceBook):
    def __init__(self) -> None:
        """Without prices."""

    def price(self, *_args: Any, **_options: Any) -> Any:
        raise ZeroDivisionError("prices")


@both_ways
async def test_what_cannot_be_compressed_is_handed_on(ask: Any) -> None:
    found = await ask(ContextCompressor(16, counter=Broken(), **MODEL), "bridge")
    assert found.extraction.texts == tuple(passage.text for passage in PASSAGES)
    assert found.warnings == ("not compressed: ZeroDivisionError",)
    payload = PayloadCompressor(16, counter=Broken(), **MODEL)
    assert payload.compress("", '{"a": 1}').text == '{"a": 1}'
    assert (await payload.acompress("", '{"a": 1}')).text == '{"a": 1}'


@both_ways
async def test_a_price_list_that_fails_leaves_the_budget_in_tokens(ask: Any) -> None:
    budget = ContextBudget(tokens=16, limit_usd=Decimal("0.000001"), least_tokens=1)
    found = await ask(ContextCompressor(budget, prices=BrokenPrices(), **MODEL), "bridge")
    plain = await ask(ContextCompressor(16, **MODEL), "bridge")
    assert found.extraction.texts == plain.extraction.texts
    assert found.extraction.budget_tokens == 16
    text = json.dumps([{"id": f"A{n}", "note": f"note {n}"} for n in range(9)])
    payload = PayloadCompressor(budget, prices=BrokenPrices(), **MODEL).compress("A7", text)
    assert payload == PayloadCompressor(16, **MODEL).compress("A7", text)
    assert 0 < payload.tokens_after <= 16


# -- embedders ---------------------------------------------------------------------------------


class Embeds:
    """Says which section is near, and how often it was asked."""

    def __init__(self, *scores: float, fails: bool = False, delay_s: float = 0.0) -> None:
        self.scores, self.fails, self.delay_s = scores, fails, delay_s
        self.asked: list[tuple[str, list[str]]] = []

    def of(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        self.asked.append((query, list(texts)))
        time.sleep(self.delay_s)
        if self.fails:
            raise ConnectionError("no embeddings today")
        return self.scores

    async def aof(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        delay_s, self.delay_s = self.delay_s, 0.0
        await asyncio.sleep(delay_s)
        return self.of(query, texts)

    @property
    def likeness(self) -> Likeness:
        return Likeness(of=self.of, aof=self.aof)


@both_ways
async def test_an_embedder_decides_where_words_do_not(ask: Any) -> None:
    embeds = Embeds(0.9, 0.1)
    found = await ask(ContextCompressor(12, likeness=embeds.likeness, **MODEL), "head gear")
    assert found.extraction.texts[1] is None
    assert embeds.asked == [("head gear", ["[1]\n" + PASSAGES[0].text, "[2]\n" + PASSAGES[1].text])]


@both_ways
async def test_where_everything_fits_no_embedder_is_asked(ask: Any) -> None:
    embeds = Embeds(0.9, 0.1)
    found = await ask(ContextCompressor(1000, likeness=embeds.likeness, **MODEL), "head gear")
    assert (found.extraction.reason, embeds.asked) == ("fits", [])


@both_ways
@pytest.mark.parametrize(
    ("embeds", "warning"),
    [
        (Embeds(fails=True), "ConnectionError"),
        (Embeds(delay_s=0.6), "no answer within 0.05 s"),
    ],
    ids=["raises", "hangs"],
)
async def test_an_embedder_that_fails_is_a_warning(embeds: Embeds, warning: str, ask: Any) -> None:
    compressor = ContextCompressor(
        16, likeness=embeds.likeness, likeness_timeout_s=0.05, **MODEL
    )  # fmt: skip
    began = time.perf_counter()
    found = await ask(compressor, "When was the bridge built?")
    assert time.perf_counter() - began < 0.5
    assert found.extraction.texts == (None, "The bridge was built in 1907.")
    assert found.warnings == (f"compressed without the embedder: {warning}",)


@both_ways
async def test_wrong_numbers_of_an_embedder_leave_the_context_whole(ask: Any) -> None:
    found = await ask(ContextCompressor(16, likeness=Embeds(0.5).likeness, **MODEL), "bridge")
    assert "1 numbers for 2 sections" in found.warnings[0]
    assert found.extraction.texts[0] == PASSAGES[0].text


async def test_long_texts_are_not_the_event_loops() -> None:
    threads = []

    class Counts(TokenCounter):
        def text_counter(self, *, model: str, provider: str | None = None) -> Any:
            count = super().text_counter(model=model, provider=provider)

            def counted(text: str) -> int:
                threads.append(threading.current_thread() is threading.main_thread())
                return count(text)

            return counted

    long = [Passage(text="The river is long. " * 6000)]
    await ContextCompressor(16, counter=Counts(), **MODEL).acompress("river", long)
    await PayloadCompressor(16, counter=Counts(), **MODEL).acompress("river", long[0].text)
    assert threads
    assert not any(threads)


def test_cosines() -> None:
    assert cosines([3, 4], [[6, 8], [-4, 3], [-3, -4], [0, 0]]) == pytest.approx([1, 0, -1, 0])
    assert cosines([0, 0], [[1, 1]]) == [0]


# -- budgets -----------------------------------------------------------------------------------


def test_a_dear_model_gets_less_context() -> None:
    budget = ContextBudget(tokens=100, by_tier={"specialist": 14})
    compressor = ContextCompressor(budget, **MODEL)
    assert compressor.compress("bridge", PASSAGES).extraction.reason == "fits"
    dear = compressor.compress("bridge", PASSAGES, tier="specialist").extraction
    assert (dear.reason, dear.budget_tokens) == ("budget", 14)


def test_a_budget_in_dollars_is_tokens_of_the_model() -> None:
    """gpt-4o: $2.50 a million input tokens, openai.com/api/pricing, read 2026-11-21."""
    budget = ContextBudget(tokens=10_000, limit_usd=Decimal("0.001"), least_tokens=50)
    found = ContextCompressor(budget, **MODEL).compress("x", PASSAGES).extraction
    assert found.budget_tokens == 400
    unknown = ContextCompressor(budget, model="zeta-9000", provider="house")
    assert unknown.compress("x", PASSAGES).extraction.budget_tokens == 10_000


@given(
    st.integers(1, 10**6),
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 10**6)),
    st.sampled_from(["", "a", "b"]),
    st.none() | st.integers(1, 10**9),
    st.integers(1, 10**6),
)
def test_a_budget_is_never_more_than_its_tokens(
    tokens: int, by_tier: dict[str, int], tier: str, input_nanos: int | None, least: int
) -> None:
    budget = ContextBudget(
        tokens=tokens, by_tier=by_tier, limit_usd=Decimal("0.01"), least_tokens=least
    )
    found = budget_tokens(budget, tier=tier, input_nanos=input_nanos)
    assert 1 <= found <= min(tokens, by_tier.get(tier, tokens))
    if input_nanos and found < min(tokens, by_tier.get(tier, tokens)):
        # What it costs is within the limit, but for what is left at least.
        assert found == least or found * input_nanos / 1000 <= 10_000_000


@pytest.mark.parametrize(
    "budget",
    [{"tokens": 0}, {"tokens": 5, "by_tier": {"a": 0}}, {"tokens": 5, "limit_usd": Decimal(0)},
     {"tokens": 5, "least_tokens": 0}],
)  # fmt: skip
def test_budgets_that_are_none_are_refused(budget: Any) -> None:
    with pytest.raises(CompressionError):
        ContextBudget(**budget)


# -- payloads ----------------------------------------------------------------------------------

ORDERS = json.dumps(
    [{"order_id": f"ORD-{n}", "created_at": "2026-01-01T00:00:00Z", "price": n} for n in range(9)]
)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_became_of_a_payload_is_in_the_books(asynchronous: bool, ledger: Ledger) -> None:
    compressor = PayloadCompressor(90, **MODEL)
    more: Any = {"operation_id": "op", "trackers": [Tracker(ledger)]}
    if asynchronous:
        found = await compressor.acompress("orders", ORDERS, **more)
    else:
        found = compressor.compress("orders", ORDERS, **more)
    (effect,) = ledger.effects()
    assert effect.lever == "compression.payload"
    assert (effect.tokens_before, effect.tokens_after) == (found.tokens_before, found.tokens_after)
    assert effect.detail["budget_tokens"] == 90
    assert effect.detail["step"] == found.step
    assert "ORD" not in json.dumps(dict(effect.detail))


def test_without_a_budget_nothing_is_lost() -> None:
    found = PayloadCompressor(None, **MODEL).compress("", ORDERS)
    assert found.step == "shape"
    assert all(f"ORD-{n}" in found.text for n in range(9))
    assert PayloadCompressor(None, forms=(), **MODEL).compress("", ORDERS).text == ORDERS


# -- net of the provider's cache ---------------------------------------------------------------

HAIKU = {"model": "claude-haiku-4-5", "provider": "anthropic"}
"""Keeps 4,096 tokens or more."""
GPT5 = {"model": "gpt-5.1", "provider": "openai"}
"""Reads steps of 128 tokens at a tenth."""


async def _fit(compressor: PayloadCompressor, prefix: PrefixFacts | None, **more: Any) -> Any:
    return compressor.compress("orders", ORDERS, prefix=prefix, **more)


async def _afit(compressor: PayloadCompressor, prefix: PrefixFacts | None, **more: Any) -> Any:
    return await compressor.acompress("orders", ORDERS, prefix=prefix, **more)


fits_both_ways = pytest.mark.parametrize("fit", [_fit, _afit], ids=["sync", "async"])


@fits_both_ways
async def test_what_may_make_a_conversation_dearer_is_left_alone(fit: Any, ledger: Ledger) -> None:
    """Shortened below 4,096 tokens a prompt is never read from the cache."""
    prefix = PrefixFacts(ahead=Ahead(prefix_tokens=3_900))
    more: Any = {"trackers": [Tracker(ledger)]}
    found = await fit(PayloadCompressor(90, **HAIKU), prefix, **more)
    assert found.text == ORDERS
    assert (found.step, found.tokens_before) == ("original", found.tokens_after)
    (effect,) = ledger.effects()
    assert effect.detail["reason"] == "cache"
    assert effect.net_nanos == 0
    assert effect.tokens_before == effect.tokens_after == found.tokens_before


@fits_both_ways
async def test_what_compression_saves_is_net_of_the_cache(fit: Any, ledger: Ledger) -> None:
    """claude-haiku-4-5: $1 a million, read .10, written 1.25: the tokens left out are written once
    and read twice."""
    prefix = PrefixFacts(ahead=Ahead(prefix_tokens=5_000, calls=3))
    found = await fit(PayloadCompressor(90, **HAIKU), prefix, trackers=[Tracker(ledger)])
    (effect,) = ledger.effects()
    saved = found.tokens_before - found.tokens_after
    assert saved > 100
    assert effect.net_nanos == saved * (1250 + 2 * 100)
    assert "reason" not in effect.detail


def test_without_a_prefix_nothing_is_said_of_the_bill(ledger: Ledger) -> None:
    PayloadCompressor(90, **HAIKU).compress("orders", ORDERS, trackers=[Tracker(ledger)])
    (effect,) = ledger.effects()
    assert effect.net_nanos is None
    assert effect.tokens_after < effect.tokens_before


def test_requests_without_markers_are_not_kept() -> None:
    prefix = PrefixFacts(ahead=Ahead(prefix_tokens=3_900), caches=False)
    found = PayloadCompressor(90, **HAIKU).compress("orders", ORDERS, prefix=prefix)
    assert found.tokens_after <= 90


def test_where_the_budget_is_a_risk_the_lossless_form_may_be_none() -> None:
    """Steps of 128, read at a tenth: a step and a half can be a loss, half a step more cannot."""
    whole = PayloadCompressor(None, **GPT5).compress("", ORDERS)
    lossless = whole.tokens_before - whole.tokens_after
    # What is missing from the next whole steps has been left out before.
    out = -lossless % 128
    ahead = Ahead(prefix_tokens=5_000, saved_tokens=out, banked_nanos=10**9)
    compressor = PayloadCompressor(whole.tokens_after - 20, **GPT5)
    prefix = PrefixFacts(ahead=ahead)
    assert compressor.compress("orders", ORDERS).step != "shape"
    assert compressor.compress("orders", ORDERS, prefix=prefix).text == whole.text
    free = PrefixFacts(ahead=Ahead(prefix_tokens=5_000, most_calls=1))
    assert compressor.compress("orders", ORDERS, prefix=free).step != "shape"


@pytest.mark.parametrize(
    ("model", "tokens", "step"),
    [
        ({"model": "claude-sonnet-4-5", "provider": "anthropic"}, 1_000, "shape"),
        ({"model": "claude-opus-5", "provider": "anthropic"}, 600, "shape"),
        # The least of models that are not known is taken for the most there is.
        ({"model": "claude-zeta-9", "provider": "anthropic"}, 3_000, "original"),
        ({"model": "claude-zeta-9", "provider": "anthropic"}, 5_000, "shape"),
        ({"model": "zeta-9000"}, 3_000, "original"),
    ],
)
def test_the_least_is_the_models(model: Any, tokens: int, step: str, ledger: Ledger) -> None:
    prefix = PrefixFacts(ahead=Ahead(prefix_tokens=tokens))
    compressor = PayloadCompressor(None, **model)
    found = compressor.compress("", ORDERS, prefix=prefix, trackers=[Tracker(ledger)])
    assert found.step == step
    (effect,) = ledger.effects()
    assert (effect.net_nanos is None) == (step == "shape" and "zeta" in model["model"])


# -- what it hands on --------------------------------------------------------------------------


def test_fields_that_were_left_out_are_counted_in_the_books(ledger: Ledger) -> None:
    text = json.dumps({"order_id": "ORD-1", "note": "It is a chair. " * 30, "email": "a@b.org"})
    found = PayloadCompressor(60, **MODEL).compress("", text, trackers=[Tracker(ledger)])
    (effect,) = ledger.effects()
    assert found.step == "fields"
    assert effect.detail["dropped_fields"] == len(found.dropped_fields) > 0


def test_patterns_and_joiner_are_those_of_the_application() -> None:
    text = "It is old. WARNING: hot. Do not touch it! END. It is blue. Beans grow. " * 4
    patterns = [re.compile(r"WARNING:.*?END", re.DOTALL)]
    for budget in (44, 50, 56, 62):
        payload = PayloadCompressor(budget, patterns=patterns, **MODEL).compress("touch", text)
        context = ContextCompressor(budget, patterns=patterns, **MODEL)
        (kept,) = context.compress("touch", [Passage(text=text)]).extraction.texts
        for one in (payload.text, kept or ""):
            assert not any(word in patterns[0].sub("", one) for word in ("WARNING", "touch", "END"))
    wide = ContextCompressor(40, joiner="\n" + "-=" * 20 + "\n", **MODEL)
    both = [Passage(text="Beans grow."), Passage(text="Beans climb."), Passage(text="Hats. " * 60)]
    found = wide.compress("beans", both).extraction
    count = TokenCounter().count_text
    kept_texts = [one for one in found.texts if one is not None]
    assert len(kept_texts) > 1
    joined = ("\n" + "-=" * 20 + "\n").join(kept_texts)
    assert found.tokens_after == count(joined, **MODEL).tokens <= 40


@pytest.mark.parametrize(
    ("model", "budget", "nanos_a_token"),
    [
        ("gpt-4.1-mini", 20, 400),  # $0.40 a million (openai.com/api/pricing, 2026-11)
        ("gpt-4o-mini", 20, 150),
        ("gpt-4o-mini", 10_000, 0),  # nothing had to go
        ("zeta-9000", 20, None),
        ("", 20, None),
    ],
)
def test_what_was_kept_out_is_worth_its_fresh_input(
    model: str, budget: int, nanos_a_token: int | None
) -> None:
    text = "The bridge is long. It was built in 1907. Many people like it. " * 5
    with Ledger.open("memory://") as ledger:
        ContextCompressor(budget, model=model).compress(
            "When was the bridge built?", [Passage(text=text)], trackers=[Tracker(ledger)]
        )
        (effect,) = ledger.effects()
    assert effect.kind == "modelled"
    expected = None if nanos_a_token is None else effect.tokens_saved * nanos_a_token
    assert effect.net_nanos == expected
