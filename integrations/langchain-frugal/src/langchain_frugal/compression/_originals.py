"""Originals of shortened texts: put into the user's archive, and fetched by a tool."""

from __future__ import annotations

import logging
from typing import Final

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from frugal_chains.archive import Archive
from frugal_chains.errors import ArchiveError

logger = logging.getLogger("langchain_frugal")

FETCH: Final = "fetch_original"
_DESCRIPTION: Final = (
    "The whole text of an output that was shortened. Give the handle that stands in its last line."
)


def fetch_original_tool(archive: Archive) -> BaseTool:
    """The tool `fetch_original(handle)`, for a model that is shown handles of this archive."""

    def fetch_original(handle: str) -> str:
        try:
            return archive.get(handle)
        except ArchiveError as error:  # the message says what to do: the model is told
            raise ToolException(str(error)) from error

    return StructuredTool.from_function(
        fetch_original, name=FETCH, description=_DESCRIPTION, handle_tool_error=True
    )


def kept_in(archive: Archive, text: str) -> str:
    """The handle of a text that was put; empty where the archive does not take it."""
    try:
        return archive.put(text)
    except ArchiveError:
        logger.warning("an original is not kept", exc_info=True)
        return ""
