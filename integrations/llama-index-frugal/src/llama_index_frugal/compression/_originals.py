"""Originals of shortened texts: put into the user's archive, and fetched by a tool."""

from __future__ import annotations

import logging
from typing import Final

from llama_index.core.tools import FunctionTool

from frugal_chains.archive import Archive
from frugal_chains.errors import ArchiveError

logger = logging.getLogger("llama_index_frugal")

FETCH: Final = "fetch_original"
_DESCRIPTION: Final = (
    "The whole text of an output that was shortened. Give the handle that stands in its last line."
)


def fetch_original_tool(archive: Archive) -> FunctionTool:
    """The tool `fetch_original(handle)`, for a model that is shown handles of this archive."""

    def fetch_original(handle: str) -> str:
        return archive.get(handle)  # an error's message says what to do: agents show it the model

    return FunctionTool.from_defaults(fetch_original, name=FETCH, description=_DESCRIPTION)


def kept_in(archive: Archive, text: str) -> str:
    """The handle of a text that was put; empty where the archive does not take it."""
    try:
        return archive.put(text)
    except ArchiveError:
        logger.warning("an original is not kept", exc_info=True)
        return ""
