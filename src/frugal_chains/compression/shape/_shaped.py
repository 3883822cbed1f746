"""What shaping a payload came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Count = Callable[[str], int]
"""Tokens of a text, by the tokenizer of the model that will read it."""

ORIGINAL = "original"
"""The form of a text that was left as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """A payload in the form that has the fewest tokens, and why that one."""

    text: str
    """Never more tokens than the original; the very same object where `form` is `original`."""
    form: str
    """`original`, or one of `FORMS`: hand it to `restore`."""
    tokens_before: int
    tokens_after: int
    reason: str
    """Why this form: for reports, in words."""
    lossless: bool
    """Whether `restore` gives back the same value."""

    @property
    def saved_tokens(self) -> int:
        return self.tokens_before - self.tokens_after
