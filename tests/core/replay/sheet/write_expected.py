"""Writes `expected/` anew: `python -m tests.core.replay.sheet.write_expected`, from the root."""

from __future__ import annotations

from frugal_chains.pricing import PriceBook
from frugal_chains.replay.sheet import read_sheet, sheet_bill
from tests.core.replay.sheet.sheets import EXAMPLES, expected_path, printed, printed_json


def main() -> None:
    for path in EXAMPLES:
        bill = sheet_bill(read_sheet(path), PriceBook())
        expected_path(path, ".txt").write_text(printed(bill), encoding="utf-8")
        expected_path(path, ".json").write_text(printed_json(bill), encoding="utf-8")


if __name__ == "__main__":
    main()
