"""Whether a question needs what is no longer in the context, from words alone."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from frugal_chains.memory._recall_forms import forms
from frugal_chains.memory._recall_index import (
    ASKED,
    Floats,
    Places,
    RecallIndex,
    passages_of,
    read_part,
)
from frugal_chains.memory._recall_question import Clause

# Weights near those of a logistic regression on conversations of the tests' generator (seeds that
# nothing is reported of), in rounder numbers; what was tried is in docs/notes/memory.md.
_SHARE: Final = 3.5
"""Of the clause's words, by weight: those that the best passage has."""
_IN_CONTEXT: Final = 1.4
"""What the best passage in the context has: what is there need not be recalled."""
_NAME: Final = 2.5
"""Of names that the best passage has."""
_NAME_IN_CONTEXT: Final = 1.25
_ASKS: Final = 3.5
_TELLS: Final = 2.0
"""Of a sentence that asks for nothing."""
_BACK: Final = 2.0
_OWN: Final = 3.25
_WE: Final = 2.5
_GENERAL: Final = 2.25
_LAST: Final = 2.0
_MOST: Final = 4.0
"""Words of one clause that count."""
_WORTH: Final = np.array([1.0, 0.2, 0.6])
"""What words count in what the user told, in what the user asked, which tells nothing though its
answer may, and in an answer: long texts of an assistant have every word somewhere."""
_SAME: Final = 1e-9
"""By which two sums of the same weights may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """How much one clause asks for what was dropped."""

    clause: Clause
    points: float
    """About 0 where nothing speaks for it; a rare word counts 1."""
    missing: float
    """Rare words of the clause that a dropped passage has: 1 for a word of only one passage."""
    present: float
    """The same of the context."""
    share: float
    """Of the words of the clause, by weight: those that the best dropped passage has."""
    name: float
    """The same of names, less those of the context."""
    own: bool


@dataclass(frozen=True, slots=True)
class _Covered:
    """The passages that have any term of a clause, and the weight of what each has of them."""

    passages: Places
    weights: Floats
    """Of all terms."""
    names: Floats
    owned: Floats
    kinds: Places
    by_term: Mapping[str, float]
    """Of each term: 1 where one passage has it or none, 0 where all have it."""


class Held:
    """The passages of an index: which may be recalled, and what the context says besides.

    Args:
        index: Of the conversation.
        dropped: Of each passage whether it may be recalled; the others are in the context.
        context: Other texts that are.
    """

    def __init__(
        self, index: RecallIndex, *, dropped: NDArray[np.bool_], context: Sequence[str]
    ) -> None:
        self._index = index
        self._dropped = dropped
        self._kinds = index.kind_of_passages()
        self._context = [
            frozenset(forms(read_part(text)[each.start : each.end]))
            for text in context
            for each in passages_of(read_part(text))
        ]

    def evidence(self, clause: Clause) -> Evidence:
        """What speaks for recalling by a clause. Takes time in proportion to the passages that have
        its terms."""
        found = self._covered(clause)
        dropped = self._dropped[found.passages]
        missing = _most(found.weights, dropped)
        present = max(_most(found.weights, ~dropped), self._elsewhere(found.by_term, found.by_term))
        best = dropped & (found.weights >= missing - _SAME)
        owned = _most(found.owned, best & (found.kinds != ASKED)) > 0
        named = _most(found.names, dropped)
        here = max(_most(found.names, ~dropped), self._elsewhere(found.by_term, clause.names))
        name = max(0.0, named - here)
        points = min(missing, _MOST) - _IN_CONTEXT * min(present, _MOST)
        share = missing / (sum(found.by_term.values()) or 1.0)
        points += _SHARE * share
        if not clause.asks:
            points -= _TELLS
        else:
            points += _ASKS + _BACK * clause.back + max(_OWN * owned, _WE * clause.we)
            points += _NAME * min(name, 1.0) + _NAME_IN_CONTEXT * min(named - name, 1.0)
            points -= _GENERAL * clause.general + _LAST * (clause.last and not clause.back)
        return Evidence(
            clause=clause,
            points=round(points, 6) if missing > 0 else 0.0,
            missing=missing,
            present=present,
            share=share,
            name=name,
            own=owned or clause.we,
        )

    def _covered(self, clause: Clause) -> _Covered:
        every = max(len(self._dropped), 2)
        having = [self._index.having(term) for term in clause.terms]
        by_term = {
            term: math.log(every / max(len(found), 1)) / math.log(every)
            for term, found in zip(clause.terms, having, strict=True)
        }
        weights = list(by_term.values())
        touched, sizes = np.concatenate(having), list(map(len, having))
        passages = np.flatnonzero(np.bincount(touched))

        def summed(of: Container[str]) -> Floats:
            each = [
                weight if term in of else 0.0
                for term, weight in zip(clause.terms, weights, strict=True)
            ]
            found = np.bincount(touched, np.repeat(np.array(each), sizes))[passages]
            return found.astype(np.float64)

        nothing = np.zeros(len(passages))
        return _Covered(
            passages=passages,
            weights=summed(by_term) * _WORTH[self._kinds[passages]],
            names=summed(clause.names) if clause.names else nothing,
            owned=summed(clause.owned) if clause.owned else nothing,
            kinds=self._kinds[passages],
            by_term=by_term,
        )

    def _elsewhere(self, weights: Mapping[str, float], wanted: Container[str]) -> float:
        """The same of the other texts in the context."""
        held = [term for term in weights if term in wanted]
        return max(
            (sum(weights[term] for term in held if term in each) for each in self._context),
            default=0.0,
        )


def _most(values: Floats, among: NDArray[np.bool_]) -> float:
    return float(values[among].max(initial=0.0))
