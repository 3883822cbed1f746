"""Effects: on every store, under kill -9, from many processes, and in files of before."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pytest

from frugal_chains.errors import EffectError, LedgerError, LedgerUnavailable
from frugal_chains.ledger import Effect, Ledger, _file, _open, _schema, _writer, left_behind, new_id
from tests.core.ledger.books import NOON, attempt
from tests.core.ledger.children import Child, all_at_once, needs_fork
from tests.core.ledger.effects_conformance import EffectsConformance, effect
from tests.core.ledger.stores import InFile, InMemory


class TestMemory(InMemory, EffectsConformance):
    pass


class TestFile(InFile, EffectsConformance):
    pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


def ids(path: Path) -> list[str]:
    """Every effect in a ledger that nobody else uses any more; it must be sound."""
    with Ledger.open(str(path)) as ledger:
        assert ledger.store.health().problems == ()
        return [one.id for one in ledger.effects()]


# -- what is refused ---------------------------------------------------------------------------

BAD: list[tuple[dict[str, Any], str]] = [
    ({"tokens_before": -1}, "tokens_before is -1"),
    ({"tokens_after": True}, "tokens_after is True"),
    ({"tokens_after": 12.0}, "tokens_after is 12.0"),
    ({"tokens_after": float("nan")}, "tokens_after is nan"),
    ({"tokens_before": 10**12 + 1}, "from 0 to 1,000,000,000,000"),
    ({"tokens_before": None}, "tokens_before is None"),
    ({"net_nanos": 0.5}, "net_nanos is 0.5"),
    ({"net_nanos": Decimal(1)}, "net_nanos is Decimal"),
    ({"net_nanos": 10**15 + 1}, "net_nanos is"),
    ({"net_nanos": -(10**15) - 1}, "net_nanos is"),
    ({"kind": "guessed"}, "'measured' or 'modelled'"),
    ({"lever": ""}, "name it"),
    ({"lever": None}, "name it"),
    ({"model": None}, "model is None"),
    ({"operation_id": 7}, "operation_id is 7"),
    ({"at": datetime(2026, 3, 14)}, "aware time"),
    ({"at": datetime(1969, 12, 31, tzinfo=UTC)}, "after 1970"),
    ({"detail": {"kept": float("inf")}}, "no plain JSON"),
    ({"detail": {"kept": object()}}, "no plain JSON"),
    ({"detail": {"text": "x" * 5000}}, "counts and reasons, not texts"),
    ({"id": "z" * 32}, "leave it out"),
    ({"id": new_id(0)}, "same moment"),
]


@pytest.mark.parametrize(
    ("bad", "says"), BAD, ids=lambda bad: "-".join(bad) if isinstance(bad, dict) else bad
)
def test_what_cannot_be_true_is_refused_with_the_way_out(bad: dict[str, Any], says: str) -> None:
    with pytest.raises(EffectError, match=says) as raised:
        effect(**bad)
    assert isinstance(raised.value, LedgerError)
    assert isinstance(raised.value, ValueError)


def test_a_detail_that_holds_itself_or_is_nested_deeply_is_refused() -> None:
    around: dict[str, Any] = {}
    around["self"] = around
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for bad in (around, {"deep": deep}):
        with pytest.raises(EffectError, match="no plain JSON"):
            effect(detail=bad)


def test_times_of_any_zone_are_kept_as_utc_and_losses_as_losses() -> None:
    at = datetime(2026, 3, 14, 13, 0, 0, 7, tzinfo=timezone(timedelta(hours=1)))
    one = effect(at, tokens_before=10, tokens_after=13, net_nanos=-1_500_000_000)
    assert one.at == at
    assert one.at.utcoffset() == timedelta(0)
    assert one.tokens_saved == -3
    assert one.net_usd == Decimal("-1.5")
    assert effect().net_usd is None
    assert effect(at).id != effect(at).id


def test_what_an_effect_was_made_of_may_change_later() -> None:
    detail: dict[str, Any] = {"forms": ["columnar"]}
    tags: dict[str, Any] = {"tenant": 7}
    one = effect(detail=detail, tags=tags)
    detail["forms"].append("toon")
    tags.clear()
    assert one.detail == {"forms": ["columnar"]}
    assert one.tags == {"tenant": "7"}


# -- nothing is lost ---------------------------------------------------------------------------


def test_every_acknowledged_effect_survives_kill_9_and_so_do_the_attempts_beside(
    path: Path,
) -> None:
    needs_fork()

    def work(out: IO[str]) -> None:
        ledger = Ledger.open(str(path))

        def write(make: Callable[[], Any], record: Callable[[Any], None]) -> None:
            while True:
                row = make()
                record(row)
                out.write(f"{row.id}\n")

        threading.Thread(target=write, args=(attempt, ledger.record)).start()
        write(effect, ledger.record_effect)

    child = Child(work)
    acknowledged = [child.out.readline().strip() for _ in range(400)]
    acknowledged += child.kill()
    with Ledger.open(str(path)) as ledger:
        rows = [row.id for row in ledger.attempts()]
    found = ids(path)
    assert set(acknowledged) <= {*rows, *found}
    assert min(len(rows), len(found)) > 10
    assert len(found) == len(set(found))
    assert len({*rows, *found}) <= len(acknowledged) + 2


@pytest.fixture
def _idle_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is flushed but by what the test itself does."""
    monkeypatch.setattr(_writer, "GATHER_S", 1000)
    monkeypatch.setattr(_file, "FLUSH_WAIT_S", 0.005)


@pytest.mark.usefixtures("_idle_writer")
@pytest.mark.parametrize("rows", [1, 1500], ids=["one", "several-files"])
def test_an_effect_is_safe_before_the_writer_has_seen_it(path: Path, rows: int) -> None:
    needs_fork()

    def work(out: IO[str]) -> None:
        ledger = Ledger.open(str(path))
        for _ in range(rows):
            one = effect(model="gpt\n4\0o")
            ledger.record_effect(one)
            out.write(f"{one.id}\n")
        os.kill(os.getpid(), signal.SIGKILL)

    acknowledged = Child(work).killed()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT COUNT(*) FROM effects").fetchone() == (0,)
    assert (len(left_behind(path)) > 1) == (rows > 1)
    assert ids(path) == sorted(acknowledged)
    assert len(acknowledged) == rows
    assert not left_behind(path)


def test_killed_between_commit_and_forgetting_it_is_still_one_row(path: Path) -> None:
    """What waited is in the file, and the inbox still says it waits."""
    one, row = effect(), attempt()
    with Ledger.open(str(path)) as ledger:
        ledger.store._inbox.done = lambda: None  # type: ignore[attr-defined]
        ledger.record_effect(one)
        ledger.record(row)
        ledger.store.flush()
        inboxes = [(name, name.read_bytes()) for name in path.parent.glob("*.inbox")]
    assert inboxes
    for name, content in inboxes:
        name.with_name("books.db.0.inbox").write_bytes(content)
    assert ids(path) == [one.id]
    with Ledger.open(str(path)) as ledger:
        assert [kept.id for kept in ledger.attempts()] == [row.id]
        assert ledger.effect_totals()[0].operations == 1


def test_many_processes_write_at_once(path: Path) -> None:
    needs_fork()
    operations = [new_id(n) for n in range(40)]

    def work(out: IO[str]) -> None:
        with Ledger.open(str(path)) as ledger:
            for operation in operations:
                ledger.record_effect(effect(operation_id=operation, tokens_after=10))
                ledger.record(attempt(operation_id=operation))

    for child in [Child(work) for _ in range(5)]:
        child.wait()
    with Ledger.open(str(path)) as ledger:
        (line,) = ledger.effect_totals()
        assert (line.effects, line.operations) == (200, 40)
        assert line.tokens_saved == 200 * 990
        assert ledger.totals()[0].attempts == 200


@pytest.mark.usefixtures("_idle_writer")
def test_a_locked_ledger_holds_no_lever_up_and_loses_nothing(path: Path) -> None:
    with Ledger.open(str(path)) as ledger:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            started_s = time.monotonic()
            for _ in range(200):
                ledger.record_effect(effect())
            took_s = time.monotonic() - started_s
            assert not ledger.store.flush()
            other.rollback()
        assert took_s < 1
        assert ledger.effect_totals()[0].effects == 200


@pytest.mark.usefixtures("_idle_writer")
def test_a_damaged_line_costs_only_itself_and_is_kept_for_a_person(path: Path) -> None:
    good, bad = effect(), effect(tokens_before=777777)
    with Ledger.open(str(path)) as ledger:
        ledger.record_effects([bad, good])
        (inbox,) = path.parent.glob("*.inbox")
        content = inbox.read_bytes().replace(b"777777", b"-77777")
    os.unlink(path)
    Ledger.open(str(path)).close()
    inbox.with_name("books.db.0.inbox").write_bytes(content)
    with Ledger.open(str(path)) as ledger:
        assert list(ledger.effects()) == [good]
        (problem,) = ledger.store.health().problems
    assert ".damaged" in problem


def test_an_effect_that_waits_at_a_fork_is_written_once(path: Path) -> None:
    needs_fork()
    with Ledger.open(str(path)) as ledger:
        before = effect()
        ledger.record_effect(before)
        of_child = effect()
        Child(lambda out: ledger.record_effect(of_child)).wait()
        after = effect()
        ledger.record_effect(after)
        assert [one.id for one in ledger.effects()] == sorted([before.id, of_child.id, after.id])


def test_a_closed_or_read_only_ledger_says_so(path: Path) -> None:
    memory = Ledger.open("memory://")
    memory.close()
    with pytest.raises(LedgerUnavailable, match="closed"):
        memory.record_effect(effect())
    ledger = Ledger.open(str(path))
    ledger.close()
    late = effect()
    ledger.record_effect(late)
    with Ledger.open(str(path), read_only=True) as books, pytest.raises(LedgerError, match="only"):
        books.record_effect(effect())
    assert ids(path) == [late.id]


# -- files of before ---------------------------------------------------------------------------


@pytest.fixture
def of_version_1(path: Path) -> list[str]:
    """A ledger as it was before there were effects; the ids of its attempts."""
    rows = [attempt(NOON + timedelta(seconds=n), tags={"tenant": "acme"}) for n in range(300)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_open, "MIGRATIONS", _open.MIGRATIONS[:1])
        with Ledger.open(str(path)) as ledger:
            for row in rows:
                ledger.record(row)
    assert version(path) == 1
    return [row.id for row in rows]


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def test_an_older_file_is_migrated_and_keeps_its_attempts(
    path: Path, of_version_1: list[str]
) -> None:
    one = effect()
    with Ledger.open(str(path)) as ledger:
        assert ledger.effect_totals() == []
        ledger.record_effect(one)
        assert list(ledger.effects()) == [one]
        assert [row.id for row in ledger.attempts()] == of_version_1
        assert ledger.totals(["tenant"])[0].attempts == 300
        assert ledger.store.health().problems == ()
    assert version(path) == len(_open.MIGRATIONS)


def test_an_older_file_is_read_as_it_is_and_has_no_effects(
    path: Path, of_version_1: list[str]
) -> None:
    """The report and the doctor open a ledger to read it only: they must not need a migration."""
    with Ledger.open(str(path), read_only=True) as ledger:
        assert [row.id for row in ledger.attempts()] == of_version_1
        assert ledger.totals()[0].attempts == 300
        assert (ledger.effect_totals(), list(ledger.effects())) == ([], [])
        health = ledger.store.health()
        assert (health.version, health.attempts, health.problems) == (1, 300, ())
    assert version(path) == 1


def test_many_processes_migrate_an_older_file_and_write_effects(
    path: Path, of_version_1: list[str]
) -> None:
    needs_fork()

    def work(out: IO[str]) -> None:
        with Ledger.open(str(path)) as ledger:
            ledger.record_effect(effect())
            ledger.record(attempt(NOON + timedelta(days=1)))

    all_at_once([work] * 5)
    assert len(ids(path)) == 5
    with Ledger.open(str(path)) as ledger:
        assert [row.id for row in ledger.attempts()][:300] == of_version_1


def test_landed_migrations_are_never_edited() -> None:
    """A file that has gone through one is not taken through it again."""
    digests = [
        hashlib.sha256(" ".join(script.split()).encode()).hexdigest()[:16]
        for script in _schema.MIGRATIONS
    ]
    assert digests == ["1e10bbe2f37a1081", "87ebc3efc351b82e", "bc97cd1becc2ab29"]


def test_the_effects_of_a_million_requests_need_little_room(path: Path) -> None:
    """Bytes in the file for one effect, without the room that every ledger takes."""
    with Ledger.open(str(path)):
        pass
    empty = path.stat().st_size
    rows: list[Effect] = [
        effect(
            NOON + timedelta(milliseconds=n), operation_id=new_id(n), model="gpt-4o",
            provider="openai", detail={"form": "columnar", "budget_tokens": 1200, "dropped": 3},
        )
        for n in range(2000)
    ]  # fmt: skip
    with Ledger.open(str(path)) as ledger:
        ledger.record_effects(rows)
    assert (path.stat().st_size - empty) / len(rows) < 400
