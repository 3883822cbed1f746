"""The waterfall of agents that were really run, against a second computation (`benchmarks`)."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from frugal_chains import Ledger
from tests.e2e.agent_traffic import LEVERS, play
from tests.e2e.real_traffic import Provider
from tests.e2e.test_replay_truth import conversations

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def adds_up(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)
    module = import_module("replay.adds_up")
    for added in set(sys.modules) - before:
        if added.partition(".")[0] in ("replay", "_figures", "_oracle_prices"):
            sys.modules.pop(added)
    return module


ALL = {"routing", "compression", "memory", "summaries"}


@pytest.mark.parametrize(
    ("provider", "levers", "steps"),
    [
        ("openai", LEVERS, ALL),
        ("anthropic", LEVERS, ALL),  # the cheap model keeps nothing below 4,096 tokens
        ("anthropic", ("compression", "prompt_cache"), {"compression", "prompt_cache"}),
    ],
)
def test_every_step_of_every_operation_is_what_it_is_by_hand(
    adds_up: ModuleType, provider: Provider, levers: tuple[str, ...], steps: set[str]
) -> None:
    """The server's counts, at prices written by hand; with a named baseline and without."""
    with Ledger.open("memory://") as ledger:
        bills = play(provider, conversations(1, 9), ledger, levers=levers)
        for named in (adds_up.Against(provider), adds_up.Against(provider, named=True)):
            checked = adds_up._checked(ledger, bills, named)
            assert checked.operations == 9
            assert not +checked.wrong
        found = adds_up._whole(ledger, named).steps
    assert {step.name for step in found if step.nanos is not None} == steps


def test_a_bill_that_is_one_nano_dollar_off_is_found(adds_up: ModuleType) -> None:
    with Ledger.open("memory://") as ledger:
        first, *others = play("openai", conversations(1, 3), ledger)
        usage = {**first.usage, "completion_tokens": first.usage["completion_tokens"] + 1}
        wrong = [type(first)(run=0, conversation=0, model=first.model, usage=usage), *others]
        assert not +adds_up._checked(ledger, [first, *others], adds_up.Against("openai")).wrong
        found = adds_up._checked(ledger, wrong, adds_up.Against("openai")).wrong
    assert (found["attempts"], found["bills"], found["whole"]) == (1, 1, 1)
