"""The cascade: answer cheap, look at the answer, go up when it does not hold."""

from frugal_chains.routing.cascade._agreement import same_answer
from frugal_chains.routing.cascade._answer import (
    OK,
    AnswerFacts,
    Escalation,
    Finished,
    Outcome,
    Step,
    Validator,
    Verdict,
)
from frugal_chains.routing.cascade._arithmetic import Identity, identities, without_marks
from frugal_chains.routing.cascade._calibrate import CascadeFit, answer_rows, fit_cascade
from frugal_chains.routing.cascade._failures import REACTIONS, Reaction, error_kind, reaction_to
from frugal_chains.routing.cascade._features import features
from frugal_chains.routing.cascade._flow import BreakEven, CascadePlan, Flow, flow, judge
from frugal_chains.routing.cascade._learned import (
    AnswerRow,
    LearnedValidator,
    ValidatorFit,
    fit_validator,
)
from frugal_chains.routing.cascade._limit import (
    ALWAYS,
    Limit,
    limit_for_quality,
    limit_for_share,
    limit_for_spend,
)
from frugal_chains.routing.cascade._reading import final_number
from frugal_chains.routing.cascade._schema import schema_problem
from frugal_chains.routing.cascade._validators import (
    CHECKS,
    STANDARD,
    Format,
    Logprobs,
    arithmetic,
    empty,
    hedging,
    invented_numbers,
    refusal,
    schema,
    truncation,
    unused_numbers,
)

__all__ = [
    "ALWAYS",
    "CHECKS",
    "OK",
    "REACTIONS",
    "STANDARD",
    "AnswerFacts",
    "AnswerRow",
    "BreakEven",
    "CascadeFit",
    "CascadePlan",
    "Escalation",
    "Finished",
    "Flow",
    "Format",
    "Identity",
    "LearnedValidator",
    "Limit",
    "Logprobs",
    "Outcome",
    "Reaction",
    "Step",
    "Validator",
    "ValidatorFit",
    "Verdict",
    "answer_rows",
    "arithmetic",
    "empty",
    "error_kind",
    "features",
    "final_number",
    "fit_cascade",
    "fit_validator",
    "flow",
    "hedging",
    "identities",
    "invented_numbers",
    "judge",
    "limit_for_quality",
    "limit_for_share",
    "limit_for_spend",
    "reaction_to",
    "refusal",
    "same_answer",
    "schema",
    "schema_problem",
    "truncation",
    "unused_numbers",
    "without_marks",
]
