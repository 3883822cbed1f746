"""`Meanings`: how near earlier turns of a conversation are to a question, by an embedder."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from frugal_chains.dispatch._patience import Patience
from frugal_chains.dispatch.tools import TextVectors
from frugal_chains.routing import Breaker

logger = logging.getLogger("frugal_chains.dispatch")

TIMEOUT_S: Final = 2.0
"""A turn waits so long for an embedder, and no longer."""
_REMEMBERED: Final = 4_096
"""Turns whose vectors are kept; of 384 numbers each they are 6 MB."""
_AT_ONCE: Final = 256
"""Turns that are embedded for one question at most, the newest first; the others come next."""


class Meanings:
    """Cosines of turns. Safe for threads.

    An embedder that fails or takes too long is done without, and left alone for a while if it keeps
    failing. What comes too late is there for the next question.

    Args:
        vectors: Of an embedder.
        limit_s: How long a question waits for it.
    """

    def __init__(self, vectors: TextVectors, *, limit_s: float = TIMEOUT_S) -> None:
        self._vectors = vectors
        self._patience = Patience("frugal-recall", limit_s)
        self._breaker = Breaker()
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()

    def cosines(
        self, question: str, keys: Sequence[str], text: Callable[[int], str]
    ) -> list[float] | None:
        """One for each turn, or None: there is no telling. Never raises.

        Args:
            question: What is asked.
            keys: Of each turn, the same for the same words; empty: it is not asked for, and gets
                the mean of the others, as do those that are not known yet.
            text: The words of a turn, read when its vector is not known.
        """
        with self._lock:
            if self._breaker.is_open(time.monotonic()):
                return None
        try:
            found = self._patience.wait_for(lambda: self._found(question, keys, text))
        except Exception as error:  # what it says may hold words of the conversation
            logger.warning("memory: recalled without the embedder: %s", type(error).__name__)
            with self._lock:
                self._breaker = self._breaker.failed(time.monotonic())
            return None
        with self._lock:
            self._breaker = self._breaker.succeeded()
        return found

    def _found(
        self, question: str, keys: Sequence[str], text: Callable[[int], str]
    ) -> list[float] | None:
        named = {turn: _digest(key) for turn, key in enumerate(keys) if key}
        with self._lock:
            new = [turn for turn, name in named.items() if name not in self._known][-_AT_ONCE:]
        if new:
            rows = self._vectors.texts([text(turn) for turn in new])
            for turn, row in zip(new, rows, strict=True):
                self._learn(named[turn], row)
        asked = np.asarray(self._vectors.query(question), dtype=np.float64)
        with self._lock:
            rows_of = {
                turn: self._known[name] for turn, name in named.items() if name in self._known
            }
        if not rows_of:
            return None
        cosines = _cosines(asked, np.stack([*rows_of.values()]).astype(np.float64))
        made = np.full(len(keys), cosines.mean())
        made[[*rows_of]] = cosines
        return made.tolist() if np.isfinite(made).all() else None

    def _learn(self, name: bytes, row: Sequence[float]) -> None:
        vector = np.asarray(row, dtype=np.float32)
        if vector.ndim != 1 or not np.isfinite(vector).all():
            return
        with self._lock:
            self._known[name] = vector
            self._known.move_to_end(name)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _cosines(asked: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a vector with each row; 0 where one has no length."""
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(asked)
    dots: NDArray[np.float64] = rows @ asked
    made: NDArray[np.float64] = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
    return made
