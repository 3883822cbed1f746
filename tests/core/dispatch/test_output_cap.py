"""`learned_output_cap`: which answers of a ledger count, and how."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from frugal_chains import Ledger
from frugal_chains.compression.prompt import PromptError
from frugal_chains.dispatch import learned_output_cap, mean_output_tokens
from frugal_chains.ledger import Attempt, microseconds, new_id
from frugal_chains.usage import Usage

START = datetime(2026, 11, 1, tzinfo=UTC)


def ledger_of(lengths: Iterable[int], ledger: Ledger | None = None, **fields: Any) -> Ledger:
    """A ledger with an answer of each length, a minute after one another."""
    ledger = ledger or Ledger.open("memory://")
    source = fields.pop("source", "provider")
    for n, length in enumerate(lengths):
        at_us = microseconds(START + timedelta(minutes=n))
        attempt = Attempt(
            id=new_id(at_us), operation_id="", at_us=at_us, framework="x", provider="openai",
            model="gpt-4.1-mini-2025-04-14", model_asked="gpt-4.1-mini",
            usage=Usage(input_tokens=1, output_tokens=length, source=source),
        )  # fmt: skip
        ledger.record(attempt._replace(**fields))
    return ledger


def cap(ledger: Ledger, **options: Any) -> int | None:
    found = learned_output_cap(ledger, **{"quantile": 0.95, "headroom": 1, **options})
    return None if found is None else found.max_tokens


def test_it_is_the_longest_of_59_and_needs_as_many() -> None:
    assert cap(ledger_of(range(1, 60))) == 59
    assert cap(ledger_of(range(1, 59))) is None
    assert cap(ledger_of(range(1, 94))) == 92  # the second longest of 93: Sommerville (1958)
    assert cap(ledger_of(range(1, 60)), headroom=1.1) == 65


@pytest.mark.parametrize(
    "other",
    [
        {"purpose": "summary"},
        {"status": "error"},
        {"status": "cached"},
        {"tags": {"task": "essay"}},
        {"model": "gpt-4.1", "model_asked": "gpt-4.1"},
        {"source": "estimated"},
    ],
    ids=["summary", "error", "cached", "task", "model", "estimated"],
)
def test_only_answers_of_the_task_count(other: dict[str, Any]) -> None:
    ledger = ledger_of(range(1, 60), tags={"task": "triage"})
    ledger_of([5000] * 40, ledger, **{"tags": {"task": "triage"}, **other})
    wanted: Any = {"model": "gpt-4.1-mini", "tags": {"task": "triage"}}
    assert cap(ledger, **wanted) == 59
    assert cap(ledger, **{**wanted, "model": "gpt-4.1-mini-2025-04-14"}) == 59


def test_calls_without_output_do_not_count() -> None:
    ledger = ledger_of([0] * 500)
    ledger_of(range(1, 60), ledger)
    assert cap(ledger) == 59


def test_an_answer_that_filled_its_cap_was_cut() -> None:
    # 93 answers, one of them cut at 50: the longest is not known, the second longest is 92.
    lengths = [*range(1, 93), 50]
    assert cap(ledger_of(lengths), caps=[50]) is None  # two of just 50 tokens
    lengths.remove(50)
    assert cap(ledger_of([*lengths, 93]), caps=[50]) == 93
    assert cap(ledger_of([*lengths, 93]), caps=[50, 7]) is None
    assert cap(ledger_of([*lengths, 93])) == 92


def test_only_the_newest_are_looked_at() -> None:
    ledger = ledger_of([*[9000] * 10, *range(1, 60)])
    assert cap(ledger, most_answers=59) == 59
    assert cap(ledger, since=START + timedelta(minutes=10)) == 59
    assert cap(ledger) == 9000


def test_a_model_that_cannot_answer_as_long_needs_no_cap() -> None:
    ledger = ledger_of([32_000] * 59)
    assert cap(ledger, headroom=1.1) == 35_200
    assert cap(ledger, headroom=1.1, model="gpt-4.1-mini") is None  # 32,768 at most


def test_an_empty_ledger_knows_nothing_and_nonsense_is_refused() -> None:
    assert cap(Ledger.open("memory://")) is None
    with pytest.raises(PromptError):
        cap(Ledger.open("memory://"), quantile=1)


def test_the_mean_is_of_the_same_answers() -> None:
    ledger = ledger_of([10, 20, 60], tags={"task": "triage"})
    ledger_of([0, 5000], ledger)
    ledger_of([7000], ledger, tags={"task": "triage"}, purpose="summary")
    assert mean_output_tokens(ledger, tags={"task": "triage"}) == 30
    assert mean_output_tokens(ledger, tags={"task": "triage"}, most_answers=2) == 40
    assert mean_output_tokens(ledger, model="gpt-4.1") is None
