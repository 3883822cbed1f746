"""`RoutingPolicy`: everything the user decides about routing, checked when it is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from frugal_chains.errors import RoutingPolicyError
from frugal_chains.routing._candidate import RANK, Candidate, Tier
from frugal_chains.routing._gate import CannedAnswer, Guardrail
from frugal_chains.routing._rules import Rule, problems_of
from frugal_chains.routing._signals import InDomain, Signal, SimilarTo
from frugal_chains.routing.cascade import STANDARD, Validator

if TYPE_CHECKING:
    from frugal_chains.routing.gain import GainModel


@dataclass(frozen=True, slots=True)
class Trade:
    """How much quality has to be gained for what it costs more. One of the two.

    A quality of 1 is an answer that is surely right.
    """

    min_gain: float | None = None
    """Each tier up has to add so much predicted quality."""
    usd_per_answer: Decimal | None = None
    """What one more right answer is worth: the model with the highest worth less its bill wins."""

    def __post_init__(self) -> None:
        if (self.min_gain is None) == (self.usd_per_answer is None):
            raise RoutingPolicyError("a Trade has either min_gain or usd_per_answer")
        if self.usd_per_answer is not None and not self.usd_per_answer > 0:
            raise RoutingPolicyError(f"usd_per_answer is {self.usd_per_answer}; it must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """Answer with a cheaper model first, look at the answer, and escalate when it does not hold."""

    validators: tuple[Validator, ...] = STANDARD
    max_p_wrong: float = 0.5
    """An answer with a higher risk than this goes up a tier: more probably wrong, or with more to
    gain, where a validator has learned that. `frugal calibrate` finds it."""
    by_bill: bool = True
    """Where the policy says what a right answer is worth, and the stronger model has a price, the
    bill of going up decides instead of `max_p_wrong`. False: never, as for a calibrated limit."""
    samples: int = 1
    """2: the cheap model answers twice, and different answers are escalated."""
    max_steps: int = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingPolicy:
    """What may be asked of which model. The empty policy asks the workhorse for everything.

    The order: a request that names its model; the gate; hard constraints; a loop of tool calls that
    is under way; a budget that asks for less; rules; the gain model; the default tier. Among the
    models that are good enough the one with the lowest expected bill answers.
    """

    rules: tuple[Rule, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()
    canned_answers: tuple[CannedAnswer, ...] = ()
    gain: GainModel | None = None
    """Predicts the quality of each model's answer; without one only rules tell requests apart."""
    trade: Trade = field(default_factory=lambda: Trade(min_gain=0.1))
    default_tier: Tier = "workhorse"
    """Answers where nothing else decides, and when the router itself fails."""
    region: str = ""
    """Only models that name it may answer."""
    max_latency_s: float | None = None
    """Models whose typical answer takes longer are left out."""
    cascade: Cascade | None = None

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Everything that rules and the gate ask of a request."""
        return (
            *(rule.when for rule in self.rules),
            *(guardrail.when for guardrail in self.guardrails),
            *(canned.when for canned in self.canned_answers),
        )

    @property
    def needs_embedding(self) -> bool:
        """Whether decisions look at an embedding of the question."""
        by_gain = self.gain is not None and self.gain.needs_embedding
        parts = (part for signal in self.signals for part in signal.parts())
        return by_gain or any(map(_looks_at_embedding, parts))

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Whether this policy can decide between these models.

        Raises:
            RoutingPolicyError: everything that is wrong with it, and the way out of each.
        """
        problems = [*_of_candidates(candidates), *problems_of(self.rules, candidates)]
        if self.default_tier not in RANK:
            problems.append(f"default_tier is {self.default_tier!r}; there are {', '.join(RANK)}")
        if self.gain is not None and candidates:
            known = {name for c in candidates for name in (c.name, c.model, c.tier)}
            if not known & set(self.gain.names):
                problems.append(
                    f"the gain model knows {', '.join(self.gain.names)}, none of the models here: "
                    "calibrate it with the names of these, or of their tiers"
                )
        if problems:
            raise RoutingPolicyError("this policy cannot route: " + "; ".join(problems))


def _of_candidates(candidates: Sequence[Candidate]) -> list[str]:
    if not candidates:
        return ["there are no models: give at least one tier one"]
    problems = [
        f"{c.name!r} is in the tier {c.tier!r}; there are {', '.join(RANK)}"
        for c in candidates
        if c.tier not in RANK
    ]
    names = [candidate.name for candidate in candidates]
    twice = sorted({name for name in names if names.count(name) > 1})
    return problems + [f"several models are called {name!r}" for name in twice]


def _looks_at_embedding(part: Signal) -> bool:
    match part:
        case SimilarTo():
            return bool(part.vectors)
        case InDomain():
            return bool(part.domains.vectors)
    return False
