"""`Summary`: what is kept of dropped messages, in sections; its text, and a tolerant reader."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

Section: TypeAlias = Literal["narrative", "facts", "decisions", "open_tasks", "identifiers"]
SECTIONS: Final[tuple[Section, ...]] = get_args(Section)
"""In the order of the text. The narrative comes first: it needs no heading there."""

HEADINGS: Final[dict[Section, str]] = {
    "narrative": "Notes",
    "facts": "Facts",
    "decisions": "Decisions",
    "open_tasks": "Open",
    "identifiers": "Ids",
}
"""How our own text names a section: two or three tokens of o200k_base, colon and line break
included."""

PIN: Final = "! "
"""Before a line that never leaves. Only code pins, never a model (`unpinned`)."""

# What models call the sections, beside our own names. Collected by hand.
_OTHER_NAMES: Final[dict[Section, str]] = {
    "narrative": "narrative|summary|conversation summary|overview|background|context|history|story",
    "facts": "key facts|user facts|important facts|known facts|facts and preferences|preferences"
    "|user preferences|fakten|faits|hechos",
    "decisions": "key decisions|decisions made|decisions and actions|done|completed|completed tasks"
    "|actions taken|entscheidungen|décisions|decisiones",
    "open_tasks": "open tasks|open items|open questions|open requests|open issues|tasks|todo|todos"
    "|to do|to-do|next steps|pending|pending tasks|remaining tasks|offen|offene aufgaben",
    "identifiers": "identifiers|key identifiers|ids and values|identifiers and values"
    "|important identifiers|references|kennungen",
}
_SECTION_OF: Final[dict[str, Section]] = {
    **{HEADINGS[section].casefold(): section for section in SECTIONS},
    **{name: section for section, names in _OTHER_NAMES.items() for name in names.split("|")},
}
_LONGEST_NAME: Final = max(map(len, _SECTION_OF))

_BREAKS: Final = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
"""What `str.splitlines` ends a line at, and nothing else."""
_BULLET: Final = re.compile(r"[-*+•‣◦·–—][ \t]+")  # noqa: RUF001 - marks that models use
_LITERAL: Final = "> "
"""Before a line of our own text that the reader would take for something else."""
_DECORATION: Final = re.compile(r"\A(?:\#{1,6}\s*|\d{1,2}[.)]\s+)?[*_<\[]*")
_COLONS: Final = ":\uff1a"
_AFTER_NAME: Final = re.compile(
    rf"\A\s*(?:\([^()]{{0,40}}\))?\s*(?P<end>[{_COLONS}*_>\]]*)\s*(?P<rest>.*)", re.S
)
_NO_LINE: Final = re.compile(r"\A(?:`{3,}\s*[\w+-]{0,20}|~{3,}|[-=_*]{3,}|</?\w{1,20}>|\.{3,}|…)\Z")
_EMPTY: Final = "none|none.|(none)|n/a|nothing|nothing.|no open tasks|-|—|keine|aucun|ninguno"
_NOTHING: Final = frozenset(_EMPTY.split("|"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is known of messages that are no longer sent, in lines.

    Lines are cleaned when it is made: line breaks become blanks, and lines that say nothing
    (empty, "none") or the same as an earlier one of their section are left out. Every other byte
    stays as it was given.
    """

    facts: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    """What was decided, and what was done."""
    open_tasks: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    """Verbatim, to the character."""
    narrative: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for section in SECTIONS:
            object.__setattr__(self, section, _clean(self.of(section)))

    def of(self, section: Section) -> tuple[str, ...]:
        """The lines of one section."""
        lines: tuple[str, ...] = getattr(self, section)
        return lines

    def lines(self) -> Iterator[tuple[Section, str]]:
        """Every line with its section, in the order of the text."""
        for section in SECTIONS:
            for line in self.of(section):
                yield section, line

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return any(map(self.of, SECTIONS))

    def text(self) -> str:
        """The canonical form, of few tokens; `parse_summary` reads the same summary from it."""
        parts: list[str] = []
        for section in SECTIONS:
            lines = self.of(section)
            if lines and section != "narrative":
                parts.append(f"{HEADINGS[section]}:")
            parts.extend(map(_literal, lines))
        return "\n".join(parts)

    def unpinned(self) -> Summary:
        """The same without marks of pinning: for text that a model has written."""
        return Summary(**{s: tuple(map(_bare, self.of(s))) for s in SECTIONS})


def is_pinned(line: str) -> bool:
    """Whether a line may never leave."""
    return line.startswith(PIN)


def pinned(line: str) -> str:
    """The line, marked so that no merge drops it."""
    return line if is_pinned(line) else PIN + line


def unmarked(line: str) -> str:
    """The line without its mark of pinning."""
    return line[len(PIN) :].lstrip() if is_pinned(line) else line


def parse_summary(text: str) -> Summary:
    """Reads a summary: our own form exactly, and what models make of it as well as can be.

    Sections may be missing, named otherwise, in any order, more than once, as Markdown headings,
    in bold, or with their text on the same line. Lines before the first heading are narrative, and
    so is plain prose. Never raises, whatever the text; the time is linear in it.
    """
    found: dict[Section, list[str]] = {section: [] for section in SECTIONS}
    section: Section = "narrative"
    for raw in _BREAKS.split(text):
        named, line = _read(raw)
        section = named or section
        if line:
            found[section].append(line)
    return Summary(**{name: tuple(lines) for name, lines in found.items()})


def _read(raw: str) -> tuple[Section | None, str]:
    """The section that a line of text opens, if it does, and what else it says."""
    line = raw.strip()
    if line.startswith(_LITERAL):
        return None, line[len(_LITERAL) :]
    if _NO_LINE.match(line) is not None and _tag(line) is None:
        return None, ""
    bullet = _BULLET.match(line)
    said = line[bullet.end() :] if bullet is not None else line
    # A point is a heading only where it stands out: "- Done: the flight" is a line.
    if bullet is None or said.startswith(("**", "__")):
        heading = _heading(said)
        if heading is not None:
            return heading
    return None, said


def _tag(line: str) -> Section | None:
    return _SECTION_OF.get(line[1:-1].casefold()) if line.startswith("<") else None


def _heading(line: str) -> tuple[Section, str] | None:
    """Section and the rest of the line, where it begins with a section's name as a heading does."""
    start = _DECORATION.match(line)
    begin = start.end() if start is not None else 0
    stop = begin
    limit = min(len(line), begin + _LONGEST_NAME)
    while stop < limit and (line[stop].isalpha() or line[stop] in " -"):
        stop += 1
    name = line[begin:stop].strip().casefold()
    section = _SECTION_OF.get(name)
    if section is None:
        return None
    after = _AFTER_NAME.match(line[stop:])
    if after is None or (after["rest"] and not after["end"]):
        return None
    return section, after["rest"].strip()


def _literal(line: str) -> str:
    """The line as the text has it: marked where the reader would not read the same."""
    return line if _read(line) == (None, line) else _LITERAL + line


def _bare(line: str) -> str:
    while is_pinned(line):
        line = unmarked(line)
    return line


def _clean(lines: Iterable[str]) -> tuple[str, ...]:
    """Each on one line, none that says nothing, none twice."""
    kept: dict[str, None] = {}
    for line in lines:
        whole = _BREAKS.sub(" ", line).strip()
        if whole and whole.casefold() not in _NOTHING:
            kept.setdefault(whole)
    return tuple(kept)
