"""The lossless forms of texts, and what they save."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from frugal_chains.compression.shape import LOSSLESS_FORMS, shape
from frugal_chains.errors import CompressionError
from frugal_chains.tokens import TokenCounter

logger = logging.getLogger("langchain_frugal")

LEVER: Final = "compression.shape"


class Tokens:
    """Tokens of texts, as the model counts them."""

    def __init__(self, model: str, provider: str, counter: TokenCounter | None) -> None:
        self.model, self.provider = model, provider
        self._counter = counter or TokenCounter()

    def count(self, text: str) -> int:
        return self._counter.count_text(
            text, model=self.model, provider=self.provider or None
        ).tokens

    @property
    def exact(self) -> bool:
        """Whether they are counted with the model's own tokenizer."""
        return self._counter.count_text("", model=self.model, provider=self.provider or None).exact


class ShapedTexts(NamedTuple):
    """Texts in their shortest lossless forms."""

    texts: tuple[str, ...]
    forms: tuple[str, ...]
    tokens_before: int
    tokens_after: int


def checked_forms(forms: Collection[str]) -> tuple[str, ...]:
    """The forms to choose among, in our order.

    Raises:
        CompressionError: one of them is unknown or loses something.
    """
    unknown = sorted(set(forms) - set(LOSSLESS_FORMS))
    if unknown:
        raise CompressionError(
            f"no lossless form {unknown[0]!r}; there are {', '.join(LOSSLESS_FORMS)}"
        )
    return tuple(form for form in LOSSLESS_FORMS if form in forms)


def shaped(texts: Sequence[str], tokens: Tokens, forms: Collection[str]) -> ShapedTexts:
    """Never fails: a text that cannot be shaped stays as it is."""
    found, names, before, after = [], [], 0, 0
    for text in texts:
        new, form = text, "original"
        if forms:
            try:
                one = shape(text, tokens.count, forms=forms)
                new, form = one.text, one.form
                before, after = before + one.tokens_before, after + one.tokens_after
                found.append(new)
                names.append(form)
                continue
            except Exception:
                logger.warning("a text is left in its own form", exc_info=True)
        count = tokens.count(text)
        before, after = before + count, after + count
        found.append(new)
        names.append(form)
    return ShapedTexts(tuple(found), tuple(names), before, after)
