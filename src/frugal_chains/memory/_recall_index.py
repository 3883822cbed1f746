"""`RecallIndex`: what was said in a conversation, by its words, so that it can be found again.

It holds terms and numbers, no text: the history has that, and the index is made of it again at a
few MB of text a second. A message costs its own terms, however long the conversation is.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from frugal_chains.errors import MemoryPlanError
from frugal_chains.facts import MessageFacts, Role
from frugal_chains.memory._recall_forms import forms
from frugal_chains.memory._recall_words import GENERAL
from frugal_chains.text import sentences

Floats: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.int64]

PASSAGE_TERMS: Final = 16
"""A passage is whole sentences of one message until it has so many terms: what belongs together
stands together, and what a long message says besides does not count."""
READ_CHARS: Final = 60_000
"""Of a message; of a longer one its two ends. It is about 15,000 tokens, far more than is recalled.
"""
MAX_PASSAGES: Final = 60_000
"""About 1.3 million tokens of prose, held in about 30 MB."""


TOLD: Final = 0
"""A passage that the user tells."""
ASKED: Final = 1
"""A question of the user's, which tells nothing."""
ANSWERED: Final = 2
"""A passage of the assistant or of a tool."""
_QUESTION_MARKS: Final = "?\uff1f\u061f"


class RecallIndex:
    """The passages of a conversation's messages. Grows at its end; one thread at a time.

    A turn is what is recalled together: a message of the user with what answers it, or one step of
    an agent, that is calls of tools with their results.

    Args:
        max_passages: Beyond it the oldest quarter is forgotten, that is no longer found.

    Raises:
        MemoryPlanError: `max_passages` below 4.
    """

    def __init__(self, *, max_passages: int = MAX_PASSAGES) -> None:
        if max_passages < 4:
            raise MemoryPlanError(f"max_passages is {max_passages}; give 4 or more")
        self._max = max_passages
        self._messages = 0
        self._starts = array("q")  # the first message of each turn
        self._results = array("q")  # the first result of a tool in each turn, -1: none
        self._places = array("q")  # the message of each passage, ascending
        self._turns = array("q")  # the turn of each passage, ascending
        self._lengths = array("q")  # the terms of each passage
        self._kinds = array("b")  # of each passage: TOLD, ASKED or ANSWERED
        self._postings: dict[str, tuple[array[int], array[int]]] = {}  # passages, counts

    @property
    def messages(self) -> int:
        """How many messages were added: the number that the next one will have."""
        return self._messages

    @property
    def turns(self) -> int:
        """How many turns they are."""
        return len(self._starts)

    @property
    def passages(self) -> int:
        """How many passages can be found."""
        return len(self._lengths)

    def turn(self, number: int) -> range:
        """The messages of a turn."""
        after = number + 1
        return range(
            self._starts[number], self._starts[after] if after < self.turns else self._messages
        )

    def turn_of_message(self, number: int) -> int:
        """The number of the turn that a message belongs to."""
        return bisect_right(self._starts, number) - 1

    def turn_of_passages(self) -> Places:
        """Of each passage the number of its turn, ascending."""
        return np.array(self._turns, dtype=np.int64)

    def message_of_passages(self) -> Places:
        """Of each passage the number of its message, ascending."""
        return np.array(self._places, dtype=np.int64)

    def kind_of_passages(self) -> Places:
        """Of each passage `TOLD`, `ASKED` or `ANSWERED`."""
        return np.array(self._kinds, dtype=np.int64)

    def add(self, messages: Iterable[MessageFacts]) -> None:
        """Append messages, in the order of the conversation. System messages are never found."""
        for message in messages:
            if self._begins_turn(message):
                self._starts.append(self._messages)
                self._results.append(-1)
            if message.role == "tool" and self._results[-1] < 0:
                self._results[-1] = self._messages
            if message.role != "system":
                text = read_part(message_text(message))
                for passage in passages_of(text):
                    kind = _kind(message.role, text[passage.start : passage.end], passage.asks)
                    self._add_passage(forms(text[passage.start : passage.end]), kind)
            self._messages += 1
            if len(self._lengths) > self._max:
                self._forget(self._max // 4)

    def _begins_turn(self, message: MessageFacts) -> bool:
        if not self._starts or message.role == "user":
            return True
        return bool(message.tool_calls) and self._results[-1] >= 0

    def _add_passage(self, found: list[str], kind: int) -> None:
        number = len(self._lengths)
        self._places.append(self._messages)
        self._turns.append(len(self._starts) - 1)
        self._lengths.append(len(found))
        self._kinds.append(kind)
        for term, count in Counter(found).items():
            if term not in self._postings:
                self._postings[term] = (array("q"), array("q"))
            passages, counts = self._postings[term]
            passages.append(number)
            counts.append(count)

    def truncate(self, messages: int) -> None:
        """Forget the messages from this number on: they were edited, or turns were taken back.

        Takes time in proportion to the different words of the whole index.
        """
        messages = max(0, messages)
        if messages >= self._messages:
            return
        turns = bisect_left(self._starts, messages)
        del self._starts[turns:], self._results[turns:]
        if turns and self._results[-1] >= messages:
            self._results[-1] = -1
        self._messages = messages
        self._keep(0, bisect_left(self._places, messages))

    def _forget(self, count: int) -> None:
        """The oldest passages; a message is forgotten whole."""
        last = self._places[count - 1]
        self._keep(bisect_left(self._places, last + 1), len(self._lengths))

    def _keep(self, first: int, last: int) -> None:
        """Only the passages between two numbers, counted from 0 again."""
        for held in (self._places, self._turns, self._lengths, self._kinds):
            del held[last:], held[:first]
        kept: dict[str, tuple[array[int], array[int]]] = {}
        for term, (passages, counts) in self._postings.items():
            low, high = bisect_left(passages, first), bisect_left(passages, last)
            if low < high:
                moved = array("q", (each - first for each in passages[low:high]))
                kept[term] = (moved, counts[low:high])
        self._postings = kept

    def having(self, term: str) -> Places:
        """The passages that have a term, ascending."""
        found = self._postings.get(term)
        return np.array(found[0] if found else (), dtype=np.int64)

    def rarity(self, term: str) -> float:
        """Inverse document frequency over the passages, above 0, as in `text.bm25`."""
        found = self._postings.get(term)
        having = len(found[0]) if found else 0
        return math.log(1 + (len(self._lengths) - having + 0.5) / (having + 0.5))

    def scores(self, query: Collection[str], *, k1: float = 1.2, b: float = 0.75) -> Floats:
        """Of each passage how much it is about the query, 0 or more: `text.bm25` of them all.

        Args:
            query: Its terms; each counts once.
            k1: How soon a term that is repeated adds no more.
            b: How much a longer passage counts less, 0 to 1.
        """
        lengths = np.array(self._lengths, dtype=np.float64)
        scores = np.zeros(len(lengths))
        if not len(lengths):
            return scores
        norms = k1 * (1 - b + b * lengths / (lengths.mean() or 1.0))
        for term in sorted(frozenset(query)):
            if term in self._postings:
                passages, counts = (np.array(each) for each in self._postings[term])
                scores[passages] += (
                    self.rarity(term) * counts * (k1 + 1) / (counts + norms[passages])
                )
        return scores


def _kind(role: Role, passage: str, asks: bool) -> int:
    if role != "user":
        return ANSWERED
    return ASKED if asks or GENERAL.match(passage) is not None else TOLD


def message_text(message: MessageFacts) -> str:
    """What a message says, with the calls of tools it asks for: names and arguments."""
    calls = [f"{call.name}({call.arguments})" for call in message.tool_calls]
    return "\n".join([message.text, *calls] if message.text else calls)


def read_part(text: str) -> str:
    """What of a text is read: all of it, or its two ends."""
    half = READ_CHARS // 2
    return text if len(text) <= READ_CHARS else f"{text[:half]}\n{text[-half:]}"


class Passage(NamedTuple):
    """`start` and `end` (exclusive) in characters."""

    start: int
    end: int
    asks: bool


def passages_of(text: str) -> list[Passage]:
    """The passages of a text, ascending. A sentence with a question mark is one of its own."""
    found: list[Passage] = []
    size = first = last = 0
    for start, end in sentences(text):
        asks = text[end - 1] in _QUESTION_MARKS
        if size and (asks or size >= PASSAGE_TERMS):
            found.append(Passage(first, last, False))
            size = 0
        if asks:
            found.append(Passage(start, end, True))
            continue
        if not size:
            first = start
        last = end
        size += text.count(" ", start, end) + 1
    if size:
        found.append(Passage(first, last, False))
    return found
