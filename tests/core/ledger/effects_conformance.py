"""What any store must do with effects. Subclass `EffectsConformance` and give it `fresh`."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugal_chains.errors import LedgerError
from frugal_chains.ledger import Effect, EffectTotals, Ledger
from tests.core.ledger.books import NOON, attempt

_SHARED = [HealthCheck.differing_executors]
quick = settings(max_examples=25, deadline=None, suppress_health_check=_SHARED)

OPERATION = "0123456789abcdef0123456789abcdef"


def effect(at: datetime = NOON, **changes: Any) -> Effect:
    """An ordinary effect."""
    facts: dict[str, Any] = {
        "operation_id": OPERATION,
        "at": at,
        "lever": "compression.extract",
        "tokens_before": 1000,
        "tokens_after": 400,
        "exact": True,
    }
    return Effect(**facts | changes)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
any_effect = st.builds(
    Effect,
    operation_id=st.one_of(st.uuids().map(lambda u: u.hex), _TEXT),
    at=st.datetimes(datetime(1970, 1, 1), datetime(2190, 1, 1), timezones=st.just(UTC)),
    lever=_TEXT.filter(bool),
    tokens_before=st.integers(0, 10**12),
    tokens_after=st.integers(0, 10**12),
    exact=st.booleans(),
    model=_TEXT,
    provider=_TEXT,
    net_nanos=st.none() | st.integers(-(10**15), 10**15),
    kind=st.sampled_from(["measured", "modelled"]),
    detail=st.dictionaries(_TEXT, _JSON, max_size=3),
    tags=st.dictionaries(_TEXT, _TEXT, max_size=3),
)

_HOURS = st.tuples(st.integers(-48, 48), st.sampled_from([-1, 0, 1])).map(
    lambda t: timedelta(microseconds=t[0] * 3_600_000_000 + t[1])
)
some_effects = st.lists(
    st.builds(
        effect,
        at=_HOURS.map(lambda offset: NOON + offset),
        operation_id=st.sampled_from(["", "run", "0" * 32, "1" * 32]),
        lever=st.sampled_from(["compression.extract", "compression.shape", "memory"]),
        tokens_before=st.sampled_from([0, 7, 1000, 10**12]),
        tokens_after=st.sampled_from([0, 7, 999]),
        exact=st.booleans(),
        model=st.sampled_from(["", "gpt-4o", "claude"]),
        net_nanos=st.sampled_from([None, -5, 0, 3, 10**15]),
        kind=st.sampled_from(["measured", "modelled"]),
    ),
    max_size=30,
)
moments = st.none() | _HOURS.map(lambda offset: NOON + offset)

Key = tuple[str, ...]


def added_up(
    effects: Iterable[Effect], by: Sequence[str], since: datetime | None, until: datetime | None
) -> dict[Key, dict[str, int]]:
    """The sums a ledger must give, one effect after the other, in the order they were recorded."""
    lines: dict[Key, dict[str, int]] = {}
    seen: set[tuple[str, str]] = set()
    for one in effects:
        opens = not one.operation_id or (one.operation_id, one.lever) not in seen
        seen.add((one.operation_id, one.lever))
        if (since and one.at < since) or (until and one.at >= until):
            continue
        key = tuple(f"{one.at:%Y-%m-%d}" if n == "day" else getattr(one, n) for n in by)
        line = lines.setdefault(key, dict.fromkeys(_SUMS, 0))
        line["effects"] += 1
        line["operations"] += opens
        line["unchanged"] += one.tokens_after == one.tokens_before
        line["inexact"] += not one.exact
        line["tokens_before"] += one.tokens_before
        line["tokens_after"] += one.tokens_after
        line[f"{one.kind}_nanos"] += one.net_nanos or 0
        line["unvalued"] += one.net_nanos is None
    return lines


_SUMS = (
    "effects", "operations", "unchanged", "inexact", "tokens_before", "tokens_after",
    "measured_nanos", "modelled_nanos", "unvalued",
)  # fmt: skip


def as_sums(found: Iterable[EffectTotals]) -> dict[Key, dict[str, int]]:
    return {
        tuple(line.key.values()): {name: getattr(line, name) for name in _SUMS} for line in found
    }


class EffectsConformance:
    def fresh(self) -> Ledger:
        """An empty ledger, which nobody else uses."""
        raise NotImplementedError

    @quick
    @given(any_effect)
    def test_an_effect_reads_back_as_it_was_written(self, written: Effect) -> None:
        with self.fresh() as ledger:
            ledger.record_effect(written)
            assert list(ledger.effects()) == [written]

    def test_half_a_character_does_not_lose_the_effect(self) -> None:
        half = effect(
            model="gpt\ud83d", tags={"a\udc00": "\ud800"}, detail={"form": "\ud800"},
            operation_id="run\ud800", lever="shape\udfff",
        )  # fmt: skip
        with self.fresh() as ledger:
            ledger.record_effect(half)
            (found,) = ledger.effects()
        assert (found.model, found.tags, found.lever) == ("gpt?", {"a?": "?"}, "shape?")
        assert found.tokens_before == 1000

    def test_the_same_effect_twice_is_one_row_and_the_first_stays(self) -> None:
        first = effect()
        with self.fresh() as ledger:
            ledger.record_effects([first, effect(id=first.id, tokens_after=1), first])
            ledger.record_effect(first)
            assert list(ledger.effects()) == [first]
            assert ledger.effect_totals()[0].effects == 1

    def test_order_is_that_of_time_and_reading_goes_on_past_a_thousand(self) -> None:
        rows = [effect(NOON + timedelta(milliseconds=n)) for n in range(1001)]
        shuffled = random.Random(1).sample(rows, len(rows))
        with self.fresh() as ledger:
            ledger.record_effects(shuffled)
            assert list(ledger.effects()) == rows
            assert as_sums(ledger.effect_totals()) == added_up(shuffled, ["lever"], None, None)

    @quick
    @given(
        some_effects,
        st.none() | st.sampled_from(["run", "0" * 32, "gone"]),
        st.none() | st.sampled_from(["compression.extract", "memory", "gone"]),
        moments,
        moments,
    )
    def test_filters_find_what_a_scan_finds(
        self,
        rows: list[Effect],
        operation: str | None,
        lever: str | None,
        since: datetime | None,
        until: datetime | None,
    ) -> None:
        with self.fresh() as ledger:
            ledger.record_effects(rows)
            found = list(
                ledger.effects(operation_id=operation, lever=lever, since=since, until=until)
            )
        assert found == [
            one
            for one in sorted(rows, key=lambda one: one.id)
            if operation in (None, one.operation_id)
            and lever in (None, one.lever)
            and (since is None or one.at >= since)
            and (until is None or one.at < until)
        ]

    @quick
    @given(
        some_effects,
        st.sampled_from(
            [["lever"], [], ["lever", "kind"], ["model", "provider"], ["day", "lever"]]
        ),
        moments,
        moments,
    )
    def test_totals_are_the_sums_of_the_effects(
        self, rows: list[Effect], by: list[str], since: datetime | None, until: datetime | None
    ) -> None:
        with self.fresh() as ledger:
            ledger.record_effects(rows)
            found = ledger.effect_totals(by, since, until)
        assert as_sums(found) == added_up(rows, by, since, until)

    def test_a_period_has_its_first_moment_and_not_its_last(self) -> None:
        rows = [effect(NOON + timedelta(hours=hours)) for hours in (-40, -2, 0, 2, 40, 64)]
        with self.fresh() as ledger:
            ledger.record_effects(rows)
            for since in (None, *(one.at for one in rows)):
                for until in (None, *(one.at for one in rows)):
                    found = ledger.effect_totals(["lever"], since, until)
                    assert as_sums(found) == added_up(rows, ["lever"], since, until)

    def test_what_kept_out_most_comes_first_and_days_in_their_order(self) -> None:
        rows = [
            effect(lever="small", tokens_after=999),
            effect(lever="loss", tokens_after=2000),
            effect(lever="large"),
            effect(NOON - timedelta(days=1), lever="small"),
        ]
        with self.fresh() as ledger:
            ledger.record_effects(rows)
            assert [line.key["lever"] for line in ledger.effect_totals()] == [
                "small", "large", "loss",
            ]  # fmt: skip
            assert [line.key["day"] for line in ledger.effect_totals(["day"])] == [
                "2026-03-13", "2026-03-14",
            ]  # fmt: skip
            assert ledger.effect_totals()[2].tokens_saved == -1000

    def test_a_name_that_effects_do_not_have_is_refused_with_those_they_have(self) -> None:
        with self.fresh() as ledger:
            with pytest.raises(LedgerError, match=r"'tenant'.*lever, kind, provider, model, day"):
                ledger.effect_totals(["tenant"])
            assert ledger.effect_totals() == []
            assert ledger.effect_totals([]) == []
            assert list(ledger.effects()) == []

    def test_attempts_and_effects_do_not_count_as_each_other(self) -> None:
        row = attempt(operation_id=OPERATION)
        with self.fresh() as ledger:
            ledger.record_effect(effect())
            ledger.record(row)
            ledger.record_effect(effect())
            assert list(ledger.attempts()) == [row]
            (line,) = ledger.totals()
            assert (line.attempts, line.operations) == (1, 1)
            (kept,) = ledger.effect_totals()
            assert (kept.effects, kept.operations) == (2, 1)
            health = ledger.store.health()
            assert (health.attempts, health.problems) == (1, ())
