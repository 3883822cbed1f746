"""Several summaries made one by code, to an exact budget: no model, and so no drift."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from frugal_chains.errors import MemoryPlanError
from frugal_chains.memory._finished import REMEMBERED, Said, finishes, said
from frugal_chains.memory._summary import SECTIONS, Section, Summary, is_pinned, pinned, unmarked
from frugal_chains.text import atoms

# Who leaves first where the budget is short: a section's rank, then what `_Line` adds.
_RANK: Final[dict[Section, int]] = {
    "narrative": 0,
    "facts": 2,
    "decisions": 2,
    "open_tasks": 3,
    "identifiers": 4,
}
_NEWEST: Final[dict[Section, int]] = {"open_tasks": 8, "identifiers": 16}
"""How many of them stay while there are facts to leave; about 60 and 100 tokens."""
_UNSURE: Final = ("identifiers", "narrative")
_END: Final = " .,;:!?\"'"
_SUBJECT_ENDS: Final = (" is ", " are ", " was ", ": ", " = ")
_LONGEST_SUBJECT: Final = 60
"""Characters before an "is": "my cat's name". What is longer is a clause."""


@dataclass(slots=True)
class _Line:
    """One line on its way through a merge."""

    section: Section
    text: str
    age: int
    """Which summary it is from; 0 is the oldest."""
    place: int
    """Among all lines, as they were first written."""


def merge_summaries(
    summaries: Sequence[Summary], *, budget_tokens: int, count: Callable[[str], int]
) -> Summary:
    """One summary of several, oldest first: the same lines, fewer of them, never others.

    A line that stays is the same bytes as when it was first written, however often it is merged.
    Lines said twice stay once, pinned if one of them was. Of two open tasks of which one says all
    that the other says, the newer stays; a task leaves when a newer decision or fact says that it
    is done. Where the budget is short, identifiers that another line holds leave first, then the
    oldest narrative, then facts and decisions that a newer one of the same subject replaces and all
    but the newest eight tasks and sixteen identifiers, then the least specific facts and decisions,
    the oldest tasks, and the oldest identifiers last.

    Pinned lines never leave, not even for the budget.

    Args:
        budget_tokens: What `text()` of the result may have, at most, by `count`.
        count: Tokens of a text.

    Raises:
        MemoryPlanError: a budget below 0.
    """
    if budget_tokens < 0:
        raise MemoryPlanError(f"a budget of {budget_tokens} tokens: expected 0 or more")
    lines = _without_finished(_newest_tasks(_union(summaries)))
    if count(_summary(lines).text()) <= budget_tokens:
        return _summary(lines)
    return _fitted(lines, budget_tokens, count)


def _union(summaries: Sequence[Summary]) -> list[_Line]:
    """Every line once, where it was first written, in its first bytes."""
    first: dict[tuple[Section, str], _Line] = {}
    for age, summary in enumerate(summaries):
        for section, text in summary.lines():
            bare = unmarked(text)
            key = (section, " ".join(bare.casefold().split()).strip(_END) or bare)
            if section == "identifiers":
                key = (section, bare)  # ids differ by case
            held = first.get(key)
            if held is None:
                first[key] = _Line(section, text, age, len(first))
                continue
            held.age = age  # said again: as fresh as that
            if is_pinned(text):
                held.text = pinned(held.text)
    return list(first.values())


def _newest_tasks(lines: list[_Line]) -> list[_Line]:
    """Without tasks that a newer one says in other words, and more of them."""
    tasks = [(line, said(line.text)) for line in lines if line.section == "open_tasks"]
    replaced = {
        id(line)
        for at, (line, about) in enumerate(tasks)
        if not is_pinned(line.text) and any(_says_all(newer, about) for _, newer in tasks[at + 1 :])
    }
    return [line for line in lines if id(line) not in replaced]


def _says_all(newer: Said, older: Said) -> bool:
    return older.terms <= newer.terms and older.specific <= newer.specific


def _without_finished(lines: list[_Line]) -> list[_Line]:
    """Without tasks that are done."""
    done = [
        (line.age, about)
        for line in lines
        if line.section in ("decisions", "facts") and (about := said(line.text)).done
    ]

    def stays(line: _Line) -> bool:
        if line.section != "open_tasks" or is_pinned(line.text):
            return True
        if line.text[:3].lower() == "[x]":
            return False
        about = said(line.text)
        return not any(age > line.age and finishes(other, about) for age, other in done)

    return [line for line in lines if stays(line)]


def _fitted(lines: list[_Line], budget: int, count: Callable[[str], int]) -> Summary:
    """As many as fit when they leave in their order; found by halving, checked exactly."""
    leaving = _in_order_of_leaving(lines)
    low, high = 0, len(leaving)
    while low < high:
        middle = (low + high) // 2
        if count(_summary(_without(lines, leaving[:middle])).text()) <= budget:
            high = middle
        else:
            low = middle + 1
    # A count need not fall with every line that leaves: what is returned was counted itself.
    while low < len(leaving):
        found = _summary(_without(lines, leaving[:low]))
        if count(found.text()) <= budget:
            return found
        low += 1
    return _summary(_without(lines, leaving))


def _in_order_of_leaving(lines: list[_Line]) -> list[_Line]:
    """Every line that may leave, the first to leave first."""
    elsewhere = "\n".join(line.text for line in lines if line.section not in _UNSURE)
    replaced = _replaced(lines)
    crowded = _crowded(lines)

    def rank(line: _Line) -> tuple[int, int, int, int]:
        leaves, specific = _RANK[line.section], 0
        if line.section == "identifiers" and unmarked(line.text) in elsewhere:
            leaves = -1
        elif id(line) in crowded or id(line) in replaced:
            leaves = 1
        elif line.section in ("facts", "decisions"):
            specific = _specificity(line.text)
        return leaves, specific, line.age, line.place

    return sorted((line for line in lines if not is_pinned(line.text)), key=rank)


def _crowded(lines: list[_Line]) -> frozenset[int]:
    """Open tasks and identifiers beyond the newest few: they must not drive out every fact."""
    found: set[int] = set()
    for section, most in _NEWEST.items():
        held = [line for line in lines if line.section == section]
        held.sort(key=lambda line: (line.age, line.place), reverse=True)
        found.update(map(id, held[most:]))
    return frozenset(found)


@lru_cache(maxsize=REMEMBERED)
def _specificity(text: str) -> int:
    """How many things a line says that a question can ask for: ids, numbers, dates, quotes, names.

    A negation counts too: without it, the opposite is remembered.
    """
    names = sum(word[:1].isupper() for word in text.split()[1:])
    return len(atoms(text)) + min(3, names)


def _replaced(lines: list[_Line]) -> frozenset[int]:
    """Facts and decisions with a newer one of the same subject: "my budget is" twice."""
    newest: dict[tuple[Section, str], _Line] = {}
    replaced: set[int] = set()
    for line in sorted(lines, key=lambda held: (held.age, held.place)):
        subject = _subject(line.text)
        if line.section not in ("facts", "decisions") or not subject:
            continue
        older = newest.get((line.section, subject))
        if older is not None and older.age < line.age:
            replaced.add(id(older))
        newest[line.section, subject] = line
    return frozenset(replaced)


def _subject(text: str) -> str:
    head = unmarked(text)[: _LONGEST_SUBJECT + 3].casefold()
    ends = [at for mark in _SUBJECT_ENDS if 0 < (at := head.find(mark)) <= _LONGEST_SUBJECT]
    subject = head[: min(ends)].strip() if ends else ""
    # "It is" and "this is" are about whatever was said before.
    return subject if " " in subject else ""


def _without(lines: list[_Line], leaving: Sequence[_Line]) -> list[_Line]:
    gone = frozenset(map(id, leaving))
    return [line for line in lines if id(line) not in gone]


def _summary(lines: Sequence[_Line]) -> Summary:
    return Summary(
        **{
            section: tuple(line.text for line in lines if line.section == section)
            for section in SECTIONS
        }
    )
