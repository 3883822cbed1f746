"""The `frugal` command: its subcommands, in the order in which `--help` shows them.

What a subcommand needs is imported when it runs: `frugal --help` loads no price and no ledger.
"""

from __future__ import annotations

import typer

from frugal_chains.cli._cache import cache
from frugal_chains.cli._calibrate import calibrate
from frugal_chains.cli._doctor import doctor
from frugal_chains.cli._export import export
from frugal_chains.cli._prices import prices
from frugal_chains.cli._reconcile import reconcile
from frugal_chains.cli._report import report
from frugal_chains.cli._watch import watch
from frugal_chains.cli._whatif import whatif

main = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="What the LLM calls of an application cost, why, and what routing would save.",
)
for command in (report, watch, whatif, cache, prices, doctor, calibrate, reconcile, export):
    main.command()(command)
