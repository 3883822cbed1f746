"""What passes between a cascade and whoever drives it: steps out, outcomes in, a finish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from frugal_chains.facts import RequestFacts, ToolCallFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFacts:
    """One answer, as far as validators look at it."""

    text: str = ""
    finish_reason: str = ""
    """Why it ended, in the provider's own word: `stop`, `length`, `max_tokens`, ..."""
    refused: bool = False
    """The provider marked it as a refusal."""
    tool_calls: tuple[ToolCallFacts, ...] = ()
    logprobs: tuple[float, ...] | None = None
    """Natural logarithms of the probabilities of its tokens, where the provider sent them."""
    schema_error: str = ""
    """What the framework said when it parsed the answer into the asked schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one step: an answer, or the kind of the error that came instead of one."""

    answer: AnswerFacts | None = None
    error_kind: str = ""
    """As the ledger names it: `rate_limit`, `timeout`, `auth`, ..."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Ask this candidate now."""

    candidate: str
    purpose: Literal["draft", "answer"]
    """A draft is given up when it does not hold; an answer is kept."""
    sample: int = 0
    """0 for the first answer of a candidate; later ones are compared with it, so they have to be
    sampled anew: at a temperature above 0 and past every response cache."""
    why: str = ""
    """A code, and after a colon its detail: `cascade`, `escalation: truncated`, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a validator found."""

    code: str = ""
    """Stable, for reports; empty: nothing speaks against the answer."""
    detail: str = ""
    """For a person to read."""
    p_wrong: float | None = None
    """Probability that the answer is wrong, 0 to 1; None: the validator does not estimate it."""
    gain: float | None = None
    """Expected gain of a stronger answer over this one, -1 to 1, where the validator has seen
    stronger answers too: a question that they get wrong as well is not worth them."""
    usable: bool = True
    """False: as an answer it is worse than any other (empty, refused, not of the schema)."""

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against the answer."""
        return not self.code

    @property
    def risk(self) -> float | None:
        """What is lost by keeping the answer: the expected gain where it is known, else the
        probability that the answer is wrong."""
        return self.p_wrong if self.gain is None else self.gain


OK = Verdict()


class Validator(Protocol):
    """Looks at an answer before it is kept. Pure: no I/O, no clock, no randomness."""

    def __call__(self, request: RequestFacts, answer: AnswerFacts, /) -> Verdict: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Why one candidate's answer was not the end."""

    candidate: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a cascade ended."""

    index: int | None
    """Of the outcome that is kept, in the order of the steps; None: nobody answered, and the
    driver raises the error of `error_index`."""
    candidate: str
    """Who gave the kept answer; empty when nobody did."""
    why: str
    """`accepted`, `answered`, `agreed`, `kept_draft`, `no_answer`."""
    detail: str = ""
    escalations: tuple[Escalation, ...] = ()
    notes: tuple[str, ...] = ()
    """What did not decide but should be seen: a validator of the user that raised, a fallback."""
    steps: tuple[Step, ...] = ()
    error_index: int | None = None
    """Of the error to raise where nobody answered: the first one of the candidate that was meant
    to answer, so that it reads as if no router stood between."""
