"""`fetch_original_tool`: originals of shortened texts, for a model that is shown their handles."""

from __future__ import annotations

from typing import Final

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from frugal_chains.archive import Archive
from frugal_chains.dispatch import FETCH_DESCRIPTION, FETCH_ORIGINAL
from frugal_chains.errors import ArchiveError

FETCH: Final = FETCH_ORIGINAL


def fetch_original_tool(archive: Archive) -> BaseTool:
    """The tool `fetch_original(handle)`, for a model that is shown handles of this archive."""

    def fetch_original(handle: str) -> str:
        try:
            return archive.get(handle)
        except ArchiveError as error:  # the message says what to do: the model is told
            raise ToolException(str(error)) from error

    return StructuredTool.from_function(
        fetch_original, name=FETCH, description=FETCH_DESCRIPTION, handle_tool_error=True
    )
