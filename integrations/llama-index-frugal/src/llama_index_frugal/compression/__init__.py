"""Compression: fewer tokens of nodes, of tools and of their outputs."""

from frugal_chains.dispatch import (
    Brevity,
    PromptPolicy,
    learned_output_cap,
    mean_output_tokens,
)
from llama_index_frugal.compression._examples import FewShotExamples
from llama_index_frugal.compression._labels import Label
from llama_index_frugal.compression._nodes import NodeCompressor
from llama_index_frugal.compression._originals import fetch_original_tool
from llama_index_frugal.compression._output_cap import with_output_cap
from llama_index_frugal.compression._system_prompts import SystemPromptCompressor
from llama_index_frugal.compression._tool_choice import ToolChoiceRetriever
from llama_index_frugal.compression._tools import compressed_tool, compressed_tools

__all__ = [
    "Brevity",
    "FewShotExamples",
    "Label",
    "NodeCompressor",
    "PromptPolicy",
    "SystemPromptCompressor",
    "ToolChoiceRetriever",
    "compressed_tool",
    "compressed_tools",
    "fetch_original_tool",
    "learned_output_cap",
    "mean_output_tokens",
    "with_output_cap",
]
