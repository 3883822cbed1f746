"""`Placing`: turns put into a block of exactly so many tokens at the most, the best first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from frugal_chains.facts import MessageFacts
from frugal_chains.memory._recall_index import Floats, RecallIndex
from frugal_chains.memory._recall_render import block, excerpt, whole


class Placing:
    """What is recalled so far. A turn that does not fit whole is there with its best message, or
    with what fits of that around its best passage."""

    def __init__(
        self,
        index: RecallIndex,
        scores: Floats,
        messages: Sequence[MessageFacts],
        kept: frozenset[int],
        count: Callable[[str], int],
        budget_tokens: int,
    ) -> None:
        self._index, self._scores, self._history, self._kept = index, scores, messages, kept
        self._count, self._budget = count, budget_tokens
        self._turns, self._places = index.turn_of_passages(), index.message_of_passages()
        self._parts: dict[int, str] = {}
        self._numbers: dict[int, list[int]] = {}
        self.tokens = 0

    @property
    def text(self) -> str:
        """Everything placed, in the order it was said; empty: nothing was."""
        return block(self._parts)

    @property
    def messages(self) -> tuple[int, ...]:
        """Their numbers, ascending."""
        return tuple(sorted(each for held in self._numbers.values() for each in held))

    @property
    def turns(self) -> tuple[int, ...]:
        """Their numbers, ascending."""
        return tuple(sorted(self._parts))

    def place(self, turn: int) -> None:
        """Add a turn, as much of it as there is room for."""
        numbers = [each for each in self._index.turn(turn) if each not in self._kept]
        if self._put(turn, whole([self._history[each] for each in numbers]), numbers):
            return
        low, high = np.searchsorted(self._turns, [turn, turn + 1]).tolist()
        best = low + int(self._scores[low:high].argmax())
        number = int(self._places[best])
        message = self._history[number]
        if len(numbers) > 1 and self._put(turn, whole([message]), [number]):
            return
        passage = best - int(np.searchsorted(self._places, number))
        part = excerpt(message, passage, lambda text: self._fits(turn, text) is not None)
        if part:
            self._put(turn, part, [number])

    def _put(self, turn: int, text: str, numbers: list[int]) -> bool:
        tokens = self._fits(turn, text) if text else None
        if tokens is None:
            return False
        self._parts[turn], self._numbers[turn], self.tokens = text, numbers, tokens
        return True

    def _fits(self, turn: int, text: str) -> int | None:
        """The tokens of the block with this part; None: too many."""
        tokens = self._count(block({**self._parts, turn: text}))
        return tokens if tokens <= self._budget else None
