"""Prompts at work: system prompts, few-shot examples, and how long an answer may be."""

from frugal_chains.dispatch.prompt._examples import ExampleChooser
from frugal_chains.dispatch.prompt._output_cap import learned_output_cap, mean_output_tokens
from frugal_chains.dispatch.prompt._parts import Brevity, PromptPolicy
from frugal_chains.dispatch.prompt._short import Asked, ShortPrompt
from frugal_chains.dispatch.prompt._system import SystemPrompts

__all__ = [
    "Asked",
    "Brevity",
    "ExampleChooser",
    "PromptPolicy",
    "ShortPrompt",
    "SystemPrompts",
    "learned_output_cap",
    "mean_output_tokens",
]
