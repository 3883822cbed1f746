"""Sheets for the tests: a small one, and ways to read and print one."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from frugal_chains.replay.sheet import Sheet, SheetBill, read_sheet
from frugal_chains.report._json_sheet import sheet_json
from frugal_chains.report._terminal_sheet import sheet_view

ROOT = Path(__file__).parents[4]
EXAMPLES = sorted((ROOT / "examples" / "workloads").glob("*.toml"))

SMALL = """
prices_on = 2026-11-20
calls = 1_000_000
[shape]
input_tokens = 4_000
output_tokens = 300
static_tokens = 2_000
[[model]]
name = "gpt-4o"
"""


def sheet_of(text: str) -> Sheet:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.toml"
        path.write_text(text, encoding="utf-8")
        return read_sheet(path)


def expected_path(sheet: Path, suffix: str) -> Path:
    return Path(__file__).parent / "expected" / f"{sheet.stem}{suffix}"


def printed(
    bill: SheetBill, compared: Sequence[tuple[str, SheetBill]] = (), *, width: int = 100
) -> str:
    """As the command prints it to a file; what only pads a line is left out."""
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, markup=False, emoji=False).print(
        sheet_view(bill, compared)
    )
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def printed_json(bill: SheetBill) -> str:
    """Without what is not the sheet's: where it lies, and the version of the price list."""
    document = sheet_json(bill)
    assert document.pop("price_ids")
    assert document.pop("sheet") == bill.sheet.path
    return f"{json.dumps(document, indent=1)}\n"
