"""What is recalled for the question that is being answered."""

from __future__ import annotations

from dataclasses import replace

from frugal_chains.dispatch.memory._history import History, Weights
from frugal_chains.memory import ConversationFacts, MemoryState


class Recalls:
    """Finds dropped messages that a question needs.

    Args:
        budget_tokens: Of what is recalled for one question, at most; 0: nothing is.
        weights: Tokens.
    """

    def __init__(self, budget_tokens: int, weights: Weights) -> None:
        self._budget_tokens, self._weights = budget_tokens, weights

    def remembered(
        self, history: History, facts: ConversationFacts, state: MemoryState
    ) -> MemoryState:
        """The state with what is recalled for the last question: the same as long as it is being
        answered."""
        return replace(state, recalled=None)
