"""The `frugal` command: its subcommands, in the order in which `--help` shows them.

What a subcommand needs is imported when it runs: `frugal --help` loads no price and no ledger.
"""

from __future__ import annotations

import typer

from frugal_chains.cli._cache import cache
from frugal_chains.cli._calibrate import calibrate
from frugal_chains.cli._doctor import doctor
from frugal_chains.cli._prices import prices
from frugal_chains.cli._report import report

main = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="What the LLM calls of an application cost, why, and what routing would save.",
)
for command in (report, cache, prices, doctor, calibrate):
    main.command()(command)
