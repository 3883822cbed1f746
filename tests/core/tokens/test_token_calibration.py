"""Calibration: learns the true factor, forgets outliers, stays bounded, survives storage."""

from __future__ import annotations

import json
import math
import random
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.tokens import Calibration, TokenCounter

CLAUDE = "claude-sonnet-4-5-20250929"
REQUEST = RequestFacts(messages=(MessageFacts(role="user", text="A few plain words. " * 80),))


def taught(ratios: list[float], counted: int = 2_000) -> Calibration:
    calibration = Calibration()
    for ratio in ratios:
        calibration = calibration.updated("anthropic", CLAUDE, counted, round(counted * ratio))
    return calibration


@given(
    truth=st.floats(0.5, 2.2),
    seed=st.integers(0, 2**32),
    outliers=st.sampled_from([0.0, 0.1]),
)
@settings(max_examples=60, deadline=None)
def test_converges_to_the_true_factor_through_noise_and_outliers(
    truth: float, seed: int, outliers: float
) -> None:
    dice = random.Random(seed)
    ratios = [
        dice.choice([0.01, 50.0]) if dice.random() < outliers else truth * dice.uniform(0.95, 1.05)
        for _ in range(800)
    ]
    assert taught(ratios).factor("anthropic", CLAUDE) == pytest.approx(truth, rel=0.08)


@given(
    st.lists(
        st.tuples(st.floats(allow_nan=True, allow_infinity=True), st.integers(-(10**12), 10**12)),
        max_size=60,
    )
)
@settings(max_examples=200, deadline=None)
def test_stays_within_bounds_whatever_it_is_told(answers: list[tuple[float, int]]) -> None:
    calibration = Calibration()
    for counted, returned in answers:
        calibration = calibration.updated("p", "m", counted, returned)
        assert 0.399 < calibration.factor("p", "m") < 2.501


def test_bounds_hold_under_a_stubborn_lie() -> None:
    assert taught([1_000.0] * 5_000).factor("anthropic", CLAUDE) == pytest.approx(2.5)
    assert taught([0.001] * 5_000).factor("anthropic", CLAUDE) == pytest.approx(0.4)


def test_little_evidence_moves_it_little() -> None:
    assert 1.0 < taught([1.25]).factor("anthropic", CLAUDE) < 1.06
    assert 1.0 < taught([80.0]).factor("anthropic", CLAUDE) < 1.06
    # A short request says little about the text, most of it is frame.
    short = taught([1.25], counted=10).factor("anthropic", CLAUDE)
    assert 1.0 < short < 1.01


def test_follows_a_provider_that_changes_its_tokenizer() -> None:
    after = taught([1.0] * 5_000 + [1.3] * 600).factor("anthropic", CLAUDE)
    assert after == pytest.approx(1.3, rel=0.03)


def test_counts_of_nothing_teach_nothing() -> None:
    assert taught([0.0] * 50) == Calibration()


def test_families_are_apart_and_snapshots_together() -> None:
    calibration = taught([1.3] * 200)
    learned = calibration.factor("anthropic", CLAUDE)
    assert learned > 1.25
    assert calibration.factor("Anthropic", "claude-sonnet-4-5@20260101") == learned
    assert calibration.factor("anthropic", "claude-opus-5") == 1.0
    assert calibration.factor("bedrock", CLAUDE) == 1.0


def test_is_immutable_and_survives_json() -> None:
    first = taught([1.2] * 3)
    second = first.updated("openai", "gpt-6-sol", 500, 510)
    assert first == taught([1.2] * 3)
    assert Calibration.from_json(json.loads(json.dumps(second.to_json()))) == second


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        [],
        "x",
        {"p/m": None},
        {"p/m": [1.0]},
        {"p/m": ["a", 1]},
        {"p/m": [math.nan, 3.0]},
        {"p/m": [0.1, 0.0]},
        {"p/m": [0.1, -5.0]},
        {"p/m": [True, 3.0]},
        {3: [0.1, 3.0]},
    ],
)
def test_a_damaged_store_is_as_if_nothing_was_learned(damaged: object) -> None:
    assert Calibration.from_json(damaged) == Calibration()


def test_a_stored_factor_out_of_bounds_is_clipped() -> None:
    stored = Calibration.from_json({"p/m": [99.0, 1e9]})
    assert stored.factor("p", "m") == pytest.approx(2.5)
    assert stored.updated("p", "m", 1_000, 1_000).factor("p", "m") < 2.5


def test_a_counter_learns_from_what_was_returned_and_does_not_drift() -> None:
    counter = TokenCounter()
    first = counter.count_request(REQUEST, model=CLAUDE, provider="anthropic")
    truth = round(first.tokens * 1.2)
    for _ in range(400):
        count = counter.count_request(REQUEST, model=CLAUDE, provider="anthropic")
        counter.observe(count, returned_tokens=truth, model=CLAUDE, provider="anthropic")
    count = counter.count_request(REQUEST, model=CLAUDE, provider="anthropic")
    assert count.tokens == pytest.approx(truth, rel=0.02)
    assert not count.exact
    again = TokenCounter(Calibration.from_json(counter.calibration.to_json()))
    assert again.count_request(REQUEST, model=CLAUDE, provider="anthropic") == count


def test_exact_counts_are_neither_learned_from_nor_changed() -> None:
    counter = TokenCounter(Calibration({"openai/gpt-4o": (math.log(2.0), 100.0)}))
    count = counter.count_request(REQUEST, model="gpt-4o", provider="openai")
    assert count == TokenCounter().count_request(REQUEST, model="gpt-4o", provider="openai")
    counter.observe(count, returned_tokens=9, model="gpt-4o", provider="openai")
    assert counter.calibration == Calibration({"openai/gpt-4o": (math.log(2.0), 100.0)})


def test_images_are_not_learned_from() -> None:
    counter = TokenCounter()
    request = RequestFacts(messages=(MessageFacts(role="user", text="What is it?", images=3),))
    count = counter.count_request(request, model=CLAUDE)
    counter.observe(count, returned_tokens=300, model=CLAUDE)
    assert counter.calibration == Calibration()


def test_no_observation_is_lost_between_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    learn = Calibration.updated

    def learn_slowly(self: Calibration, *answer: Any) -> Calibration:
        time.sleep(0.0005)  # lets another thread in between reading and replacing
        return learn(self, *answer)

    monkeypatch.setattr(Calibration, "updated", learn_slowly)
    counter = TokenCounter()
    count = counter.count_text("Some words for a model. " * 20, model=CLAUDE)

    def work() -> None:
        for _ in range(5):
            counter.observe(count, returned_tokens=count.tokens, model=CLAUDE)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = TokenCounter()
    for _ in range(40):
        alone.observe(count, returned_tokens=count.tokens, model=CLAUDE)
    [(_, weight)] = counter.calibration.families.values()
    [(_, expected)] = alone.calibration.families.values()
    assert weight == pytest.approx(expected)
