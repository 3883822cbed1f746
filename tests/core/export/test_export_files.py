"""Attempts as files: every value again when it is read back, and whole files or none."""

from __future__ import annotations

import csv
import json
import os
import stat
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal_chains.errors import ExportError
from frugal_chains.export import COLUMNS, _files, write_csv, write_parquet
from frugal_chains.ledger import Attempt, Ledger, microseconds, new_id
from frugal_chains.pricing import Free, Priced, Unpriced
from frugal_chains.usage import COUNT_FIELDS, Usage
from tests.core.ledger.children import without_root

AT = datetime(2026, 11, 3, 10, 20, 30, 123456, tzinfo=UTC)

DOCUMENTED = [
    "id", "operation_id", "run_id", "parent_id", "thread_id", "started_at", "framework", "provider",
    "model", "model_asked", "purpose", "status", "error_kind", "streamed", "service_tier",
    "latency_s", "first_token_s", "input_tokens", "output_tokens", "cache_read_tokens",
    "cache_write_5m_tokens", "cache_write_1h_tokens", "reasoning_tokens", "input_audio_tokens",
    "cache_read_audio_tokens", "output_audio_tokens", "input_image_tokens", "output_image_tokens",
    "web_searches", "code_executions", "file_searches", "usage_source", "price_outcome",
    "cost_nanos", "input_cost_nanos", "cache_read_cost_nanos", "cache_write_cost_nanos",
    "output_cost_nanos", "fee_cost_nanos", "cost_usd", "price_id", "unpriced_reason", "note",
    "tags", "decision",
]  # fmt: skip


def attempt(**fields: Any) -> Attempt:
    id_ = new_id(microseconds(AT))
    return Attempt(
        **{
            "id": id_,
            "operation_id": id_,
            "at_us": microseconds(AT),
            "framework": "langchain",
            "provider": "openai",
            "model": "gpt-4o",
            **fields,
        }
    )


DEAR = attempt(
    model_asked="gpt-4o-latest",
    purpose="draft",
    streamed=True,
    latency_s=1.5,
    first_token_s=0.25,
    usage=Usage(input_tokens=1_000, cache_read_tokens=400, output_tokens=50, reasoning_tokens=20),
    price=Priced(
        nanos=1_234_567_891, input_nanos=1_000_000_000, cache_read_nanos=34_567_891,
        output_nanos=200_000_000, price_id="list 1",
    ),
    tags={"tenant": "Zürich, \"GmbH\"", "feature": "a\nb"},
    decision={"tier": "cheap", "p": 0.5},
)  # fmt: skip
UNKNOWN = attempt(price=Unpriced(reason="no list"), usage=Usage(input_tokens=3, source="estimated"))
FREE = attempt(price=Free(price_id="response cache"), status="cached")


def written(tmp_path: Path, attempts: list[Attempt]) -> list[dict[str, str]]:
    path = tmp_path / "out.csv"
    assert write_csv(attempts, path) == len(attempts)
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_columns_are_the_documented_ones(tmp_path):
    assert [column.name for column in COLUMNS] == DOCUMENTED
    write_csv([], tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == (",".join(DOCUMENTED) + "\r\n").encode()


def test_csv_has_exact_values(tmp_path):
    dear, unknown, free = written(tmp_path, [DEAR, UNKNOWN, FREE])
    assert dear["started_at"] == "2026-11-03T10:20:30.123456+00:00"
    assert (dear["streamed"], dear["latency_s"], dear["first_token_s"]) == (
        "true", "1.500000", "0.250000",
    )  # fmt: skip
    assert (dear["cost_nanos"], dear["cost_usd"]) == ("1234567891", "1.234567891")
    assert (dear["input_cost_nanos"], dear["fee_cost_nanos"]) == ("1000000000", "0")
    assert json.loads(dear["tags"]) == {"tenant": 'Zürich, "GmbH"', "feature": "a\nb"}
    assert json.loads(dear["decision"]) == {"tier": "cheap", "p": 0.5}
    assert (dear["price_outcome"], dear["price_id"]) == ("priced", "list 1")
    # Unknown is empty, free is nothing, and no latency is not one of 0.
    assert (unknown["cost_nanos"], unknown["cost_usd"], unknown["input_cost_nanos"]) == ("", "", "")
    assert (unknown["unpriced_reason"], unknown["usage_source"]) == ("no list", "estimated")
    assert (unknown["latency_s"], unknown["decision"], unknown["tags"]) == ("", "", "{}")
    assert (free["cost_nanos"], Decimal(free["cost_usd"])) == ("0", 0)
    assert free["price_outcome"] == "free"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"])  # noqa: RUF001
def test_no_cell_is_a_formula(tmp_path, text):
    (row,) = written(tmp_path, [attempt(model=text, thread_id=text, note=text)])
    assert [row[name] for name in ("model", "thread_id", "note")] == [f"'{text}"] * 3


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@settings(max_examples=50)
@given(
    model=_TEXT, note=_TEXT, tags=st.dictionaries(_TEXT, _TEXT, max_size=3),
    nanos=st.one_of(st.none(), st.integers(0, 10**15)),
    counts=st.tuples(*[st.integers(0, 10**9)] * 2),
)  # fmt: skip
def test_what_is_written_is_read_back(tmp_path_factory, model, note, tags, nanos, counts):
    price = Unpriced(reason="x") if nanos is None else Priced(nanos=nanos)
    usage = Usage(input_tokens=counts[0], output_tokens=counts[1])
    each = attempt(model=model, note=note, tags=tags, price=price, usage=usage)
    (row,) = written(tmp_path_factory.mktemp("csv"), [each])
    for name, text in (("model", model), ("note", note)):
        assert row[name] in (text, f"'{text}")
        assert not row[name].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert json.loads(row["tags"]) == tags
    assert [int(row[name]) for name in COUNT_FIELDS] == list(usage[:-1])
    assert row["cost_nanos"] == ("" if nanos is None else str(nanos))
    if nanos is not None:
        assert Decimal(row["cost_usd"]) == Decimal(nanos) / 10**9


def test_parquet_has_the_same_values(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow")
    path = tmp_path / "out.parquet"
    assert write_parquet([DEAR, UNKNOWN, FREE], path) == 3
    table = pq.read_table(path)
    assert table.column_names == DOCUMENTED
    assert str(table.schema.field("cost_usd").type) == "decimal128(38, 9)"
    assert str(table.schema.field("started_at").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("input_tokens").type) == "int64"
    dear, unknown, free = table.to_pylist()
    assert dear["started_at"] == AT
    assert (dear["cost_usd"], dear["cost_nanos"]) == (Decimal("1.234567891"), 1_234_567_891)
    assert (dear["streamed"], dear["latency_s"]) == (True, 1.5)
    assert (unknown["cost_usd"], unknown["latency_s"], unknown["decision"]) == (None, None, None)
    assert (free["cost_usd"], free["cost_nanos"]) == (0, 0)


def test_parquet_without_pyarrow_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ExportError, match=r"frugal-chains\[parquet\]"):
        write_parquet([DEAR], tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("yesterday's")

    def breaks() -> Iterator[Attempt]:
        yield DEAR
        raise RuntimeError("the ledger is gone")

    with pytest.raises(RuntimeError):
        write_csv(breaks(), path)
    assert path.read_text() == "yesterday's"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_disk_leaves_no_half_file(tmp_path, monkeypatch):
    """The temporary file is one whose disk is full: what is written fails with ENOSPC."""
    import tempfile

    def on_full_disk(prefix: str, dir: Path) -> tuple[int, str]:
        name = Path(dir) / f"{prefix}tmp"
        name.symlink_to("/dev/full")
        return os.open(name, os.O_WRONLY), str(name)

    monkeypatch.setattr(tempfile, "mkstemp", on_full_disk)
    with pytest.raises(ExportError, match="No space left"):
        write_csv([DEAR], tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_named(tmp_path):
    with pytest.raises(ExportError, match="nowhere"):
        write_csv([DEAR], tmp_path / "nowhere" / "out.csv")
    with pytest.raises(ExportError, match="no file"):
        write_csv([DEAR], tmp_path)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if os.getuid() == 0:
        tmp_path.chmod(0o755)
    with without_root(), pytest.raises(ExportError, match=r"[Pp]ermission"):
        write_csv([DEAR], closed / "out.csv")


def test_modes_and_links_stay(tmp_path):
    path, link = tmp_path / "out.csv", tmp_path / "link.csv"
    write_csv([DEAR], path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    link.symlink_to(path)
    write_csv([DEAR, FREE], link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert len(path.read_text().splitlines()) > 2


def test_memory_does_not_grow_with_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(_files, "_ROWS_AT_ONCE", 500)

    def peak(rows: int) -> int:
        tracemalloc.start()
        write_csv((attempt() for _ in range(rows)), tmp_path / "out.csv")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)
    assert peak(4_000) < 1.2 * peak(1_000)


def test_a_ledger_that_is_being_written_is_exported_up_to_a_moment(tmp_path):
    from datetime import timedelta

    with Ledger.open(str(tmp_path / "books.db")) as books:
        books.record(DEAR)
        until = AT + timedelta(seconds=1)
        rows = books.attempts(until=until)

        def meanwhile() -> Iterator[Attempt]:
            for row in rows:
                books.record(attempt(at_us=microseconds(until), id=new_id(microseconds(until))))
                yield row

        assert write_csv(meanwhile(), tmp_path / "out.csv") == 1
