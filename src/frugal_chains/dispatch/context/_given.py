"""`Given`: what one call of a `ContextCompressor` is about."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from frugal_chains.compression.extract import Count, Passage


class Given:
    """What is asked, and of what. The whole of it is counted once, by whoever asks first.

    Args:
        query: What is asked.
        passages: In the order of the prompt.
        budget_tokens: Of all that will be kept.
        joiner: What stands between passages.
        count: The tokenizer.
    """

    def __init__(
        self,
        query: str,
        passages: Sequence[Passage],
        *,
        budget_tokens: int,
        joiner: str,
        count: Count,
    ) -> None:
        self.query, self.passages, self.budget_tokens = query, passages, budget_tokens
        self._joiner, self._count = joiner, count

    @property
    def chars(self) -> int:
        """Of all passages."""
        return sum(len(passage.text) for passage in self.passages)

    def fits(self) -> bool:
        """Whether nothing will have to go, exactly. Never raises: what keeps the whole from being
        counted keeps it from being compressed as well."""
        try:
            return self._tokens <= self.budget_tokens
        except Exception:
            return True

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return self._tokens if text == self._whole else self._count(text)

    @cached_property
    def _whole(self) -> str:
        return self._joiner.join(passage.shown(passage.text) for passage in self.passages)

    @cached_property
    def _tokens(self) -> int:
        return self._count(self._whole)
