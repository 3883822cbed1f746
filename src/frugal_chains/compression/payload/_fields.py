"""Fields of JSON: which of them a later step will hardly need.

A field is all values under the same keys: `flights.*.price` is one, however many flights there are.
What agents take out of an answer to hand it to the next call are ids, codes, names, dates and
amounts; addresses, time stamps and descriptions they rarely do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from frugal_chains.compression._json import Box, Item, parts_of

Field = tuple[str, ...]
"""The keys that lead to values; `*` is any element of a list, or any key that is data itself."""

ANY: Final = "*"

_ID: Final = re.compile(r"(?=.*\d)(?=.*[A-Za-z_])[\w\-]{3,}|[A-Z]{3,}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{2,4}")
_TIME: Final = re.compile(r"\d\d:\d\d(:\d\d)?|\d{4}-\d\d-\d\d[T ].*")
_ADDRESS: Final = re.compile(r"\S+@\S+|\w+://\S*")

_HANDED_ON: Final = re.compile(
    r"(^|_)(ids?|uuid|number|no|code|key|names?|dates?|dob|birthday|amount|prices?|cost|total|"
    r"quantity|count|balance|method|type|class|origin|destination|from|to|sku)(_|$)"
)
"""Names of fields whose values are arguments of other calls, in any interface."""
_TOLD_ONLY: Final = re.compile(
    r"(^|_)(created|updated|modified|timestamp|address\d*|street|zip|postal|province|state|country|"
    r"city|email|phone|fax|description|summary|note|comment|url|link|href|image|icon|status|seats|"
    r"times?|brand|locale|timezone|version|etag)(_|$)"
)
"""Names of fields that are read to a person, if at all."""
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LONG_WORDS: Final = 3


def fields_of(text: str, box: Box) -> dict[Field, list[Item]]:
    """Every field with its values, in the order of the text."""
    found: dict[Field, list[Item]] = {}
    for path, item in parts_of(box, 0):
        field = tuple(ANY if not key or _ID.fullmatch(key) else key for key in path)
        found.setdefault(field, []).append(item)
    return found


def worth(field: Field, values: Sequence[Any], query: str) -> float:
    """How likely a later step needs it: higher is likelier. `query` in small letters."""
    score = sum(map(_kind, values)) / len(values)
    names = [_CAMEL.sub("_", key).lower() for key in field if key != ANY]
    if names and _HANDED_ON.search(names[-1]):
        score += 1.0
    if any(map(_TOLD_ONLY.search, names)):
        score -= 1.5
    if any(len(text) > 2 and text.lower() in query for text in map(str, values)):
        score += 1.0
    return score


def _kind(value: Any) -> float:
    if value is None or isinstance(value, bool):
        return 1.0
    if isinstance(value, int | float):
        return 2.0
    text = str(value)
    for pattern, score in ((_DATE, 3.0), (_TIME, 1.0), (_ADDRESS, 0.5), (_ID, 3.0)):
        if pattern.fullmatch(text):
            return score
    return 1.5 if len(text.split()) <= _LONG_WORDS else 0.5
