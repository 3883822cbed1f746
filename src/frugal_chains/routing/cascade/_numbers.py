"""Numbers in a text: digits in their usual dresses, and English number words.

One pass with one pattern: the time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

# The quantifiers are bounded, so that a megabyte of digits costs no more than its length.
DIGITS: Final = r"(?:\d{1,3}(?:,\d{3}){1,6}(?!\d)|\d{1,18})(?:\.\d{1,12})?|(?<![\d.])\.\d{1,12}"

_NUMBER: Final = re.compile(
    r"(?P<ordinal>\d{1,18}(?:st|nd|rd|th)\b)"
    r"|(?P<spaced>(?<![\d.,] )(?<![\d.,/])\d{1,3}(?: \d{3}){1,6}(?![\d/.]| \d))"
    r"|(?P<over>(?<![\d.,/])\d{1,6})/(?P<under>\d{1,6})(?![\d/.])"
    rf"|(?P<digits>{DIGITS})(?P<percent>\s?(?:%|percent\b))?"
    r"|(?P<word>[a-z]+)"
)

_UNITS: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS: Final = "twenty thirty forty fifty sixty seventy eighty ninety"

NUMBER_WORDS: Final[Mapping[str, float]] = {
    **{word: float(value) for value, word in enumerate(_UNITS.split())},
    **{word: 10.0 * value for value, word in enumerate(_TENS.split(), start=2)},
}
MULTIPLES: Final[Mapping[str, float]] = {
    "half": 0.5, "halves": 0.5, "third": 1 / 3, "thirds": 1 / 3, "quarter": 0.25, "quarters": 0.25,
    "fourth": 0.25, "fourths": 0.25, "fifth": 0.2, "fifths": 0.2, "tenth": 0.1, "tenths": 0.1,
    "once": 1.0, "twice": 2.0, "double": 2.0, "doubled": 2.0, "doubles": 2.0, "pair": 2.0,
    "couple": 2.0, "thrice": 3.0, "triple": 3.0, "tripled": 3.0, "quadruple": 4.0, "dozen": 12.0,
    "dozens": 12.0, "hundred": 100.0, "thousand": 1000.0, "million": 1e6,
}  # fmt: skip
"""Words that a number is multiplied or divided by."""


class Number(NamedTuple):
    """One number as it stands in a text."""

    value: float
    """As written: 25 for `25 %`, 0.75 for `3/4`."""
    places: int = 0
    """Digits after the point."""
    percent: bool = False
    spelled: bool = False
    """In words."""
    fraction: tuple[float, float] | None = None
    """Of `3/4`: 3 and 4."""


def numbers(text: str) -> Iterator[Number]:
    """The numbers of a text in their order.

    `twenty-five` is one, so are `3,000`, `3 000`, `.5` and `3/4`; `2nd` is none.
    """
    tens = 0.0  # of a number word that may go on: twenty-, until the next word says no
    for found in _NUMBER.finditer(text.lower()):
        word = found["word"] or ""
        value = NUMBER_WORDS.get(word, MULTIPLES.get(word))
        if tens:
            goes_on = value is not None and 0 < value < 10 and word in NUMBER_WORDS
            yield Number(tens + (value or 0.0) if goes_on else tens, spelled=True)
            tens = 0.0
            if goes_on:
                continue
        if word in _TENS_WORDS:
            tens = NUMBER_WORDS[word]
        elif value is not None:
            yield Number(value, spelled=True)
        elif not word and not found["ordinal"]:
            yield _in_digits(found)
    if tens:
        yield Number(tens, spelled=True)


_TENS_WORDS: Final = frozenset(_TENS.split())


def _in_digits(found: re.Match[str]) -> Number:
    if found["spaced"]:
        return Number(float(found["spaced"].replace(" ", "")))
    if found["over"]:
        over, under = float(found["over"]), float(found["under"])
        return Number(over / under if under else over, 2, fraction=(over, under))
    return number(found["digits"], percent=bool(found["percent"]))


def number(digits: str, *, percent: bool = False) -> Number:
    """Read one match of `DIGITS`."""
    _, _, fraction = digits.partition(".")
    return Number(float(digits.replace(",", "")), len(fraction), percent)
