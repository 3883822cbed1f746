"""What rules and gates see of a request: facts, and what is derived from them once."""

from __future__ import annotations

from functools import cached_property

from frugal_chains.routing._request import RoutingFacts, depth_of, in_tool_loop, question_of
from frugal_chains.routing._similar import Vector, trigrams
from frugal_chains.routing._text import canonical


class Seen:
    """The facts of one decision, with what several signals derive from them."""

    def __init__(self, facts: RoutingFacts) -> None:
        self.facts = facts

    @cached_property
    def question(self) -> str:
        return question_of(self.facts.request)

    @cached_property
    def text(self) -> str:
        """The question without what says nothing: case, spacing, politeness."""
        return canonical(self.question)

    @cached_property
    def trigrams(self) -> Vector:
        return trigrams(self.text)

    @cached_property
    def depth(self) -> int:
        return depth_of(self.facts.request)

    @cached_property
    def in_tool_loop(self) -> bool:
        return in_tool_loop(self.facts.request)

    @cached_property
    def input_tokens(self) -> int:
        """In the tokenizer that needs most of them."""
        return max(self.facts.input_tokens.values(), default=0)
