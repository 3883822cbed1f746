"""Prompts: what a request does not need is left out, and the rest is said in fewer words.

Sections of a system prompt by relevance, few-shot examples to a budget, instructions shortened by
safe rules, answers kept to the length they need. Each can be switched off, and shows what it did.
"""

from frugal_chains.compression.prompt._cap import OutputCap, output_cap
from frugal_chains.compression.prompt._choose import choose_sections
from frugal_chains.compression.prompt._concise import (
    ASSUMED_SAVED_SHARE,
    CONCISENESS,
    Conciseness,
    TaskKind,
    ask_for_brevity,
)
from frugal_chains.compression.prompt._diff import DiffView, diff_text
from frugal_chains.compression.prompt._edit import Edit, RewriteRule
from frugal_chains.compression.prompt._examples import (
    ExampleOrder,
    ExamplePlan,
    PromptExample,
    choose_examples,
)
from frugal_chains.compression.prompt._guarded import guarded_words
from frugal_chains.compression.prompt._language import language_of
from frugal_chains.compression.prompt._plan import PromptPlan, SectionFate
from frugal_chains.compression.prompt._prefix import PrefixChange, PrefixUse, weigh_prefix_change
from frugal_chains.compression.prompt._rewrite import Change, Rewritten, rewrite
from frugal_chains.compression.prompt._rules import RULES
from frugal_chains.compression.prompt._sections import (
    PromptSection,
    SectionStyle,
    join_sections,
    parse_sections,
)
from frugal_chains.errors import PromptError

__all__ = [
    "ASSUMED_SAVED_SHARE",
    "CONCISENESS",
    "RULES",
    "Change",
    "Conciseness",
    "DiffView",
    "Edit",
    "ExampleOrder",
    "ExamplePlan",
    "OutputCap",
    "PrefixChange",
    "PrefixUse",
    "PromptError",
    "PromptExample",
    "PromptPlan",
    "PromptSection",
    "RewriteRule",
    "Rewritten",
    "SectionFate",
    "SectionStyle",
    "TaskKind",
    "ask_for_brevity",
    "choose_examples",
    "choose_sections",
    "diff_text",
    "guarded_words",
    "join_sections",
    "language_of",
    "output_cap",
    "parse_sections",
    "rewrite",
    "weigh_prefix_change",
]
