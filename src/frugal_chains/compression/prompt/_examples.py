"""Few-shot examples for a request: about the same thing, not all the same, within a budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from frugal_chains.compression.prompt._diff import DiffView, diff_text
from frugal_chains.compression.prompt._errors import PromptError, in_unit, not_negative
from frugal_chains.compression.prompt._fit import Count, most_that_fit
from frugal_chains.compression.prompt._likeness import Likeness, Vector, likeness_of, relevance_of

ExampleOrder = Literal["original", "best_last"]

_POOL: Final = 128
"""Likeness to those chosen is looked at among so many of the most relevant: each choice compares
with all of them. Those behind come in the order of their relevance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptExample:
    """One worked example of a prompt."""

    text: str
    """As it is sent."""
    about: str = ""
    """What is compared with the request, say the example's question alone; empty: the text."""
    label: str = ""
    """Its class, where the examples show the classes of a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamplePlan:
    """Which examples are sent, in which order, and what that saves."""

    kept: tuple[int, ...]
    """In the order they are sent."""
    dropped: tuple[int, ...]
    """In their own order."""
    scores: tuple[float, ...]
    """Relevance of each example, 0 to 1; comparable within one plan."""
    missing_labels: tuple[str, ...]
    """Labels without an example: the budget did not reach for one of each."""
    text: str
    full_text: str
    tokens_before: int
    tokens_after: int
    budget_tokens: int
    reason: str
    """`chosen`, `all fit`, or `off`."""

    @property
    def saved_tokens(self) -> int:
        return self.tokens_before - self.tokens_after

    def diff(self, view: DiffView = "lines") -> str:
        """What was left out, and what moved, as a diff."""
        return diff_text(self.full_text, self.text, view)


def choose_examples(
    examples: Sequence[PromptExample],
    query: str,
    count: Count,
    budget_tokens: int,
    *,
    diversity: float = 0.3,
    order: ExampleOrder = "original",
    at_most: int | None = None,
    min_relevance: float = 0.3,
    query_vector: Vector | None = None,
    vectors: Sequence[Vector] | None = None,
    separator: str = "\n\n",
    enabled: bool = True,
) -> ExamplePlan:
    """The examples that are most about the request, each unlike those chosen before it.

    Maximal marginal relevance (J. Carbonell and J. Goldstein, SIGIR 1998): the next example is the
    one with the most relevance left after its likeness to the nearest one chosen is taken off. One
    of every label comes first, the labels of the most relevant examples before others. Where all
    fit, all are kept: the set that does not change is the one a provider's cache can keep.

    Args:
        examples: In the order of the prompt.
        query: The request.
        count: Tokens of a text.
        budget_tokens: For the joined text; never passed.
        diversity: Weight of unlikeness against relevance, 0 (relevance alone) to 1.
        order: `original`, or `best_last`: the most relevant one next to the request.
        at_most: Examples; None: as many as fit.
        min_relevance: Less relevant ones (0 to 1, the best one has 1) are not used to fill up what
            is left of the budget: that would favour small ones about something else. The one of
            each label is not held to it, nor any where the request shares nothing with all.
        query_vector: The request's embedding; together with `vectors`, fused in half and half.
        vectors: The examples' embeddings, one each.
        separator: Between examples.
        enabled: False: all examples as they came, whatever the budget.

    Raises:
        PromptError: A number is out of its range, or the vectors are not one for each example, not
            of one length, or not finite.
    """
    _check(examples, budget_tokens, diversity, at_most, min_relevance, query_vector, vectors)
    full_text = separator.join(example.text for example in examples)
    full_tokens = count(full_text)
    abouts = [example.about or example.text for example in examples]
    relevance = relevance_of(abouts, query, query_vector, vectors)
    everything = tuple(range(len(examples)))
    unlimited = at_most is None or at_most >= len(examples)
    if not enabled:
        kept, reason = everything, "off"
    elif full_tokens <= budget_tokens and unlimited:
        kept, reason = _ordered(everything, relevance, order), "all fit"
    else:
        likeness = likeness_of(abouts, vectors)
        sizes = [count(example.text + separator) for example in examples]
        room = _Room(budget_tokens + count(separator), at_most, sizes)
        picks = _one_per_label(examples, relevance, room)
        needed = min_relevance if any(relevance) else 0.0
        _fill(picks, relevance, likeness, room, diversity, needed)

        def fits(n: int) -> bool:
            chosen = _ordered(picks[:n], relevance, order)
            return count(separator.join(examples[i].text for i in chosen)) <= budget_tokens

        kept = _ordered(picks[: most_that_fit(len(picks), fits)], relevance, order)
        reason = "chosen"
    text = separator.join(examples[i].text for i in kept)
    shown = {examples[i].label for i in kept}
    labels = dict.fromkeys(example.label for example in examples if example.label)
    chosen_ones = set(kept)
    return ExamplePlan(
        kept=kept,
        dropped=tuple(i for i in everything if i not in chosen_ones),
        scores=tuple(relevance),
        missing_labels=tuple(label for label in labels if label not in shown),
        text=text,
        full_text=full_text,
        tokens_before=full_tokens,
        tokens_after=count(text),
        budget_tokens=budget_tokens,
        reason=reason,
    )


class _Room:
    """What is left of the budget, by the sum of the parts; the joined text is counted later."""

    def __init__(self, tokens: int, at_most: int | None, sizes: Sequence[int]) -> None:
        self.tokens = tokens
        self.places = len(sizes) if at_most is None else at_most
        self.sizes = sizes

    def has(self, i: int, *, beside_tokens: int = 0) -> bool:
        return self.places > 0 and self.sizes[i] + beside_tokens <= self.tokens

    def take(self, i: int) -> None:
        self.places -= 1
        self.tokens -= self.sizes[i]


def _one_per_label(
    examples: Sequence[PromptExample], relevance: Sequence[float], room: _Room
) -> list[int]:
    """The most relevant example of each label that leaves room for the other labels' smallest."""
    by_label: dict[str, list[int]] = {}
    for i in sorted(range(len(examples)), key=lambda i: (-relevance[i], i)):
        if examples[i].label:
            by_label.setdefault(examples[i].label, []).append(i)
    smallest = {label: min(room.sizes[i] for i in members) for label, members in by_label.items()}
    reserved = 0
    shown: list[str] = []
    for label in by_label:
        if len(shown) < room.places and reserved + smallest[label] <= room.tokens:
            reserved += smallest[label]
            shown.append(label)
    picks = []
    for label in shown:
        reserved -= smallest[label]
        pick = next(i for i in by_label[label] if room.has(i, beside_tokens=reserved))
        room.take(pick)
        picks.append(pick)
    return picks


def _fill(
    picks: list[int],
    relevance: Sequence[float],
    likeness: Likeness,
    room: _Room,
    diversity: float,
    min_relevance: float,
) -> None:
    """Add to `picks`, best first, what fits in the room that is left."""
    taken = set(picks)
    ranked = [
        i
        for i in sorted(range(len(relevance)), key=lambda i: (-relevance[i], i))
        if i not in taken and relevance[i] >= min_relevance
    ]
    pool, behind = ranked[:_POOL], ranked[_POOL:]
    nearest = {i: max((likeness(i, j) for j in picks[:_POOL]), default=0.0) for i in pool}
    while pool := [i for i in pool if room.has(i)]:
        pick = max(
            pool,
            key=lambda i: (
                (1 - diversity) * relevance[i] - diversity * nearest[i],
                relevance[i],
                -i,
            ),
        )
        pool.remove(pick)
        room.take(pick)
        picks.append(pick)
        if diversity:
            nearest = {i: max(nearest[i], likeness(i, pick)) for i in pool}
    for i in behind:
        if room.has(i):
            room.take(i)
            picks.append(i)


def _ordered(
    picks: Sequence[int], relevance: Sequence[float], order: ExampleOrder
) -> tuple[int, ...]:
    if order == "best_last":
        return tuple(sorted(picks, key=lambda i: (relevance[i], -i)))
    return tuple(sorted(picks))


def _check(
    examples: Sequence[PromptExample],
    budget_tokens: int,
    diversity: float,
    at_most: int | None,
    min_relevance: float,
    query_vector: Vector | None,
    vectors: Sequence[Vector] | None,
) -> None:
    not_negative(budget_tokens=budget_tokens, at_most=at_most or 0)
    in_unit(diversity=diversity, min_relevance=min_relevance)
    if (query_vector is None) != (vectors is None):
        raise PromptError("query_vector and vectors are used together; give both or neither")
    if query_vector is None or vectors is None:
        return
    if len(vectors) != len(examples):
        raise PromptError(f"{len(vectors)} vectors for {len(examples)} examples; expected one each")
    for number, vector in enumerate((query_vector, *vectors)):
        if len(vector) != len(query_vector) or not all(map(math.isfinite, vector)):
            where = f"vectors[{number - 1}]" if number else "query_vector"
            raise PromptError(
                f"{where} has {len(vector)} numbers; expected {len(query_vector)} finite ones"
            )
