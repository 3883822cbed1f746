"""Compression: fewer tokens of documents, prompts and tool outputs, to a budget."""

from typing import TYPE_CHECKING, Any

from langchain_frugal.compression._documents import DocumentCompressor
from langchain_frugal.compression._labels import Label
from langchain_frugal.compression._originals import fetch_original_tool
from langchain_frugal.compression._parts import Parts, question_last
from langchain_frugal.compression._prompts import PromptCompressor

if TYPE_CHECKING:
    from langchain_frugal.compression._tool_outputs import ToolOutputMiddleware

__all__ = [
    "DocumentCompressor",
    "Label",
    "Parts",
    "PromptCompressor",
    "ToolOutputMiddleware",
    "fetch_original_tool",
    "question_last",
]


def __getattr__(name: str) -> Any:
    # Agents live in `langchain`, which takes seconds to import and is optional.
    if name == "ToolOutputMiddleware":
        from langchain_frugal.compression._tool_outputs import ToolOutputMiddleware

        return ToolOutputMiddleware
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
