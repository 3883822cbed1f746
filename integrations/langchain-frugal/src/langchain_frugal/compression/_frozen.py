"""Texts brought to a budget, in the same way every time they are met."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from frugal_chains.compression.extract import Passage, extract
from frugal_chains.compression.payload import fit_payload
from frugal_chains.compression.shape import shape
from frugal_chains.errors import wordless
from frugal_chains.tokens import TokenCounter

logger = logging.getLogger("langchain_frugal")

_REMEMBERED: Final = 256
"""Messages, so that those of a conversation are compressed once and not at each of its turns."""


class Squeezed(NamedTuple):
    """The texts of one message's context as they are now."""

    texts: tuple[str, ...]
    tokens_before: int
    tokens_after: int


class Frozen:
    """A function of texts and query alone. Safe for threads."""

    def __init__(
        self,
        budget_tokens: int,
        *,
        model: str,
        provider: str,
        forms: tuple[str, ...],
        patterns: Sequence[re.Pattern[str]],
        counter: TokenCounter | None,
    ) -> None:
        self.budget_tokens, self.model, self.provider = budget_tokens, model, provider
        self._forms, self._patterns = forms, tuple(patterns)
        self._counter = counter or TokenCounter()
        self.squeezed = lru_cache(_REMEMBERED)(self._squeezed)
        self.count = lru_cache(_REMEMBERED)(self._count)
        """Tokens of a text by the model's tokenizer."""

    @property
    def exact(self) -> bool:
        """Whether tokens are counted with the model's own tokenizer."""
        return self._counter.count_text("", model=self.model, provider=self.provider or None).exact

    def _squeezed(self, texts: tuple[str, ...], query: str) -> Squeezed:
        """Never fails: what cannot be compressed stays as it was, and is not counted."""
        try:
            return self._one(*texts, query) if len(texts) == 1 else self._several(texts, query)
        except Exception as error:
            logger.warning("a message is left as it was", exc_info=wordless(error))
            return Squeezed(texts, 0, 0)

    def _one(self, text: str, query: str) -> Squeezed:
        found = fit_payload(
            text,
            query=query,
            budget_tokens=self.budget_tokens,
            count=self._count,
            forms=self._forms,
            least_tokens=0,
            patterns=self._patterns,
        )
        return Squeezed((found.text,), found.tokens_before, found.tokens_after)

    def _several(self, texts: Sequence[str], query: str) -> Squeezed:
        """Blocks share the budget, and stay blocks."""
        shaped = [shape(text, self._count, forms=self._forms) for text in texts]
        before = sum(each.tokens_before for each in shaped)
        after = sum(each.tokens_after for each in shaped)
        if after <= self.budget_tokens:
            return Squeezed(tuple(each.text for each in shaped), before, after)
        found = extract(
            query,
            [Passage(text=each.text) for each in shaped],
            budget_tokens=self.budget_tokens,
            count=self._count,
            joiner="",
            patterns=self._patterns,
        )
        return Squeezed(tuple(text or "" for text in found.texts), before, found.tokens_after)

    def _count(self, text: str) -> int:
        return self._counter.count_text(
            text, model=self.model, provider=self.provider or None
        ).tokens
