"""An attempt or an effect as one line of an inbox, and back.

A line is written for every call, so the usual one is texts and numbers with a separator between
them: two operations on strings. Whatever does not fit, such as a text of two lines, is JSON.
"""

from __future__ import annotations

import json
from typing import Any, Final

from frugal_chains.ledger._append import Entry
from frugal_chains.ledger._attempt import Attempt
from frugal_chains.ledger._codec import attempt_from_row, decision_text, labels_of, row_of, sums_of
from frugal_chains.ledger._effect import Effect
from frugal_chains.ledger._effects import effect_line, effect_of_line
from frugal_chains.ledger._ids import pack_id
from frugal_chains.ledger._schema import LABEL_COLUMNS, SUM_COLUMNS

Arrival = Entry | Effect
"""What goes through an inbox."""

_SEPARATOR: Final = "\x1f"  # ASCII's own, for fields: it hardly ever occurs in a text
_TEXTS: Final = 9
"""Ids, thread, note, decision and the two durations, before the labels."""
_NUMBERS: Final = _SEPARATOR + _SEPARATOR.join(["%d"] * (1 + len(SUM_COLUMNS))) + "\n"
_SEPARATORS: Final = _TEXTS + len(LABEL_COLUMNS) + len(SUM_COLUMNS)
_NO_SERIES: Final = 0
"""In the place of the number that a row's labels have in the ledger file."""
_ID_DIGITS: Final = 32


def line_of(arrival: Arrival) -> bytes:
    """The line of an arrival; it ends with a line feed and has no other, and no zero byte."""
    if isinstance(arrival, Effect):
        return effect_line(arrival)
    if arrival.attempt.prints is not None:
        return _json(arrival)
    try:
        text = _plain(arrival.attempt)
        # The first ends a line, the second an inbox.
        if text.count(_SEPARATOR) == _SEPARATORS and text.count("\n") == 1 and "\0" not in text:
            return text.encode()
    except (TypeError, ValueError):
        pass
    return _json(arrival)


def arrival_of(line: bytes) -> Arrival:
    """What `line_of` wrote, without its end.

    Raises:
        ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError: anything else.
    """
    if line.startswith(b"{"):
        return effect_of_line(line)
    if line.startswith(b"["):
        labels, row, *more = json.loads(line)
        row[0] = bytes.fromhex(row[0])
    else:
        (labels, row), more = _fields(line.decode()), []
    attempt = attempt_from_row((*row, _NO_SERIES), labels, *more)
    return Entry(attempt, reservation_id=attempt.id)


def _plain(attempt: Attempt) -> str:
    if len(attempt.id) != _ID_DIGITS:
        raise ValueError(attempt.id)
    latency_s, first_token_s, decision = attempt.latency_s, attempt.first_token_s, attempt.decision
    return _SEPARATOR.join(
        (
            attempt.id,
            attempt.operation_id,
            attempt.run_id,
            attempt.parent_id,
            attempt.thread_id,
            attempt.note,
            "" if decision is None else decision_text(decision),
            "" if latency_s is None else str(round(latency_s * 1e6)),
            "" if first_token_s is None else str(round(first_token_s * 1e6)),
            *labels_of(attempt),
        )
    ) + _NUMBERS % (attempt.at_us, *sums_of(attempt))


def _fields(line: str) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """The labels and the row of a line that `_plain` wrote."""
    fields = line.split(_SEPARATOR)
    if len(fields) != _SEPARATORS + 1:
        raise ValueError(f"{len(fields)} fields instead of {_SEPARATORS + 1}")
    texts, labels = fields[:_TEXTS], fields[_TEXTS : _TEXTS + len(LABEL_COLUMNS)]
    at_us, *sums = map(int, fields[_TEXTS + len(LABEL_COLUMNS) :])
    id_, operation_id, run_id, parent_id, thread_id, note, decision, latency_us, first_us = texts
    row = (
        bytes.fromhex(id_), pack_id(operation_id), at_us, _number(latency_us), _number(first_us),
        pack_id(run_id), pack_id(parent_id), thread_id or None, note or None, decision or None,
        *sums,
    )  # fmt: skip
    return tuple(labels), row


def _number(text: str) -> int | None:
    return int(text) if text else None


_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


def _json(entry: Entry) -> bytes:
    """An attempt as JSON: its labels, its values with packed ids as their digits, and its
    fingerprints where it has any.

    Not a Python literal, which is written faster: `ast` fails at random where several threads use
    it (github.com/python/cpython/issues/106905), and takes 25 times as long to read it.
    """
    values = [value.hex() if type(value) is bytes else value for value in row_of(entry.attempt)]
    more = () if entry.attempt.prints is None else (dict(entry.attempt.prints),)
    return _encode((labels_of(entry.attempt), values, *more)).encode() + b"\n"
