"""Payloads, and passages of payloads, that repeat an earlier one: a reference in their place.

    [same as output 2]
    [lines 4-19 of output 2 again, from "def parse(text):"]

Outputs are counted from 1 in the order given, lines from 1 in an output as it was before folding.
An earlier payload never changes because of a later one, so what a provider has cached stays valid.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from frugal_chains.compression.shape._shaped import Count
from frugal_chains.errors import ShapeError

_LONG_LINE = 200
"""Characters from which one line is a passage by itself; a reference has about a hundred."""
_RUN = 3
"""Lines that must agree before a passage is looked at."""
_LEAST_PASSAGE = 200
"""Characters of a passage below which a reference is hardly shorter."""
_WORDS_SHOWN = 24
"""Characters of the passage's first line that its reference shows: enough to find it by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """Texts with repetitions folded, in the order given."""

    texts: tuple[str, ...]
    """Those in which nothing repeats are the same objects as given."""
    tokens_before: int
    tokens_after: int
    folded: tuple[int, ...]
    """Indices of the texts that changed."""
    reason: str

    @property
    def saved_tokens(self) -> int:
        return self.tokens_before - self.tokens_after


def fold_duplicates(
    texts: Sequence[str], count: Count, *, label: str = "output", passages: bool = True
) -> Folded:
    """Fold what an earlier text of the sequence holds already; `unfold_duplicates` undoes it.

    Args:
        texts: Payloads in the order in which the model reads them.
        count: Tokens of a text: a reference is written only where it has fewer.
        label: What a payload is called in a reference; `output` for tool outputs.
        passages: Fold passages too, not only whole texts.

    Returns:
        The texts; all of them as given if one already holds what reads like a reference.
    """
    before = [count(text) for text in texts]
    marks = _Marks(label)
    if any(marks.hint in text and marks.found(text) for text in texts):
        return _result(texts, texts, before, before, "a text holds what reads like a reference")
    index = _Index()
    done: list[str] = []
    after: list[int] = []
    for number, text in enumerate(texts, 1):
        folded, tokens = text, before[number - 1]
        for candidate in _candidates(text, number, index, marks, count, passages):
            counted = count(candidate)
            if counted < tokens:
                folded, tokens = candidate, counted
        index.add(text, number, passages)
        done.append(folded)
        after.append(tokens)
    return _result(texts, done, before, after, "folded" if done != list(texts) else "no repetition")


def reads_like_reference(text: str, label: str = "output") -> bool:
    """Whether a line of it could be taken for one that `fold_duplicates` has written."""
    marks = _Marks(label)
    return marks.hint in text and marks.found(text)


def unfold_duplicates(texts: Sequence[str], *, label: str = "output") -> tuple[str, ...]:
    """The texts as they were before `fold_duplicates`; give it all of them, in the same order.

    Raises:
        ShapeError: A reference points at a text or line that is not there.
    """
    marks = _Marks(label)
    whole: list[str] = []
    for text in texts:
        found = marks.whole.fullmatch(text)
        if found:
            whole.append(_earlier(whole, int(found[1])))
        elif marks.hint in text:
            whole.append("\n".join([_unfolded(line, whole, marks) for line in text.split("\n")]))
        else:
            whole.append(text)
    return tuple(whole)


class _Marks:
    """References of one label: how they are written and found."""

    def __init__(self, label: str) -> None:
        name = re.escape(label)
        self.label = label
        self.hint = f"{label} "
        self.whole = re.compile(rf"\[same as {name} ([1-9][0-9]*)\]")
        self.part = re.compile(
            rf"\[lines? ([1-9][0-9]*)(?:-([1-9][0-9]*))? of {name} ([1-9][0-9]*) again, from "
            r'"[^\n]*"\]'
        )

    def found(self, text: str) -> bool:
        lines = text.split("\n")
        return any(self.whole.fullmatch(line) or self.part.fullmatch(line) for line in lines)

    def write(self, number: int, first: int, last: int, opening: str) -> str:
        lines = f"line {first}" if first == last else f"lines {first}-{last}"
        shown = opening.strip()[:_WORDS_SHOWN].strip()
        return f'[{lines} of {self.label} {number} again, from "{shown}"]'


class _Index:
    """Where every text, every run of lines and every long line stood first."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = []
        self.texts: dict[str, int] = {}
        self.runs: dict[tuple[str, ...], tuple[int, int]] = {}

    def add(self, text: str, number: int, passages: bool) -> None:
        first = self.texts.setdefault(text, number) == number
        lines = text.split("\n") if passages and first else []
        self.lines.append(lines)
        for at in range(len(lines)):
            for run in _runs_at(lines, at):
                self.runs.setdefault(run, (number, at))

    def longest(self, lines: list[str], at: int) -> tuple[int, int, int] | None:
        """Number, line and length of a passage that the lines at `at` repeat."""
        for run in _runs_at(lines, at):
            place = self.runs.get(run)
            if place is not None:
                number, start = place
                source = self.lines[number - 1]
                length = len(run)
                while (
                    at + length < len(lines)
                    and start + length < len(source)
                    and lines[at + length] == source[start + length]
                ):
                    length += 1
                return number, start, length
        return None


def _runs_at(lines: list[str], at: int) -> list[tuple[str, ...]]:
    """What is looked up for a line: it and the next ones, then it alone if it is long."""
    runs = [tuple(lines[at : at + _RUN])] if at + _RUN <= len(lines) else []
    return [*runs, (lines[at],)] if len(lines[at]) >= _LONG_LINE else runs


def _candidates(
    text: str, number: int, index: _Index, marks: _Marks, count: Count, passages: bool
) -> list[str]:
    if text in index.texts:
        return [f"[same as {marks.label} {index.texts[text]}]"]
    if not passages or number == 1:
        return []
    folded = _without_passages(text.split("\n"), index, marks, count)
    return [folded] if folded is not None else []


def _without_passages(lines: list[str], index: _Index, marks: _Marks, count: Count) -> str | None:
    kept: list[str] = []
    at = 0
    while at < len(lines):
        found = index.longest(lines, at)
        length = found[2] if found else 1
        passage = lines[at : at + length]
        kept += passage
        if found and sum(map(len, passage)) >= _LEAST_PASSAGE:
            number, start, _ = found
            mark = marks.write(number, start + 1, start + length, passage[0])
            if count(mark) < count("\n".join(passage)):
                kept[-length:] = [mark]
        at += length
    return "\n".join(kept) if len(kept) < len(lines) or kept != lines else None


def _unfolded(line: str, whole: list[str], marks: _Marks) -> str:
    found = marks.part.fullmatch(line)
    if found is None:
        return line
    first, last = int(found[1]), int(found[2] or found[1])
    lines = _earlier(whole, int(found[3])).split("\n")
    if not first <= last <= len(lines):
        raise ShapeError(f"{line!r} points at lines that are not there")
    return "\n".join(lines[first - 1 : last])


def _earlier(whole: list[str], number: int) -> str:
    if number > len(whole):
        raise ShapeError(f"a reference points at text {number}, but only {len(whole)} come before")
    return whole[number - 1]


def _result(
    given: Sequence[str],
    texts: Sequence[str],
    before: Sequence[int],
    after: Sequence[int],
    reason: str,
) -> Folded:
    return Folded(
        texts=tuple(texts),
        tokens_before=sum(before),
        tokens_after=sum(after),
        folded=tuple(i for i, (a, b) in enumerate(zip(given, texts, strict=True)) if a != b),
        reason=reason,
    )
