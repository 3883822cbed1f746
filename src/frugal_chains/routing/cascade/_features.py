"""What a learned validator looks at: numbers drawn from a request and its answer.

None of them decides anything by itself. Which ones matter, and how much, is learned from the
application's own logs; one that says nothing there gets no weight.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from frugal_chains.facts import RequestFacts
from frugal_chains.routing._request import question_of
from frugal_chains.routing.cascade._answer import AnswerFacts
from frugal_chains.routing.cascade._phrases import REFUSAL, UNCERTAIN
from frugal_chains.routing.cascade._reading import Reading, is_cut, key

Feature = Callable[["Seen"], float]


class Seen:
    """One answer as the features see it; each derived thing is made once."""

    def __init__(self, request: RequestFacts, answer: AnswerFacts) -> None:
        self.request = request
        self.facts = answer
        reading = self.reading = Reading(question_of(request), answer.text)
        self.question = reading.question
        self.answer = reading.answer.strip()
        self.digits = [n for n in reading.asked if not n.spelled]
        self.spelled = [n for n in reading.asked if n.spelled and n.value != 1]
        self.identities = reading.identities
        self.operators = "".join(one.operators for one in self.identities)
        self.results = [key(one.stated.value) for one in self.identities]
        self.operands = Counter(key(n.value) for one in self.identities for n in one.operands)
        self.final = None if reading.final is None else key(reading.final.value)
        self.last_sentence = _last_sentence(self.question)

    def asks(self, pattern: re.Pattern[str]) -> bool:
        return bool(pattern.search(self.question))


def features(request: RequestFacts, answer: AnswerFacts) -> dict[str, float]:
    """All features of an answer, by name; every value is finite."""
    seen = Seen(request, answer)
    return {name: float(feature(seen)) for name, feature in FEATURES.items()}


# -- words of a question that ask for an operation ---------------------------------------------

_EACH: Final = re.compile(r"\b(?:each|every|per|apiece)\b", re.I)
_TIMES: Final = re.compile(r"\b(?:times|twice|doubl\w+|tripl\w+)\b", re.I)
_PART: Final = re.compile(
    r"\b(?:half|halves|thirds?|quarters?|fourths?|fifths?|tenths?|\d+/\d+)\b", re.I
)
_PERCENT: Final = re.compile(r"%|\bpercent", re.I)
_LEFT: Final = re.compile(r"\b(?:left|remain\w*|rest|still)\b", re.I)
_THAN: Final = re.compile(r"\b(?:more|less|fewer|\w+er)\b.{0,24}\bthan\b", re.I)
_TOTAL: Final = re.compile(r"\b(?:total|altogether|in all|combined|together|sum)\b", re.I)
_AVERAGE: Final = re.compile(r"\b(?:average|mean)\b", re.I)
_DIFFERENCE: Final = re.compile(r"\b(?:how (?:much|many) (?:more|less|fewer)|difference)\b", re.I)
_IF: Final = re.compile(r"\bif\b", re.I)
_EARLIER: Final = re.compile(r"\b(?:originally|initially|started?|begin\w*|first|before)\b", re.I)
_CHANGE: Final = re.compile(
    r"\b(?:discount|off|sale|tax|tip|interest|increas\w+|decreas\w+|raise)\b", re.I
)
_HOW_MANY: Final = re.compile(r"\bhow many\b", re.I)
_MONEY: Final = re.compile(r"[$€£]|\b(?:dollar|cent|euro)s?\b", re.I)
_UNKNOWN: Final = re.compile(
    r"\blet(?:'s)? (?:\w+ ){0,6}(?:be|denote|represent)\b|\bequation|\bsolv(?:e|ing) for\b", re.I
)
_MEASURES: Final = re.compile(
    r"\b(?:second|minute|hour|day|week|month|year|inch|feet|foot|yard|mile|ounce|pound|cent|dollar|"
    r"gram|kilogram|liter|gallon|quart|pint|cup|meter|kilometer)(?:e?s)?\b", re.I
)  # fmt: skip
_WORD: Final = re.compile(r"[^\W\d_]{3,}")


def _last_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?])\s+", text.strip()[-2000:])[-1]


def _missing(pattern: re.Pattern[str], operators: str, *, asked_last: bool = False) -> Feature:
    """1 where the question asks for an operation that the stated arithmetic never does."""

    def feature(seen: Seen) -> float:
        text = seen.last_sentence if asked_last else seen.question
        return bool(pattern.search(text)) and not set(operators) & set(seen.operators)

    return feature


def _asks(pattern: re.Pattern[str]) -> Feature:
    return lambda seen: seen.asks(pattern)


def _ends_asking(pattern: re.Pattern[str]) -> Feature:
    return lambda seen: bool(pattern.search(seen.last_sentence))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _log(value: float) -> float:
    return math.log1p(min(abs(value), 1e30))


def _unused_words(seen: Seen) -> float:
    said = {key(n.value) for n in seen.reading.said}
    missing = [n for n in seen.spelled if not {key(n.value), key(1 / (n.value or 1))} & said]
    return _share(len(missing), len(seen.spelled))


def _noun_missing(seen: Seen) -> bool:
    """`How many gallons ...?` and no gallons where the answer ends."""
    asked = _ASKED_NOUN.search(seen.last_sentence)
    return bool(asked) and asked[1].lower().rstrip("s")[:6] not in seen.answer[-300:].lower()  # type: ignore[index]


_ASKED_NOUN: Final = re.compile(r"\bhow many (?:more |fewer |less |total )?([a-z]{3,40})", re.I)


def _unit_kinds(seen: Seen) -> float:
    return len({found[0].lower().rstrip("s") for found in _MEASURES.finditer(seen.question)})


def _hard(seen: Seen) -> float:
    """How many of the plain checks speak against the answer."""
    final = seen.reading.final
    flags = (
        any(one.state == "wrong" for one in seen.identities),
        final is None and bool(seen.digits),
        is_cut(seen.answer, seen.facts.finish_reason),
        bool(UNCERTAIN.search(seen.answer)),
        final is not None and not final.value.is_integer(),
        bool(seen.reading.unused),
        bool(seen.results) and seen.final not in seen.results,
        not seen.answer,
    )
    return sum(flags)


def _logprob(seen: Seen, of: Callable[[list[float]], float]) -> float:
    known = [min(p, 0.0) for p in seen.facts.logprobs or () if math.isfinite(p)]
    return max(of(known), -50.0) if known else 0.0


def _coverage(seen: Seen) -> float:
    """Which share of the question's words the answer takes up."""
    asked = {word.lower() for word in _WORD.findall(seen.question)}
    said = {word.lower() for word in _WORD.findall(seen.answer)}
    return _share(len(asked & said), len(asked))


def _repetition(seen: Seen) -> float:
    """Which share of the answer's lines stands there before."""
    lines = [line.strip() for line in seen.answer.splitlines() if line.strip()]
    return 1 - _share(len(set(lines)), len(lines)) if lines else 0.0


FEATURES: Final[Mapping[str, Feature]] = {
    # The answer's shape
    "answer length": lambda s: _log(len(s.answer)),
    "answer lines": lambda s: _log(s.answer.count("\n")),
    "longer than the question": lambda s: _log(len(s.answer)) - _log(len(s.question)),
    "empty": lambda s: not s.answer and not s.facts.tool_calls,
    "cut off": lambda s: is_cut(s.answer, s.facts.finish_reason),
    "refuses": lambda s: s.facts.refused or bool(REFUSAL.search(s.answer[:400])),
    "uncertain": lambda s: bool(UNCERTAIN.search(s.answer)),
    "works with an unknown": lambda s: bool(_UNKNOWN.search(s.answer)),
    "misses its schema": lambda s: bool(s.facts.schema_error),
    "calls tools": lambda s: bool(s.facts.tool_calls),
    "question's words taken up": _coverage,
    "lines repeated": _repetition,
    "mean log-probability": lambda s: _logprob(s, lambda known: sum(known) / len(known)),
    "lowest log-probability": lambda s: _logprob(s, min),
    "plain checks failed": lambda s: _log(_hard(s)),
    "any plain check failed": lambda s: _hard(s) > 0,
    # Its arithmetic
    "wrong arithmetic": lambda s: any(one.state == "wrong" for one in s.identities),
    "last step wrong": lambda s: bool(s.identities) and s.identities[-1].state == "wrong",
    "rounded": lambda s: any(one.state == "rounded" for one in s.identities),
    "steps": lambda s: _log(len(s.operators)),
    "no steps": lambda s: not s.operators,
    "additions": lambda s: _log(s.operators.count("+")),
    "subtractions": lambda s: _log(s.operators.count("-")),
    "multiplications": lambda s: _log(s.operators.count("*")),
    "divisions": lambda s: _log(s.operators.count("/")),
    "fractional results": lambda s: _share(
        sum(not one.stated.value.is_integer() for one in s.identities), len(s.identities)
    ),
    "negative results": lambda s: any(one.stated.value < 0 for one in s.identities),
    # Where its numbers come from
    "no final number": lambda s: s.final is None,
    "final number not whole": lambda s: s.final is not None and not s.final.is_integer(),
    "final number to 3 places": lambda s: (
        s.reading.final is not None and s.reading.final.places > 2
    ),
    "final number not whole of a count": lambda s: (
        s.final is not None and not s.final.is_integer() and bool(_HOW_MANY.search(s.last_sentence))
    ),
    "final number is a result": lambda s: s.final is not None and s.final in s.results,
    "final number is the last result": lambda s: s.results[-1:] == [s.final],
    "final number is the question's": lambda s: any(
        key(n.value) == s.final for n in s.reading.asked
    ),
    "size of the final number": lambda s: _log(s.final or 0),
    "size against the question's": lambda s: abs(
        _log(s.final or 0) - _log(max((n.value for n in s.reading.asked), default=0))
    ),
    "question's numbers unused": lambda s: len(s.reading.unused),
    "share of them unused": lambda s: _share(len(s.reading.unused), len(s.digits)),
    "any unused": lambda s: bool(s.reading.unused),
    "number words unused": _unused_words,
    "not computed with": lambda s: _share(
        sum(not s.operands[key(n.value)] for n in s.digits), len(s.digits)
    ),
    "used twice": lambda s: _share(
        sum(s.operands[key(n.value)] > 1 for n in s.digits), len(s.digits)
    ),
    "invented numbers": lambda s: _log(len(s.reading.invented)),
    "results left over": lambda s: _log(len(s.reading.left_over)),
    "any result left over": lambda s: bool(s.reading.left_over),
    "steps against numbers": lambda s: len(s.operators) - len(s.reading.asked),
    "steps off": lambda s: abs(len(s.operators) - len(s.reading.asked) + 1),
    # The question
    "question length": lambda s: _log(len(s.question)),
    "question sentences": lambda s: len(re.findall(r"[.?!](?:\s|$)", s.question)),
    "question numbers": lambda s: _log(len(s.digits)),
    "question number words": lambda s: _log(len(s.spelled)),
    "largest number": lambda s: _log(max((abs(n.value) for n in s.reading.asked), default=0)),
    "kinds of units": _unit_kinds,
    "asks per each": _asks(_EACH),
    "asks for multiples": _asks(_TIMES),
    "asks for parts": _asks(_PART),
    "asks for percent": _asks(_PERCENT),
    "asks what is left": _asks(_LEFT),
    "compares": _asks(_THAN),
    "has a condition": _asks(_IF),
    "goes back in time": _asks(_EARLIER),
    "changes a price": _asks(_CHANGE),
    "ends with a total": _ends_asking(_TOTAL),
    "ends with what is left": _ends_asking(_LEFT),
    "ends with a difference": _ends_asking(_DIFFERENCE),
    "ends with an average": _ends_asking(_AVERAGE),
    "ends with a count": _ends_asking(_HOW_MANY),
    "ends with money": _ends_asking(_MONEY),
    # What does not go together
    "total without a sum": _missing(_TOTAL, "+*", asked_last=True),
    "rest without a difference": _missing(_LEFT, "-", asked_last=True),
    "difference without one": _missing(_DIFFERENCE, "-", asked_last=True),
    "average without a quotient": _missing(_AVERAGE, "/", asked_last=True),
    "comparison without sum or difference": _missing(_THAN, "+-"),
    "parts without a quotient or product": _missing(_PART, "/*"),
    "multiples without a product": _missing(_TIMES, "*"),
    "what is asked for is not named at the end": _noun_missing,
}
"""Yes or no is 1 or 0; counts and sizes are logarithms, so that none runs away."""
