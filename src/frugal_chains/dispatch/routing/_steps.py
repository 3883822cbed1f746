"""A decision as the steps that carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from frugal_chains.facts import RequestFacts
from frugal_chains.money import usd_from_nanos
from frugal_chains.routing import Candidate, Cascade, RoutingDecision, Trade, Weighed
from frugal_chains.routing.cascade import BreakEven, CascadePlan, Flow, flow

_CHARACTERS_PER_TOKEN: Final = 4.0
"""Of English text: "1 token ~= 4 chars in English" (help.openai.com, article 4936856, "What are
tokens and how to count them?", read 2026-11-22). Only the length of a draft beside what is usual is
measured with it, and of that the square root: an error of a third moves a bill by a sixth."""


def steps_of(
    decision: RoutingDecision,
    cascade: Cascade | None,
    known: Mapping[str, Candidate],
    request: RequestFacts,
    *,
    trade: Trade | None = None,
) -> Flow:
    """Whom to ask: the chosen model; with a cascade stronger ones where its answer does not hold;
    and others where a provider fails.

    Args:
        decision: Who answers.
        cascade: The policy's, if it has one.
        known: The candidates by name.
        request: What is asked.
        trade: The policy's: where it says what a right answer is worth, drafts are escalated by
            what that costs.
    """
    *drafts, answer = (decision.candidate, *decision.escalation)
    asked = {answer, *drafts}
    fallbacks = tuple(name for name in decision.fallbacks if name not in asked)
    plan = CascadePlan(answer=answer, drafts=tuple(drafts), fallbacks=fallbacks, known=known)
    if drafts and cascade is not None:
        worth = trade.usd_per_answer if trade is not None and cascade.by_bill else None
        plan = replace(
            plan,
            validators=cascade.validators,
            max_p_wrong=cascade.max_p_wrong,
            break_even={} if worth is None else _break_evens(decision.weighed, worth),
            samples=cascade.samples,
            max_steps=cascade.max_steps,
        )
    return flow(plan, request)


def _break_evens(weighed: tuple[Weighed, ...], worth: Decimal) -> dict[str, BreakEven]:
    """By name, of everybody whose bill is known; a bill that is not known is no low one."""
    found = {}
    for each in weighed:
        bill = each.bill
        if bill.input_nanos is None or bill.output_nanos is None:
            continue
        found[each.name] = BreakEven(
            worth_usd=float(worth),
            input_usd=float(usd_from_nanos(bill.input_nanos)),
            output_usd=float(usd_from_nanos(bill.output_nanos)),
            usual_characters=bill.output_tokens * _CHARACTERS_PER_TOKEN,
            stronger_p_wrong=0.0 if each.quality is None else 1.0 - each.quality,
        )
    return found
