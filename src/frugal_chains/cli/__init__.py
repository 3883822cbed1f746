"""Cli: the `frugal` command. It looks at the books, the prices and the installation.

It adds nothing of its own to them. `report` alone may write to a ledger: it first takes in the
attempts that a killed process left beside it, as any application that opens the ledger would.

Exit codes: 0; 1 when something cannot be read, has no price or is broken; 2 for wrong arguments.
"""

from frugal_chains.cli._app import main

__all__ = ["main"]
