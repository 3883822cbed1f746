"""A line that asks for short answers, by kind of task, and whether it pays for itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from frugal_chains.compression.prompt._checks import in_unit, not_negative
from frugal_chains.compression.prompt._diff import DiffView, diff_text

TaskKind = Literal["answer", "chat", "classify", "code", "extract", "summary", "tool", "translate"]

CONCISENESS: Final[Mapping[TaskKind, str]] = MappingProxyType(
    {
        "answer": "Answer first, in at most three sentences; no introduction, no summary.",
        "chat": "Be brief: no preamble, no repetition of the question, no closing offer.",
        "classify": "Reply with the label alone.",
        "code": "Reply with the code alone; comment only what is not obvious.",
        "extract": "Reply with the requested values alone, without explanation.",
        "summary": "Keep only what changes a decision; no introduction, no closing remark.",
        "tool": "Call tools without announcing or explaining the call.",
        "translate": "Reply with the translation alone.",
    }
)
"""One line for each kind of task. None for reasoning and mathematics: asked to be concise there,
GPT-3.5 lost 27.69 % (Renze and Guven, "The Benefits of a Concise Chain of Thought", arXiv
2401.05618, version 3)."""

ASSUMED_SAVED_SHARE: Final = 0.1
"""Of the output, where nobody has measured it. The paper above found 48.70 % on multiple-choice
questions answered with a chain of thought; plain answers have less to give. Measure your own: the
mean output with the line and without it, over answers to the same questions."""

_ALREADY: Final = re.compile(
    r"\b(?:concise(?:ly)?|brief(?:ly)?|succinct(?:ly)?|terse(?:ly)?|keep (?:it|answers?) short"
    r"|(?:at most|no more than|up to|maximum(?: of)?|under) \w+ (?:words|sentences|lines)"
    r"|only (?:the|with the|output|return)|without (?:any )?explanations?|nothing else|alone)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conciseness:
    """The line for one kind of task, and its arithmetic for one call."""

    kind: TaskKind
    prompt: str
    """What to send: the prompt with the line behind it where `added`, else as it came."""
    before: str
    line: str
    added: bool
    reason: str
    """`pays`, `loses`, `already` (the prompt asks for it), or `off`."""
    line_tokens: int
    expected_saved_tokens: float
    """Of output."""
    net_nanos: float
    """What the line saves in one call, less what it costs; negative: it loses."""
    break_even_share: float | None
    """Of the output, that it must save to pay for itself; None: output costs nothing."""

    def diff(self, view: DiffView = "lines") -> str:
        """What was added, as a diff."""
        return diff_text(self.before, self.prompt, view)


def ask_for_brevity(
    prompt: str,
    kind: TaskKind,
    count: Callable[[str], int],
    *,
    expected_output_tokens: float,
    input_nanos: float,
    output_nanos: float,
    saved_share: float = ASSUMED_SAVED_SHARE,
    line: str | None = None,
    enabled: bool = True,
) -> Conciseness:
    """Add the line for a kind of task where it is expected to save more than it costs.

    It goes behind everything else, so that what a provider's cache has of the prompt stays found.

    Args:
        prompt: The system prompt, or what of it is sent as text.
        kind: The kind of task.
        count: Tokens of a text.
        expected_output_tokens: Mean length of the answers without the line.
        input_nanos: Nano-USD per token of the line: the price of a cache read where it is in a
            prefix that is found again.
        output_nanos: Nano-USD per token of the answer.
        saved_share: Of the output, expected to be saved, 0 to 1. An assumption unless measured.
        line: Another line than the table's.
        enabled: False: the prompt as it came.

    Raises:
        PromptError: A number is negative or not finite, or the share is above 1.
    """
    not_negative(
        expected_output_tokens=expected_output_tokens,
        input_nanos=input_nanos,
        output_nanos=output_nanos,
    )
    in_unit(saved_share=saved_share)
    asked = CONCISENESS[kind] if line is None else line
    longer = prompt + _gap(prompt) + asked
    line_tokens = max(count(longer) - count(prompt), 0)
    saved = expected_output_tokens * saved_share
    net = saved * output_nanos - line_tokens * input_nanos
    output = expected_output_tokens * output_nanos
    reason = _reason(prompt, asked, net, enabled)
    return Conciseness(
        kind=kind,
        prompt=longer if reason == "pays" else prompt,
        before=prompt,
        line=asked,
        added=reason == "pays",
        reason=reason,
        line_tokens=line_tokens,
        expected_saved_tokens=saved,
        net_nanos=net,
        break_even_share=line_tokens * input_nanos / output if output else None,
    )


def _gap(prompt: str) -> str:
    """A blank line, of which the prompt may end in a part."""
    if not prompt or prompt.endswith("\n\n"):
        return ""
    return "\n" if prompt.endswith("\n") else "\n\n"


def _reason(prompt: str, line: str, net_nanos: float, enabled: bool) -> str:
    if not enabled:
        return "off"
    if line in prompt or _ALREADY.search(prompt):
        return "already"
    return "pays" if net_nanos > 0 else "loses"
