"""Arithmetic that an answer states: `3 x $4 = $12` is true or it is not.

Reads what people and models write between two numbers and an equals sign: units (`3 boxes * 4
pens/box = 12 pens`), currencies, percent, fractions, thousands separators, brackets, LaTeX, chains
(`2 + 3 = 5 * 4 = 20`) and calculator marks (`<<3*4=12>>`). What it cannot read for certain, such as
equations with an unknown, it leaves alone. Time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from frugal_chains.routing.cascade._numbers import DIGITS, Number, number

State = Literal["true", "rounded", "wrong"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One `expression = number` of an answer."""

    text: str
    operands: tuple[Number, ...]
    operators: str
    """In their order, each one of `+-*/`."""
    computed: float
    stated: Number
    state: State


def identities(text: str) -> list[Identity]:
    """All that `text` states and that can be checked."""
    marks = [mark[1] for mark in _MARK.finditer(text)]
    plain = without_marks(text)
    return [found for part in (plain, *marks) for line in part.splitlines() for found in _of(line)]


def without_marks(text: str) -> str:
    """Without calculator marks: `<<3*4=12>>12` is `12`; neither one that the text ends in."""
    return _OPEN_MARK.sub("", _MARK.sub("", text))


_MARK: Final = re.compile(r"<<([^<>\n]{0,200})>>")
_OPEN_MARK: Final = re.compile(r"<<[^<>\n]{0,200}\Z")

# -- tokens ------------------------------------------------------------------------------------

_LATEX: Final = (
    (re.compile(r"\\d?frac\s?\{([^{}]{1,40})\}\s?\{([^{}]{1,40})\}"), r"((\1)/(\2))"),
    (re.compile(r"\\(?:times|cdot)\b|\\\*|[\u00b7\u00d7\u2217]"), "*"),
    (re.compile(r"\\div\b|\u00f7"), "/"),
    (re.compile(r"\\text\s?\{([^{}]{0,60})\}"), r" \1 "),
    (re.compile(r"\\(?:left|right|[()\[\],;!%])|\\\$|[{}]|\*\*"), " "),
    (re.compile("[\u2212\u2013\u2014]"), "-"),
    (re.compile("[≈≃]|\\\\approx\\b"), "="),
)
_TOKEN: Final = re.compile(
    rf"(?P<unknown>(?:{DIGITS})(?!x\s?[\d$(])(?:[a-fh-km-z]|[a-z]?\^\d)(?![a-z\d]))"
    r"|(?P<spaced>(?<![\d.,/])\d{1,3}(?: \d{3}){1,6}(?![\d/.]))"
    r"|(?P<mixed>(?<![\d.,/])\d{1,4} \d{1,2}/\d{1,2}(?![\d/.]))"
    rf"|(?P<number>{DIGITS})"
    r"|(?P<percent>%|percent\b)"
    r"|(?P<equals>=)"
    r"|(?P<times>(?<=[\s\d)%])x(?=[\s$(]*\.?\d))"
    r"|(?P<unit>[a-z]+(?:['/-][a-z]+)*|/\s?[a-z]+)"
    r"|(?P<operator>[-+*/])"
    r"|(?P<open>[(\[])|(?P<close>[)\]])"
    r"|(?P<other>[^\s$€£¥])",
    re.IGNORECASE,
)
# A bracket that explains a number instead of computing: `20 (words) x 15 (letters a word)`.
_COMMENT: Final = re.compile(
    r"(?<=[\w%])\s?\((?:[^()\d]{0,80}|(?=[^()]{0,80}[a-z]{3})[^()+*/=-]{0,80})\)", re.IGNORECASE
)
_BULLET: Final = re.compile(r"\A\s*[-*]\s+")
_MAX_TOKENS: Final = 64
"""An expression is never longer: the walk from each equals sign stays bounded."""
_MAX_UNITS: Final = 5
"""Words of a unit between a number and its operator (`8 hot dogs that Luke ate * 3`)."""


class _Token(NamedTuple):
    kind: str
    text: str
    number: Number | None = None


def _tokens(line: str) -> list[_Token]:
    for pattern, plain in _LATEX:
        line = pattern.sub(plain, line)
    line = _COMMENT.sub("", line)
    line = _BULLET.sub("", line)
    return [_token(found.lastgroup or "", found[0]) for found in _TOKEN.finditer(line)]


def _token(kind: str, text: str) -> _Token:
    if kind == "unit" and len(text) == 1 and text.lower() not in "agl":
        return _Token("unknown", text)  # x, n, P: a name for what is looked for
    if kind == "number":
        return _Token(kind, text, number(text))
    if kind == "spaced":
        return _Token("number", text, number(text.replace(" ", "")))
    if kind == "mixed":
        whole, numerator, denominator = map(float, re.split("[ /]", text))
        return _Token("number", text, Number(whole + _ratio(numerator, denominator), 2))
    if kind == "times":
        return _Token("operator", "*")
    return _Token(kind, text.lower())


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else float("nan")


# -- expressions -------------------------------------------------------------------------------


def _of(line: str) -> Iterator[Identity]:
    """The identities of one line, at each of its equals signs."""
    if "=" not in line and not any(sign in line for sign in ("≈", "≃", "\\approx")):
        return
    sides: list[list[_Token]] = [[]]
    for token in _tokens(line):
        if token.kind == "equals":
            sides.append([])
        else:
            sides[-1].append(token)
    for left, right in pairwise(sides):
        found = _identity(left, right)
        if found is not None:
            yield found


def _identity(left: Sequence[_Token], right: Sequence[_Token]) -> Identity | None:
    expression = _before(left)
    stated = _first_number(right)
    if expression is None or stated is None:
        return None
    computed = _value(expression)
    if computed is None:
        return None
    operands = tuple(token.number for token in expression if token.number is not None)
    operators = "".join(token.text for token in expression if token.kind == "operator")
    state = _state(computed, stated, operands, operators)
    if state == "wrong":
        if _converts_units(left, right) or _is_cut(right):
            return None
        readings = _other_readings(expression, stated, right)
        if readings is None:
            return None
        if any(_close(one, other) for one, other in readings):
            state = "true"
    text = " ".join(token.text for token in expression) + f" = {stated.value:g}"
    return Identity(
        text=text,
        operands=operands,
        operators=operators,
        computed=computed,
        stated=stated,
        state=state,
    )


def _before(side: Sequence[_Token]) -> list[_Token] | None:
    """The expression that a side ends in, its units left out; None if there is none for certain."""
    side = side[-_MAX_TOKENS:]
    taken: list[_Token] = []
    need_number, depth, units = True, 0, 0
    for place in range(len(side) - 1, -1, -1):
        token = side[place]
        kind, text = token.kind, token.text
        if need_number:
            if kind in ("number", "close", "percent"):
                taken.append(token)
                depth += kind == "close"
                need_number = kind != "number"
            elif kind == "unit" and units < _MAX_UNITS and text not in _SCALES:
                units += 1
            else:
                return None
        elif kind == "operator":
            taken.append(token)
            need_number, units = True, 0
        elif kind == "open" and depth:
            depth -= 1
            taken.append(token)
            if place and side[place - 1].kind in ("number", "percent"):
                return None  # `3(47)` is a product, `$150 (2 x 75)` a comment
        elif text == "of" and place and _is_share(side, place):
            taken.append(_Token("operator", "*"))  # 20 % of 50, 2/5 of 80
            need_number, units = True, 0
        elif kind in ("unknown", "close") or text in _CHANGES:
            return None
        else:
            break
    if need_number or depth:
        return None
    taken.reverse()
    return taken if any(token.kind == "operator" for token in taken[1:]) else None


_CHANGES: Final = frozenset(
    {"twice", "half", "double", "triple", "root", "square", "sqrt", "^", "√"}
)
"""What changes the number after it."""
_SCALES: Final = frozenset(
    {"dozen", "dozens", "hundred", "hundreds", "thousand", "million", "billion", "percent", "of"}
)
"""Words that are no unit of the number before them but part of its value, or of a sentence."""


def _is_share(side: Sequence[_Token], place: int) -> bool:
    """Whether the `of` at a place follows a percentage or a fraction."""
    if side[place - 1].kind == "percent":
        return True
    before = side[max(place - 3, 0) : place]
    return [token.kind for token in before] == ["number", "operator", "number"] and (
        before[1].text == "/"
    )


def _after(side: Sequence[_Token]) -> list[_Token]:
    """The expression that a side begins with, its units left out."""
    taken: list[_Token] = []
    need_number = True
    pending: list[_Token] = []
    for token in side[:_MAX_TOKENS]:
        if token.kind == "number" and need_number:
            taken += [*pending, token]
            pending, need_number = [], False
        elif token.kind == "operator" and not need_number:
            pending, need_number = [token], True
        elif token.kind == "open" and need_number:
            pending.append(token)
        elif token.kind == "close" or (token.kind == "percent" and not need_number):
            taken.append(token)
        elif token.kind != "unit":
            break
    opened = sum(token.kind == "open" for token in taken)
    closed = sum(token.kind == "close" for token in taken)
    return taken if opened == closed and not need_number else []


def _first_number(side: Sequence[_Token]) -> Number | None:
    """The number a side begins with; None when something else comes first."""
    sign = 1.0
    for place, token in enumerate(side):
        if token.number is not None:
            percent = place + 1 < len(side) and side[place + 1].kind == "percent"
            return token.number._replace(value=sign * token.number.value, percent=percent)
        if token.kind == "operator" and token.text == "-" and sign > 0:
            sign = -1.0
        elif token.kind != "open":
            return None
    return None


def _value(
    expression: Sequence[_Token], *, percent: float = 0.01, fractions_first: bool = False
) -> float | None:
    """The value of an expression by the usual precedence; None where it has none.

    Args:
        expression: Numbers, operators, brackets and percent signs.
        percent: What a percent sign multiplies by.
        fractions_first: `a / b/c` is `a / (b/c)`.
    """
    values: list[float] = []
    waiting: list[str] = []
    expects_number, negative = True, False
    for token in expression:
        if token.number is not None:
            values.append(-token.number.value if negative else token.number.value)
            expects_number, negative = False, False
        elif token.kind == "percent":
            if not values:
                return None
            values[-1] *= percent
        elif token.kind == "open":
            waiting.append("(")
            expects_number = True
        elif token.kind == "close":
            while waiting and waiting[-1] != "(":
                if not _apply(values, waiting.pop()):
                    return None
            if not waiting:
                return None
            waiting.pop()
        elif expects_number:
            if token.text != "-" or negative:
                return None
            negative = True
        else:
            keep = fractions_first and token.text == "/"
            while (
                waiting
                and waiting[-1] != "("
                and (_BINDS[waiting[-1]] > _BINDS[token.text] - (not keep))
            ):
                if not _apply(values, waiting.pop()):
                    return None
            waiting.append(token.text)
            expects_number = True
    while waiting:
        if waiting[-1] == "(" or not _apply(values, waiting.pop()):
            return None
    return values[0] if len(values) == 1 and abs(values[0]) < 1e300 else None


_BINDS: Final = {"+": 1, "-": 1, "*": 2, "/": 2}


def _apply(values: list[float], operator: str) -> bool:
    if len(values) < 2:
        return False
    right, left = values.pop(), values.pop()
    if operator == "/":
        if right == 0:
            return False
        values.append(left / right)
    else:
        values.append(left + right if operator == "+" else left - right if operator == "-"
                      else left * right)  # fmt: skip
    return True


# -- true or not -------------------------------------------------------------------------------


def _state(computed: float, stated: Number, operands: Sequence[Number], operators: str) -> State:
    if _close(computed, stated.value):
        return "true"
    if stated.percent and _close(computed * 100, stated.value):
        return "true"
    # What is not whole may be stated rounded, to the digits shown.
    whole = all(operand.value.is_integer() for operand in operands) and "/" not in operators
    if not whole or any(operand.percent for operand in operands):
        for value in (computed, computed * 100) if stated.percent else (computed,):
            if abs(value - stated.value) <= 0.5000001 * 10.0**-stated.places:
                return "rounded"
    return "wrong"


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-9 * max(abs(one), abs(other), 1e-6)


def _other_readings(
    expression: Sequence[_Token], stated: Number, right: Sequence[_Token]
) -> list[tuple[float, float]] | None:
    """Pairs of which one must be equal if the identity is true in a second sense.

    `100 - 30% = 70`, `8 * 5 = 120 / 3`, `12 / 2/5 = 30`. None: the right side goes on in a way that
    cannot be read.
    """
    lefts = [_value(expression), _value(expression, fractions_first=True)]
    rights: list[float | None] = [stated.value]
    if any(token.kind in ("operator", "unknown", "open") for token in right[1:4]):
        rest = _after(right)
        if not rest or _value(rest) is None:
            return None
        rights += [_value(rest), _value(rest, fractions_first=True)]
    if any(token.kind == "percent" for token in (*expression, *right[:3])):
        lefts.append(_value(expression, percent=1.0))
        rights += [stated.value / 100, stated.value * 100]
    return [
        (one, other) for one in lefts for other in rights if one is not None and other is not None
    ]


def _converts_units(left: Sequence[_Token], right: Sequence[_Token]) -> bool:
    """Whether both sides measure one thing in different units: `2 * 1 hour = 120 minutes`."""
    near = (*left[-_MAX_TOKENS:], *right[:4])
    return len({token.text.rstrip("s") for token in near} & _MEASURES) > 1


_MEASURES: Final = frozenset(
    re.findall(
        r"\w+",
        """
        second minute hour day week month year
        millimeter centimeter meter kilometer mm cm km inch inche foot feet yard mile
        gram kilogram g kg ounce pound ton ml liter gallon quart pint cup
        cent dollar penny pennie nickel dime
        """,
    )
)
"""Without a plural s."""


def _is_cut(right: Sequence[_Token]) -> bool:
    """Whether the text ends inside the number: `= 40,00`."""
    kinds = [token.text if token.kind == "other" else token.kind for token in right]
    return kinds == ["number", ",", "number"] or kinds == ["number", ","]
