"""Whether two answers to one question say the same."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from frugal_chains.facts import RequestFacts
from frugal_chains.routing._text import canonical, words
from frugal_chains.routing.cascade._answer import AnswerFacts
from frugal_chains.routing.cascade._arithmetic import identities, without_marks
from frugal_chains.routing.cascade._reading import FINAL_MARK, final_number, shortened


def same_answer(request: RequestFacts, one: AnswerFacts, other: AnswerFacts) -> bool:
    """Compare what two answers end up with.

    Tool calls by name and arguments, JSON by value, computations by their final number, all else by
    the words of the last line. Where that cannot tell, they count as different: the question then
    goes to a stronger model, which costs more but loses nothing.
    """
    if one.tool_calls or other.tool_calls:
        return [_call(c.name, c.arguments) for c in one.tool_calls] == [
            _call(c.name, c.arguments) for c in other.tool_calls
        ]
    if request.output_schema:
        first_value, second_value = _parsed(one.text), _parsed(other.text)
        return bool(first_value == second_value != _NO_JSON)
    first, second = (without_marks(shortened(answer.text)) for answer in (one, other))
    if _computes(first) and _computes(second):
        numbers = final_number(first), final_number(second)
        if numbers[0] and numbers[1]:
            return math.isclose(numbers[0].value, numbers[1].value, rel_tol=1e-6, abs_tol=1e-9)
    return _last_words(first) == _last_words(second) != []


_NO_JSON: Final = ("no JSON",)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NO_JSON


def _call(name: str, arguments: str) -> tuple[str, Any]:
    parsed = _parsed(arguments)
    return name, arguments if parsed == _NO_JSON else parsed


def _computes(text: str) -> bool:
    return bool(FINAL_MARK.search(text)) or bool(identities(text))


_PREAMBLE: Final = re.compile(r"^.*?\b(?:answer|result)\s?(?:is|:|=)", re.IGNORECASE)


def _last_words(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    last = _PREAMBLE.sub("", lines[-1][:2000]) or lines[-1][:2000]
    return [word for word in words(canonical(last)) if word.isalnum()]
