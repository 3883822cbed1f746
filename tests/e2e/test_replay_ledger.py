"""A ledger, which has no texts, through memory and markers: predicted and billed."""

from __future__ import annotations

import json

import pytest

from frugal_chains.facts import RequestFacts
from frugal_chains.pricing import PriceBook
from frugal_chains.replay import Marks, Memory, Setup, ledger_calls, replay
from frugal_chains.tokens import TokenCount, TokenCounter
from tests.e2e.real_traffic import Conversation, Provider, RealRun, booked
from tests.e2e.test_replay_truth import WITHIN, conversations
from tests.servers.prompt_cache import count_tokens

FULL = Setup(memory=Memory(), prompt_cache=Marks())


def _server_tokens(self: TokenCounter, request: RequestFacts, **_: object) -> TokenCount:
    """About as the server counts: four characters of JSON a token."""
    texts = [
        json.dumps([each.role, each.text, [repr(call) for call in each.tool_calls]]) + " " * 30
        for each in request.messages
    ]
    return TokenCount(tokens=sum(map(count_tokens, texts)), exact=True, method="encoding")


def _server_text(self: TokenCounter, text: str, **_: object) -> TokenCount:
    return TokenCount(tokens=count_tokens(text), exact=True, method="encoding")


@pytest.fixture(autouse=True)
def _counted_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory decides by what the application counts, a ledger knows what the provider does: with
    a model's own tokenizer that is the same."""
    monkeypatch.setattr(TokenCounter, "count_request", _server_tokens)
    monkeypatch.setattr(TokenCounter, "count_text", _server_text)
    monkeypatch.setattr(TokenCounter, "text_counter", lambda self, **_: count_tokens)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_with_fingerprints_the_simulated_bill_is_the_real_one(provider: Provider) -> None:
    """Each lever alone and both, through LangChain and the provider's SDK."""
    talks: list[Conversation] = [*conversations()]
    recorded, rows = booked(provider, Setup(), talks, fingerprints=True)
    setups = [Setup(), *map(FULL.only, FULL.on), FULL]
    found = replay(ledger_calls(rows), setups, prices=PriceBook(), now_us=0)
    assert found.by_size == found.calls == recorded.calls
    assert found.recorded.nanos == recorded.nanos
    for setup, bill in zip(setups, found.bills, strict=True):
        billed = recorded if setup == Setup() else RealRun(provider, setup, PriceBook()).play(talks)
        assert bill.nanos == pytest.approx(billed.nanos, rel=WITHIN), setup.on


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_without_fingerprints_nothing_is_promised_that_does_not_come(provider: Provider) -> None:
    """Conversations share no system prompt then, as far as is known: a little less is saved."""
    talks: list[Conversation] = [*conversations()]
    recorded, rows = booked(provider, Setup(), talks, fingerprints=False)
    found = replay(ledger_calls(rows), [Setup(), FULL], prices=PriceBook(), now_us=0)
    billed = RealRun(provider, FULL, PriceBook()).play(talks)
    saved, predicted = recorded.nanos - billed.nanos, found.bills[0].nanos - found.bills[1].nanos
    assert found.bills[0].nanos == pytest.approx(recorded.nanos, rel=WITHIN)
    assert 0.7 * saved <= predicted <= saved + WITHIN * recorded.nanos


def test_a_recording_that_was_marked_is_billed_as_it_was() -> None:
    marked = Setup(prompt_cache=Marks())
    recorded, rows = booked("anthropic", marked, [*conversations()], fingerprints=True)
    found = replay(ledger_calls(rows), [Setup(), FULL], prices=PriceBook(), now_us=0)
    assert recorded.usage.cache_read_tokens > 0
    assert found.bills[0].nanos == pytest.approx(recorded.nanos, rel=WITHIN)
