"""What a replay predicts against what the same levers are billed when they run for real."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from frugal_chains.pricing import PriceBook
from frugal_chains.replay import Compression, Marks, Memory, Setup, replay, what_if
from frugal_chains.replay.recorded import read_recording
from tests.e2e.real_traffic import Provider, RealRun

WITHIN = 0.025
FULL = Setup(memory=Memory(), compression=Compression(budget_tokens=150), prompt_cache=Marks())
WORDS = [
    "parcel",
    "river",
    "stone",
    "letter",
    "bridge",
    "amber",
    "ticket",
    "garden",
    "window",
    "copper",
]


def conversations(count: int = 3, turns: int = 12) -> list[list[dict[str, Any]]]:
    """An agent's: a long system prompt, questions, a tool's JSON, answers."""
    rng = random.Random(7)

    def words(number: int) -> str:
        return " ".join(rng.choice(WORDS) for _ in range(number))

    found = []
    for talk in range(count):
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": "You help with parcels. " + "Be exact and kind. " * 300}
        ]
        for turn in range(turns):
            call = {
                "id": f"call_{talk}_{turn}", "type": "function",
                "function": {"name": "look", "arguments": json.dumps({"page": turn})},
            }  # fmt: skip
            rows = [
                {"id": rng.randint(1, 10**6), "name": words(2), "note": words(12), "open": True}
                for _ in range(rng.randint(1, 9))
            ]
            messages += [
                {"role": "user", "content": f"Where is parcel {talk}-{turn}? {words(60)}"},
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(rows)},
                {"role": "assistant", "content": f"On page {turn}. {words(40)}"},
            ]
        found.append(messages)
    return found


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_the_simulated_bill_is_the_real_one(provider: Provider) -> None:
    """Each lever alone and all of them, through LangChain and the provider's SDK."""
    book, talks = PriceBook(), conversations()
    recorded = RealRun(provider, Setup(), book).play(talks)
    assert recorded.calls == 3 * 24
    setups = [Setup(), *map(FULL.only, FULL.on), FULL]
    found = replay(read_recording(recorded.lines), setups, prices=book, now_us=0)
    assert found.with_text == found.calls == recorded.calls
    assert found.recorded.nanos == recorded.nanos
    real = [recorded, *(RealRun(provider, setup, book).play(talks) for setup in setups[1:])]
    for setup, bill, billed in zip(setups, found.bills, real, strict=True):
        assert bill.calls == billed.calls
        assert bill.nanos == pytest.approx(billed.nanos, rel=WITHIN), setup.on
    # What each lever saves, too, where it saves at all.
    for bill, billed in zip(found.bills[1:], real[1:], strict=True):
        saved, predicted = recorded.nanos - billed.nanos, found.bills[0].nanos - bill.nanos
        assert predicted == pytest.approx(saved, abs=WITHIN * recorded.nanos)


def test_a_replay_leaves_no_trace_in_the_books_around_it() -> None:
    from frugal_chains import Ledger
    from langchain_frugal import track_cost

    recorded = RealRun("openai", Setup(), PriceBook()).play(conversations(1, 8))
    with Ledger.open("memory://") as ledger, track_cost(ledger):
        found = what_if(read_recording(recorded.lines), FULL, prices=PriceBook(), now_us=0)
        assert found.before.calls == 16
        assert list(ledger.effects()) == []
        assert list(ledger.attempts()) == []
