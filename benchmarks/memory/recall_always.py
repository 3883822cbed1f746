"""What recalling on every turn buys and costs: plain compaction, and the dropped messages that are
most like the question behind every question. BM25 (Robertson and Zaragoza 2009) written plainly.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from memory.baselines import RentOrBuy
from memory.caches import PriceModel, marks_of
from memory.protocol import Block, Conversation, Request
from memory.traffic import block

_WORD: Final = re.compile(r"\w+")
_K1, _B = 1.2, 0.75


@dataclass(slots=True)
class Bm25:
    """An index that only grows."""

    _terms: list[Counter[str]] = field(default_factory=list)
    _with: Counter[str] = field(default_factory=Counter)
    _length: int = 0

    def add(self, text: str) -> None:
        terms = Counter(_WORD.findall(text.lower()))
        self._terms.append(terms)
        self._with.update(terms.keys())
        self._length += terms.total()

    def best(self, query: str) -> list[int]:
        """All texts' numbers, the likest first."""
        asked = set(_WORD.findall(query.lower()))
        number = len(self._terms)
        weights = {
            term: math.log(1 + (number - self._with[term] + 0.5) / (self._with[term] + 0.5))
            for term in asked
            if term in self._with
        }
        mean = self._length / max(1, number)

        def score(at: int) -> float:
            terms = self._terms[at]
            norm = _K1 * (1 - _B + _B * terms.total() / mean)
            return sum(
                weight * terms[term] * (_K1 + 1) / (terms[term] + norm)
                for term, weight in weights.items()
                if term in terms
            )

        return sorted(range(number), key=lambda at: (-score(at), at))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallAlways:
    """`RentOrBuy`, and up to `recall_tokens` of dropped messages behind every question."""

    summary_tokens: int
    recall_tokens: int = 4000
    name: str = "rent = buy, recall on every turn"
    priced: bool = True

    def requests(self, conversation: Conversation, model: PriceModel) -> Iterator[Request]:
        plain = RentOrBuy(summary_tokens=self.summary_tokens)
        index, known = Bm25(), 0
        said = [message for step in conversation.steps() for message in (*step.new, step.answer)]
        for request in plain.requests(conversation, model):
            if request.purpose == "answer":
                kept = {each.key for each in request.blocks}
                while known < len(said) and said[known].key not in kept:
                    index.add(said[known].text)
                    known += 1
                request = self._with_recalled(request, said[:known], index)
            yield request

    def _with_recalled(self, request: Request, gone: Sequence[Block], index: Bm25) -> Request:
        question = request.blocks[-1]
        if question.role != "user":
            return request
        found: list[Block] = []
        for at in index.best(question.text):
            if sum(each.tokens for each in found) + gone[at].tokens <= self.recall_tokens:
                found.append(gone[at])
        if not found:
            return request
        text = "\n".join(each.text for each in found)
        recalled = block("user", text, kind="recall")
        # The last breakpoint stays behind the question: what is recalled is written to no cache.
        return replace(request, blocks=(*request.blocks, recalled), marks=marks_of(request))
