"""The text of a file, whatever program has written it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from frugal_chains.errors import ReconcileError

_NO_CSV: Final = {
    b"PK": "an Excel workbook or a zip archive", b"{": "JSON", b"[": "JSON", b"\x1f\x8b": "gzip",
    b"%PDF": "a PDF", b"<": "a web page",
}  # fmt: skip


def text_of(path: Path) -> str:
    """Raises `ReconcileError` for what is empty, no text or no CSV."""
    raw = path.read_bytes()
    if not raw.strip():
        raise ReconcileError(f"{path} is empty: export it again")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"  # what spreadsheets call Unicode text
    else:
        encoding = "utf-8-sig"
        kind = next((kind for start, kind in _NO_CSV.items() if raw.lstrip().startswith(start)), "")
        if kind:
            raise ReconcileError(f"{path} is {kind}, not CSV: give the file of the export button")
    try:
        return raw.decode(encoding)
    except UnicodeError:
        raise ReconcileError(f"{path} is not UTF-8 text: save it as CSV UTF-8") from None
