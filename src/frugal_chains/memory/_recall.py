"""What of the dropped turns is placed behind the cached prefix for one question, if anything.

Recalled text is fresh input, ten times as dear as the same text in a cached prefix: to recall 4,000
tokens on every turn costs more than compacting saves. So a question has to speak for it: it points
at what was said, at what belongs to the person or at a name, in words that are rare in what was
dropped and that what is still there does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from frugal_chains.errors import MemoryPlanError
from frugal_chains.facts import MessageFacts
from frugal_chains.memory._recall_evidence import Evidence, Held
from frugal_chains.memory._recall_index import Floats, RecallIndex
from frugal_chains.memory._recall_place import Placing
from frugal_chains.memory._recall_question import clauses

RecallReason = Literal[
    "points_back",
    "own_matter",
    "name",
    "rare_words",
    "always",
    "alike",
    "nothing_dropped",
    "asks_nothing",
    "not_said",
    "in_context",
    "weak",
    "no_room",
]
"""Why something is recalled (the first six) or nothing.

`points_back`: "as I said", "did we". `own_matter`: "my", "our". `name`: a name, an identifier or a
figure that is not in the context. `rare_words`: words that few dropped passages have. `always`: the
policy wants it. `alike`: by the embedder. `asks_nothing`: no sentence that says what it is about.
`not_said`: none of its words was dropped. `in_context`: what is there has as much. `weak`: too
little speaks for it. `no_room`: the budget holds none of what was found.
"""

_LEAST_POINTS: Final = 5.0
_NEAR_BEST: Final = 0.5
"""Score of a turn beside the best one that is recalled too."""
_MOST_TURNS: Final = 5
_SURE: Final = 1.0
"""Points above the least from which all good turns are recalled, and not only the best few."""
_UNSURE_TURNS: Final = 2
_BY_KIND: Final = np.array([1.0, 0.6, 0.85])
"""What a passage is worth in the ranking: told by the user, a question of the user's, answered."""
_NAMES: Final = 0.5
"""What names count more when turns are ranked."""
_MEANING: Final = 0.5
"""Part of the embedder in a score, the words have the rest."""
_PLACES: Final = 9
"""Decimals of a score: beyond them processors differ, and equal turns would swap places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallPolicy:
    """When something is recalled, and how much.

    Raises:
        MemoryPlanError: a number out of its range.
    """

    budget_tokens: int = 4_000
    """Of the whole text, at most."""
    least_points: float = _LEAST_POINTS
    """What has to speak for it; less recalls more often."""
    near_best: float = _NEAR_BEST
    """Share of the best turn's score that other turns need, 0 to 1; 1: only the best."""
    most_turns: int = _MOST_TURNS
    alike: float | None = None
    """Cosine from which on the embedder alone is enough; None: it only ranks."""
    always: bool = False
    """Recall on every turn on which anything is found."""

    def __post_init__(self) -> None:
        if self.budget_tokens < 1 or self.most_turns < 1 or not 0 <= self.near_best <= 1:
            raise MemoryPlanError(
                f"budget_tokens {self.budget_tokens}, most_turns {self.most_turns}, near_best "
                f"{self.near_best}: expected 1 or more, 1 or more, and 0 to 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallPlan:
    """What is recalled for one question, and why. Plain data."""

    reason: RecallReason
    text: str = ""
    """To be placed behind the question; empty: nothing is recalled."""
    tokens: int = 0
    """Of the text."""
    messages: tuple[int, ...] = ()
    """The numbers of the messages that the text holds, ascending, whole or in part."""
    turns: tuple[int, ...] = ()
    """The numbers of their turns in the index, ascending."""
    points: float = 0.0
    """How much the question asks for what was dropped; see `RecallPolicy.least_points`."""


def recall(
    index: RecallIndex,
    question: str,
    *,
    messages: Sequence[MessageFacts],
    kept: Collection[int],
    count: Callable[[str], int],
    context: Sequence[str] = (),
    cosines: Sequence[float] | None = None,
    policy: RecallPolicy | None = None,
) -> RecallPlan:
    """Decide what of the dropped messages is shown again beside a question.

    Args:
        index: Of the messages of the conversation, or of the first of them.
        question: What is asked now.
        messages: The history that was indexed; only what is recalled is read.
        kept: Numbers of messages that are in the context word for word: never recalled.
        count: Tokens of a text.
        context: Other texts in the context: summaries.
        cosines: Of the question with each turn of the index, by an embedder.
        policy: When, and how much.

    Raises:
        MemoryPlanError: the index has more messages than the history, or cosines do not fit it.
    """
    policy = policy or RecallPolicy()
    _check(index, messages, cosines)
    there = np.zeros(index.messages, dtype=np.bool_)
    there[[number for number in kept if 0 <= number < index.messages]] = True
    dropped = ~there[index.message_of_passages()]
    if not dropped.any():
        return RecallPlan(reason="nothing_dropped")
    asked = clauses(question)
    held = Held(index, dropped=dropped, context=context)
    found = [held.evidence(clause) for clause in asked]
    best = max(found, key=lambda each: each.points, default=None)
    points = best.points if best is not None else 0.0
    reason = _reason(best, found, policy)
    if reason in _REFUSALS and _alike(index, dropped, cosines, policy):
        reason = "alike"
    if reason in _REFUSALS:
        return RecallPlan(reason=reason, points=points)
    needed = [each for each in found if each.points >= policy.least_points] or found
    scores = _passage_scores(index, needed) * dropped
    if cosines is not None:
        scores = _with_meaning(index, scores, dropped, cosines)
    sure = points >= policy.least_points + _SURE or policy.always
    ranked = _ranked(index, scores, policy)[: None if sure else _UNSURE_TURNS]
    placing = Placing(index, scores, messages, frozenset(kept), count, policy.budget_tokens)
    for turn in ranked:
        placing.place(turn)
    text = placing.text
    return RecallPlan(
        reason=reason if text else "no_room",
        text=text,
        tokens=placing.tokens,
        messages=placing.messages,
        turns=placing.turns,
        points=points,
    )


def _alike(
    index: RecallIndex,
    dropped: NDArray[np.bool_],
    cosines: Sequence[float] | None,
    policy: RecallPolicy,
) -> bool:
    """Whether the embedder finds a dropped turn that is about what is asked."""
    if cosines is None or policy.alike is None:
        return False
    turns = np.unique(index.turn_of_passages()[dropped]).tolist()
    return any(cosines[turn] >= policy.alike for turn in turns)


_REFUSALS: Final = ("asks_nothing", "not_said", "in_context", "weak")


def _check(
    index: RecallIndex, messages: Sequence[MessageFacts], cosines: Sequence[float] | None
) -> None:
    if index.messages > len(messages):
        raise MemoryPlanError(
            f"the index has {index.messages} messages, the history {len(messages)}: truncate it"
        )
    if cosines is not None and len(cosines) != index.turns:
        raise MemoryPlanError(f"{len(cosines)} cosines for {index.turns} turns: give one for each")


def _reason(best: Evidence | None, found: Sequence[Evidence], policy: RecallPolicy) -> RecallReason:
    if best is None:
        return "asks_nothing"
    if all(each.missing <= 0 for each in found):
        return "not_said"
    if best.points < policy.least_points:
        if policy.always:
            return "always"
        return "in_context" if best.present >= best.missing else "weak"
    if best.clause.back:
        return "points_back"
    if best.own:
        return "own_matter"
    return "name" if best.name > 0 else "rare_words"


def _passage_scores(index: RecallIndex, needed: Sequence[Evidence]) -> Floats:
    """Of each passage the best of the clauses, each clause beside its own best passage."""
    scores = np.zeros(index.passages)
    for each in needed:
        found = index.scores(each.clause.terms)
        names = [term for term in each.clause.terms if term in each.clause.names]
        if names:
            found = found + _NAMES * index.scores(names)
        most = found.max(initial=0.0)
        if most > 0:
            scores = np.maximum(scores, found / most)
    rounded: Floats = np.round(scores * _BY_KIND[index.kind_of_passages()], _PLACES)
    return rounded


def _with_meaning(
    index: RecallIndex, scores: Floats, dropped: NDArray[np.bool_], cosines: Sequence[float]
) -> Floats:
    """Half words, half the embedder, each beside its own best; cosines below the mean count 0."""
    given = np.asarray(cosines, dtype=np.float64)
    if not np.isfinite(given).all():
        raise MemoryPlanError("a cosine is no finite number: give one from -1 to 1 for each turn")
    above = np.clip(given - given.mean(), 0.0, None)[index.turn_of_passages()] * dropped
    most = above.max(initial=0.0)
    meaning = above / most if most > 0 else above
    # The passage of a turn that the words choose stays before the others.
    both: Floats = np.round((1 - _MEANING) * scores + _MEANING * meaning, _PLACES)
    return both


def _ranked(index: RecallIndex, passages: Floats, policy: RecallPolicy) -> list[int]:
    """The turns to place, the best first, of equal ones the newest first."""
    scores = np.zeros(index.turns)
    np.maximum.at(scores, index.turn_of_passages(), passages)
    order = sorted(np.flatnonzero(scores).tolist(), key=lambda turn: (-scores[turn], -turn))
    near = [turn for turn in order if scores[turn] >= policy.near_best * scores[order[0]]]
    return near[: policy.most_turns]
