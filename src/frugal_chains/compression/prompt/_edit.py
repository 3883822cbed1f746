"""One shortening: what a rule finds in a text, and what it puts there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple


class Edit(NamedTuple):
    """Replace `start` to `end` (exclusive, in characters)."""

    start: int
    end: int
    replacement: str
    capital: bool = False
    """The last character replaced is the first of the word behind, which gets its capital."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteRule:
    """A way to say the same with fewer tokens."""

    name: str
    """To switch it off by."""
    language: str
    """Two letters; empty: holds in all."""
    why: str
    """Why nothing is lost."""
    find: Callable[[str], Iterable[Edit]] | None = None
    """All it finds in a text."""
    first: frozenset[str] = frozenset()
    """The words, in lower case, that what it finds begins with: it is tried at those alone."""
    find_at: Callable[[str, int], Edit | None] | None = None
    """What it finds at one of them, by its place."""

    @classmethod
    def phrase(
        cls,
        name: str,
        pattern: str,
        replacement: str | Callable[[re.Match[str]], str],
        *,
        first: str,
        why: str,
        language: str = "en",
        starts: bool = False,
    ) -> RewriteRule:
        """A regular expression for some words, found in any case.

        A space in it stands for any white space with at most one line break. The case of its first
        letter goes over to what comes in its place; where that is nothing, to the word behind.

        Args:
            replacement: Text, or a function of the match.
            first: The words it can begin with, in lower case, parted by spaces.
            starts: Only where a sentence, a line or a point of a list begins.
        """
        compiled = re.compile(pattern.replace(" ", _GAP), re.IGNORECASE)

        def find_at(text: str, at: int) -> Edit | None:
            match = compiled.match(text, at)
            if match is None or (starts and not begins_sentence(text, at)):
                return None
            new = replacement if isinstance(replacement, str) else replacement(match)
            return _in_case(text, match, new)

        return cls(
            name=name, language=language, why=why, first=frozenset(first.split()), find_at=find_at
        )


class Found(NamedTuple):
    """What a rule would do."""

    edit: Edit
    rule: RewriteRule
    rank: int
    """Of the rule in its table; the first has 0."""


def found_by(rules: Sequence[RewriteRule], text: str) -> Iterator[Found]:
    """What the rules find, in no order but each rule's own."""
    by_first: dict[str, list[tuple[int, RewriteRule]]] = {}
    for rank, rule in enumerate(rules):
        for word in rule.first:
            by_first.setdefault(word, []).append((rank, rule))
        if rule.find:
            yield from (Found(edit, rule, rank) for edit in rule.find(text))
    # One walk over the words instead of one search for each rule.
    for match in _WORD.finditer(text) if by_first else ():
        for rank, rule in by_first.get(match[0].lower(), ()):
            edit = rule.find_at(text, match.start()) if rule.find_at else None
            if edit:
                yield Found(edit, rule, rank)


_WORD: Final = re.compile(r"\w+")
_GAP: Final = r"(?:[ \t]+(?:\r?\n[ \t]*)?|\r?\n[ \t]*)"
_BEFORE: Final = 24
_BEGINS: Final = re.compile(
    r"(?:[\r\n]|[.!?:;][\"'\u201d\u2019)\]*_]{0,3}[ \t]+)[ \t]*"
    r"(?:(?:[-*+\u2022>]|\d{1,3}[.)]|[A-Za-z][.)]|\(\w{1,3}\))[ \t]+)*(?:\*\*|__)?\Z"
)
_LOWER_WORD: Final = re.compile(r"[^\W\d_]+(?![\w.'\u2019-]*[A-Z_\d])")


def begins_sentence(text: str, at: int) -> bool:
    """Whether a sentence, a line, or a point of a list begins here."""
    before = text[max(at - _BEFORE, 0) : at]
    return bool(_BEGINS.search(before if at > _BEFORE else "\n" + before))


def _in_case(text: str, match: re.Match[str], new: str) -> Edit:
    """The edit with the case of what it replaces."""
    old, end = match[0], match.end()
    first = next((c for c in old if c.isalpha()), "")
    if len(old) > 1 and old.isupper():
        return Edit(match.start(), end, new.upper())
    if not first.isupper():
        return Edit(match.start(), end, new)
    if new:
        return Edit(match.start(), end, new[0].upper() + new[1:])
    behind = _LOWER_WORD.match(text, end)
    if behind and behind[0].islower():
        return Edit(match.start(), end + 1, text[end].upper(), capital=True)
    return Edit(match.start(), end, "")
