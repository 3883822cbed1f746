"""Compression: fewer tokens of documents, prompts and tool outputs, to a budget."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from frugal_chains.dispatch import (
    Brevity,
    PromptPolicy,
    learned_output_cap,
    mean_output_tokens,
)
from langchain_frugal.compression._documents import DocumentCompressor
from langchain_frugal.compression._example_selector import BudgetExampleSelector
from langchain_frugal.compression._labels import Label
from langchain_frugal.compression._originals import fetch_original_tool
from langchain_frugal.compression._output_cap import with_output_cap
from langchain_frugal.compression._parts import Parts, question_last
from langchain_frugal.compression._prompts import PromptCompressor
from langchain_frugal.compression._system_prompts import SystemPromptCompressor

if TYPE_CHECKING:
    from langchain_frugal.compression._by_asker import OutputsByAsker
    from langchain_frugal.compression._system_prompt_middleware import SystemPromptMiddleware
    from langchain_frugal.compression._tool_choice import ToolChoiceMiddleware
    from langchain_frugal.compression._tool_outputs import ToolOutputMiddleware

__all__ = [
    "Brevity",
    "BudgetExampleSelector",
    "DocumentCompressor",
    "Label",
    "OutputsByAsker",
    "Parts",
    "PromptCompressor",
    "PromptPolicy",
    "SystemPromptCompressor",
    "SystemPromptMiddleware",
    "ToolChoiceMiddleware",
    "ToolOutputMiddleware",
    "fetch_original_tool",
    "learned_output_cap",
    "mean_output_tokens",
    "question_last",
    "with_output_cap",
]


_OF_AGENTS = {
    "OutputsByAsker": "langchain_frugal.compression._by_asker",
    "SystemPromptMiddleware": "langchain_frugal.compression._system_prompt_middleware",
    "ToolChoiceMiddleware": "langchain_frugal.compression._tool_choice",
    "ToolOutputMiddleware": "langchain_frugal.compression._tool_outputs",
}
"""Agents live in `langchain`, which takes seconds to import and is optional."""


def __getattr__(name: str) -> Any:
    if name in _OF_AGENTS:
        return getattr(import_module(_OF_AGENTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
