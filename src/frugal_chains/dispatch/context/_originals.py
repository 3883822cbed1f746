"""Originals of shortened texts: in the user's archive, and named where a model can fetch them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from frugal_chains.archive import Archive
from frugal_chains.compression import ContextBudget
from frugal_chains.compression.extract import Count
from frugal_chains.compression.payload import Payload
from frugal_chains.errors import ArchiveError, CompressionError, wordless

logger = logging.getLogger("frugal_chains.dispatch")

FETCH_ORIGINAL: Final = "fetch_original"
"""The tool that hands out originals, by this name in both frameworks."""
FETCH_DESCRIPTION: Final = (
    "The whole text of an output that was shortened. Give the handle that stands in its last line."
)
_MARKER: Final = "\n[shortened; all of it: {fetch}({handle})]"
_LEAST_WITH_MARKER: Final = 64
"""Tokens: the marker has 31 of o200k and 45 of Claude's newest tokenizer, and something of the
output should be left."""
_TRIES: Final = 3
"""Texts joined seldom have more tokens than both, and then a few."""


def kept_in(archive: Archive, text: str) -> str:
    """The handle of a text that was put; empty where the archive does not take it."""
    try:
        return archive.put(text)
    except ArchiveError as error:
        logger.warning("an original is not kept", exc_info=wordless(error))
        return ""


def marker_of(handle: str) -> str:
    """The last line of a shortened text, with the line break before it."""
    return _MARKER.format(fetch=FETCH_ORIGINAL, handle=handle)


def check_room(budget: ContextBudget) -> None:
    """Whether a budget has room for a marker, whoever will answer.

    Raises:
        CompressionError: it has not.
    """
    floor = (budget.least_tokens,) if budget.limit_usd is not None else ()
    least = min((budget.tokens, *budget.by_tier.values(), *floor))
    if least < _LEAST_WITH_MARKER:
        raise CompressionError(
            f"a budget of {least} tokens has no room for the line that names the original; give "
            f"{_LEAST_WITH_MARKER} or more, or no archive"
        )


def fit_with_marker(
    fit: Callable[[int], Payload], marker: str, *, budget_tokens: int, count: Count
) -> Payload:
    """A payload that ends with a marker, both within the budget; without one where it has no room.

    Args:
        fit: A payload within so many tokens, 1 or more.
        marker: What it ends with.
        budget_tokens: For all of it.
        count: The tokenizer.
    """
    room = count(marker)
    for _ in range(_TRIES):
        if room >= budget_tokens:
            break
        fitted = fit(budget_tokens - room)
        text = fitted.text + marker
        found = replace(fitted, text=text, tokens_after=count(text))
        if found.tokens_after <= budget_tokens:
            return found
        room += found.tokens_after - budget_tokens
    return fit(budget_tokens)
