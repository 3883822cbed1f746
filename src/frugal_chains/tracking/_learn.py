"""Learning how many tokens a provider counts where we can only estimate, from what it returns."""

from __future__ import annotations

import json
import logging
import sys

from frugal_chains.errors import LedgerError
from frugal_chains.ledger import Ledger
from frugal_chains.tokens import Calibration, TokenCount, TokenCounter
from frugal_chains.tracking._call import CallStart
from frugal_chains.usage import Usage

logger = logging.getLogger("frugal_chains.tracking")

FIRST_LESSONS = 8
"""Calls of a model that are counted and compared at first, and then one in `LESSON_EVERY`:
counting a long prompt takes a millisecond, which not every call should pay."""
LESSON_EVERY = 64
_NOTE = "calibration"


class Lessons:
    """Decides which finished calls to learn from, and keeps what was learned in the ledger."""

    def __init__(self, counter: TokenCounter) -> None:
        self.counter = counter
        self._until: dict[tuple[str, str], int] = {}
        self._lessons: dict[tuple[str, str], int] = {}
        self.learned = False

    def due(self, start: CallStart) -> bool:
        """Whether to learn from this call of its model. Asked at every call, hence without a lock:
        at worst two threads learn where one should."""
        who = start.provider, start.model
        left = self._until.get(who, 0)
        if left:
            self._until[who] = left - 1
        return not left

    def learn(self, start: CallStart, counted: TokenCount | None, usage: Usage) -> None:
        """Compare our count of a request, made now if it was not yet, with the provider's."""
        if usage.source != "provider" or not usage.input_tokens:
            return
        who = start.provider, start.model
        if counted is None:
            self._until[who] = LESSON_EVERY - 1  # also when counting fails
            counted = self.counter.count_request(
                start.request(), model=start.model, provider=start.provider
            )
        if counted.exact:
            self._until[who] = sys.maxsize
            return
        lessons = self._lessons[who] = self._lessons.get(who, 0) + 1
        self._until[who] = 0 if lessons < FIRST_LESSONS else LESSON_EVERY - 1
        self.counter.observe(
            counted,
            returned_tokens=usage.input_tokens,
            model=start.model,
            provider=start.provider,
        )
        self.learned = True


def load_calibration(ledger: Ledger) -> Calibration:
    """What earlier runs learned; nothing when the note cannot be read."""
    try:
        text = ledger.store.read_note(_NOTE)
        return Calibration.from_json(json.loads(text)) if text else Calibration()
    except (LedgerError, ValueError, KeyError, TypeError) as error:
        logger.warning("what was learned about token counts cannot be read: %s", error)
        return Calibration()


def save_calibration(ledger: Ledger, calibration: Calibration) -> None:
    """Keep what was learned for the next run; a ledger that cannot be written keeps nothing."""
    try:
        ledger.store.write_note(_NOTE, json.dumps(calibration.to_json()))
    except LedgerError as error:
        logger.warning("what was learned about token counts is not kept: %s", error)
