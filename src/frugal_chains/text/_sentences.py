"""Sentences of a text in many languages, in one pass and linear time.

Built for prose, transcripts, Markdown and program output: a line that is an item, a heading, a row
of a table, a turn of a speaker or a log entry is a unit of its own; a line that was only wrapped is
not. No boundary lies inside an atom of `atoms` (patterns of the user aside).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from operator import attrgetter
from typing import TypeAlias

from frugal_chains.text._atoms import Atom, atoms_within
from frugal_chains.text._blocks import Block, blocks
from frugal_chains.text._stops import ends_sentence, wide

Span: TypeAlias = tuple[int, int]
"""Start and end (exclusive) of a stretch of text, in characters."""

MAX_SENTENCE = 1000
"""Characters that a sentence may have before it is cut at a pause: about 250 tokens, so that a
budget of a few hundred can be met. One without a place to cut at stays whole."""

_WRAPPED = 40
_WRAPPED_WIDE = 15
"""Columns that a line has at the least if it ends where the writer's editor wrapped it."""
_RAGGED = 8
"""Columns by which wrapped lines may be shorter than the widest without a reason."""
_PARAGRAPH = 20_000
"""Characters that are looked through for the width of a paragraph's lines."""

# A set of characters first, so that `re` skips to the next of them.
_CANDIDATE = re.compile(
    r"[.!?…。！？；｡．।॥؟۔։።။។\n\r\u2028\u2029]"
    r"(?:(?<=[\n\r\u2028\u2029])\s*+"
    r"|[.!?…。！？；｡．‼⁇⁈⁉]*+"
    r"(?:[ \xa0\u202f]?»|[\"'”’)\]}*」』】）》›]|[_“](?=\s|\Z))*+(?:\[\d{1,3}\])*+)"
)
_BREAKS = "\n\r\u2028\u2029"
_CONTENT = re.compile(r"\S")
_WORD = re.compile(r"\S{0,60}")
_ONE_LINE = (
    r"\#{1,6}[ \t]|\||={3}|-{3}|_{3}|\*{3}|`{3}|~{3}|[\[{}\]]|</?[A-Za-z!]"
    r"|\d{4}-\d\d-\d\d|\d\d?:\d\d|\"[^\"\n]{1,60}+\"\s?:"
)
_SPEAKER = (
    r"\*{0,2}[A-Z@][\w.'’*\-]{0,40}+(?:[ ][\w.'’()*\-]{1,40}+){0,3}:(?!\S)"
    r"|[\u3040-\u9fff]{1,12}+："
)
_ITEM = r"[-*+•‣◦·▪–—][ \t]|>|\(?\d{1,3}[.)][ \t]|\(?[a-z]\)[ \t]|\([A-Z]\)|\(?[ivx]{1,4}[.)][ \t]"
_LINE_HEAD = re.compile(rf"(?:{_ONE_LINE}|{_ITEM}|{_SPEAKER})")
_ALONE = re.compile(rf"(?:{_ONE_LINE})")
_PART = re.compile(rf"(?:{_ITEM}|{_SPEAKER})")
_KEY = re.compile(r"[a-z][\w.\-]{0,40}+:(?!\S)")
_PAUSE = re.compile(r"[;；]\s*+|[,，、]\s*+|\s++")
_PAUSE_RANK = {";": 2, "；": 2, ",": 1, "，": 1, "、": 1}


def sentences(text: str) -> list[Span]:
    """Spans of the sentences: ascending, none empty, none overlapping, only white space between.

    A sentence keeps its stop and the quotes and brackets that close behind it. Fenced code and
    quoted strings are never cut, except a block of more than 2,000 characters, which is cut at its
    lines. A sentence of more than 1,000 characters is cut at `;`, a comma or white space. Takes any
    string, lone surrogates and NUL too.
    """
    held = blocks(text)
    spans: list[Span] = []
    start = 0
    for cut in [*_cuts(text, held), len(text)]:
        content = _CONTENT.search(text, start, cut)
        if content is not None:
            first = content.start()
            last = first + len(text[first:cut].rstrip())
            if last - first > MAX_SENTENCE:
                spans.extend(_pieces(text, first, last, held))
            else:
                spans.append((first, last))
        start = cut
    return spans


def _cuts(text: str, held: list[Block]) -> list[int]:
    """Where sentences end, ascending."""
    lines = _Lines(text)
    cuts: list[int] = []
    start = block = 0
    stopped = -1  # behind the last stop that ended nothing: an abbreviation
    for match in _CANDIDATE.finditer(text):
        at, end = match.span()
        run = match.group()
        while block < len(held) and held[block].end <= at:
            block += 1
        if run[0] in _BREAKS:
            inside = block < len(held) and held[block].start < at
            if not inside and (
                _code_line(held, block, end) or lines.end(at, end, run, open_=at == stopped)
            ):
                cuts.append(at)
                start = end
            lines.start = end
            continue
        if _held(held, block, end):
            continue
        if ends_sentence(text, start, at, end, run):
            cuts.append(end)
            start = end
        else:
            stopped = end
    return cuts


def _held(held: list[Block], block: int, end: int) -> bool:
    """Whether a block goes on at `end`; `block` is the first that ends behind the stop."""
    while block < len(held) and held[block].start < end:
        if held[block].end > end:
            return True
        block += 1
    return False


def _code_line(held: list[Block], block: int, end: int) -> bool:
    """Whether a line of a long fenced block begins at `end`."""
    return block < len(held) and held[block].kind == "line" and held[block].start == end


class _Lines:
    """Decides of line breaks, from first to last, whether a sentence ends there."""

    __slots__ = ("_known", "_text", "_width", "start")

    def __init__(self, text: str) -> None:
        self._text = text
        self.start = 0  # of the line that is being read, behind its indentation
        self._known = 0  # how far `_width` holds
        self._width = 0

    def end(self, at: int, after: int, run: str, *, open_: bool) -> bool:
        """Whether the break `run`, from `at` to `after`, ends a sentence.

        `open_`: right before it is a stop that ended none, so that more has to come.
        """
        text = self._text
        if (run.count("\n") or run.count("\r") or 2 * run.count("\u2029")) > 1:
            return True
        if after >= len(text) or at <= self.start:
            return True
        if _LINE_HEAD.match(text, after) or _ALONE.match(text, self.start):
            return True
        if open_:
            return False
        last = text[self.start : at].rstrip()[-1:]
        if last in ":{};|":
            return True
        length = at - self.start
        if text[after].islower():
            return _KEY.match(text, after) is not None and (
                length < _WRAPPED or _KEY.match(text, self.start) is not None
            )
        if len(run) > 4 and _PART.match(text, self.start) is None:
            return True  # indented by four or more below a line that has no parts
        return not self._wrapped(at, after, last)

    def _wrapped(self, at: int, after: int, last: str) -> bool:
        """Whether the next word had no room in the line: then the break means nothing."""
        text = self._text
        length = at - self.start
        if wide(last) and wide(text[after]):
            return length >= _WRAPPED_WIDE and length + 3 >= self._widest(at)
        if length < _WRAPPED:
            return False
        word = _WORD.match(text, after)
        room = length + 1 + (len(word.group()) if word is not None else 0)
        return room + _RAGGED > self._widest(at)

    def _widest(self, at: int) -> int:
        """Columns of the widest line of the paragraph."""
        if at >= self._known:
            stop = self._text.find("\n\n", at, at + _PARAGRAPH)
            self._known = stop if stop >= 0 else min(at + _PARAGRAPH, len(self._text))
            self._width = max(map(len, self._text[self.start : self._known].split("\n")))
        return self._width


def _pieces(text: str, first: int, last: int, blocked: list[Block]) -> list[Span]:
    """A long sentence cut at pauses, the strongest that lies within reach, never in an atom."""
    near = (
        bisect_left(blocked, first, key=attrgetter("start")),
        bisect_left(blocked, last, key=attrgetter("start")),
    )
    held = atoms_within(text, first, last, blocked[near[0] : near[1]])
    starts = [atom.start for atom in held]
    spans: list[Span] = []
    start = first
    best: tuple[int, int, int] | None = None  # rank, where a piece ends, where the next begins
    for pause in _PAUSE.finditer(text, first, last):
        at, after = pause.span()
        if best is not None and at - start > MAX_SENTENCE:
            spans.append((start, best[1]))
            start, best = best[2], None
        rank = _PAUSE_RANK.get(text[at], 0)
        end = at + 1 if rank else at
        if end <= start or after >= last or _inside(held, starts, end):
            continue
        if best is None or rank >= best[0] or best[1] - start < MAX_SENTENCE // 2:
            best = (rank, end, after)
    if best is not None and last - start > MAX_SENTENCE:
        spans.append((start, best[1]))
        start = best[2]
    spans.append((start, last))
    return spans


def _inside(held: list[Atom], starts: list[int], place: int) -> bool:
    """Whether an atom goes on over a place; `starts` are those of `held`."""
    here = bisect_left(starts, place) - 1
    return here >= 0 and held[here].end > place
