"""The waterfall of a ledger: the sum over its operations, however they lie in it."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugal_chains.ledger import Attempt, Effect, Ledger
from frugal_chains.pricing import PriceBook
from frugal_chains.savings import (
    Baseline,
    Waterfall,
    candidate_models,
    ledger_waterfall,
    operation_waterfall,
    summed,
)
from tests.core.savings.samples import NOON, attempt, book, effect, routed

OPERATIONS = ("", "a" * 32, "b" * 32, "a word")
MANY = 100_000


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> PriceBook:
    return book(tmp_path_factory.mktemp("prices"))


_COMMON = {
    "after_s": st.integers(0, 40).map(float),
    "operation": st.sampled_from(OPERATIONS),
    "status": st.sampled_from(["ok", "ok", "ok", "error", "aborted", "cached"]),
    "purpose": st.sampled_from(
        ["answer", "answer", "draft", "retry", "summary", "classify", "judge", "embed"]
    ),
    "nanos": st.none() | st.integers(0, 10**7),
    "parent_id": st.sampled_from(["", "p", "q"]),
}
_plain = st.builds(attempt, **_COMMON)
_routed = st.builds(
    routed,
    chosen=st.sampled_from(["cheap", "dear"]),
    to=st.sampled_from(["", "cheap", "dear"]),
    step=st.sampled_from(
        ["", "", "cascade", "agreement", "escalation: short", "fallback: timeout"]
    ),
    routing=st.sampled_from(
        [{}, {"deciding_nanos": 7}, {"excluded": {"dear": "why"}}, {"dearest": ["acme", "big"]}]
    ),
    **_COMMON,
)
some_attempts = st.lists(_plain | _routed, max_size=25)
some_effects = st.lists(
    st.builds(
        effect,
        lever=st.sampled_from(["memory.compact", "compression.shape", "prompt_cache.mark", "mine"]),
        net_nanos=st.none() | st.integers(-(10**7), 10**7),
        kind=st.sampled_from(["measured", "modelled"]),
        operation_id=st.sampled_from([*OPERATIONS, "gone"]),
        at=st.integers(0, 40).map(lambda s: NOON + timedelta(seconds=s)),
    ),
    max_size=12,
)
moments = st.none() | st.integers(0, 40).map(lambda s: NOON + timedelta(seconds=s))
quick = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def by_operation(
    attempts: Sequence[Attempt], effects: Sequence[Effect]
) -> list[tuple[list[Attempt], list[Effect]]]:
    """What belongs to each operation; what belongs to none stands by itself."""
    groups: dict[str, tuple[list[Attempt], list[Effect]]] = defaultdict(lambda: ([], []))
    for each in attempts:
        groups[each.operation_id or each.id][0].append(each)
    for one in effects:
        groups[one.operation_id or one.id][1].append(one)
    return list(groups.values())


def slowly(
    attempts: Sequence[Attempt], effects: Sequence[Effect], prices: PriceBook | None
) -> Waterfall:
    """The sum over operations, one after the other, in memory."""
    baseline = Baseline(candidates=candidate_models(attempts))
    return summed(
        operation_waterfall(mine, theirs, book=prices, baseline=baseline)
        for mine, theirs in by_operation(attempts, effects)
    )


def within(at: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or at >= since) and (until is None or at < until)


@given(some_attempts, some_effects)
@quick
def test_the_steps_of_any_operation_are_baseline_less_bill(prices, attempts, effects):
    found = operation_waterfall(attempts, effects, book=prices)
    steps = sum(step.nanos for step in found.steps if step.nanos is not None)
    assert found.baseline_nanos - found.bill_nanos == steps
    assert found.bill_nanos == sum(a.price.nanos for a in attempts if a.price.nanos is not None)
    for step in found.steps:
        # What is unknown adds nothing, on either side.
        assert step.known or step.measured_nanos == step.modelled_nanos == 0


@given(some_attempts, some_effects)
@quick
def test_sums_over_operations_are_exact_too(prices, attempts, effects):
    each = [
        operation_waterfall(mine, theirs, book=prices)
        for mine, theirs in by_operation(attempts, effects)
    ]
    total = summed(each)
    for name in ("baseline_nanos", "bill_nanos", "saved_nanos", "unpriced", "unknown_effects"):
        assert getattr(total, name) == sum(getattr(one, name) for one in each)
    assert total.effects == len(effects)
    assert total.attempts == len(attempts)
    assert summed([summed(each[:3]), summed(each[3:])]) == total


@given(some_attempts, some_effects, moments, moments)
@quick
def test_a_ledger_gives_the_sum_over_its_operations(prices, attempts, effects, since, until):
    with Ledger.open("memory://") as books:
        for each in attempts:
            books.record(each)
        books.record_effects(effects)
        found = ledger_waterfall(books, since, until, book=prices)
    expected = slowly(
        [a for a in attempts if within(a.at, since, until)],
        [e for e in effects if within(e.at, since, until)],
        prices,
    )
    assert found == expected


def test_operations_that_run_at_once_are_told_apart(prices, tmp_path):
    """Two cascades and a retried call, their attempts taking turns in the file."""
    a, b, c = "a" * 32, "b" * 32, "c" * 32
    attempts = [
        routed(0, operation=a, step="cascade", purpose="draft"),
        routed(1, operation=b, step="cascade", purpose="draft"),
        attempt(2, operation=c, nanos=11, status="error"),
        routed(3, operation=a, step="escalation: short", to="dear"),
        attempt(4, operation=c, nanos=12, purpose="retry"),
        attempt(5, operation=b, nanos=1),
    ]
    with Ledger.open(f"sqlite:///{tmp_path}/books.db") as books:
        for each in attempts:
            books.record(each)
        books.record_effect(effect("memory.compact", 5, operation_id=c))
        found = ledger_waterfall(books, book=prices)
        read_only = Ledger.open(books.url, read_only=True)
        assert ledger_waterfall(read_only, book=prices) == found
        read_only.close()
    assert {step.name: step.nanos for step in found.steps} == {
        "memory": 5, "routing": 6_600_000 - 660_000, "drafts": -660_000, "retries": -11,
    }  # fmt: skip
    assert (found.operations, found.covered_operations, found.attempts) == (3, 3, 6)
    assert found.baseline_nanos == 2 * 6_600_000 + 12 + 1 + 5


def test_the_named_baseline_is_used_and_none_means_by_the_decisions(prices):
    with Ledger.open("memory://") as books:
        books.record(routed())
        books.record(attempt(1, nanos=8))
        assert ledger_waterfall(books, book=prices).step("routing").nanos is None
        found = ledger_waterfall(books, book=prices, baseline_model="big", baseline_provider="acme")
        assert found.baseline_nanos == 6_600_000 + 8


def test_a_ledger_of_an_earlier_version_has_no_effects_to_read(tmp_path, monkeypatch):
    from frugal_chains.ledger import _open, _schema

    path = tmp_path / "old.db"
    with monkeypatch.context() as old:
        old.setattr(_open, "MIGRATIONS", _schema.MIGRATIONS[:1])
        with Ledger.open(f"sqlite:///{path}") as books:
            books.record(attempt(nanos=5))
    with Ledger.open(f"sqlite:///{path}", read_only=True) as books:
        found = ledger_waterfall(books)
    assert (found.bill_nanos, found.operations, found.steps) == (5, 1, ())


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred thousand attempts of forty thousand operations that run fifty at a time, a third of
    them routed; and thirty thousand effects."""
    from frugal_chains.ledger._append import Entry

    chance, path = random.Random(6), tmp_path_factory.mktemp("many") / "books.db"
    with Ledger.open(f"sqlite:///{path}") as books:
        batch: list[Entry | Effect] = []
        for number in range(MANY):
            operation = f"{(number * 2 // 5 + chance.randrange(50)) * 2_654_435_761 % 2**128:032x}"
            make = routed if chance.random() < 0.3 else attempt
            batch.append(Entry(make(number / 10, operation=operation, nanos=chance.randrange(999))))
            if chance.random() < 0.3:
                at = NOON + timedelta(seconds=number / 10)
                net = chance.choice([None, chance.randrange(-99, 999)])
                batch.append(effect("memory.compact", net, operation_id=operation, at=at))
            if len(batch) > 2_000:
                books.store._file.write(batch)  # as its writer does, without its turns
                batch = []
        books.store._file.write(batch)
    return path


def test_a_hundred_thousand_attempts_take_little_time_and_no_memory(prices, many):
    named = {"book": prices, "baseline_model": "acme/big"}
    half = NOON + timedelta(seconds=MANY / 20)
    with Ledger.open(f"sqlite:///{many}", read_only=True) as books:
        started_s = time.process_time()
        found = ledger_waterfall(books, **named)
        took_s = time.process_time() - started_s
        tracemalloc.start()  # three times as slow
        first = ledger_waterfall(books, None, half, **named)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert summed([first, ledger_waterfall(books, half, **named)]).steps == found.steps
    assert (found.attempts, first.attempts) == (MANY, MANY // 2)
    assert took_s < 10  # about 1 on an idle machine
    assert peak < 3_000_000  # the rows are 15 MB
