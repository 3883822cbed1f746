"""A question and its answer, read once: numbers, stated arithmetic, where numbers come from."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final

from frugal_chains.routing.cascade._arithmetic import Identity, identities, without_marks
from frugal_chains.routing.cascade._numbers import Number, numbers

MAX_CHARACTERS: Final = 100_000
"""Longer texts are read in their first and last halves of this: reasoning sits at the end, and no
check needs more."""

COMMON: Final = frozenset(
    {0.0, 0.01, 0.5, 1.0, 2.0, 4.0, 7.0, 10.0, 12.0, 24.0, 30.0, 52.0, 60.0, 100.0, 365.0, 1000.0}
)
"""Numbers that an answer may bring itself: parts of a whole, of the calendar, of a metre."""


class Reading:
    """What the checks of numbers see of one answer."""

    def __init__(self, question: str, answer: str) -> None:
        self.question = shortened(question)
        self.answer = without_marks(shortened(answer))

    @cached_property
    def asked(self) -> tuple[Number, ...]:
        """The numbers of the question."""
        return tuple(numbers(self.question))

    @cached_property
    def said(self) -> tuple[Number, ...]:
        """The numbers of the answer."""
        return tuple(numbers(self.answer))

    @cached_property
    def identities(self) -> tuple[Identity, ...]:
        return tuple(identities(self.answer))

    @cached_property
    def final(self) -> Number | None:
        """The number the answer ends with, as far as it has one."""
        return final_number(self.answer)

    @cached_property
    def unused(self) -> tuple[Number, ...]:
        """Numbers of the question, in digits, that the answer uses in none of their forms."""
        said = {key(number.value) for number in self.said}
        return tuple(n for n in self.asked if not n.spelled and not said & set(_forms(n)))

    @cached_property
    def given(self) -> frozenset[float]:
        """What an answer may compute with before it has computed anything."""
        forms = {form for number in self.asked for form in _forms(number)}
        return frozenset(forms | {key(value) for value in COMMON})

    @cached_property
    def invented(self) -> tuple[Number, ...]:
        """Operands that are neither of the question nor computed before."""
        known = set(self.given)
        strange = []
        for identity in self.identities:
            strange += [n for n in identity.operands if key(n.value) not in known]
            known |= {key(n.value) for n in identity.operands}
            known |= {key(identity.stated.value), key(identity.computed)}
        return tuple(strange)

    @cached_property
    def left_over(self) -> tuple[float, ...]:
        """Results that nothing was computed from, the last one aside."""
        results = [key(identity.stated.value) for identity in self.identities]
        used = Counter(key(n.value) for one in self.identities for n in one.operands)
        final = key(self.final.value) if self.final else None
        return tuple(value for value in results[:-1] if not used[value] and value != final)


def shortened(text: str) -> str:
    """At most `MAX_CHARACTERS` of it."""
    half = MAX_CHARACTERS // 2
    return text if len(text) <= MAX_CHARACTERS else f"{text[:half]}\n{text[-half:]}"


def final_number(text: str) -> Number | None:
    """The number an answer ends with: the last one of the last line that has one.

    After a marker (`####`, `answer:`, a box) the first number counts.
    """
    marks = deque(FINAL_MARK.finditer(text), maxlen=1)
    if marks:
        end = marks[0].end()
        for first in _in_digits(text[end : end + 200]):
            return first
    for line in reversed(text.splitlines()):
        found = deque(_in_digits(line), maxlen=1)
        if found:
            return found[0]
    return None


def is_cut(text: str, finish_reason: str = "") -> bool:
    """Whether an answer ends before its end: the provider says so, or its last words do."""
    if finish_reason.lower() in CUT_REASONS:
        return True
    end = without_marks(text[-400:]).rstrip()
    return bool(end) and (bool(_OPEN_END.search(end)) or text.count("```") % 2 == 1)


CUT_REASONS: Final = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
"""Finish reasons of OpenAI, Anthropic, Gemini and Mistral for an answer that hit its limit."""
_OPEN_END: Final = re.compile(
    r"(?:[=+*/(\[{,:;<\-]|\b(?:the|a|an|of|to|and|or|is|are|was|by|with|for|in|that|so))\Z",
    re.IGNORECASE,
)

FINAL_MARK: Final = re.compile(r"####|\\boxed\{|\b(?:final )?answer\s?(?:is|:|=)", re.IGNORECASE)
"""What announces the final answer."""


def _in_digits(text: str) -> Iterator[Number]:
    return (number for number in numbers(text) if not number.spelled)


def _forms(number: Number) -> Sequence[float]:
    """The values under which a number of a question may turn up in an answer."""
    value = number.value
    if number.percent:
        share = value / 100
        forms = [value, share, 1 + share, 1 - share, 100 - value, 100 + value]
    elif number.fraction:
        over, under = number.fraction
        forms = [value, 1 - value, 1 + value, under, under - over, round(value, 2)]
    elif number.spelled and 0 < value < 1:
        forms = [value, 1 / value, 1 - value, 1 + value, round(value, 2)]
    else:
        forms = [value, value / 100]  # 40 cents are $0.40
    return [key(form) for form in forms]


def key(value: float) -> float:
    """What equal numbers have in common, however they were computed."""
    return round(value, 6)
