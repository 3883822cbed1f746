"""Instructions in fewer words, where a table of safe rules says how."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from frugal_chains.compression.prompt._diff import DiffView, diff_text
from frugal_chains.compression.prompt._edit import Edit, Found, RewriteRule, found_by
from frugal_chains.compression.prompt._fit import Count
from frugal_chains.compression.prompt._given import given_spans
from frugal_chains.compression.prompt._guarded import guarded_words
from frugal_chains.compression.prompt._language import language_of
from frugal_chains.compression.prompt._rules import RULES
from frugal_chains.errors import PromptError
from frugal_chains.text import Span, atoms

_PASSES: Final = 10
"""One shortening can make room for another. Texts that do not settle in so many passes are built to
keep on; they are left alone, so that rewriting twice is always rewriting once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One place where a rule was applied."""

    rule: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """A text, shortened or as it came, and what was done."""

    text: str
    before: str
    changes: tuple[Change, ...]
    """In the order applied; empty where the text is as it came."""
    tokens_before: int
    tokens_after: int
    reason: str
    """`shorter`; or why the text is as it came: `nothing found`, `no saving` (not fewer tokens),
    `protected` (an atom or a guarded word would have changed), `unsettled`, `off`."""

    @property
    def saved_tokens(self) -> int:
        return self.tokens_before - self.tokens_after

    def diff(self, view: DiffView = "words") -> str:
        """What changed, as a diff."""
        return diff_text(self.before, self.text, view)


def rewrite(
    text: str,
    count: Count,
    *,
    rules: Sequence[RewriteRule] = RULES,
    off: Collection[str] = (),
    language: str | None = None,
    patterns: Sequence[re.Pattern[str]] = (),
    enabled: bool = True,
) -> Rewritten:
    """Shorten instructions by rules that keep their meaning.

    Never touched: protected atoms (numbers, URLs, code, quotes, negations with what they negate,
    and the caller's patterns), and text that is given: examples, transcripts, templates. No guarded
    word (must, should, never, only, unless, ...) comes, goes or changes its place. Rewriting what
    was rewritten changes nothing, and there are never more tokens than before.

    For instructions. Not for documents or data, whose wording is the point.

    Args:
        text: A system prompt or a part of one.
        count: Tokens of a text.
        rules: The table; rules of your own can stand beside `RULES`.
        off: Names of rules that are not applied.
        language: Two letters. None: each paragraph's own, by its function words; rules of a
            language are not applied where the language is not clear.
        patterns: What else is a protected atom.
        enabled: False: the text as it came.

    Raises:
        PromptError: `off` names no rule: it would silently do nothing.
    """
    known = {rule.name for rule in rules}
    if unknown := sorted(set(off) - known):
        raise PromptError(f"no rule is named {unknown[0]!r}; there are {sorted(known)}")
    tokens = count(text)
    as_it_came = _unchanged(text, tokens)
    if not enabled:
        return as_it_came("off")
    applied = [rule for rule in rules if rule.name not in off]
    settled = _settled(text, applied, language, patterns)
    if settled is None:
        return as_it_came("unsettled")
    new, changes = settled
    if not changes:
        return as_it_came("nothing found")
    if not _same_guarded(text, new, patterns):
        return as_it_came("protected")
    if (fewer := count(new)) >= tokens:
        return as_it_came("no saving")
    return Rewritten(
        text=new,
        before=text,
        changes=tuple(changes),
        tokens_before=tokens,
        tokens_after=fewer,
        reason="shorter",
    )


def _unchanged(text: str, tokens: int) -> Callable[[str], Rewritten]:
    def because(reason: str) -> Rewritten:
        return Rewritten(
            text=text,
            before=text,
            changes=(),
            tokens_before=tokens,
            tokens_after=tokens,
            reason=reason,
        )

    return because


def _settled(
    text: str,
    rules: Sequence[RewriteRule],
    language: str | None,
    patterns: Sequence[re.Pattern[str]],
) -> tuple[str, list[Change]] | None:
    """The rules over and over, until they find nothing more; None: they do not come to an end."""
    changes: list[Change] = []
    for _ in range(_PASSES):
        edits = _allowed(text, rules, language, patterns)
        if not edits:
            return text, changes
        for edit, rule, _ in edits:
            old = text[edit.start : edit.end]
            changes.append(Change(rule=rule.name, before=old, after=edit.replacement))
        text = _applied(text, [found.edit for found in edits])
    return None


def _allowed(
    text: str,
    rules: Sequence[RewriteRule],
    language: str | None,
    patterns: Sequence[re.Pattern[str]],
) -> list[Found]:
    """What the rules find and may have, ascending, no two overlapping."""
    found = sorted(found_by(rules, text), key=lambda f: (f.edit.start, -f.edit.end, f.rank))
    if not found:
        return []
    protected = atoms(text, patterns)
    held = _Spans([(a.start, a.end) for a in protected])
    firm = _Spans([(a.start, a.end) for a in protected if a.kind != "negation"])
    given = _Spans(given_spans(text))
    languages = _Languages(text, language)
    allowed: list[Found] = []
    end = 0
    for each in found:
        edit = each.edit
        old = text[edit.start : edit.end]
        if (
            edit.start >= end
            and len(edit.replacement) < len(old)
            # A negation that begins the sentence now may have its capital: "Never share".
            and not held.touch(edit.start, edit.end - edit.capital)
            and not firm.touch(edit.start, edit.end)
            and (not each.rule.language or not given.touch(edit.start, edit.end))
            and (not each.rule.language or languages.at(edit.start) == each.rule.language)
            and guarded_words(old) == guarded_words(edit.replacement)
        ):
            allowed.append(each)
            end = edit.end
    return allowed


def _applied(text: str, edits: Sequence[Edit]) -> str:
    parts: list[str] = []
    at = 0
    for edit in edits:
        parts += (text[at : edit.start], edit.replacement)
        at = edit.end
    return "".join((*parts, text[at:]))


def _same_guarded(old: str, new: str, patterns: Sequence[re.Pattern[str]]) -> bool:
    """Whether the protected atoms and the guarded words are the same, in the same order."""
    if guarded_words(old) != guarded_words(new):
        return False
    return _protected(old, patterns) == _protected(new, patterns)


def _protected(text: str, patterns: Sequence[re.Pattern[str]]) -> list[str]:
    """Its atoms; negations without regard to case, which changes where a sentence begins."""
    held = ((text[a.start : a.end], a.kind) for a in atoms(text, patterns))
    return [each.casefold() if kind == "negation" else each for each, kind in held]


class _Spans:
    """Ascending spans that do not overlap, to be asked whether they touch another."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._starts = [start for start, _ in spans]
        self._ends = [end for _, end in spans]

    def touch(self, start: int, end: int) -> bool:
        """Whether one has a character in common with `start` to `end`."""
        last = bisect_right(self._starts, end - 1) - 1
        return last >= 0 and self._ends[last] > start


class _Languages:
    """The language of each paragraph, found out when asked for; else that of the whole text."""

    def __init__(self, text: str, fixed: str | None) -> None:
        self._text = text
        self._fixed = fixed
        self._starts = [0, *(m.end() for m in _PARAGRAPH.finditer(text))]
        self._known: dict[int, str] = {}

    def at(self, place: int) -> str:
        if self._fixed is not None:
            return self._fixed
        number = bisect_right(self._starts, place) - 1
        if number not in self._known:
            ends = self._starts[number + 1 : number + 2] or [len(self._text)]
            own = language_of(self._text[self._starts[number] : ends[0]])
            self._known[number] = own or self._of_all()
        return self._known[number]

    def _of_all(self) -> str:
        if -1 not in self._known:
            self._known[-1] = language_of(self._text)
        return self._known[-1]


_PARAGRAPH: Final = re.compile(r"\n[ \t\r]*\n")
