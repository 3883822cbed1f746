"""What any store must do. Subclass `StoreConformance` for a new store and give it `fresh`."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugal_chains.errors import LedgerError
from frugal_chains.ledger import (
    Attempt,
    Claim,
    Ledger,
    Meter,
    MeterFacts,
    Reservation,
    microseconds,
    moment,
    new_id,
    rolling_window,
)
from frugal_chains.usage import Usage
from tests.core.ledger.books import (
    NOON,
    SlowBooks,
    as_lines,
    attempt,
    attempts,
    busy_books,
    moments,
    priced,
)

# One suite for several stores is one test in several classes, which is meant here.
_SHARED = [HealthCheck.differing_executors]
quick = settings(max_examples=25, deadline=None, suppress_health_check=_SHARED)
thorough = settings(quick, max_examples=80)

GROUPINGS: Sequence[Sequence[str]] = (
    (), ["model"], ["day"], ["hour"], ["status"], ["tenant"], ["provider", "purpose"],
    ["day", "model"], ["tag:tenant", "b"], ["hour", "status", "tenant"],
)  # fmt: skip


class StoreConformance:
    """Attempts, totals and meters of one store."""

    def fresh(self) -> Ledger:
        """An empty ledger in this store."""
        raise NotImplementedError

    # -- attempts ------------------------------------------------------------------------------

    @given(attempts())
    @quick
    def test_an_attempt_reads_back_as_it_was_written(self, written: Attempt) -> None:
        with self.fresh() as ledger:
            ledger.record(written)
            assert list(ledger.attempts()) == [written]

    def test_a_uuid_with_dashes_reads_back_as_its_digits(self) -> None:
        run = uuid.uuid4()
        with self.fresh() as ledger:
            ledger.record(attempt(run_id=str(run), operation_id=str(run)))
            (found,) = ledger.attempts(run_id=str(run))
            assert (found.run_id, found.operation_id) == (run.hex, run.hex)
            assert list(ledger.attempts(operation_id=run.hex)) == [found]

    @given(st.lists(attempts(), max_size=4), st.randoms(use_true_random=False))
    @quick
    def test_the_same_attempt_twice_is_one_row(
        self, rows: list[Attempt], chance: random.Random
    ) -> None:
        with self.fresh() as ledger:
            for row in chance.sample([*rows, *rows], 2 * len(rows)):
                ledger.record(row)
            assert sorted(a.id for a in ledger.attempts()) == sorted(r.id for r in rows)
            assert sum(line.attempts for line in ledger.totals()) == len(rows)

    def test_the_true_end_replaces_an_aborted_row_and_never_the_reverse(self) -> None:
        lost = attempt(status="aborted", error_kind="lost", nanos=70, note="guessed")
        true_end = lost._replace(status="ok", error_kind="", price=priced(30), note="")
        other = true_end._replace(price=priced(99))
        with self.fresh() as ledger:
            for row in (lost, true_end, lost, other):
                ledger.record(row)
            assert list(ledger.attempts()) == [true_end]
            (line,) = ledger.totals(["status"])
            assert (line.key, line.attempts, line.nanos) == ({"status": "ok"}, 1, 30)

    def test_order_is_that_of_the_start_however_they_end(self) -> None:
        starts = [NOON + timedelta(milliseconds=5 * i) for i in range(50)]
        rows = [attempt(at) for at in starts]
        shuffled = rows[:]
        random.Random(7).shuffle(shuffled)
        with self.fresh() as ledger:
            for row in shuffled:
                ledger.record(row)
            assert [a.at for a in ledger.attempts()] == starts

    def test_reading_goes_on_past_a_thousand_rows(self) -> None:
        rows = [attempt(NOON + timedelta(milliseconds=i), model=f"m{i % 7}") for i in range(2345)]
        with self.fresh() as ledger:
            for row in rows:
                ledger.record(row)
            assert [a.id for a in ledger.attempts()] == [r.id for r in rows]
            every_seventh = [r.id for r in rows if r.model == "m3"]
            assert [a.id for a in ledger.attempts(model="m3")] == every_seventh
            middle = ledger.attempts(since=rows[700].at, until=rows[2100].at)
            assert [a.id for a in middle] == [r.id for r in rows[700:2100]]

    FILTERS: Sequence[dict[str, Any]] = (
        {"model": "a"}, {"provider": "openai"}, {"status": "error"}, {"purpose": "draft"},
        {"framework": "langchain"}, {"operation_id": ""}, {"tags": {"tenant": "y"}},
        {"tags": {"tenant": "y", "b": "1"}}, {"tags": {"b": "9"}},
        {"model": "b", "tags": {"tenant": "x"}}, {},
    )  # fmt: skip

    @given(busy_books, st.sampled_from(FILTERS), moments, moments)
    @quick
    def test_filters_find_what_a_scan_finds(
        self,
        rows: list[Attempt],
        which: dict[str, Any],
        since: datetime | None,
        until: datetime | None,
    ) -> None:
        which = {name: value for name, value in which.items() if value != ""}
        with self.fresh() as ledger:
            for row in rows:
                ledger.record(row)
            found = {a.id for a in ledger.attempts(since=since, until=until, **which)}
        tags = which.get("tags", {})
        assert found == {
            row.id
            for row in SlowBooks(rows).rows.values()
            if all(getattr(row, k) == v for k, v in which.items() if k != "tags")
            and tags.items() <= row.tags.items()
            and (since is None or row.at >= since)
            and (until is None or row.at < until)
        }

    @pytest.mark.parametrize("name", ['say "hi"', "a\\b", "größe", "x.y[0]", "$", "", "a|b=c"])
    def test_tags_of_any_name_and_value_are_found(self, name: str) -> None:
        tagged = attempt(tags={name: name, "other": "1"})
        with self.fresh() as ledger:
            ledger.record(tagged)
            ledger.record(attempt(tags={"other": name}))
            assert list(ledger.attempts(tags={name: name})) == [tagged]
            by_value = {line.key[f"tag:{name}"]: line.attempts for line in
                        ledger.totals([f"tag:{name}"])}  # fmt: skip
            assert by_value == ({name: 1, "": 1} if name else {"": 2})

    def test_ids_and_conversations_are_found(self) -> None:
        row = attempt(run_id="run-1", parent_id="up", thread_id="talk 9")
        with self.fresh() as ledger:
            ledger.record(row)
            ledger.record(attempt())
            for which in ({"run_id": "run-1"}, {"thread_id": "talk 9"}):
                assert list(ledger.attempts(**which)) == [row]

    @pytest.mark.parametrize("thread", [str(uuid.UUID(int=7)), uuid.UUID(int=7).hex])
    def test_a_conversation_whose_name_is_an_id_is_found(self, thread: str) -> None:
        row = attempt(thread_id=thread)
        with self.fresh() as ledger:
            ledger.record(row)
            assert list(ledger.attempts(thread_id=thread)) == [row]

    def test_tags_that_are_no_text_harm_nobody(self) -> None:
        """Equal as keys, as 1 and True are, they are still two values."""
        with self.fresh() as ledger:
            ledger.record(attempt(tags={"n": 1}))
            ledger.record(attempt(tags={"n": True}))
            ledger.record(attempt(tags={"n": ["a"], "model": None}, model="\ud83d"))
            assert [row.tags["n"] for row in ledger.attempts()] == ["1", "True", "['a']"]

    def test_half_a_character_does_not_lose_the_row(self) -> None:
        broken = "\ud83d cut"
        with self.fresh() as ledger:
            ledger.record(attempt(model=broken, note=broken, thread_id=broken, tags={"t": broken}))
            (found,) = ledger.attempts()
            assert {found.model, found.note, found.thread_id, found.tags["t"]} == {"? cut"}

    def test_a_decision_that_is_no_json_is_kept_as_text(self) -> None:
        with self.fresh() as ledger:
            ledger.record(attempt(decision={"at": NOON, "n": 1}))
            (found,) = ledger.attempts()
            assert found.decision == {"at": str(NOON), "n": 1}

    # -- totals --------------------------------------------------------------------------------

    @given(busy_books, st.sampled_from(GROUPINGS), moments, moments)
    @thorough
    def test_totals_are_the_sums_of_the_attempts(
        self,
        rows: list[Attempt],
        by: Sequence[str],
        since: datetime | None,
        until: datetime | None,
    ) -> None:
        rows = [attempt(tags={"tenant": "x", "b": "1"}), *rows]  # so that these tags are known
        with self.fresh() as ledger:
            for row in rows:
                ledger.record(row)
            found = ledger.totals(by, since, until)
            assert as_lines(found) == SlowBooks(rows).totals(by, since, until)

    @given(busy_books, st.sampled_from(["model", "status", "day", "hour", "tag:tenant"]))
    @quick
    def test_an_operation_is_counted_once_across_groups(self, rows: list[Attempt], by: str) -> None:
        with self.fresh() as ledger:
            for row in rows:
                ledger.record(row)
            whole = {a.operation_id for a in ledger.attempts() if a.operation_id}
            alone = sum(1 for a in ledger.attempts() if not a.operation_id)
            counted = sum(line.operations for line in ledger.totals([by]))
            assert counted == len(whole) + alone

    def test_totals_come_dearest_first_and_time_in_its_own_order(self) -> None:
        day = timedelta(days=1)
        with self.fresh() as ledger:
            for at, model, nanos in (
                (NOON + day, "cheap", 1), (NOON + day, "dear", 9), (NOON, "cheap", 5),
                (NOON, "dear", 8), (NOON - day, "cheap", 2),
            ):  # fmt: skip
                ledger.record(attempt(at, model=model, nanos=nanos))
            assert [line.key["model"] for line in ledger.totals(["model"])] == ["dear", "cheap"]
            assert [tuple(line.key.values()) for line in ledger.totals(["day", "model"])] == [
                ("2026-03-13", "cheap"), ("2026-03-14", "dear"), ("2026-03-14", "cheap"),
                ("2026-03-15", "dear"), ("2026-03-15", "cheap"),
            ]  # fmt: skip

    @pytest.mark.parametrize("hours", [(13, 35), (12, 36), (1, 47), (23.5, 24.5), (11, 13)])
    def test_days_are_told_apart_in_a_range_without_a_whole_day(
        self, hours: tuple[float, float]
    ) -> None:
        midnight = NOON.replace(hour=0)
        rows = [
            attempt(midnight + timedelta(minutes=20 * i), nanos=1 << (i % 30)) for i in range(145)
        ]
        since, until = (midnight + timedelta(hours=h) for h in hours)
        with self.fresh() as ledger:
            for row in rows:
                ledger.record(row)
            for by in (["day"], ["day", "model"], ["hour"], []):
                found = as_lines(ledger.totals(by, since, until))
                assert found == SlowBooks(rows).totals(by, since, until)

    def test_usage_of_mixed_sources_says_so(self) -> None:
        with self.fresh() as ledger:
            ledger.record(attempt(usage=Usage(input_tokens=1)))
            assert ledger.totals()[0].usage.source == "provider"
            ledger.record(attempt(usage=Usage(input_tokens=1, source="estimated")))
            (line,) = ledger.totals()
            assert (line.usage.source, line.estimated) == ("mixed", 1)

    def test_a_name_that_nothing_has_is_refused_with_the_names_there_are(self) -> None:
        with self.fresh() as ledger:
            ledger.record(attempt(tags={"tenant": "x"}))
            with pytest.raises(LedgerError, match=r"(?s)'modle'.*tenant.*model"):
                ledger.totals(["modle"])
            with pytest.raises(LedgerError, match="already names its day"):
                ledger.totals(["day", "hour"])
            assert ledger.tag_names() == ["tenant"]

    def test_an_empty_ledger_has_no_totals(self) -> None:
        with self.fresh() as ledger:
            assert ledger.totals() == ledger.totals(["model"]) == ledger.totals(["hour"]) == []
            assert list(ledger.attempts()) == []

    # -- meters --------------------------------------------------------------------------------

    def state(
        self, ledger: Ledger, meter: Meter, now: datetime, *, run: str = "", **tags: str
    ) -> tuple[int, int]:
        facts = MeterFacts(at=now, run_id=run, operation_id=run, tags=tags)
        (found,) = ledger.store.meter_states([(meter, meter.key(facts))], now=now)
        return found.spent_nanos, found.reserved_nanos

    def test_a_rolling_window_is_exact_to_the_microsecond(self) -> None:
        meter = Meter(window=rolling_window(timedelta(seconds=60)))
        minute, tick = timedelta(seconds=60), timedelta(microseconds=1)
        with self.fresh() as ledger:
            ledger.store.register([meter])
            assert self.state(ledger, meter, NOON) == (0, 0)
            ledger.record(attempt(NOON, nanos=5))
            ledger.record(attempt(NOON + tick, nanos=7))
            assert self.state(ledger, meter, NOON + minute - tick) == (12, 0)
            assert self.state(ledger, meter, NOON + minute) == (7, 0)
            assert self.state(ledger, meter, NOON + minute + tick) == (0, 0)

    def test_a_rolling_window_remembers_after_the_clock_was_set_back(self) -> None:
        meter = Meter(window=rolling_window(timedelta(hours=1)))
        with self.fresh() as ledger:
            ledger.store.register([meter])
            self.state(ledger, meter, NOON)
            ledger.record(attempt(NOON, nanos=5))
            assert self.state(ledger, meter, NOON + timedelta(days=400)) == (0, 0)
            assert self.state(ledger, meter, NOON + timedelta(minutes=1)) == (5, 0)

    def test_what_ends_after_it_left_the_rolling_window_is_not_counted(self) -> None:
        meter = Meter(window=rolling_window(timedelta(minutes=1)))
        with self.fresh() as ledger:
            ledger.store.register([meter])
            later = NOON + timedelta(minutes=5)
            assert self.state(ledger, meter, later) == (0, 0)
            ledger.record(attempt(NOON, nanos=5))
            assert self.state(ledger, meter, later) == (0, 0)

    @pytest.mark.parametrize(
        ("window", "inside", "outside"),
        [
            ("hour", ["2028-02-29T23:00", "2028-02-29T23:59:59.999999"], ["2028-02-29T22:59:59"]),
            ("day", ["2028-02-29", "2028-02-29T23:59:59.999999"], ["2028-02-28T23:59:59.999999",
                                                                   "2028-03-01"]),
            ("month", ["2028-02-01", "2028-02-29T23:59:59.999999"], ["2028-01-31T23:59:59.999999",
                                                                     "2028-03-01"]),
            ("lifetime", ["1999-12-31", "2028-02-29", "2080-01-01"], []),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("asked_first", [True, False])
    def test_calendar_windows_hold_exactly_their_attempts(
        self, window: str, inside: list[str], outside: list[str], asked_first: bool
    ) -> None:
        meter, now = Meter(window=window), datetime(2028, 2, 29, 23, 30, tzinfo=UTC)
        with self.fresh() as ledger:
            ledger.store.register([meter])
            if asked_first:
                assert self.state(ledger, meter, now) == (0, 0)
            for text in (*inside, *outside):
                ledger.record(attempt(datetime.fromisoformat(text).replace(tzinfo=UTC), nanos=1))
            assert self.state(ledger, meter, now) == (len(inside), 0)

    def test_a_tag_value_with_bars_is_not_mistaken_for_another(self) -> None:
        meter = Meter(window="day", tag="tenant")
        with self.fresh() as ledger:
            ledger.record(attempt(nanos=1, tags={"tenant": "a"}))
            ledger.record(attempt(nanos=2, tags={"tenant": "a|b"}))
            ledger.record(attempt(nanos=4, tags={}))
            found = [self.state(ledger, meter, NOON, tenant=t)[0] for t in ("a", "a|b", "", "a|")]
            assert found == [1, 2, 4, 0]

    def test_a_budget_of_one_run_counts_only_the_calls_that_claimed_it(self) -> None:
        meter = Meter(window="run")
        with self.fresh() as ledger:
            mine, other = attempt(nanos=3), attempt(nanos=4)
            hold(ledger, mine, [meter], 10, run="r")
            assert self.state(ledger, meter, NOON, run="r") == (0, 10)
            ledger.record(other)
            ledger.record(mine, reservation_id=mine.id)
            assert self.state(ledger, meter, NOON, run="r") == (3, 0)
            assert self.state(ledger, meter, NOON, run="else") == (0, 0)

    @pytest.mark.parametrize("window", ["run", "operation", "day", "lifetime"])
    def test_an_end_after_the_lease_corrects_every_sum(self, window: str) -> None:
        meter = Meter(window=window)
        lost = attempt(status="aborted", error_kind="lease_expired", nanos=20, operation_id="r")
        with self.fresh() as ledger:
            ledger.store.register([meter])
            hold(ledger, lost, [meter], 100, run="r", lease_s=60)
            assert self.state(ledger, meter, NOON, run="r") == (0, 100)
            late = NOON + timedelta(seconds=61)
            assert self.state(ledger, meter, late, run="r") == (20, 0)
            assert [a.error_kind for a in ledger.attempts()] == ["lease_expired"]
            end = lost._replace(status="ok", error_kind="", price=priced(65))
            ledger.record(end, reservation_id=end.id)
            ledger.record(end, reservation_id=end.id)
            assert self.state(ledger, meter, late, run="r") == (65, 0)
            assert list(ledger.attempts()) == [end]

    def test_the_same_sum_claimed_twice_is_held_once(self) -> None:
        meter, row = Meter(window="day"), attempt(nanos=8)
        with self.fresh() as ledger:
            ledger.store.register([meter])
            hold(ledger, row, [meter, meter], 10)
            assert self.state(ledger, meter, NOON) == (0, 10)
            ledger.record(row, reservation_id=row.id)
            assert self.state(ledger, meter, NOON) == (8, 0)

    def test_a_refused_reservation_holds_nothing_anywhere(self) -> None:
        roomy, tight = Meter(window="day"), Meter(window="hour")
        row = attempt()
        with self.fresh() as ledger:
            claims = (claim(roomy, row, 10, limit=100), claim(tight, row, 10, limit=9))
            wanted = Reservation(claims=claims, expires_at=NOON, if_lost=row)
            refusal = ledger.store.reserve(wanted, now=NOON)
            assert not isinstance(refusal, tuple)
            assert refusal.claim == claims[1]
            assert self.state(ledger, roomy, NOON) == (0, 0)

    def test_releasing_twice_or_what_was_never_held_does_nothing(self) -> None:
        meter, row = Meter(window="day"), attempt()
        with self.fresh() as ledger:
            hold(ledger, row, [meter], 10)
            for _ in range(2):
                ledger.store.release(row.id)
                ledger.store.release(new_id(microseconds(NOON)))
                assert self.state(ledger, meter, NOON) == (0, 0)

    def test_notes_are_kept_and_replaced(self) -> None:
        with self.fresh() as ledger:
            assert ledger.store.read_note("x") is None
            ledger.store.write_note("x", "1")
            ledger.store.write_note("x", "2")
            assert ledger.store.read_note("x") == "2"

    def test_a_sound_ledger_is_healthy(self) -> None:
        with self.fresh() as ledger:
            ledger.record(attempt())
            health = ledger.store.health()
            assert (health.attempts, health.problems, health.inbox_files) == (1, (), ())


def claim(meter: Meter, row: Attempt, nanos: int, *, run: str = "", limit: int | None) -> Claim:
    facts = MeterFacts(at=row.at, run_id=run, operation_id=run, tags=row.tags)
    return Claim(meter=meter, key=meter.key(facts), nanos=nanos, limit_nanos=limit)


def hold(
    ledger: Ledger, row: Attempt, meters: Sequence[Meter], nanos: int, *, run: str = "",
    lease_s: float = 900,
) -> None:  # fmt: skip
    """Reserve without a limit."""
    wanted = Reservation(
        claims=tuple(claim(meter, row, nanos, run=run, limit=None) for meter in meters),
        expires_at=moment(microseconds(row.at) + round(lease_s * 1e6)),
        if_lost=row,
    )
    assert isinstance(ledger.store.reserve(wanted, now=row.at), tuple)
