"""`fetch_original_tool`: originals of shortened texts, for a model that is shown their handles."""

from __future__ import annotations

from typing import Final

from llama_index.core.tools import FunctionTool

from frugal_chains.archive import Archive
from frugal_chains.dispatch import FETCH_DESCRIPTION, FETCH_ORIGINAL

FETCH: Final = FETCH_ORIGINAL


def fetch_original_tool(archive: Archive) -> FunctionTool:
    """The tool `fetch_original(handle)`, for a model that is shown handles of this archive."""

    def fetch_original(handle: str) -> str:
        return archive.get(handle)  # an error's message says what to do: agents show it the model

    return FunctionTool.from_defaults(fetch_original, name=FETCH, description=FETCH_DESCRIPTION)
