"""A counter of texts for one model says what `count_text` says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugal_chains.tokens import TokenCounter

COUNTER = TokenCounter()
MODELS = [("gpt-4o", "openai"), ("gpt-4", "openai"), ("claude-sonnet-4-5", "anthropic"), ("", None)]
TEXTS = st.text() | st.sampled_from(["hello world", "東京は日本の首都", "\ud800", "a" * 70_000])


@pytest.mark.parametrize(("model", "provider"), MODELS)
@given(text=TEXTS)
def test_it_counts_the_same(text: str, model: str, provider: str | None) -> None:
    count = COUNTER.text_counter(model=model, provider=provider)
    assert count(text) == COUNTER.count_text(text, model=model, provider=provider).tokens


def test_openais_example() -> None:
    """ "tell me a joke about beans" is 6 tokens by OpenAI's tokenizer page."""
    assert COUNTER.text_counter(model="gpt-4")("tell me a joke about beans") == 6


def test_without_ranks_it_estimates() -> None:
    bare = TokenCounter(sources=[])
    count = bare.text_counter(model="gpt-4o", provider="openai")
    assert count("hello") == bare.count_text("hello", model="gpt-4o", provider="openai").tokens
