"""Texts brought to a budget, in the same way every time they are met."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from frugal_chains.compression.extract import Kind, Passage, extract
from langchain_frugal.compression._shaping import Tokens, shaped

logger = logging.getLogger("langchain_frugal")

EXTRACT: Final = "compression.extract"
_REMEMBERED: Final = 256
"""Messages, so that those of a conversation are compressed once and not at each of its turns."""


class Squeezed(NamedTuple):
    """The texts of one message's context, and what they have become."""

    texts: tuple[str, ...]
    tokens_before: int
    tokens_shaped: int
    tokens: int


class Frozen:
    """A function of texts and query alone. Safe for threads."""

    def __init__(
        self,
        tokens: Tokens,
        budget_tokens: int,
        forms: tuple[str, ...],
        kind: Kind | None,
        patterns: Sequence[re.Pattern[str]],
    ) -> None:
        self.forms = forms
        self._tokens, self._budget_tokens = tokens, budget_tokens
        self._kind, self._patterns = kind, patterns
        self.squeezed = lru_cache(_REMEMBERED)(self._squeezed)

    def _squeezed(self, texts: tuple[str, ...], query: str) -> Squeezed:
        in_form = shaped(texts, self._tokens, self.forms)
        before, after = in_form.tokens_before, in_form.tokens_after
        if after <= self._budget_tokens:
            return Squeezed(in_form.texts, before, after, after)
        try:
            found = extract(
                query,
                [Passage(text=text) for text in in_form.texts],
                budget_tokens=self._budget_tokens,
                count=self._tokens.count,
                kind=self._kind,
                joiner="",
                patterns=self._patterns,
            )
        except Exception:
            logger.warning("a message is left as it was", exc_info=True)
            return Squeezed(in_form.texts, before, after, after)
        kept = tuple(text or "" for text in found.texts)
        return Squeezed(kept, before, after, found.tokens_after)
