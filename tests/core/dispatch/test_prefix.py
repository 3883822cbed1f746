"""What is known of a conversation, asked about one text: by the prices and the cache of a model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from frugal_chains.compression import Ahead
from frugal_chains.dispatch._prefix import PrefixFacts, fewest, verdict
from frugal_chains.pricing import PriceBook

BOOK: dict[str, Any] = {"book": PriceBook(), "at": datetime(2026, 11, 20, tzinfo=UTC)}
GPT5 = {"model": "gpt-5.1", "provider": "openai"}
GPT6 = {"model": "gpt-6.1-sol", "provider": "openai"}
SONNET = {"model": "claude-sonnet-4-5", "provider": "anthropic"}
HAIKU = {"model": "claude-haiku-4-5", "provider": "anthropic"}


@pytest.mark.parametrize(
    ("model", "prefix", "least", "tokens"),
    [
        # One step of 128 less is sure to pay from 116 tokens on, at a tenth of the price: what is
        # asked for may come out 8 tokens shorter.
        (GPT5, 5_000, None, 180),
        (GPT6, 5_000, None, 100),
        (SONNET, 5_000, None, 100),
        # 4,096 with the prompt in front, and 8 more.
        (HAIKU, 3_900, None, 204),
        (HAIKU, 3_900, 1_024, 100),
        (HAIKU, 1_000, None, None),
    ],
)
def test_as_few_tokens_as_pay(
    model: dict[str, str], prefix: int, least: int | None, tokens: int | None
) -> None:
    facts = PrefixFacts(ahead=Ahead(prefix_tokens=prefix), min_tokens=least)
    assert fewest(300, 100, facts, **model, **BOOK) == tokens
    decided, priced = verdict(300, 100, facts, **model, **BOOK)
    assert (decided.ok, priced) == (tokens == 100, True)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        # A name that tells the provider; one of a server that may be anyone's; a model of Claude's
        # wherever it is served.
        ({"model": "gpt-5.1", "provider": ""}, "steps"),
        ({"model": "zeta-9000", "provider": "openai-like"}, "steps"),
        ({"model": "anthropic/claude-haiku-4.5", "provider": "openrouter"}, "pays"),
        ({"model": "zeta-9000", "provider": "ollama"}, "pays"),
    ],
)
def test_steps_are_a_risk_where_they_may_be(model: dict[str, str], reason: str) -> None:
    facts = PrefixFacts(ahead=Ahead(prefix_tokens=5_000))
    assert verdict(300, 290, facts, **model, **BOOK)[0].reason == reason


def test_how_long_a_conversation_gets_says_nothing_of_a_minimum_that_is_not_known() -> None:
    facts = PrefixFacts(ahead=Ahead(prefix_tokens=1_000, most_tokens=4_000))
    assert verdict(300, 100, facts, **HAIKU, **BOOK)[0].reason == "pays"
    unknown = {"model": "claude-zeta-9", "provider": "anthropic"}
    assert verdict(300, 100, facts, **unknown, **BOOK)[0].reason == "minimum"
