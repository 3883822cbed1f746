"""Compression: fewer tokens of nodes and of tools' outputs, to a budget."""

from llama_index_frugal.compression._labels import Label
from llama_index_frugal.compression._nodes import NodeCompressor
from llama_index_frugal.compression._originals import fetch_original_tool
from llama_index_frugal.compression._tools import compressed_tool, compressed_tools

__all__ = [
    "Label",
    "NodeCompressor",
    "compressed_tool",
    "compressed_tools",
    "fetch_original_tool",
]
