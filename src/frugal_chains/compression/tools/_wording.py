"""Descriptions in fewer words: only words go that tell nothing, or that the schema tells as well.

Numbers, names, conditions, negations and everything in quotes stay. Rules that change inner words
leave quoted passages alone; a description that holds code is only stripped of white space.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from frugal_chains.compression.tools._fields import words_of
from frugal_chains.text import terms

_MOST_CHARS: Final = 20_000
"""Longer texts are no descriptions: they are left as they are."""

_OPENING: Final = re.compile(
    r"(?:This|The) (?:function|tool|method|endpoint|operation|API|api)(?: call)?"
    r" (?:(?:is (?:used|designed|intended|meant)|can be used|allows? (?:you|the user|users|one)"
    r"|enables? (?:you|the user|users)|helps (?:you|the user|users)) to|will) (?=[a-z])"
    r"|(?:This|The) (?:function|tool|method|endpoint|operation)"
    r" (?=(?!is\b|was\b|has\b|does\b|requires?\b|needs\b)[a-z]+s\b)"
    r"|Use this (?:function|tool|method|endpoint|operation) to (?=[a-z])"
)
"""What every description of a tool could begin with."""
_INNER: Final = (
    (re.compile(r"\b[Ii]n order to\b"), "to"),
    (re.compile(r"\bwhether or not\b"), "whether"),
    (re.compile(r"\bdue to the fact that\b"), "because"),
    (re.compile(r"\bin the event that\b"), "if"),
    (re.compile(r"\b(?:[Pp]lease note|[Nn]ote|[Ii]t is important to note) that (?=\w)"), ""),
    (re.compile(r"(?<=\. )Note: (?=\w)"), ""),
)
_QUOTED: Final = re.compile(r"\"[^\"\n]*\"|`[^`\n]*`|(?<!\w)'[^'\n]*'(?!\w)|“[^”\n]*”")
_ARTICLE: Final = re.compile(r"(?:The|An?) (?!(?:or|and|to|in|is)\b)(?=[\w'\"`])")
_OF_TYPE: Final = {
    "string": r"string (?:that )?(?:representing|containing|specifying|indicating|represents"
    r"|contains|specifies|indicates) (?:the |an? )?",
    "boolean": r"(?:boolean |bool )?(?:flag|value|indicator|parameter)?(?: that| to)? ?"
    r"(?:indicating|indicates?|specifying|specif(?:y|ies)) (?=whether|if)",
    "integer": r"integer (?:value )?(?:representing|specifying|indicating) (?:the |an? )?",
    "number": r"number (?:representing|specifying|indicating) (?:the |an? )?",
    "array": r"(?:array|list) (?:containing|representing) (?:the )?",
}
"""What only repeats the type, at the beginning of a parameter's description."""
_TYPE_PATTERNS: Final = {
    name: re.compile(rf"(?:The |An? )?{pattern}", re.IGNORECASE)
    for name, pattern in _OF_TYPE.items()
}
_NEED: Final = {
    True: re.compile(r"^(?:\(required\)|Required[.:;,])\s+|\s*\(required\)(?=\.?$)", re.IGNORECASE),
    False: re.compile(
        r"^(?:\(optional\)|Optional[.:;,])\s+|\s*\(optional\)(?=\.?$)", re.IGNORECASE
    ),
}
_LISTING: Final = re.compile(
    r"(?:(?<=[.;] )|^)(?:(?:Possible|Allowed|Valid|Available|Supported|Accepted) (?:values|options"
    r"|choices)|Options|Choices|(?:Must|Can|Should) be(?: one of| either)?|One of|Either)\b"
    r"[^.;]*(?:[.;](?=\s|$)|$)"
)
_LISTING_WORDS: Final = re.compile(
    r"(?:possible|allowed|valid|available|supported|accepted|values?|options?|choices|must|can"
    r"|should|be|one|of|either|include|includes|are|is|the|following|and|or)\b|[\s,:.;'\"`()|/\[\]-]",
    re.IGNORECASE,
)


def tool_words(description: str) -> str:
    """A tool's description without what any tool's could begin with."""
    text = _plain(description)
    if text is None:
        return description
    return _upper(_OPENING.sub("", text, count=1)) if _OPENING.match(text) else text


def parameter_words(description: str, name: str, schema: dict[str, Any], *, needed: bool) -> str:
    """A parameter's description without what its name, its type and its schema say.

    Returns:
        The empty text where the name says it all.
    """
    text = _plain(description)
    if text is None:
        return description
    choices = schema.get("enum")
    if isinstance(choices, list):
        text = _LISTING.sub(lambda found: _unless_listed(found.group(), choices), text).strip()
    text = _NEED[needed].sub("", text)
    kind = schema.get("type")
    if isinstance(kind, str) and (pattern := _TYPE_PATTERNS.get(kind)):
        text = pattern.sub("", text, count=1) if pattern.match(text) else text
    text = _ARTICLE.sub("", text, count=1) if _ARTICLE.match(text) else text
    if text.endswith(".") and not text.endswith("..") and ". " not in text:
        text = text[:-1]
    said = frozenset(terms(words_of(name)))
    return "" if name and _says_only(text, said) else text


def restates_default(description: str, default: object) -> bool:
    """Whether a description gives this default, as `default is 5` or `(defaults to 'en')`."""
    if isinstance(default, (dict, list)):
        return False
    value = default if isinstance(default, str) else json.dumps(default)
    if not value or len(value) > 100:
        return False
    stated = r"\bdefaults?(?: value)?(?: is| are| to|:|=| of)*(?: set to)?\s*[\"'`“]?"
    pattern = rf"{stated}{re.escape(value)}(?:[\"'`”]|(?![\w.]*\w))"
    return re.search(pattern, description[:_MOST_CHARS], re.IGNORECASE) is not None


def _plain(description: str) -> str | None:
    """White space in order and idle phrases gone; None: not to be touched."""
    if len(description) > _MOST_CHARS:
        return None
    if "```" in description or ">>>" in description:
        return "\n".join(line.rstrip() for line in description.strip().splitlines())
    lines = [" ".join(line.split()) for line in description.splitlines()]
    text = re.sub(r"\n{2,}", "\n", "\n".join(lines)).strip()
    kept, pieces = 0, []
    for quoted in _QUOTED.finditer(text):
        pieces += [_shorter(text[kept : quoted.start()]), quoted.group()]
        kept = quoted.end()
    return "".join([*pieces, _shorter(text[kept:])])


def _shorter(text: str) -> str:
    for pattern, instead in _INNER:
        text = pattern.sub(instead, text)
    return text


def _unless_listed(sentence: str, choices: Sequence[object]) -> str:
    """Nothing where the sentence only lists the choices; else the sentence."""
    rest = sentence
    for choice in sorted((str(choice) for choice in choices), key=len, reverse=True):
        rest = rest.replace(choice, " ")
    return sentence if _LISTING_WORDS.sub("", rest) else ""


def _says_only(text: str, said: frozenset[str]) -> bool:
    """Whether every word is one of these, or an article or `of`."""
    words = terms(text)
    return all(word in said or word in {"the", "a", "an", "of"} for word in words) and (
        # Signs can tell something that no word does: `>= 0`.
        re.fullmatch(r"[\w\s.'-]*", text) is not None
    )


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
