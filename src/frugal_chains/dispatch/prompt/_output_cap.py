"""How long answers may be, and are expected to be, from how long those in the ledger were."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from frugal_chains.compression.prompt import OutputCap, output_cap
from frugal_chains.ledger import Attempt, Ledger, Purpose
from frugal_chains.providers import max_output_tokens

_MOST_ANSWERS: Final = 10_000
"""Looked at, the newest ones: far more than any bound needs (299 for 1 %)."""


def learned_output_cap(
    ledger: Ledger,
    *,
    model: str | None = None,
    tags: Mapping[str, str] | None = None,
    purpose: Purpose = "answer",
    since: datetime | None = None,
    caps: Collection[int] = (),
    quantile: float = 0.99,
    headroom: float = 1.1,
    confidence: float = 0.95,
    most_answers: int = _MOST_ANSWERS,
) -> OutputCap | None:
    """The least `max_tokens` under which at most `1 - quantile` of a task's answers would be cut.

        cap = learned_output_cap(ledger, model="gpt-4.1-mini", tags={"task": "triage"})

    It reads the ledger, so ask for it when the application starts, not at each call. Answers of
    several kinds in one sample give the cap of the longest kind: tag calls by their task. It is
    learned of answers whose length the provider has told, reasoning included.

    Args:
        ledger: The books.
        model: That answered, or was asked; None: all.
        tags: Of the task's calls.
        purpose: Of the calls.
        since: Older answers are not looked at; those of an older prompt should not be.
        caps: Every `max_tokens` that calls of the task had: an answer of just so many tokens was
            cut, and would have been longer. The ledger does not know.
        quantile, headroom, confidence: See `output_cap`.
        most_answers: Looked at, the newest ones.

    Returns:
        None where too few answers are known (299 for 1 % at 95 % confidence, 59 for 5 %), where the
        bound falls on an answer that was cut, or where the model's own cap is lower.

    Raises:
        PromptError: an argument out of its range.
        LedgerError: the ledger cannot be read.
    """
    lengths = _lengths(ledger, model, tags, purpose, since, most_answers)
    cut, longest = [length in caps for length in lengths], max(lengths, default=0)
    return output_cap(
        # How long an answer that was cut would have been is not known: as long as any.
        [longest if was_cut else n for n, was_cut in zip(lengths, cut, strict=True)],
        quantile=quantile,
        headroom=headroom,
        confidence=confidence,
        cut=sum(cut),
        ceiling=None if model is None else max_output_tokens(model),
    )


def mean_output_tokens(
    ledger: Ledger,
    *,
    model: str | None = None,
    tags: Mapping[str, str] | None = None,
    purpose: Purpose = "answer",
    since: datetime | None = None,
    most_answers: int = _MOST_ANSWERS,
) -> float | None:
    """The mean length of a task's answers, say for `Brevity`; None: there are none.

    Args:
        ledger: The books.
        model, tags, purpose, since, most_answers: As of `learned_output_cap`.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    lengths = _lengths(ledger, model, tags, purpose, since, most_answers)
    return sum(lengths) / len(lengths) if lengths else None


def _lengths(
    ledger: Ledger,
    model: str | None,
    tags: Mapping[str, str] | None,
    purpose: Purpose,
    since: datetime | None,
    most: int,
) -> list[int]:
    """In output tokens, of the newest answers."""
    found = ledger.attempts(tags=tags, purpose=purpose, status="ok", since=since)
    counted = (each.usage.output_tokens for each in found if _counts(each, model))
    return [*deque(counted, maxlen=most)]


def _counts(attempt: Attempt, model: str | None) -> bool:
    asked = model is None or model in (attempt.model, attempt.model_asked)
    # Nothing at all was answered by a call that only counts, say of an embedding.
    return asked and attempt.usage.source == "provider" and attempt.usage.output_tokens > 0
