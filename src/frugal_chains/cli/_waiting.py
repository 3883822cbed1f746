"""What a killed process left beside a ledger, for commands that read one."""

from __future__ import annotations

import os
from contextlib import suppress

from frugal_chains.errors import FrugalError


def take_in_what_waits(url: str | None) -> None:
    """Book it, where this process may; whoever reads the ledger says what stays.

    Args:
        url: As a command was given it; None: `$FRUGAL_LEDGER`, else the usual place.
    """
    from frugal_chains.ledger import DEFAULT_URL, Ledger, ledger_path, left_behind

    path = ledger_path(url or os.environ.get("FRUGAL_LEDGER") or DEFAULT_URL)
    if path is not None and os.path.exists(path) and left_behind(path):
        with suppress(FrugalError):
            Ledger.open(url).close()
