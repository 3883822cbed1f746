"""Attempts as rows of a file, a page at a time: memory does not grow with the ledger."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final

from frugal_chains.errors import ExportError
from frugal_chains.export._atomic import whole_file
from frugal_chains.export._columns import COLUMNS, Column, Kind
from frugal_chains.ledger import Attempt

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet run a cell, in full width too (owasp.org, CSV Injection)."""
_ROWS_AT_ONCE: Final = 10_000
_PARQUET_WAY_OUT: Final = "pip install 'frugal-chains[parquet]' brings pyarrow; CSV needs nothing"

Progress = Callable[[int], None]
"""Is told how many rows are written so far."""


def write_csv(
    attempts: Iterable[Attempt], path: Path, *, progress: Progress = lambda rows: None
) -> int:
    """Write attempts as CSV (RFC 4180, UTF-8, one head); how many.

    Moments are ISO 8601, flags `true` and `false`, seconds and USD plain decimals. A text that a
    spreadsheet would take for a formula has an apostrophe before it.

    Raises:
        ExportError: the file cannot be written; what was at `path` is unchanged.
    """
    with whole_file(path) as place, open(place, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([column.name for column in COLUMNS])
        cells = [(column.read, _CELLS[column.kind]) for column in COLUMNS]
        rows = 0
        for page in _pages(attempts):
            writer.writerows([[cell(read(a)) for read, cell in cells] for a in page])
            rows += len(page)
            progress(rows)
        return rows


def write_parquet(
    attempts: Iterable[Attempt], path: Path, *, progress: Progress = lambda rows: None
) -> int:
    """Write attempts as Parquet, compressed with zstd; how many.

    Moments are UTC microseconds, `cost_usd` is decimal128(38, 9), what is unknown is null.

    Raises:
        ExportError: the file cannot be written, or pyarrow is not installed.
    """
    try:
        pa, pq = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ExportError(f"Parquet needs pyarrow: {_PARQUET_WAY_OUT}") from error
    schema = _schema(pa)
    with whole_file(path) as place, pq.ParquetWriter(place, schema, compression="zstd") as writer:
        rows = 0
        for page in _pages(attempts):
            writer.write_table(pa.table(_by_column(page), schema=schema))
            rows += len(page)
            progress(rows)
        return rows


def _pages(attempts: Iterable[Attempt]) -> Iterator[list[Attempt]]:
    rows = iter(attempts)
    while page := list(islice(rows, _ROWS_AT_ONCE)):
        yield page


def _by_column(page: Sequence[Attempt]) -> dict[str, list[Any]]:
    return {column.name: [column.read(a) for a in page] for column in COLUMNS}


def _schema(pa: Any) -> Any:
    types: Mapping[Kind, Any] = {
        "text": pa.string(),
        "integer": pa.int64(),
        "seconds": pa.float64(),
        "flag": pa.bool_(),
        "moment": pa.timestamp("us", tz="UTC"),
        "usd": pa.decimal128(38, 9),
    }
    return pa.schema([_field(pa, column, types[column.kind]) for column in COLUMNS])


def _field(pa: Any, column: Column, kind: Any) -> Any:
    return pa.field(column.name, kind, metadata={"about": column.about})


def _text_cell(text: str | None) -> str:
    if not text:
        return ""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _moment_cell(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _seconds_cell(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.6f}"


def _usd_cell(usd: Decimal | None) -> str:
    return "" if usd is None else f"{usd:f}"


def _integer_cell(count: int | None) -> str:
    return "" if count is None else str(count)


_CELLS: Final[Mapping[Kind, Callable[[Any], str]]] = {
    "text": _text_cell,
    "integer": _integer_cell,
    "seconds": _seconds_cell,
    "flag": lambda flag: "true" if flag else "false",
    "moment": _moment_cell,
    "usd": _usd_cell,
}
