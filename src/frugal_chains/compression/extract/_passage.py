"""What is extracted from, and the parts it is made of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from frugal_chains.compression._json import Box, parts_of, read_json
from frugal_chains.text import Span, sentences

Kind = Literal["prose", "dialogue", "json"]

_COLONS: Final = ":\uff1a"
_NAME: Final = r"[^\s:\uff1a][^:\uff1a\n]{0,59}(?:\([^():\uff1a\n]{1,120}\)[^\S\n]*)?"
"""Minutes of parliaments give a speaker's office or constituency behind the name."""
_TURN: Final = re.compile(rf"^[^\S\n]*({_NAME})(?::(?=\s)|\uff1a)", re.MULTILINE)
_SPEAKER: Final = re.compile(rf"\s*({_NAME})[:\uff1a]\s*")
_FEWEST_TURNS: Final = 6
"""Turns, and each speaker twice on average: fewer may be a list of terms."""
RECORD_CHARS: Final = 600
"""A record of JSON as short as this is kept or left out as one."""
_SECTION_UNITS: Final = 12
"""A passage of retrieval is shorter; of a longer text, so many sentences are about one thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A text that was found: a document, a node, a tool's output, a transcript or a turn of one."""

    text: str
    label: str = ""
    """What is written before its text to cite it by, such as "[3] Title" and a line break. It is
    kept as it is where anything of the text is kept, and counts in the budget."""
    tail: str = ""
    """What is written after its text, such as metadata or a closing tag: kept and counted alike."""

    @property
    def beside(self) -> str:
        """All that is written with its text."""
        return f"{self.label}\n{self.tail}" if self.tail else self.label

    def shown(self, text: str) -> str:
        """As it will stand in the prompt, where `text` is kept of it."""
        return self.label + text + self.tail


class Source(NamedTuple):
    """A passage, and how it is read."""

    passage: Passage
    kind: Kind
    box: Box | None = None
    """Of JSON."""


class Unit(NamedTuple):
    """The least that is kept or dropped: a sentence, a turn of a dialogue, a part of JSON."""

    passage: int
    span: Span
    section: int
    """Counted over all passages."""
    speaker: str | None = None
    """Of a turn."""
    path: str = ""
    """Of a part of JSON: the keys that lead to it."""


def read_sources(passages: Sequence[Passage], kind: Kind | None) -> list[Source]:
    """How each passage is read. `kind` None: told from the texts."""
    if kind is None and _are_turns(passages):
        kind = "dialogue"
    return [_source(passage, kind) for passage in passages]


def units_of(sources: Sequence[Source], patterns: Sequence[re.Pattern[str]] = ()) -> list[Unit]:
    """The units of all passages, in order; none ends inside of what a pattern matches."""
    found: list[Unit] = []
    section = -1
    for number, source in enumerate(sources):
        parts = list(_parts(source))
        if patterns and source.box is None:
            parts = _joined(parts, source.passage.text, patterns)
        for first, last in _sections(len(parts)):
            section += 1
            found += [
                Unit(passage=number, span=span, section=section, speaker=speaker, path=path)
                for speaker, path, span in parts[first:last]
            ]
    return found


def section_texts(sources: Sequence[Source], units: Sequence[Unit]) -> list[str]:
    """The text of each section with what stands beside it: what an embedder is given."""
    begin: dict[int, Unit] = {}
    end: dict[int, Unit] = {}
    for unit in units:
        begin.setdefault(unit.section, unit)
        end[unit.section] = unit
    texts = []
    for section, unit in begin.items():
        passage = sources[unit.passage].passage
        texts.append(passage.shown(passage.text[unit.span[0] : end[section].span[1]]))
    return texts


def _source(passage: Passage, kind: Kind | None) -> Source:
    if kind in (None, "json") and (box := read_json(passage.text)) is not None:
        return Source(passage, "json", box)
    if kind == "dialogue" or (kind is None and _has_turns(passage.text)):
        return Source(passage, "dialogue")
    return Source(passage, "prose")


def _are_turns(passages: Sequence[Passage]) -> bool:
    """Whether each passage is a turn, and its label who speaks."""
    found = [_SPEAKER.fullmatch(each.label) for each in passages]
    return all(found) and _alternate(Counter(each.group(1) for each in found if each))


def _has_turns(text: str) -> bool:
    """Whether a text is the turns of some speakers, each `Name: words` on lines of its own."""
    if sum(map(text.count, _COLONS)) < _FEWEST_TURNS:
        return False
    speakers = Counter(name.strip() for name in _TURN.findall(text))
    if not _alternate(speakers):
        return False
    lines = sum(1 for line in text.splitlines() if line.strip())
    return speakers.total() * 2 > lines


def _alternate(speakers: Counter[str]) -> bool:
    return speakers.total() >= _FEWEST_TURNS and speakers.total() >= 2 * len(speakers)


_Part = tuple[str | None, str, Span]
"""Speaker, path and span of a unit."""


def _parts(source: Source) -> Iterator[_Part]:
    text = source.passage.text
    if source.box is not None:
        parts = parts_of(source.box, RECORD_CHARS)
        return ((None, " ".join(filter(None, path[:-1])), item.span) for path, item in parts)
    if source.kind == "dialogue":
        return ((speaker, "", span) for speaker, span in _turns(source.passage))
    return ((None, "", span) for span in sentences(text))


def _joined(parts: Sequence[_Part], text: str, patterns: Sequence[re.Pattern[str]]) -> list[_Part]:
    """The parts, those made one that a match goes across."""
    matches = sorted(found.span() for pattern in patterns for found in pattern.finditer(text))
    joined: list[_Part] = []
    at, reach = 0, 0
    for speaker, path, (start, end) in parts:
        if joined and reach > start:
            first = joined[-1]
            joined[-1] = (first[0], first[1], (first[2][0], end))
        else:
            joined.append((speaker, path, (start, end)))
        while at < len(matches) and matches[at][0] < end:
            reach = max(reach, matches[at][1])
            at += 1
    return joined


def _turns(passage: Passage) -> list[tuple[str, Span]]:
    text = passage.text
    starts = [(found.start(), found.group(1).strip()) for found in _TURN.finditer(text)]
    if passage.label or not starts or text[: starts[0][0]].strip():
        starts = [(0, passage.label)] if passage.label else [(0, ""), *starts]
    ends = [start for start, _ in starts[1:]] + [len(text)]
    spans = [
        (speaker, _stripped(text, start, end))
        for (start, speaker), end in zip(starts, ends, strict=True)
    ]
    return [(speaker, span) for speaker, span in spans if span[0] < span[1]]


def _stripped(text: str, start: int, end: int) -> Span:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def _sections(count: int) -> list[tuple[int, int]]:
    """Stretches of nearly equal numbers of units."""
    parts = -(-count // _SECTION_UNITS)
    return [(count * n // parts, count * (n + 1) // parts) for n in range(parts)]
