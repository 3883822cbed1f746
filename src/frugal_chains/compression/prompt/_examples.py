"""Few-shot examples for a request: about the same thing, not all the same, within a budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from frugal_chains.compression.prompt._checks import in_unit, not_negative
from frugal_chains.compression.prompt._diff import DiffView, diff_text
from frugal_chains.compression.prompt._example_picks import Room, fill, one_per_label
from frugal_chains.compression.prompt._fit import Count, most_that_fit
from frugal_chains.compression.prompt._likeness import Likeness, Vector, likeness_of, relevance_of
from frugal_chains.errors import PromptError

ExampleOrder = Literal["original", "best_last"]


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
    wanted = _Wanted(budget_tokens, at_most, diversity, min_relevance, order, separator)
    kept, reason = tuple(range(len(examples))), "off"
    if enabled and full_tokens <= budget_tokens and wanted.places(len(examples)) == len(examples):
        kept, reason = _ordered(kept, relevance, order), "all fit"
    elif enabled:
        likeness = likeness_of(abouts, vectors)
        kept, reason = _chosen(examples, relevance, likeness, count, wanted), "chosen"
    text = separator.join(examples[i].text for i in kept)
    return ExamplePlan(
        kept=kept,
        dropped=tuple(sorted(set(range(len(examples))).difference(kept))),
        scores=tuple(relevance),
        missing_labels=_missing_labels(examples, kept),
        text=text,
        full_text=full_text,
        tokens_before=full_tokens,
        tokens_after=count(text),
        budget_tokens=budget_tokens,
        reason=reason,
    )


class _Wanted(NamedTuple):
    """What the caller asks for."""

    budget_tokens: int
    at_most: int | None
    diversity: float
    min_relevance: float
    order: ExampleOrder
    separator: str

    def places(self, examples: int) -> int:
        """How many of so many examples may be chosen, whatever their length."""
        return examples if self.at_most is None else min(self.at_most, examples)


def _chosen(
    examples: Sequence[PromptExample],
    relevance: Sequence[float],
    likeness: Likeness,
    count: Count,
    wanted: _Wanted,
) -> tuple[int, ...]:
    """Those that fit by the count of the joined text, in the order they are sent."""
    sizes = [count(example.text + wanted.separator) for example in examples]
    tokens = wanted.budget_tokens + count(wanted.separator)
    room = Room(tokens, wanted.places(len(examples)), sizes)
    picks = one_per_label([example.label for example in examples], relevance, room)
    needed = wanted.min_relevance if any(relevance) else 0.0
    fill(picks, relevance, likeness, room, wanted.diversity, needed)

    def fits(n: int) -> bool:
        texts = (examples[i].text for i in _ordered(picks[:n], relevance, wanted.order))
        return count(wanted.separator.join(texts)) <= wanted.budget_tokens

    return _ordered(picks[: most_that_fit(len(picks), fits)], relevance, wanted.order)


def _missing_labels(examples: Sequence[PromptExample], kept: Sequence[int]) -> tuple[str, ...]:
    """In the order in which they are first seen."""
    shown = {examples[i].label for i in kept}
    labels = dict.fromkeys(example.label for example in examples if example.label)
    return tuple(label for label in labels if label not in shown)


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
