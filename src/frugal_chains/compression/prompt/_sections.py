"""A system prompt as named sections, and how to cut one into them.

Cutting loses nothing: the texts of the sections, one behind the other, are the prompt.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from frugal_chains.errors import PromptError

SectionStyle = Literal["auto", "markdown", "xml", "numbered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSection:
    """A part of a system prompt that may be sent or left out as a whole."""

    name: str
    text: str
    """As it is sent, its heading or tags with it."""
    always: bool = False
    """Never left out."""
    optional: bool = False
    """The rules in it bind only what it describes, so it may be left out, rules and all. Without
    this word of the author's, a section that forbids, obliges or fixes a format is kept."""
    when: tuple[str, ...] = ()
    """Words or phrases; a request that holds one of them needs the section."""

    def __post_init__(self) -> None:
        if self.always and self.optional:
            raise PromptError(f"section {self.name!r} is both always and optional; choose one")


class _Cut(NamedTuple):
    """A section begins here. An empty name: text that belongs to no section."""

    at: int
    name: str


_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)?")
_FENCE: Final = re.compile(r" {0,3}(```+|~~~+)")
_HEADING: Final = re.compile(r" {0,3}(#{1,6})[ \t]+([^\r\n]*)")
_BOLD_HEADING: Final = re.compile(r"(?:\*\*|__)([^*_\r\n]{1,80})(?:\*\*|__):?[ \t]*$", re.MULTILINE)
_BOLD_LEVEL: Final = 7
"""Below every `#` heading."""
_NUMBERED: Final = re.compile(r"(?:section|step|part)?[ ]?(\d{1,3})[.):][ \t]+(\S[^\r\n]*)", re.I)
_OPEN_TAG: Final = re.compile(r"<([A-Za-z][\w.-]{0,60})(?:\s[^<>\r\n]*)?>")
_CLOSE_TAG: Final = re.compile(r"</([A-Za-z][\w.-]{0,60})\s*>")
_NAME_CHARS: Final = 80


def parse_sections(
    prompt: str,
    *,
    style: SectionStyle = "auto",
    level: int | None = None,
    optional: Collection[str] = (),
    always: Collection[str] = (),
) -> tuple[PromptSection, ...]:
    """Cut a prompt at its headings, at its outermost tags, or at its numbered points.

    Text in front of the first heading, and text outside tags, is a section without a name that is
    always kept. Headings inside code fences and inside tags are no headings.

    Args:
        prompt: Any text.
        style: `auto` takes tags where there are two and no heading stands outside them, then
            headings, then numbered points.
        level: For headings: cut at this level (1 to 6, 7: bold lines) and above. None: at the
            highest level of which there are two or more.
        optional: Names of sections that may be left out, rules and all; see `PromptSection`.
        always: Names of sections that are always kept.

    Returns:
        One section where nothing to cut at is found; none for an empty prompt. The texts joined
        are the prompt.

    Raises:
        PromptError: A name in `optional` or `always` is no section's: it would silently do nothing.
    """
    cuts = _CUTTERS[style](prompt, level) if prompt else []
    sections = tuple(_sections(prompt, cuts))
    known = {section.name for section in sections}
    missing = sorted({*optional, *always} - known)
    if missing:
        raise PromptError(f"no section is named {missing[0]!r}; there are {sorted(known)}")
    return tuple(
        replace(s, always=s.always or s.name in always, optional=s.name in optional)
        for s in sections
    )


def join_sections(sections: Sequence[PromptSection]) -> str:
    """Their texts in this order; a blank line goes where one does not end its last line."""
    parts: list[str] = []
    for section in sections:
        if parts and parts[-1] and not parts[-1].endswith(("\n", "\r")):
            parts.append("\n\n")
        if section.text:
            parts.append(section.text)
    return "".join(parts)


def _sections(prompt: str, cuts: Sequence[_Cut]) -> Iterator[PromptSection]:
    starts = list(cuts)
    if not prompt:
        return
    if not starts or starts[0].at > 0:
        starts.insert(0, _Cut(0, ""))
    ends = [cut.at for cut in starts[1:]] + [len(prompt)]
    for cut, end in zip(starts, ends, strict=True):
        yield PromptSection(name=cut.name, text=prompt[cut.at : end], always=not cut.name)


class _Line(NamedTuple):
    at: int
    text: str
    tag_depth: int
    """Inside how many of the outermost tag; 0: outside."""
    opens: str
    """The name of the outermost tag that opens at the start of this line."""
    closes: bool
    """The outermost tag closes in this line."""


def _lines(prompt: str) -> Iterator[_Line]:
    """Lines outside code fences, with the outermost tag they stand in."""
    last_close = {found[1]: found.start() for found in _CLOSE_TAG.finditer(prompt)}
    fence, tag, depth = "", "", 0
    for found in _LINE.finditer(prompt):
        text, at = found[0], found.start()
        if not text:
            continue
        mark = _FENCE.match(text) if text.lstrip(" ")[:1] in ("`", "~") else None
        if fence:
            if mark and mark[1].startswith(fence) and not text[mark.end() :].strip():
                fence = ""
            continue
        if mark:
            fence = mark[1]
            continue
        opens, inside = "", depth
        begun = _OPEN_TAG.match(text)
        if not depth and begun and last_close.get(begun[1], -1) > at:
            opens = tag = begun[1]
        if tag and "<" in text:
            depth += sum(m[1] == tag for m in _OPEN_TAG.finditer(text))
            depth -= sum(m[1] == tag for m in _CLOSE_TAG.finditer(text))
            depth = max(depth, 0)
        closes = bool(tag) and depth == 0
        yield _Line(at, text, inside, opens, closes)
        if closes:
            tag = ""


def _tags(prompt: str, level: int | None = None) -> list[_Cut]:
    cuts: list[_Cut] = []
    outside = False
    for line in _lines(prompt):
        if line.opens:
            cuts.append(_Cut(line.at, line.opens))
        elif outside and not line.tag_depth and line.text.strip():
            cuts.append(_Cut(line.at, ""))
            outside = False
        if line.opens or line.tag_depth:
            outside = line.closes
    return cuts


def _headings(prompt: str, level: int | None = None) -> list[_Cut]:
    found: list[tuple[int, _Cut]] = []
    for line in _lines(prompt):
        if line.tag_depth or line.opens:
            continue
        if heading := _HEADING.match(line.text):
            name = heading[2].strip().rstrip("#").strip()
            found.append((len(heading[1]), _Cut(line.at, _short(name))))
        elif heading := _BOLD_HEADING.match(line.text):
            found.append((_BOLD_LEVEL, _Cut(line.at, _short(heading[1].strip().rstrip(":")))))
    if level is not None:
        return [cut for depth, cut in found if depth <= level]
    often = Counter(depth for depth, _ in found)
    level = min((depth for depth, n in often.items() if n > 1), default=0)
    # A heading above the level that is cut at is a section like the others, but a title in front of
    # all of them belongs to what comes before them.
    first = min((cut.at for depth, cut in found if depth == level), default=len(prompt))
    return [cut for depth, cut in found if depth == level or (depth < level and cut.at > first)]


def _numbers(prompt: str, level: int | None = None) -> list[_Cut]:
    cuts: list[_Cut] = []
    for line in _lines(prompt):
        found = _NUMBERED.match(line.text)
        # Points count on from 1; another 1 further on is a list inside one of them.
        if found and not line.tag_depth and int(found[1]) == len(cuts) + 1:
            cuts.append(_Cut(line.at, _short(found[2].strip())))
    return cuts if len(cuts) > 1 else []


def _any(prompt: str, level: int | None = None) -> list[_Cut]:
    tags, headings = _tags(prompt), _headings(prompt, level)
    named = [cut for cut in tags if cut.name]
    if len(named) > 1 and not headings:
        return tags
    return headings or _numbers(prompt)


def _short(name: str) -> str:
    """A name for reports; what is numbered is often a whole paragraph."""
    return name if len(name) <= _NAME_CHARS else name[: _NAME_CHARS - 1].rstrip() + "…"


_CUTTERS: Final[dict[str, Callable[[str, int | None], list[_Cut]]]] = {
    "auto": _any,
    "markdown": _headings,
    "xml": _tags,
    "numbered": _numbers,
}
