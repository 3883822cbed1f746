"""The books of a period at one moment: what levers touched, and operations as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from frugal_chains.ledger import (
    Attempt,
    Coverage,
    Effect,
    Ledger,
    PeriodBooks,
    as_followed,
    moment,
)
from frugal_chains.pricing import Free
from frugal_chains.usage import Usage
from tests.core.ledger.books import NOON, attempt
from tests.core.ledger.effects_conformance import effect
from tests.core.ledger.stores import InFile, InMemory

A, B, C = "a" * 32, "b" * 32, "c" * 32
DRAFT = {"routing": {"candidate": "x", "step": {"candidate": "y", "why": "cascade"}}}


def at(seconds: int, **changes: Any) -> Attempt:
    return attempt(NOON + timedelta(seconds=seconds), **changes)


def followed(books: PeriodBooks) -> list[list[int]]:
    """The seconds of the attempts, as they come together."""
    groups = books.followed(purposes=["draft", "retry"])
    return sorted(sorted((moment(each.at_us) - NOON).seconds for each in group) for group in groups)


class _AnyStore:
    def filled(self, attempts: Sequence[Attempt], effects: Sequence[Effect] = ()) -> Ledger:
        ledger: Ledger = self.fresh()  # type: ignore[attr-defined]
        for each in attempts:
            ledger.record(each)
        ledger.record_effects(effects)
        return ledger

    def test_coverage_goes_by_operation_and_every_attempt_of_none_is_one(self) -> None:
        ledger = self.filled(
            [
                at(0, operation_id=A, nanos=1),
                at(1, operation_id=A, nanos=2, decision={"own": 1}),
                at(2, operation_id=B, nanos=4),
                at(3, operation_id=C, nanos=8),
                at(4, operation_id="", nanos=16),
                at(5, operation_id="", nanos=32, decision={}),
                at(6, operation_id=B, nanos=None),
            ],
            [effect(operation_id=B), effect(operation_id="gone"), effect(operation_id="")],
        )
        assert ledger.read_period(lambda books: books.coverage()) == Coverage(
            operations=5, covered_operations=3, covered_nanos=1 + 2 + 4 + 32, loose_effects=2
        )

    def test_coverage_is_that_of_the_period(self) -> None:
        ledger = self.filled(
            [at(0, operation_id=A, nanos=1), at(9, operation_id=A, nanos=2)],
            [effect(operation_id=A, at=NOON + timedelta(seconds=9))],
        )
        middle = NOON + timedelta(seconds=5)
        early = ledger.read_period(lambda books: books.coverage(), until=middle)
        late = ledger.read_period(lambda books: books.coverage(), since=middle)
        assert (early.covered_nanos, early.operations, early.loose_effects) == (0, 1, 0)
        assert (late.covered_nanos, late.operations, late.loose_effects) == (2, 1, 0)

    def test_of_nothing_there_is_nothing(self) -> None:
        nothing = Coverage(operations=0, covered_operations=0, covered_nanos=0, loose_effects=0)
        ledger = self.filled([])
        assert ledger.read_period(lambda books: books.coverage()) == nothing
        assert ledger.read_period(followed) == []
        assert not ledger.read_period(lambda books: books.has_decisions())

    def test_what_was_tried_again_comes_by_operation_and_the_rest_alone(self) -> None:
        ledger = self.filled(
            [
                at(0, operation_id=A, purpose="draft", decision=DRAFT),
                at(1, operation_id=B, decision={"routing": {"candidate": "x"}}),
                at(2, operation_id=C, status="error"),
                at(3, operation_id=A, decision={"routing": {"candidate": "x"}}),
                at(4, operation_id=A),  # no lever's, and it did not fail
                at(5, operation_id=C, purpose="retry"),
                at(6, operation_id=B, decision={"routing": {"candidate": "x"}}),
                at(7, operation_id=B, status="error"),  # that nobody made again
                at(8, operation_id="", purpose="retry"),
                at(9, operation_id="", decision=DRAFT),
                at(10, operation_id="D", status="error", decision={}),
                at(11, operation_id="D", decision={}),
                at(12, operation_id="D"),
            ]
        )
        assert ledger.read_period(followed) == [[0, 3], [1], [2, 5], [6], [8], [9], [10, 11]]
        since, until = (NOON + timedelta(seconds=after) for after in (1, 5))
        assert ledger.read_period(followed, since, until) == [[1], [3]]

    def test_they_say_what_the_attempts_say(self) -> None:
        usage = Usage(input_tokens=9, cache_read_tokens=4, output_tokens=2, source="mixed")
        written = [
            at(0, purpose="draft", decision=DRAFT, tags={"a": "b"}, prints={"v": 1}, usage=usage),
            at(1, decision={"own": [1, None]}, nanos=None, model_asked="m", parent_id="p"),
            at(2, decision={}, status="error", price=Free(price_id="x"), service_tier="batch"),
        ]
        ledger = self.filled([each._replace(operation_id="o") for each in written])
        (group,) = ledger.read_period(lambda books: list(books.followed(purposes=["draft"])))
        group.sort()
        for found, attempt_ in zip(group, written, strict=True):
            said = as_followed(attempt_)
            assert isinstance(found.id, bytes)
            assert found._replace(id=found.id.hex(), parent_id=found.parent_id or "") == said
            assert found.usage.source == attempt_.usage.source

    def test_they_may_be_asked_for_twice_and_left_in_the_middle(self) -> None:
        ledger = self.filled([at(n, operation_id=A, purpose="draft") for n in range(3)])
        ledger.record(at(3, operation_id=B, purpose="draft"))

        def twice(books: PeriodBooks) -> list[list[int]]:
            first = books.followed(purposes=["draft"])
            next(first)
            found = followed(books)
            first.close()
            return found

        assert ledger.read_period(twice) == ledger.read_period(followed) == [[0, 1, 2], [3]]

    def test_values_in_decisions_come_with_the_labels_they_were_seen_with(self) -> None:
        ledger = self.filled(
            [
                at(0, model="m", decision=DRAFT),
                at(1, model="m", decision=DRAFT),
                at(2, model="n", model_asked="o", decision={"routing": {"candidate": "x"}}),
                at(3, model="p", decision={"routing": {"candidate": 3}}),
                at(4, model="q", decision={"routing": float("nan")}),  # no JSON to SQLite
            ]
        )
        paths = ("$.routing.step.candidate", "$.routing.candidate")
        found = ledger.read_period(lambda books: list(books.decided_labels(*paths)))
        assert sorted((name, of["model"], of["model_asked"]) for name, of in found) == [
            ("x", "n", "o"),
            ("y", "m", ""),
        ]
        assert ledger.read_period(lambda books: books.has_decisions())
        assert not ledger.read_period(lambda books: books.has_decisions(), until=NOON)

    def test_of_tags_that_differ_for_every_call_values_come_once(self) -> None:
        rows = [at(n, tags={"request": str(n)}, decision=DRAFT) for n in range(9)]
        ledger = self.filled(rows)
        found = ledger.read_period(lambda books: list(books.decided_labels("$.routing.candidate")))
        assert [(name, of["model"]) for name, of in found] == [("x", "gpt-4o")]

    def test_sums_are_those_of_the_ledger(self) -> None:
        ledger = self.filled([at(0), at(1, purpose="summary")], [effect(net_nanos=5)])
        work = ledger.read_period(
            lambda books: (books.totals(["purpose"]), books.effect_totals(["lever"]))
        )
        assert work == (ledger.totals(["purpose"]), ledger.effect_totals(["lever"]))


class TestInMemory(InMemory, _AnyStore):
    pass


class TestInFile(InFile, _AnyStore):
    def test_what_is_written_meanwhile_is_not_in_it(self) -> None:
        ledger = self.filled([at(0)])

        def twice(books: PeriodBooks) -> tuple[int, int]:
            first = books.coverage().operations
            with Ledger.open(ledger.url) as other:
                other.record(at(1))
            return first, books.coverage().operations

        with Ledger.open(ledger.url, read_only=True) as reader:
            assert reader.read_period(twice) == (1, 1)
            assert reader.read_period(lambda books: books.coverage()).operations == 2


def test_a_ledger_still_records_while_it_is_read(tmp_path):
    with Ledger.open(f"sqlite:///{tmp_path}/books.db") as ledger:
        ledger.record(at(0))

        def recording(books: PeriodBooks) -> int:
            ledger.record(at(1))
            return books.coverage().operations

        assert ledger.read_period(recording) == 1
        assert len(list(ledger.attempts())) == 2
