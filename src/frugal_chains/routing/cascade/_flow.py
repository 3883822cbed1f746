"""The cascade: ask the cheapest, look at the answer, go up when it does not hold.

One pure generator. It yields whom to ask and is sent what came of it; whoever drives it, with or
without `await`, only asks:

    steps = flow(plan, request)
    step = next(steps)
    while True:
        outcome = ask(step)                    # or `await ask(step)`
        try:
            step = steps.send(outcome)
        except StopIteration as end:
            finished = end.value               # Finished
            break

What it promises, whatever comes back:

- No more than `max_steps` are asked, and nobody twice but for an agreement.
- Who failed is not asked again, and who answers in its place keeps the answer: no fallback is
  overruled.
- An answer that was good enough to send is never thrown away for an error: when the stronger model
  fails, the best draft is kept, and `Finished.why` says so.
- With `plan.drafts` empty it is a plain fallback chain.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from frugal_chains.errors import named
from frugal_chains.facts import RequestFacts
from frugal_chains.routing._candidate import RANK, Candidate
from frugal_chains.routing.cascade._agreement import same_answer
from frugal_chains.routing.cascade._answer import (
    AnswerFacts,
    Escalation,
    Finished,
    Outcome,
    Step,
    Validator,
    Verdict,
)
from frugal_chains.routing.cascade._failures import (
    Reaction,
    error_kind,
    may_help,
    reaction_to,
    same_provider,
)

Flow = Generator[Step, Outcome, Finished]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """The gain from which on a stronger answer is worth its bill.

    Escalating costs the stronger answer's bill, and pays where it wins more right answers than
    `bill / worth`. What the draft has cost is spent either way and does not count. How long the
    stronger answer will be is taken halfway, as a geometric mean, between what is usual and the
    draft: the lengths of two models' answers go together by half.
    """

    worth_usd: float
    """What one more right answer is worth."""
    input_usd: float
    """Of the stronger model, for this request."""
    output_usd: float
    """Of the stronger model's usual answer."""
    usual_characters: float
    """Length of the stronger model's usual answer."""
    stronger_p_wrong: float = 0.0
    """Probability that the stronger answer is wrong, where it is predicted. 0 takes it for right,
    so that escalating seems to win more than it does."""

    def gain(self, verdict: Verdict) -> float | None:
        """Right answers that escalating should win; None: the verdict does not say.

        A gain that a validator has learned holds the stronger model's own mistakes already. A
        probability that the draft is wrong does not: they are taken off it here.
        """
        if verdict.gain is not None or verdict.p_wrong is None:
            return verdict.gain
        return verdict.p_wrong - self.stronger_p_wrong

    def risk(self, draft: AnswerFacts) -> float:
        """The draft is not kept where going up wins more than this."""
        written = len(draft.text) + sum(len(call.arguments) for call in draft.tool_calls)
        stretch = math.sqrt(written / max(self.usual_characters, 1.0))
        bill = self.input_usd + self.output_usd * stretch
        return bill / self.worth_usd if self.worth_usd > 0 else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadePlan:
    """Whom a cascade may ask for one request, and when it is content. Names only."""

    answer: str
    """Asked when no draft holds, or at once without drafts; its answer is kept."""
    drafts: tuple[str, ...] = ()
    """Asked before it, cheapest first."""
    fallbacks: tuple[str, ...] = ()
    """Asked in its place, in order, when its provider fails; those of a draft's own tier also in
    the draft's place."""
    validators: tuple[Validator, ...] = ()
    max_p_wrong: float = 0.5
    """A draft is kept up to this risk, where a validator estimates one."""
    break_even: Mapping[str, BreakEven] = field(default_factory=dict)
    """By the name of who is asked next if a draft is not kept: decides about its risk instead of
    `max_p_wrong`, by what asking them costs. Who has no price is not in it."""
    samples: int = 1
    """2: a draft that holds is asked for again, and kept when both say the same."""
    max_steps: int = 6
    known: Mapping[str, Candidate] = field(default_factory=dict)
    """By name; what is not known of somebody excludes them from nothing."""

    def __post_init__(self) -> None:
        names = (*self.drafts, self.answer)
        if len(set(names)) < len(names):
            raise ValueError(f"a cascade asks each model once, got {', '.join(names)}")
        if self.samples not in (1, 2):
            raise ValueError(f"samples is 1 or 2, got {self.samples!r}")
        if self.max_steps < 1:
            raise ValueError(f"max_steps is at least 1, got {self.max_steps!r}")


def flow(plan: CascadePlan, request: RequestFacts) -> Flow:
    """The steps of one request; see the module."""
    log = _Log(plan, request)
    why = "cascade" if plan.drafts else "chosen"
    waiting = deque(plan.drafts)
    # The last step is the answer's: a bound that is reached must not end in a rejected draft.
    while waiting and log.left > 1:
        name = waiting.popleft()
        if not log.has_a_chance(name):
            continue
        step = Step(candidate=name, purpose="draft", why=why)
        outcome = log.took(step, (yield step))
        if outcome.answer is None:
            if not log.goes_on(name, outcome):
                return log.kept_or_failed()
            why = f"fallback: {error_kind(outcome)} of {name}"
            waiting.extendleft(reversed(log.of_the_same_tier(name, waiting)))
            continue
        first = len(log.outcomes) - 1
        verdict = log.judged(outcome.answer, log.next_up(waiting))
        if verdict.ok and plan.samples > 1 and log.left > 1:
            step = Step(candidate=name, purpose="draft", sample=1, why="agreement")
            second = log.took(step, (yield step))
            verdict = log.compared(name, outcome.answer, second)
        if verdict.ok:
            return log.finished(first, "agreed" if plan.samples > 1 else "accepted")
        log.rejected(name, first, verdict)
        why = f"escalation: {verdict.code}"
    waiting = deque((plan.answer, *plan.fallbacks))
    while log.left > 0:
        name = log.next_of(waiting)
        if not name:
            break
        step = Step(candidate=name, purpose="answer", why=why)
        outcome = log.took(step, (yield step))
        if outcome.answer is None:
            if not log.goes_on(name, outcome):
                break
            why = f"fallback: {error_kind(outcome)} of {name}"
            continue
        verdict = log.judged(outcome.answer)
        if verdict.usable or not log.holds_a_usable_draft:
            detail = "" if verdict.ok else f"{verdict.code}: {verdict.detail}"
            return log.finished(len(log.outcomes) - 1, "answered", detail)
        log.rejected(name, len(log.outcomes) - 1, verdict)
        break
    return log.kept_or_failed()


def judge(
    request: RequestFacts, answer: AnswerFacts, validators: Sequence[Validator]
) -> tuple[Verdict, tuple[str, ...]]:
    """What all validators say together, and what should be noted.

    The first one that speaks against the answer names the reason; probabilities are the worst of
    all. A validator that raises has not spoken.
    """
    found = Verdict()
    notes: list[str] = []
    for validator in validators:
        try:
            verdict = validator(request, answer)
        except Exception as error:
            name = getattr(validator, "__name__", type(validator).__name__)
            notes.append(f"not validated by {name}: {named(error)}"[:200])
            continue
        if verdict.ok and verdict.detail and verdict.p_wrong is None:
            notes.append(verdict.detail)
        first = found if not found.ok else verdict
        found = Verdict(
            code=first.code,
            detail=first.detail,
            p_wrong=_worst(found.p_wrong, verdict.p_wrong),
            gain=_worst(found.gain, verdict.gain),
            usable=found.usable and verdict.usable,
        )
    return found, tuple(notes)


def _worst(one: float | None, other: float | None) -> float | None:
    known = [p for p in (one, other) if p is not None and not math.isnan(p)]
    return max(known, default=None)


@dataclass(frozen=True, slots=True)
class _Draft:
    """An answer that was not good enough."""

    candidate: str
    index: int
    verdict: Verdict


class _Log:
    """What has happened to one request so far."""

    def __init__(self, plan: CascadePlan, request: RequestFacts) -> None:
        self.plan = plan
        self.request = request
        self.steps: list[Step] = []
        self.outcomes: list[Outcome] = []
        self.drafts: list[_Draft] = []
        self.notes: list[str] = []
        self.failed: dict[str, Reaction] = {}
        self.first_error: int | None = None

    @property
    def left(self) -> int:
        return self.plan.max_steps - len(self.steps)

    @property
    def holds_a_usable_draft(self) -> bool:
        return any(draft.verdict.usable for draft in self.drafts)

    def took(self, step: Step, outcome: Outcome) -> Outcome:
        self.steps.append(step)
        self.outcomes.append(outcome)
        return outcome

    # -- errors --------------------------------------------------------------------------------

    def goes_on(self, name: str, outcome: Outcome) -> bool:
        """Note an error; whether anyone else is asked after it."""
        kind = error_kind(outcome)
        reaction = self.failed[name] = reaction_to(kind)
        if self.first_error is None or name == self.plan.answer:
            self.first_error = len(self.outcomes) - 1
        self.notes.append(f"{name} failed: {kind}")
        return reaction.falls_back

    def has_a_chance(self, name: str) -> bool:
        known = self.plan.known
        return not any(step.candidate == name for step in self.steps) and all(
            may_help(known.get(name), known.get(failed), reaction)
            for failed, reaction in self.failed.items()
        )

    def of_the_same_tier(self, name: str, waiting: Sequence[str]) -> list[str]:
        """Who may draft in the place of somebody who failed."""
        known = self.plan.known
        tier = known[name].tier if name in known else None
        others = [
            other
            for other in self.plan.fallbacks
            if other in known and known[other].tier == tier and other != self.plan.answer
        ]
        return [o for o in others if o not in waiting and self.has_a_chance(o)]

    def next_up(self, waiting: Sequence[str]) -> str:
        """Who is asked if the draft that has just come does not hold; empty: nobody is."""
        drafts = [name for name in waiting if self.has_a_chance(name)] if self.left > 1 else []
        return (
            drafts[0] if drafts else self.next_of(deque((self.plan.answer, *self.plan.fallbacks)))
        )

    def next_of(self, waiting: deque[str]) -> str:
        """Take out who has the best chance to answer; empty when nobody has one."""
        able = [n for n in waiting if self.has_a_chance(n) and self._beats_the_drafts(n)]
        if not able:
            return ""
        chosen = min(able, key=self._doubts)  # the first of those with equally few
        waiting.remove(chosen)
        return chosen

    def _doubts(self, name: str) -> int:
        known = self.plan.known
        return sum(
            reaction.rather == "other_provider"
            and same_provider(known.get(name), known.get(failed))
            for failed, reaction in self.failed.items()
        )

    def _beats_the_drafts(self, name: str) -> bool:
        """Whether it is of a higher tier than a draft that is there and could be used."""
        known = self.plan.known
        if name not in known or name == self.plan.answer:
            return True
        held = [d.candidate for d in self.drafts if d.verdict.usable and d.candidate in known]
        return all(RANK[known[name].tier] > RANK[known[draft].tier] for draft in held)

    # -- answers -------------------------------------------------------------------------------

    def judged(self, answer: AnswerFacts, next_up: str = "") -> Verdict:
        """What the validators say, and whether the risk is too high to keep the answer."""
        verdict, notes = judge(self.request, answer, self.plan.validators)
        self.notes += notes
        if not verdict.ok or verdict.risk is None:
            return verdict
        break_even = self.plan.break_even.get(next_up)
        if break_even is None:
            found, limit = verdict.risk, self.plan.max_p_wrong
            above = f"a risk of {found:.2f} is above {limit:.2f}"
        else:
            found, limit = break_even.gain(verdict) or 0.0, break_even.risk(answer)
            above = f"{next_up} should win {found:.2f} right answers, and is worth its bill from "
            above += f"{limit:.3g} on"
        if found <= limit:
            return verdict
        because = f"{verdict.detail}: " if verdict.detail else ""
        return replace(verdict, code="risk", detail=because + above)

    def compared(self, name: str, first: AnswerFacts, second: Outcome) -> Verdict:
        if second.answer is None:
            self.notes.append(f"not compared with a second answer of {name}: {error_kind(second)}")
            return Verdict()
        if same_answer(self.request, first, second.answer):
            return Verdict()
        return Verdict(code="disagreed", detail=f"two answers of {name} differ")

    def rejected(self, name: str, index: int, verdict: Verdict) -> None:
        self.drafts.append(_Draft(name, index, verdict))

    # -- the end -------------------------------------------------------------------------------

    def finished(self, index: int, why: str, detail: str = "") -> Finished:
        return Finished(
            index=index,
            candidate=self.steps[index].candidate,
            why=why,
            detail=detail,
            escalations=tuple(
                Escalation(candidate=draft.candidate, verdict=draft.verdict)
                for draft in self.drafts
            ),
            notes=tuple(self.notes),
            steps=tuple(self.steps),
        )

    def kept_or_failed(self) -> Finished:
        """The best answer there is; without any, the error that the caller gets to see."""
        if not self.drafts:
            end = Finished(index=None, candidate="", why="no_answer", error_index=self.first_error)
            return replace(end, notes=tuple(self.notes), steps=tuple(self.steps))
        best = min(self.drafts, key=_preference)
        if self.failed:
            detail = f"the answer of {best.candidate}, because {' and '.join(self.failed)} failed"
        else:
            detail = f"the answer of {best.candidate}, the best of those there are"
        doubt = f"; {best.verdict.code}: {best.verdict.detail}"
        return self.finished(best.index, "kept_draft", detail + doubt)


def _preference(draft: _Draft) -> tuple[bool, float, int]:
    """A usable one before one that is not, the more probable before the less, the later one."""
    p_wrong = draft.verdict.p_wrong
    return not draft.verdict.usable, 0.5 if p_wrong is None else p_wrong, -draft.index
