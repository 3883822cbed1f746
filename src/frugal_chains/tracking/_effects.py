"""What levers did, written to the books around them."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from frugal_chains.ledger import Effect, EffectKind, Ledger, moment, shown_url
from frugal_chains.tracking._ambient import current_tracker
from frugal_chains.tracking._operation import current_operation
from frugal_chains.tracking._tracker import Tracker

logger = logging.getLogger("frugal_chains.tracking")

_said: set[tuple[str, str]] = set()
"""What has been complained of: a ledger or a lever, and the kind of error."""


def report_effect(
    lever: str,
    *,
    tokens_before: int,
    tokens_after: int,
    exact: bool,
    model: str = "",
    provider: str = "",
    net_nanos: int | None = None,
    kind: EffectKind = "modelled",
    detail: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    operation_id: str = "",
    trackers: Sequence[Tracker] = (),
) -> Effect | None:
    """Write what a lever did for one request to the ledger of the block around this code.

    Where no ledger is current nothing happens. Never raises: what goes wrong is logged, once for
    each ledger or lever and kind of error.

    Args:
        lever: Room and function, such as `compression.extract`.
        tokens_before: Of the request, or of the part the lever worked on.
        tokens_after: The same when it was done; equal where it left the request alone.
        exact: Whether both were counted with the model's own tokenizer.
        model, provider: What the tokens were counted for, where it is known.
        net_nanos: Nano-USD saved, less what the lever itself cost; None when unknown.
        kind: Whether `net_nanos` is read off bills or computed.
        detail: Small plain JSON: form, budget, counts, reason. Never text of the user.
        tags: Added to those of the block and of the operation.
        operation_id: Of the calls it belongs to, such as the root run that an adapter knows. An
            `operation()` around this code goes before it, as it does for attempts.
        trackers: Those of handlers that an adapter finds on the call, beside the block's own.

    Returns:
        The effect, as it is in the first ledger; None where it is in none.
    """
    books = _books(trackers)
    if not books:
        return None
    try:
        operation_id, (first, *others) = _labels(books, operation_id, tags or {})
        effect = Effect(
            operation_id=operation_id,
            at=moment(time.time_ns() // 1000),
            lever=lever,
            tokens_before=tokens_before,
            tokens_after=tokens_after,
            exact=exact,
            model=model,
            provider=provider,
            net_nanos=net_nanos,
            kind=kind,
            detail=detail or {},
            tags=first,
        )
        effects = [effect, *(replace(effect, tags=other) for other in others)]
    except Exception as error:
        _complain(str(lever), error)
        return None
    kept = [one for ledger, one in zip(books, effects, strict=True) if _record(ledger, one)]
    return kept[0] if kept else None


def _labels(
    books: Mapping[Ledger, Mapping[str, str]], operation_id: str, tags: Mapping[str, str]
) -> tuple[str, list[dict[str, str]]]:
    """The operation an effect belongs to, and its tags for each of the books."""
    group = current_operation()
    own = {**(group.tags if group else {}), **tags}
    return group.id if group else operation_id, [{**of, **own} for of in books.values()]


def _books(trackers: Sequence[Tracker]) -> dict[Ledger, dict[str, str]]:
    """Every ledger there is to write to, and the tags of whoever writes to it: the block's first,
    as those of attempts."""
    ambient = current_tracker()
    books: dict[Ledger, dict[str, str]] = {}
    for tracker in (*(() if ambient is None else (ambient,)), *trackers):
        books[tracker.ledger] = {**tracker.tags, **books.get(tracker.ledger, {})}
    return books


def _record(ledger: Ledger, effect: Effect) -> bool:
    try:
        ledger.record_effect(effect)
    except Exception as error:
        _complain(shown_url(ledger.url), error)
        return False
    return True


def _complain(about: str, error: Exception) -> None:
    """Say once what keeps effects out of the books: a lever works on every request."""
    kind = about, type(error).__name__
    if kind not in _said:
        _said.add(kind)
        logger.warning("%s: effects are not written to the ledger: %r", about, error)
