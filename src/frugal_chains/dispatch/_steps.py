"""A decision as the steps that carry it out."""

from __future__ import annotations

from collections.abc import Mapping

from frugal_chains.facts import RequestFacts
from frugal_chains.routing import Candidate, Cascade, RoutingDecision
from frugal_chains.routing.cascade import CascadePlan, Flow, flow


def steps_of(
    decision: RoutingDecision,
    cascade: Cascade | None,
    known: Mapping[str, Candidate],
    request: RequestFacts,
) -> Flow:
    """Whom to ask: the chosen model; with a cascade stronger ones where its answer does not hold;
    and others where a provider fails."""
    *drafts, answer = (decision.candidate, *decision.escalation)
    asked = {answer, *drafts}
    fallbacks = tuple(name for name in decision.fallbacks if name not in asked)
    plan = CascadePlan(answer=answer, drafts=tuple(drafts), fallbacks=fallbacks, known=known)
    if drafts and cascade is not None:
        plan = CascadePlan(
            answer=answer,
            drafts=tuple(drafts),
            fallbacks=fallbacks,
            validators=cascade.validators,
            max_p_wrong=cascade.max_p_wrong,
            samples=cascade.samples,
            max_steps=cascade.max_steps,
            known=known,
        )
    return flow(plan, request)
