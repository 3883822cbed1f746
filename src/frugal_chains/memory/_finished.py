"""Which open tasks are finished: told by words alone, and kept wherever that is in doubt."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from frugal_chains.text import atoms, content_terms, stem, words

COVERED: Final = 0.75
"""Share of a task's words that a line must have to be about that task. Below it, "book the hotel"
in Rome" would be finished by "booked the flight to Rome"."""

LOOKED_AT: Final = 600
"""Characters of a line that are looked at: a task is a sentence."""

REMEMBERED: Final = 1 << 12
"""Lines whose reading is kept: merges see the same lines again and again."""

_DONE_WORDS: Final = """
    done finished completed complete resolved solved fixed closed cancelled canceled sent paid
    booked confirmed answered delivered shipped deployed merged submitted settled handled bought
    made written built erledigt fertig abgeschlossen gebucht bezahlt terminé fait hecho listo
"""
_DONE: Final = frozenset(map(stem, _DONE_WORDS.split()))
_TENSES: Final = """
    sent send paid pay bought buy made make written write built build done do cancelled cancel
"""
_PAST: Final = _TENSES.split()
_IRREGULAR: Final = {
    stem(past): stem(now) for past, now in zip(_PAST[::2], _PAST[1::2], strict=True)
}
_ASIDE: Final = frozenset(map(stem, ("don", "t", "forget", "remember", "please", "need", "remind")))
"""Words around a task that are no part of it."""
_NOT_YET: Final = re.compile(
    r"\b(?:not|never|yet|unless|until|cannot|failed|fails|unable|pending|todo|should|must|will|shall"
    r"|need|needs|want|wants|to be|if|when|once|before|tomorrow|later|plan|plans|planned|nicht|noch"
    r"|pas|encore)\b|n['’]t\b|\?",  # noqa: RUF001 - as people type it
    re.IGNORECASE,
)
_SPECIFIC: Final = frozenset(("id", "number", "date", "email", "url", "path", "ip", "user"))


@dataclass(frozen=True, slots=True)
class Said:
    """What a line is about."""

    terms: frozenset[str]
    specific: frozenset[str]
    """Its ids, numbers and dates, in small letters."""
    done: bool
    """It says that something has been done."""


@lru_cache(maxsize=REMEMBERED)
def said(line: str) -> Said:
    """Reads a line once, so that many can be compared."""
    text = line[:LOOKED_AT]
    specific = frozenset(
        text[a.start : a.end].casefold() for a in atoms(text) if a.kind in _SPECIFIC
    )
    return Said(
        terms=frozenset(_IRREGULAR.get(t, t) for t in content_terms(text) if t not in _ASIDE),
        specific=specific,
        done=_NOT_YET.search(text) is None and _says_done(text),
    )


def _says_done(text: str) -> bool:
    return any(stem(word) in _DONE or word.endswith("ed") for word in words(text))


def finishes(line: Said, task: Said) -> bool:
    """Whether the line says that the task is done.

    It must have three quarters of the task's words, every id and number of it, and a word for done.
    """
    if not line.done or not task.terms or not task.specific <= line.specific:
        return False
    # A name or number that only the line has may well be another's: "order W2 was cancelled".
    if task.specific == frozenset() and line.specific and len(task.terms) < 2:
        return False
    return len(task.terms & line.terms) >= COVERED * len(task.terms)


def finished(tasks: Iterable[str], lines: Iterable[str]) -> frozenset[str]:
    """The tasks that one of the lines says are done."""
    done = [about for about in map(said, lines) if about.done]
    return frozenset(
        task for task in tasks if done and any(finishes(line, said(task)) for line in done)
    )
