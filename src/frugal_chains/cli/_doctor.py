"""`frugal doctor`: whether what is installed and what is written is sound."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from frugal_chains.cli._options import JsonOption, LedgerOption
from frugal_chains.cli._printing import console, print_json
from frugal_chains.errors import FrugalError

if TYPE_CHECKING:
    from frugal_chains.report import DoctorFacts, LedgerFacts


def doctor(ledger: LedgerOption = None, as_json: JsonOption = False) -> None:
    """What is installed, what is exact, whether the ledger is sound, and what to fix.

    Exit code 1: something is broken. Warnings alone leave it at 0.

    Example: frugal doctor --ledger sqlite:////var/lib/app/frugal.db
    """
    from frugal_chains.report import diagnose, doctor_json, doctor_view

    facts = _read_installation(ledger)
    findings = diagnose(facts)
    if as_json:
        print_json(doctor_json(facts, findings))
    else:
        console().print(doctor_view(findings))
    if any(finding.level == "broken" for finding in findings):
        raise typer.Exit(1)


def _read_installation(ledger: str | None) -> DoctorFacts:
    from frugal_chains.pricing import PriceBook, find_price_file
    from frugal_chains.report import WATCHED, DoctorFacts
    from frugal_chains.tokens import available_encodings

    path, price_error = None, ""
    try:
        path = find_price_file()
        PriceBook.load(path)
    except (FrugalError, OSError) as error:
        price_error = str(error)
    return DoctorFacts(
        versions=_versions(WATCHED),
        encodings={name: found.source for name, found in available_encodings().items()},
        price_file=str(path or ""),
        price_error=price_error,
        ledger=_read_ledger(ledger),
    )


def _versions(packages: tuple[str, ...]) -> Mapping[str, str]:
    """The installed ones; nothing is imported."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _read_ledger(url: str | None) -> LedgerFacts:
    from frugal_chains.ledger import DEFAULT_URL, Ledger, ledger_path
    from frugal_chains.report import LedgerFacts

    named = os.environ.get("FRUGAL_LEDGER")
    chosen_by = "--ledger" if url else "$FRUGAL_LEDGER" if named else "the default"
    url = url or named or DEFAULT_URL
    path, exists, health, error = None, True, None, ""
    try:
        path = ledger_path(url)
        exists = path is None or _is_there(path)
        if exists:
            with Ledger.open(url, read_only=True) as books:
                health = books.store.health()
    except (FrugalError, OSError) as problem:
        error = str(problem)
    return LedgerFacts(
        url=url,
        chosen_by=chosen_by,
        exists=exists,
        writable=path is None or _writable(path),
        health=health,
        error=error,
    )


def _is_there(path: Path) -> bool:
    """An empty file is no ledger yet: the first tracked call makes it one."""
    return path.exists() and path.stat().st_size > 0


def _writable(path: Path) -> bool:
    """Whether a ledger can be written there: SQLite also makes files beside it."""
    folder = next(parent for parent in path.parents if os.path.exists(parent))
    return os.access(folder, os.W_OK) and (not os.path.exists(path) or os.access(path, os.W_OK))
