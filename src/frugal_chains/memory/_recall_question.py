"""What a question asks for, and how: whether it points at what was said before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from frugal_chains.memory import _recall_words as said
from frugal_chains.memory._recall_forms import cut, forms
from frugal_chains.text import content_terms, sentences

_READ_CHARS: Final = 4_000
"""Of a message; of a longer one the two ends, where what is asked for stands."""
_MAX_CLAUSES: Final = 24
_FEW: Final = 3
"""Sentences of a message that are all looked at; of more, those that ask, or the last."""
_OWNED: Final = 3
"""Words behind "my" that may say what is the person's."""
_ASKING: Final = frozenset(forms(said.ASKING_WORDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One sentence of a question."""

    terms: tuple[str, ...]
    """What it is about, each term once."""
    asks: bool = False
    """It asks for something; of what does not, only the terms are known."""
    names: frozenset[str] = frozenset()
    """Those of its terms that stand in names, identifiers and figures."""
    owned: frozenset[str] = frozenset()
    """Terms of what belongs to the person: "sister", where it says "my younger sister"."""
    back: bool = False
    """It points at the conversation: "as I said", "did we"."""
    we: bool = False
    """It is about what the person does: "we", "I bought"."""
    general: bool = False
    """It begins as what is asked of the world, or of the model: "how does", "explain"."""
    last: bool = False
    """It points at the last answer: "and these?"."""


def clauses(question: str) -> list[Clause]:
    """The sentences of a question that may ask for what was said, without those about nothing."""
    if len(question) > _READ_CHARS:
        half = _READ_CHARS // 2
        question = f"{question[:half]}\n{question[-half:]}"
    spans = sentences(question)
    if len(spans) > _MAX_CLAUSES:
        spans = spans[: _MAX_CLAUSES // 2] + spans[-_MAX_CLAUSES // 2 :]
    found = [question[start:end].replace("\u2019", "'") for start, end in spans]
    if len(found) > _FEW:
        found = [each for each in found if said.ASKS.search(each) is not None] or found[-1:]
    return [each for each in map(_clause, found) if each.terms]


def _clause(text: str) -> Clause:
    found = [term for term in cut(content_terms(text)) if term not in _ASKING]
    about = tuple(dict.fromkeys(found))
    if said.ASKS.search(text) is None:
        return Clause(terms=about)
    return Clause(
        terms=about,
        names=frozenset(term for name in said.NAME.finditer(text) for term in forms(name.group())),
        owned=frozenset(
            term for own in said.OWN.finditer(text) for term in forms(text[own.end() :])[:_OWNED]
        ),
        asks=True,
        back=said.BACK.search(text) is not None,
        we=said.WE.search(text) is not None,
        general=said.GENERAL.match(text) is not None,
        last=said.LAST.search(text) is not None,
    )
