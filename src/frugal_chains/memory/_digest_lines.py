"""What a digest may say: the lines that dropped messages offer, each with what it tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from frugal_chains.facts import MessageFacts, ToolCallFacts
from frugal_chains.memory import _digest_cues as cues
from frugal_chains.memory._digest_tools import call_line
from frugal_chains.memory._digest_words import COMMON, NAME, WEIGHTS, Spoken, weight
from frugal_chains.memory._summary import Section, unmarked
from frugal_chains.text import Atom, atoms, content_terms, sentences

LOOKED_AT: Final = 30_000
"""Characters of a message that are looked at from either end. What lies between is found by
recall; a message of 5 MB must not hold up a turn."""

MAX_LINE: Final = 320
"""Characters of a line: about 80 tokens. What is longer is cut to its telling clauses, or left."""

MAX_ATOM: Final = 80
"""Characters of an id, a path or an address that is listed on its own."""

LISTED: Final = frozenset(("id", "email", "url", "path", "ip"))
"""Kinds that are listed on their own when no line holds them."""

_PAUSES: Final = (", ", "; ", ": ", " - ")
_EDGE: Final = re.compile(r"[^\w.@/:+\-]")
_EDGE_CHARS: Final = 1000
MOST_LISTED: Final = 12
"""Ids that a message may list, from both its ends: one that has hundreds is a table, for recall."""

_PAUSE: Final = re.compile(r"[,;.!?\n)]")
_FIELD: Final = re.compile(r"\s{0,2}:\s")
_WORD: Final = re.compile(r"[^\W\d][\w'-]*")
_MARK: Final = re.compile(r"\A(?:(?:[-*+•>#|]+|\d{1,2}[.)]|\[[ x]\])\s+)+")


@dataclass(slots=True)
class Line:
    """One line a digest may have."""

    section: Section
    text: str
    place: int
    """Among all lines, as they were said."""
    base: float = 0.0
    """What it is worth for how it is said, whatever it names."""
    factor: float = 1.0
    """How much what it names counts: more from the person than from the assistant."""
    things: dict[str, float] = field(default_factory=dict)
    """What it names, and what each is worth."""


def looked_at(text: str) -> str:
    """The text, or its two ends, cut where no id is cut in two."""
    if len(text) <= 2 * LOOKED_AT:
        return text
    head, tail = text[:LOOKED_AT], text[-LOOKED_AT:]
    last = _EDGE.search(head[: -_EDGE_CHARS - 1 : -1])
    first = _EDGE.search(tail[:_EDGE_CHARS])
    head = head[: len(head) - last.start()] if last is not None else head
    return f"{head}\n\n{tail[first.start() :] if first is not None else tail}"


def offered(messages: Sequence[MessageFacts]) -> list[Line]:
    """Every line that the messages offer, in the order in which it was said."""
    texts = [looked_at(message.text) for message in messages]
    spoken = Spoken(texts)
    results = _results(messages)
    last = _last_request(messages)
    lines: list[Line] = []
    for at, message in enumerate(messages):
        if message.role == "tool":
            plain = texts[at].replace(
                '"', " "
            )  # what stands in quotes in JSON is an id all the same
            values = [atom for atom in atoms(plain) if _FIELD.match(plain, atom.end) is None]
            lines.extend(_listed(plain, values, 0.5))
        else:
            lines.extend(_spoken_lines(message, texts[at], spoken, open_=at >= last))
        for call in message.tool_calls:
            lines.append(_called(call, results.get((at, call.id), ""), spoken))
    for place, line in enumerate(lines):
        line.place = place
    return lines


def _results(messages: Sequence[MessageFacts]) -> dict[tuple[int, str], str]:
    """Text of a result by the place of the nearest message before it that made the call."""
    made: dict[str, int] = {}
    found: dict[tuple[int, str], str] = {}
    for at, message in enumerate(messages):
        made.update((call.id, at) for call in message.tool_calls)
        if message.role == "tool" and message.tool_call_id in made:
            found.setdefault((made[message.tool_call_id], message.tool_call_id), message.text)
    return found


def _last_request(messages: Sequence[MessageFacts]) -> int:
    """From which message on nothing was answered yet."""
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].role == "assistant" and messages[at].text.strip():
            return at + 1
    return 0


def _spoken_lines(
    message: MessageFacts, text: str, spoken: Spoken, *, open_: bool
) -> Iterator[Line]:
    held = atoms(text)
    by_user = message.role != "assistant"
    at = 0
    for start, end in sentences(text):
        while at < len(held) and held[at].end <= start:
            at += 1
        stop = at
        while stop < len(held) and held[stop].start < end:
            stop += 1
        inside = held[at:stop]
        said = text[start:end]
        line = _sentence(said, by_user=by_user, open_=open_)
        if len(line.text) > MAX_LINE:
            line.text = _clauses(
                said, [Atom(a.start - start, a.end - start, a.kind) for a in inside]
            )
        if line.text:
            _name(line, text, inside, spoken)
            if " " in line.text or any(atom.kind in LISTED for atom in inside):
                yield line
    yield from _listed(text, held, 1.0 if by_user else 0.6)


def _sentence(said: str, *, by_user: bool, open_: bool) -> Line:
    """The section, the wording and the weight of one sentence."""
    text = trimmed(said)
    asks = cues.ASKS.search(said) is not None or cues.ASKS.search(text) is not None
    if not by_user:
        done = cues.DONE.search(said) is not None or cues.DECIDE.search(said) is not None
        section: Section = "decisions" if done else "narrative"
        return Line(section, text, 0, base=0.6 if done else 0.0, factor=0.7 if done else 0.25)
    strong = cues.REMEMBER.search(said) is not None
    if asks and not strong:
        section = "open_tasks" if open_ else "narrative"
        return Line(section, text, 0, base=2.0 if open_ else 0.1, factor=0.6)
    base = 0.0
    base += 2.0 * strong
    base += 1.5 * (cues.OWN.search(said) is not None)
    base += 1.5 * (cues.PREFER.search(said) is not None)
    base += 0.3 * (cues.FIRST_PERSON.search(said) is not None)
    decides = cues.DECIDE.search(said) is not None
    if cues.TASK.search(said) is not None:
        return Line("open_tasks", text, 0, base=base + 1.5)
    return Line("decisions" if decides else "facts", text, 0, base=base + 2.0 * decides)


def trimmed(said: str) -> str:
    """Without words of politeness around it, and without its stop."""
    text = _MARK.sub("", unmarked(said.strip()))
    opener = cues.OPENER.match(text)
    if opener is not None:
        text = text[opener.end() :]
    text = text.rstrip(" .!")
    closer = cues.CLOSER.search(text, max(0, len(text) - 80))
    if closer is not None and closer.start() > 8:
        text = text[: closer.start()]
    return text


def _clauses(said: str, held: Sequence[Atom]) -> str:
    """The clauses from the first to the last that name something; where these are too long, what
    stands around the first; the beginning where nothing is named."""
    told = [atom for atom in held if atom.kind != "negation"]
    if not told:
        return _between(said, 0, MAX_LINE // 2, held)
    start = max(said.rfind(mark, 0, told[0].start) + 1 for mark in _PAUSES)
    ends = [end for mark in _PAUSES if (end := said.find(mark, told[-1].end)) >= 0]
    line = said[start : min(ends, default=len(said))].strip(" .,;-")
    if len(line) <= MAX_LINE:
        return line
    first = told[0]
    return _between(said, first.start - MAX_LINE // 3, first.end + MAX_LINE // 3, held)


def _between(said: str, start: int, end: int, held: Sequence[Atom]) -> str:
    """Whole words and atoms between two places; empty where there is no room for them."""
    first = said.find(" ", start) + 1 if start > 0 else 0
    last = said.rfind(" ", first, end) if end < len(said) else len(said)
    for atom in held:
        if atom.start < first < atom.end:
            first = atom.end
        if atom.start < last < atom.end:
            last = atom.start
    line = said[first : max(first, last)].strip(" .,;-")
    return line if len(line) <= MAX_LINE else ""


def _name(line: Line, text: str, inside: Sequence[Atom], spoken: Spoken) -> None:
    """Fills in what a line names: atoms, names, and its words."""
    things = line.things
    for start, end, kind in inside:
        if text[start:end] in line.text:
            things[text[start:end]] = weight(text[start:end], kind)
    for name in spoken.names(line.text):
        things.setdefault(name, NAME)
    for term in content_terms(line.text):
        things.setdefault(term, spoken.term(term))


def _called(call: ToolCallFacts, result: str, spoken: Spoken) -> Line:
    """The line of a tool call; what it names are values, not the names of fields."""
    text, values = call_line(call, result)
    reads = cues.READS.match(call.name) is not None
    line = Line("decisions", values, 0, base=0.0 if reads else 1.5, factor=0.4 if reads else 1.0)
    _name(line, values, atoms(values), spoken)
    for thing in [thing for thing in line.things if thing.isdigit() and len(thing) < 5]:
        del line.things[thing]  # a count, a time taken
    line.text = text if len(text) <= MAX_LINE else text[: text.rfind(" ", 0, MAX_LINE)]
    return line


def _listed(text: str, held: Sequence[Atom], factor: float) -> Iterator[Line]:
    """Ids, paths and addresses on their own, each with the word before it."""
    found = [a for a in held if a.kind in LISTED and a.end - a.start <= MAX_ATOM]
    if len(found) > MOST_LISTED:
        found = found[: MOST_LISTED // 2] + found[-MOST_LISTED // 2 :]
    several = max(1.0, len(found) ** 0.5)
    for start, end, kind in found:
        atom = text[start:end]
        label = _label(_WORD.findall(_PAUSE.split(text[max(0, start - 40) : start])[-1])[-3:])
        line = f"{label} {atom}" if label else atom
        yield Line("identifiers", line, 0, factor=factor / several, things={atom: WEIGHTS[kind]})


def _label(before: Sequence[str]) -> str:
    """The nearest word that says what an id is of; a wrong one would be worse than none."""
    for word in reversed(before):
        if word.lower() not in COMMON and not any(map(str.isdigit, word)):
            return word
    return ""
