"""Checks of an answer that need no training. Each is a small pure function of the request and it.

| check | speaks against an answer that |
|---|---|
| `empty` | has neither text nor tool calls |
| `refusal` | declines, by the provider's mark or in words |
| `schema` | is not JSON of the asked schema |
| `truncation` | hit its limit, or stops in the middle |
| `hedging` | says it is not sure |
| `arithmetic` | states something like `3 x 4 = 13` |
| `unused_numbers` | uses none of the forms of some number in the question |
| `invented_numbers` | computes with numbers that come from nowhere |
| `Format` | does not match the pattern that the application expects |
| `Logprobs` | was improbable to the model itself |
| `dispatch.UserCheck` | a function of the application rejects |

The words that refusals and hedges are found by are English; other languages pass.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property

from frugal_chains.facts import RequestFacts
from frugal_chains.routing._request import question_of
from frugal_chains.routing.cascade._answer import OK, AnswerFacts, Verdict
from frugal_chains.routing.cascade._phrases import REFUSAL, UNCERTAIN
from frugal_chains.routing.cascade._reading import Reading, is_cut, shortened
from frugal_chains.routing.cascade._schema import schema_problem


def empty(_request: RequestFacts, answer: AnswerFacts) -> Verdict:
    """Nothing came."""
    if answer.text.strip() or answer.tool_calls:
        return OK
    return Verdict(code="empty", detail="neither text nor tool calls", usable=False)


def refusal(_request: RequestFacts, answer: AnswerFacts) -> Verdict:
    """The model declines: the provider marked it, or the answer begins like one."""
    if answer.refused or answer.finish_reason.lower() in _REFUSED:
        return Verdict(code="refused", detail="the provider marked a refusal", usable=False)
    if answer.tool_calls:
        return OK
    found = REFUSAL.search(answer.text[:_BEGINNING])
    if found is None:
        return OK
    return Verdict(code="refused", detail=f"it says {found[0]!r}", usable=False)


_REFUSED = frozenset({"content_filter", "refusal", "safety", "prohibited_content", "blocklist"})
_BEGINNING = 400
"""Characters: who declines does so at once."""


def schema(request: RequestFacts, answer: AnswerFacts) -> Verdict:
    """A structured answer fits its schema.

    Of an answer by tool calls only the framework can say whether it fits: `schema_error`.
    """
    problem = answer.schema_error
    if not problem and request.output_schema and not answer.tool_calls:
        problem = schema_problem(answer.text, request.output_schema)
    return Verdict(code="schema", detail=problem, usable=False) if problem else OK


def truncation(_request: RequestFacts, answer: AnswerFacts) -> Verdict:
    """It ends before its end."""
    if answer.tool_calls and not is_cut("", answer.finish_reason):
        return OK
    if not is_cut(answer.text, answer.finish_reason):
        return OK
    return Verdict(code="truncated", detail=f"it ends in {answer.text.rstrip()[-40:]!r}")


def hedging(_request: RequestFacts, answer: AnswerFacts) -> Verdict:
    """It says that it is not sure, or that something is missing."""
    found = UNCERTAIN.search(shortened(answer.text))
    return Verdict(code="hedged", detail=f"it says {found[0]!r}") if found else OK


def arithmetic(_request: RequestFacts, answer: AnswerFacts) -> Verdict:
    """Every `expression = number` it states is true."""
    for found in Reading("", answer.text).identities:
        if found.state == "wrong":
            detail = f"it says {found.text}, which is {found.computed:g}"
            return Verdict(code="arithmetic", detail=detail)
    return OK


def unused_numbers(request: RequestFacts, answer: AnswerFacts) -> Verdict:
    """A question with numbers gets an answer that uses them.

    Only where the answer computes: a question of another kind may carry dates and versions.
    """
    reading = Reading(question_of(request), answer.text)
    if not reading.identities or not reading.unused:
        return OK
    unused = ", ".join(f"{number.value:g}" for number in reading.unused[:5])
    return Verdict(code="unused_numbers", detail=f"it does not use {unused}")


def invented_numbers(request: RequestFacts, answer: AnswerFacts) -> Verdict:
    """It computes with the question's numbers, its own results, and what everybody knows."""
    invented = Reading(question_of(request), answer.text).invented
    if not invented:
        return OK
    named = ", ".join(f"{number.value:g}" for number in invented[:5])
    return Verdict(code="invented_numbers", detail=f"it computes with {named}")


@dataclass(frozen=True)
class Format:
    """The answer has to match a regular expression somewhere, or all of it with `whole`."""

    pattern: str
    whole: bool = False

    def __post_init__(self) -> None:
        re.compile(self.pattern)  # a pattern that is none fails here, not in a request

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def __call__(self, _request: RequestFacts, answer: AnswerFacts, /) -> Verdict:
        text = shortened(answer.text)
        matches = (
            self._compiled.fullmatch(text.strip()) if self.whole else self._compiled.search(text)
        )
        return (
            OK if matches else Verdict(code="format", detail=f"it does not match /{self.pattern}/")
        )


@dataclass(frozen=True, kw_only=True)
class Logprobs:
    """The model itself found its answer probable. Without log-probabilities it does not speak."""

    mean_at_least: float = -1.0
    """Mean log-probability of a token; -1.0 is a probability of 37 %."""

    def __call__(self, _request: RequestFacts, answer: AnswerFacts, /) -> Verdict:
        known = [p for p in answer.logprobs or () if not math.isnan(p)]
        if not known:
            return OK
        mean = sum(max(min(p, 0.0), -50.0) for p in known) / len(known)
        if mean >= self.mean_at_least:
            return OK
        return Verdict(
            code="improbable", detail=f"its tokens have a mean log-probability of {mean:.2f}"
        )


STANDARD = (empty, refusal, schema, truncation)
"""What speaks against any answer, whatever was asked."""
CHECKS = (*STANDARD, hedging, arithmetic, unused_numbers)
"""Everything that needs no training and seldom speaks against a right answer."""
