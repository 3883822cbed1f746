"""Outputs of tools that repeat an earlier one of the same prompt: a reference in their place."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import takewhile
from typing import Final

from langchain_core.messages import BaseMessage, ToolMessage

from frugal_chains.compression.shape import Count, fold_duplicates, reads_like_reference
from frugal_chains.errors import wordless
from langchain_frugal._content import texts_of
from langchain_frugal.compression._frozen import Squeezed
from langchain_frugal.compression._messages import Piece

logger = logging.getLogger("langchain_frugal")

LABEL: Final = "tool output"
"""As references name them, counted from the first one of the prompt: `[same as tool output 2]`."""


def without_repeats(
    messages: Sequence[BaseMessage],
    pieces: Sequence[Piece],
    found: Sequence[Squeezed],
    count: Count,
) -> list[Squeezed]:
    """What was found, with what earlier outputs say already as a reference to them. Never fails.

    An output is folded by those before it alone, as they are sent, so that it stays as it is when
    others follow.

    Args:
        messages: Of the prompt.
        pieces: What of them may change.
        found: Of each piece.
        count: The tokenizer.
    """
    try:
        return _folded(messages, pieces, found, count)
    except Exception as error:
        logger.warning("outputs that repeat are sent again", exc_info=wordless(error))
        return [*found]


def _folded(
    messages: Sequence[BaseMessage],
    pieces: Sequence[Piece],
    found: Sequence[Squeezed],
    count: Count,
) -> list[Squeezed]:
    now = {piece.at: texts.texts for piece, texts in zip(pieces, found, strict=True)}
    outputs = [at for at, message in enumerate(messages) if isinstance(message, ToolMessage)]
    texts = ["\n".join(now.get(at) or texts_of(messages[at].content)) for at in outputs]
    # Behind what could be taken for a reference nothing is folded.
    sure = list(takewhile(lambda text: not reads_like_reference(text, LABEL), texts))
    folded = dict(zip(outputs, fold_duplicates(sure, count, label=LABEL).texts, strict=False))
    return [
        _with(squeezed, folded.get(piece.at, ""), count) if len(squeezed.texts) == 1 else squeezed
        for piece, squeezed in zip(pieces, found, strict=True)
    ]


def _with(squeezed: Squeezed, text: str, count: Count) -> Squeezed:
    if not text or text == squeezed.texts[0]:
        return squeezed
    return Squeezed((text,), squeezed.tokens_before, count(text))
