"""One file of an export: its kind, told by its head, and its rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Final

from frugal_chains.errors import ReconcileError
from frugal_chains.reconcile._cells import (
    moment_of_cell,
    rounded_to_cents,
    usd_nanos,
    whole_number,
)
from frugal_chains.reconcile._export import UsageExport
from frugal_chains.reconcile._facts import MEASURES
from frugal_chains.reconcile._formats import FORMATS, ONLY_TIMES, Format, column_name
from frugal_chains.reconcile._names import item_model
from frugal_chains.reconcile._text import text_of

_DELIMITERS: Final = ",;\t|"
_DAY: Final = timedelta(days=1)
_EMPTY_MEASURES: Final = ("input_tokens", "output_tokens", "requests")


class ExportFile:
    """One file: its kind, told by its head, and its rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = text_of(path)
        head = text.partition("\n")[0].rstrip("\r")
        self._delimiter = max(_DELIMITERS, key=head.count)
        self._rows = csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter)
        self.columns = [column_name(name) for name in next(self._rows, [])]
        self.format = form = _format_of(path, self.columns)
        self._start, self._end, self._currency, self._named, self._item = (
            form.column(names, self.columns)
            for names in (form.start, form.end, form.currency, form.model, form.item)
        )
        self._seen: dict[bytes, int] = {}

    def add_to(self, export: UsageExport) -> set[str]:
        """Add every row; the days that are covered."""
        places = {
            measure: place
            for measure, names in self.format.amounts.items()
            if (place := self.format.column(names, self.columns)) is not None
        }
        measures = _measures(places) if places else _EMPTY_MEASURES
        export.measures = tuple(m for m in MEASURES if m in {*export.measures, *measures})
        days, cents = set(), []
        for line, row in self._lines():
            day = self._day(line, row, export)
            days.add(day)
            amounts = {m: self._amount(line, row, m, place) for m, place in places.items()}
            if "usd" in amounts and row[places["usd"]].strip():
                cents.append(rounded_to_cents(amounts["usd"]))  # 0.00 may have been 0.004
            if not any(amounts.values()):
                continue
            self._refuse_repeated(line, row)
            self._check_currency(line, row)
            if amounts.get("usd", 0) < 0:
                export.credits_nanos += amounts["usd"]
                continue
            export.add((day, self._model(row, export)), amounts)
        export.cent_rows += len(cents) if cents and all(cents) else 0
        return all_between(days)

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        try:
            for row in self._rows:
                if not any(cell.strip() for cell in row):
                    continue
                line = self._rows.line_num
                if len(row) != len(self.columns):
                    raise self._wrong(
                        line,
                        f"has {len(row)} cells under {len(self.columns)} columns: the file is cut "
                        "off, or a number has a thousands separator and no quotes",
                    )
                yield line, row
        except csv.Error as error:
            raise self._wrong(self._rows.line_num, f"is no CSV ({error})") from error

    def _day(self, line: int, row: list[str], export: UsageExport) -> str:
        place, end = self._start, self._end
        assert place is not None  # `_format_of` has seen it
        try:
            at = moment_of_cell(row[place])
            wide = moment_of_cell(row[end]) - at if end is not None and row[end] else timedelta(0)
        except (ValueError, OverflowError, OSError):
            raise self._wrong(
                line, f"has no time in {self.columns[place]}: {row[place]!r}"
            ) from None
        if wide > _DAY:
            raise self._wrong(line, f"covers {wide.days} days: export by day, hour or minute")
        if wide == _DAY and at.hour + at.minute:
            export.offset_s = at.hour * 3600 + at.minute * 60
            at += _DAY / 2  # the day of which it has the larger part
        return f"{at:%Y-%m-%d}"

    def _amount(self, line: int, row: list[str], measure: str, place: int) -> int:
        text = row[place].strip()
        if not text:
            return 0
        try:
            if measure == "usd":
                return usd_nanos(text, decimal_comma=self._delimiter == ";")
            count = whole_number(text)
        except ValueError:
            count = -1
        if count < 0:
            raise self._wrong(
                line, f"has {text!r} in {self.columns[place]}: expected a number >= 0"
            )
        return count

    def _refuse_repeated(self, line: int, row: list[str]) -> None:
        key = blake2b("\0".join(row).encode(), digest_size=16).digest()  # there may be many rows
        first = self._seen.setdefault(key, line)
        if first != line:
            raise self._wrong(
                line,
                f"repeats line {first}, and would count twice: export again, or leave out one. "
                "Were two exports joined?",
            )

    def _check_currency(self, line: int, row: list[str]) -> None:
        place = self._currency
        if place is not None and row[place].strip().lower() not in ("usd", ""):
            raise self._wrong(
                line, f"is in {row[place]}: the ledger is in USD, and no rate is known here"
            )

    def _model(self, row: list[str], export: UsageExport) -> str:
        names = (row[place].strip() for place in (self._named, self._item) if place is not None)
        name = next(filter(None, names), "")
        if not name:
            export.by_model = False
        return item_model(name) if self.format.model == ("line_item",) else name

    def _wrong(self, line: int, what: str) -> ReconcileError:
        return ReconcileError(f"{self.path}: line {line} {what}.")


def all_between(days: set[str]) -> set[str]:
    """The days with a row, and those between them: consoles leave out days without usage."""
    if not days:
        return set()
    first, last = (date.fromisoformat(day) for day in (min(days), max(days)))
    return {f"{first + n * _DAY:%Y-%m-%d}" for n in range((last - first).days + 1)}


def _measures(places: dict[str, int]) -> list[str]:
    """What a file has of `MEASURES`: input is the sum of its buckets where it is told in parts, and
    writes are told by time to live or all together."""
    has = ["input_tokens" if m == "uncached_tokens" else m for m in places]
    if "cache_write_5m_tokens" in has:
        has.append("cache_write_tokens")
    return has


def _format_of(path: Path, columns: list[str]) -> Format:
    if columns and ONLY_TIMES.issuperset(columns) and "start_time" in columns:
        return FORMATS[0]
    best = max(FORMATS, key=lambda each: (not each.missing(columns), each.known(columns)))
    missing = best.missing(columns)
    if not missing:
        return best
    found = ", ".join(columns[:20]) or "none"
    if best.known(columns) > 1:
        raise ReconcileError(
            f"{path} looks like {best.title} but has no column {', '.join(missing)}; its columns "
            f"are {found}"
        )
    known = "; ".join(each.title for each in FORMATS)
    raise ReconcileError(f"{path} is none of: {known}. Its columns are {found}")
