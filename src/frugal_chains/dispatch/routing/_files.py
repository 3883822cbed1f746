"""Calibration logs and calibrated policies as files."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from frugal_chains.errors import CalibrationError, RoutingPolicyError
from frugal_chains.ledger import Attempt, Ledger
from frugal_chains.routing import Cascade, RoutingPolicy, Trade
from frugal_chains.routing.calibration import Calibration
from frugal_chains.routing.cascade import LearnedValidator, Validator
from frugal_chains.routing.gain import from_bytes, to_bytes

_POLICY: Final = "policy.json"
_GAIN: Final = "gain.npz"
_VALIDATOR: Final = "validator.json"
_VERSION: Final = 1
_VALIDATOR_VERSION: Final = 1
"""Of the part about the validator, which a file may lack."""
_PRICELESS: Final = Decimal(10**6)
"""USD for an answer where a target asks for quality at any price."""


# -- logs --------------------------------------------------------------------------------------


def read_rows(path: str | Path, *, ledger: str | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a log: `.jsonl` or `.csv`, also with `.gz` behind.

    Args:
        path: The file.
        ledger: The URL of one that knows the models and costs of rows with a `run_id`.

    Raises:
        CalibrationError: the file cannot be read, or a line of it is not what its name says; or a
            row names neither a model nor a run of the ledger.
        LedgerError: the ledger cannot be read.
    """
    rows = _rows(Path(path))
    if ledger is None:
        yield from rows
        return
    with Ledger.open(ledger, read_only=True) as books:
        yield from with_ledger(rows, books.attempts())


def _rows(file: Path) -> Iterator[dict[str, Any]]:
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


def save_calibration(
    path: str | Path,
    calibration: Calibration,
    validator: LearnedValidator | None = None,
    max_p_wrong: float | None = None,
) -> None:
    """Write what was learned, for `load_policy`. Keeps no prompt, but words of them as hashes.

    Args:
        path: The file; one that is there is replaced.
        calibration: What decides who answers.
        validator: What decides which answers a cascade escalates. Its own checks are code of the
            application and are not kept: `load_policy` takes them.
        max_p_wrong: The limit that was found for it. None: what an escalation costs decides, as
            in any `Cascade`.

    Raises:
        CalibrationError: a limit without a validator, or one that is no number.
    """
    facts: dict[str, Any] = {
        "version": _VERSION,
        "exchange": calibration.exchange,
        "unit": calibration.unit,
        "best": calibration.best,
        "recommended": calibration.report.recommended,
        "target": calibration.report.target,
    }
    if max_p_wrong is not None and (validator is None or not math.isfinite(max_p_wrong)):
        raise CalibrationError(
            f"max_p_wrong is {max_p_wrong!r}: it has to be the limit of a validator; give the "
            "validator too, and what limit_for_quality or one of its kind has found"
        )
    if validator is not None:
        facts["validator"] = {"version": _VALIDATOR_VERSION, "max_p_wrong": max_p_wrong}
    with ZipFile(path, "w", ZIP_STORED) as file:
        file.writestr(_POLICY, json.dumps(facts, indent=2))
        file.writestr(_GAIN, to_bytes(calibration.model))
        if validator is not None:
            file.writestr(_VALIDATOR, validator.to_json(), compress_type=ZIP_DEFLATED)


def load_policy(
    path: str | Path, *, checks: Sequence[Validator] = (), **more: Any
) -> RoutingPolicy:
    """A policy with the gain model and the threshold of a calibration.

    A learned validator in the file joins the cascade of `more`, behind its own validators; without
    one, a cascade of the standard checks. Its limit becomes the cascade's. `cascade=None` leaves it
    out.

    Args:
        path: What `frugal calibrate --out` or `save_calibration` wrote.
        checks: Those that the learned validator was fitted with, in their order.
        more: Further fields of the policy: rules, a cascade, ...

    Raises:
        RoutingPolicyError: the file is missing, or not one of these.
    """
    try:
        with ZipFile(path) as file:
            facts = json.loads(file.read(_POLICY))
            _check_version(path, facts["version"], _VERSION)
            gain = from_bytes(file.read(_GAIN))
            trade = trade_of(float(facts["exchange"]), facts["unit"])
            learned = _stored_validator(path, file, facts.get("validator"), checks)
    except (OSError, BadZipFile, zlib.error, KeyError, TypeError, ValueError) as error:
        if isinstance(error, RoutingPolicyError):
            raise
        raise RoutingPolicyError(f"{path} is no calibrated policy: {error}") from None
    policy = replace(RoutingPolicy(**more), gain=gain, trade=trade)
    cascade = more.get("cascade", Cascade())
    if learned is None or cascade is None:
        return policy
    validator, limit = learned
    cascade = replace(cascade, validators=(*cascade.validators, validator))
    if limit is not None:
        # It was found on answers, for a target: a bill that decides instead would miss the target.
        cascade = replace(cascade, max_p_wrong=limit, by_bill=False)
    return replace(policy, cascade=cascade)


def _stored_validator(
    path: str | Path, file: ZipFile, facts: object, checks: Sequence[Validator]
) -> tuple[LearnedValidator, float | None] | None:
    """The validator and its limit; None where the file, like older ones, says nothing of one."""
    if not isinstance(facts, dict) or "version" not in facts:
        return None
    _check_version(path, facts["version"], _VALIDATOR_VERSION)
    validator = LearnedValidator.from_json(file.read(_VALIDATOR).decode(), checks=checks)
    limit = facts.get("max_p_wrong")
    return validator, None if limit is None else float(limit)


def _check_version(path: str | Path, found: object, known: int) -> None:
    if found != known:
        raise RoutingPolicyError(
            f"{path} has version {found}, this library reads {known}: run `frugal calibrate` again"
        )


def trade_of(exchange: float, unit: str) -> Trade:
    """The exchange of a calibration as a policy's trade.

    A calibration says what a unit of cost has to win in quality: a call of the stronger model, or
    a dollar, whose inverse is what an answer is worth.
    """
    if unit != "USD":
        return Trade(min_gain=exchange)
    worth = _PRICELESS if exchange <= 0 else min(Decimal(repr(1 / exchange)), _PRICELESS)
    return Trade(usd_per_answer=worth)
