"""Which group a call belongs to: its task tag, or what its prompt begins with.

Prompts are told apart by keyed hashes: nothing of their text is kept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from frugal_chains.facts import RequestFacts
from frugal_chains.ledger import Attempt
from frugal_chains.replay._traffic import RecordedCall

HEAD_CHARS: Final = 400
"""Of the system prompt, which tells tasks apart: what is filled in stands behind, as a rule."""
LEAD_WORDS: Final = 3
"""Of what the user says first. Applications that put the task there begin it with the same words;
people do not, and their questions are brought together again."""
_LEAD_CHARS: Final = 200
_DIGITS: Final = re.compile(r"\d+")
_KNOWN_HEADS: Final = 4_096
_OWN: Final = frozenset({"answer", "retry"})
"""Purposes that are the task itself; drafts, summaries and the like are tasks of their own."""


class Place(NamedTuple):
    """A group. Ranks are hashes: they say nothing of what they are made of."""

    kind: str
    """`task`, `prompt` (nothing but the hashes tell it) or `none` (nothing is known)."""
    name: str
    """The tag; empty for the others."""
    purpose: str
    """Empty for answers and retries."""
    head: int = 0
    lead: int = 0


class Places:
    """Finds the places of calls; remembers the hashes of the last few thousand prompts."""

    def __init__(self, key: bytes, tags: Sequence[str]) -> None:
        self._key = key[:64]
        self._tags = tuple(tags)
        self._heads: dict[Any, int] = {}

    def of(self, call: RecordedCall | Attempt) -> Place:
        purpose = "" if call.purpose in _OWN else call.purpose
        if isinstance(call, Attempt):
            return self._of_attempt(call, purpose)
        if call.task:
            return Place("task", call.task, purpose)
        if call.request is None:
            return Place("none", "", purpose)
        head = self._head(call.request)
        return Place("prompt", "", purpose, head, self._lead(head, call.request))

    def rank(self, place: Place) -> int:
        """A number that orders places at random, but the same way for one key."""
        return self._hash(repr(place))

    def _of_attempt(self, attempt: Attempt, purpose: str) -> Place:
        for tag in self._tags:
            if found := attempt.tags.get(tag):
                return Place("task", found, purpose)
        prints = attempt.prints or {}
        # As `prompt_cache` stores them: tools and the blocks of the system prompt.
        stored = f"{prints.get('t', '')}|{prints.get('s', '')}"
        if stored == "|":
            return Place("none", "", purpose)
        return Place("prompt", "", purpose, self._hash(stored))

    def _head(self, request: RequestFacts) -> int:
        """Of what all requests of one task begin with: tools, answer schema, system prompt."""
        system = next((m.text for m in request.messages if m.role == "system"), "")
        what = (system[:HEAD_CHARS], tuple(t.name for t in request.tools), request.output_schema)
        found = self._heads.get(what)
        if found is None:
            text = _DIGITS.sub("0", what[0])  # dates and numbers differ from day to day
            found = self._hash(repr((text, sorted(what[1]), what[2])))
            if len(self._heads) >= _KNOWN_HEADS:
                self._heads.clear()
            self._heads[what] = found
        return found

    def _lead(self, head: int, request: RequestFacts) -> int:
        said = next((m.text for m in request.messages if m.role == "user"), "")
        words = _DIGITS.sub("0", said[:_LEAD_CHARS].casefold()).split()[:LEAD_WORDS]
        return self._hash(f"{head} {' '.join(words)}")

    def _hash(self, text: str) -> int:
        hashed = hashlib.blake2b(
            text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=8
        )
        return int.from_bytes(hashed.digest(), "big")
