"""Calibration logs and calibrated policies as files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from frugal_chains.errors import CalibrationError, RoutingPolicyError
from frugal_chains.ledger import Attempt
from frugal_chains.routing import RoutingPolicy, Trade
from frugal_chains.routing.calibration import Calibration
from frugal_chains.routing.gain import from_bytes, to_bytes

_POLICY: Final = "policy.json"
_GAIN: Final = "gain.npz"
_VERSION: Final = 1
_PRICELESS: Final = Decimal(10**6)
"""USD for an answer where a target asks for quality at any price."""


# -- logs --------------------------------------------------------------------------------------


def read_rows(path: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of a log: `.jsonl` or `.csv`, also with `.gz` behind.

    Raises:
        CalibrationError: the file cannot be read, or a line of it is not what its name says.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
        text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CalibrationError(f"{file} cannot be read: {error}") from None
    kind = file.with_suffix("").suffix if file.suffix == ".gz" else file.suffix
    if kind == ".csv":
        yield from csv.DictReader(io.StringIO(text))
    elif kind in (".jsonl", ".ndjson"):
        yield from _json_lines(file, text)
    else:
        raise CalibrationError(f"{file} is neither .jsonl nor .csv (each also with .gz behind)")


def _json_lines(file: Path, text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise CalibrationError(f"{file}, line {number} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise CalibrationError(
                f"{file}, line {number} is a JSON {type(row).__name__}; each line has to be an "
                'object such as {"prompt": "...", "model": "...", "score": 1}'
            )
        yield row


def with_ledger(
    rows: Iterable[Mapping[str, Any]], attempts: Iterable[Attempt]
) -> Iterator[dict[str, Any]]:
    """Feedback rows (`run_id`, `prompt`, `score`) with the model and the cost of their attempt.

    A ledger keeps no texts, so the prompt comes with the feedback. Rows that name a model already
    stay as they are.

    Raises:
        CalibrationError: a row names neither a model nor a run of the ledger.
    """
    by_run = {attempt.run_id: attempt for attempt in attempts if attempt.run_id}
    for number, row in enumerate(rows, start=1):
        if row.get("model"):
            yield dict(row)
            continue
        run_id = str(row.get("run_id") or "").replace("-", "")
        attempt = by_run.get(run_id)
        if attempt is None:
            known = f"the ledger has no run {run_id}" if run_id else "it has no run_id either"
            raise CalibrationError(f"row {number} names no model, and {known}")
        cost = attempt.cost_usd
        model = attempt.model_asked or attempt.model
        yield {**row, "model": model, "cost_usd": None if cost is None else float(cost)}


# -- policies ----------------------------------------------------------------------------------


def save_calibration(path: str | Path, calibration: Calibration) -> None:
    """Write what was learned, for `load_policy`. Keeps no prompt, but words of them as hashes."""
    facts = {
        "version": _VERSION,
        "exchange": calibration.exchange,
        "unit": calibration.unit,
        "best": calibration.best,
        "recommended": calibration.report.recommended,
        "target": calibration.report.target,
    }
    with ZipFile(path, "w", ZIP_STORED) as file:
        file.writestr(_POLICY, json.dumps(facts, indent=2))
        file.writestr(_GAIN, to_bytes(calibration.model))


def load_policy(path: str | Path, **more: Any) -> RoutingPolicy:
    """A policy with the gain model and the threshold of a calibration.

    Args:
        path: What `frugal calibrate --out` or `save_calibration` wrote.
        more: Further fields of the policy: rules, a cascade, ...

    Raises:
        RoutingPolicyError: the file is missing, or not one of these.
    """
    try:
        with ZipFile(path) as file:
            facts = json.loads(file.read(_POLICY))
            gain = from_bytes(file.read(_GAIN))
        if facts["version"] != _VERSION:
            raise RoutingPolicyError(
                f"{path} has version {facts['version']}, this library reads {_VERSION}: run "
                "`frugal calibrate` again"
            )
        trade = trade_of(float(facts["exchange"]), facts["unit"])
    except (OSError, BadZipFile, KeyError, TypeError, ValueError) as error:
        if isinstance(error, RoutingPolicyError):
            raise
        raise RoutingPolicyError(f"{path} is no calibrated policy: {error}") from None
    return replace(RoutingPolicy(**more), gain=gain, trade=trade)


def trade_of(exchange: float, unit: str) -> Trade:
    """The exchange of a calibration as a policy's trade.

    A calibration says what a unit of cost has to win in quality: a call of the stronger model, or
    a dollar, whose inverse is what an answer is worth.
    """
    if unit != "USD":
        return Trade(min_gain=exchange)
    worth = _PRICELESS if exchange <= 0 else min(Decimal(repr(1 / exchange)), _PRICELESS)
    return Trade(usd_per_answer=worth)
