"""The decision: one pure function from facts to who answers, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from frugal_chains.errors import named
from frugal_chains.pricing import PriceBook
from frugal_chains.routing._bill import expected_bill
from frugal_chains.routing._candidate import RANK, TIERS, Candidate, Tier
from frugal_chains.routing._decision import RoutingDecision, Weighed
from frugal_chains.routing._fit import why_unfit
from frugal_chains.routing._gate import AtTheGate, at_the_gate
from frugal_chains.routing._policy import RoutingPolicy
from frugal_chains.routing._request import RoutingFacts
from frugal_chains.routing._rules import first_that_holds, in_order
from frugal_chains.routing._seen import Seen

_NANOS_PER_USD = 1e9


def decide(
    facts: RoutingFacts,
    policy: RoutingPolicy,
    candidates: Sequence[Candidate],
    prices: PriceBook,
) -> RoutingDecision:
    """Who answers this request.

    `candidates` have passed `policy.check`, weakest tier first. Nothing is read but the arguments:
    the same facts give the same decision, today and in a replay.
    """
    seen = Seen(facts)
    # Who asks for a model wants to hear that model, but gets past no guardrail.
    canned = () if facts.asked else policy.canned_answers
    gate = at_the_gate(policy.guardrails, canned, seen)
    if gate is not None:
        return _gated(gate)
    weighed = _weigh(seen, policy, candidates, prices)
    fit = [each for each in weighed if not each.excluded]
    if not fit:
        return _nobody_fits(weighed, facts, policy)
    choice = None if facts.asked else _bound(fit, seen)
    if choice is None:
        fit = _within_budget(fit, facts)
        choice = _choose(fit, seen, policy, _steps(candidates))
    return _settled(choice, fit, _marked(weighed, fit), facts, policy)


def fail_open(
    error: BaseException, policy: RoutingPolicy, candidates: Sequence[Candidate]
) -> RoutingDecision:
    """The decision when deciding failed: the default tier answers, and a warning is kept."""
    chosen = _nearest(policy.default_tier, candidates)
    others = [
        c.name for c in candidates if c.name != chosen.name and RANK[c.tier] >= RANK[chosen.tier]
    ]
    return RoutingDecision(
        action="call",
        reason="fail_open",
        detail="the router failed, so the default tier answers",
        candidate=chosen.name,
        tier=chosen.tier,
        fallbacks=tuple(others),
        warnings=(f"the router failed: {named(error)}"[:_LONGEST_WARNING],),
    )


_LONGEST_WARNING = 200


@dataclass(frozen=True, slots=True)
class _Choice:
    """Who was chosen and why; the rest says what a cascade and fallbacks may still do."""

    chosen: Weighed
    reason: str
    detail: str
    may_cascade: bool = False
    warnings: tuple[str, ...] = ()


# -- weighing ----------------------------------------------------------------------------------


def _weigh(
    seen: Seen, policy: RoutingPolicy, candidates: Sequence[Candidate], prices: PriceBook
) -> tuple[Weighed, ...]:
    facts = seen.facts
    scores = policy.gain.predict(seen.question, facts.embedding) if policy.gain else {}
    weighed = []
    for c in candidates:
        learned = next((scores[key] for key in (c.name, c.model, c.tier) if key in scores), None)
        weighed.append(
            Weighed(
                name=c.name,
                tier=c.tier,
                model=c.model,
                provider=c.provider,
                excluded=why_unfit(
                    c, facts, region=policy.region, max_latency_s=policy.max_latency_s
                ),
                bill=expected_bill(c, facts, prices),
                quality=c.quality if learned is None else learned,
            )
        )
    return tuple(weighed)


def _within_budget(fit: Sequence[Weighed], facts: RoutingFacts) -> list[Weighed]:
    """Those that what is left of a budget pays for; else the least that can be had."""
    left = facts.left_nanos
    if left is None:
        return list(fit)
    paid = [each for each in fit if _nanos(each) <= max(left, 0)]
    return paid or [_cheapest(_of_rank(fit, min(RANK[each.tier] for each in fit)))]


def _marked(weighed: tuple[Weighed, ...], left: Sequence[Weighed]) -> tuple[Weighed, ...]:
    """With the reason of those that a budget has left out."""
    names = {each.name for each in left}
    why = "its bill would pass what is left of a budget"
    return tuple(
        each if each.excluded or each.name in names else replace(each, excluded=why)
        for each in weighed
    )


# -- choosing ----------------------------------------------------------------------------------


def _choose(
    fit: Sequence[Weighed], seen: Seen, policy: RoutingPolicy, steps: Mapping[Tier, int]
) -> _Choice:
    """The first of these that has something to say."""
    facts = seen.facts
    warnings: tuple[str, ...] = ()
    if facts.asked:
        choice = _asked(fit, facts.asked)
        if choice is not None:
            return choice
        warnings = (f"{facts.asked!r} was asked for and cannot answer this request",)
    choice = _ruled(fit, seen, policy) or _gained(fit, policy, steps) or _by_default(fit, policy)
    if facts.left_nanos is not None and facts.left_nanos <= 0:
        choice = replace(choice, reason="budget", detail="a budget is used up and asks for less")
    return replace(choice, warnings=warnings + choice.warnings)


def _asked(fit: Sequence[Weighed], asked: str) -> _Choice | None:
    named = _of(fit, asked)
    return _Choice(_cheapest(named), "asked", f"the request asks for {asked}") if named else None


def _bound(fit: Sequence[Weighed], seen: Seen) -> _Choice | None:
    owner = seen.facts.conversation.bound_to
    named = _of(fit, owner) if owner and seen.in_tool_loop else ()
    detail = "it is in the middle of its own tool calls"
    return _Choice(named[0], "bound", detail) if named else None


def _ruled(fit: Sequence[Weighed], seen: Seen, policy: RoutingPolicy) -> _Choice | None:
    found = first_that_holds(in_order(policy.rules), seen)
    if found is None:
        return None
    rule, why = found
    named = _of(fit, rule.to)
    if named:
        detail = f"rule {rule.name!r}: {why}"
        return _Choice(_cheapest(named), f"rule:{rule.name}", detail, may_cascade=rule.to in RANK)
    rank = next((RANK[tier] for tier in TIERS if tier == rule.to), len(TIERS))
    stronger = _at_least(fit, rank)
    if not stronger:
        return None
    detail = f"rule {rule.name!r}: {why}; no model of {rule.to} can answer this request"
    return _Choice(_cheapest(stronger), f"rule:{rule.name}", detail)


def _gained(
    fit: Sequence[Weighed], policy: RoutingPolicy, steps: Mapping[Tier, int]
) -> _Choice | None:
    """By predicted quality. Models that nobody has a figure for are not chosen so."""
    known = [each for each in fit if each.quality is not None]
    if policy.gain is None or len(known) < 2:
        return None
    worth = policy.trade.usd_per_answer
    if worth is not None and all(each.bill.nanos is not None for each in known):
        best = max(known, key=lambda each: _net_usd(each, float(worth)))
        detail = f"the most predicted quality for its bill, at ${worth} for a right answer"
        return _Choice(best, "gain", detail, may_cascade=True)
    return _by_min_gain(known, policy, steps)


def _by_min_gain(
    known: Sequence[Weighed], policy: RoutingPolicy, steps: Mapping[Tier, int]
) -> _Choice:
    min_gain = policy.trade.min_gain if policy.trade.min_gain is not None else 0.0

    def net(each: Weighed) -> float:
        return _quality(each) - min_gain * steps[each.tier]

    needed = max(known, key=lambda each: (net(each), -RANK[each.tier]))
    # A stronger model that costs no more, because its cache is warm, is as good an answer.
    good_enough = [each for each in known if _quality(each) >= _quality(needed)]
    chosen = _cheapest(good_enough) if _priced(needed) else needed
    weakest = min(known, key=lambda each: (RANK[each.tier], -_quality(each)))
    gain = _quality(chosen) - _quality(weakest)
    detail = f"predicted quality {_quality(chosen):.2f}, {gain:+.2f} beside {weakest.name}"
    return _Choice(chosen, "gain", detail, may_cascade=True)


def _by_default(fit: Sequence[Weighed], policy: RoutingPolicy) -> _Choice:
    if len(fit) == 1:
        return _Choice(fit[0], "only", "no other model can answer this request", may_cascade=True)
    able = _at_least(fit, RANK[policy.default_tier])
    if able:
        chosen = _cheapest(able)
        detail = "nothing else decides, so the default tier does"
        if chosen.tier != policy.default_tier:
            detail += "; a stronger model is no dearer here"
    else:
        chosen = max(fit, key=lambda each: RANK[each.tier])
        detail = "no model of the default tier can answer, and it is the strongest of the others"
    return _Choice(chosen, "default", detail, may_cascade=True)


# -- settling ----------------------------------------------------------------------------------


def _settled(
    choice: _Choice,
    fit: Sequence[Weighed],
    weighed: tuple[Weighed, ...],
    facts: RoutingFacts,
    policy: RoutingPolicy,
) -> RoutingDecision:
    chosen = choice.chosen
    warnings = choice.warnings
    if not _priced(chosen):
        warnings += (f"{chosen.name} has no price: {chosen.bill.why_unpriced}",)
    cascades = policy.cascade is not None and choice.may_cascade and not facts.request.tools
    return RoutingDecision(
        action="call",
        reason=choice.reason,
        detail=choice.detail,
        candidate=chosen.name,
        tier=chosen.tier,
        escalation=_escalation(chosen, fit) if cascades else (),
        fallbacks=_fallbacks(chosen, fit),
        weighed=weighed,
        warnings=warnings,
    )


def _escalation(chosen: Weighed, fit: Sequence[Weighed]) -> tuple[str, ...]:
    """The cheapest model of each tier above."""
    above = [[each for each in fit if each.tier == tier] for tier in TIERS[RANK[chosen.tier] + 1 :]]
    return tuple(_cheapest(models).name for models in above if models)


def _fallbacks(chosen: Weighed, fit: Sequence[Weighed]) -> tuple[str, ...]:
    """The same tier first, then stronger ones, then weaker: a failure is no reason for a worse
    answer where a better one can be had."""
    rank = RANK[chosen.tier]

    def distance(each: Weighed) -> tuple[int, float]:
        steps = RANK[each.tier] - rank
        return (steps if steps >= 0 else len(TIERS) - steps, _nanos(each))

    others = [each for each in fit if each.name != chosen.name]
    return tuple(each.name for each in sorted(others, key=distance))


def _gated(gate: AtTheGate) -> RoutingDecision:
    return RoutingDecision(
        action=gate.action,
        reason=f"gate:{gate.name}",
        detail=f"{gate.name}: {gate.why}",
        text=gate.text,
    )


def _nobody_fits(
    weighed: tuple[Weighed, ...], facts: RoutingFacts, policy: RoutingPolicy
) -> RoutingDecision:
    """Who is only unavailable is asked all the same: its circuit may have closed meanwhile. Where
    the request itself fits nobody, the provider of the default tier gets to say so."""
    down = [each for each in weighed if each.name in facts.unavailable]
    able = [each for each in down if each.excluded == facts.unavailable[each.name]] or weighed
    tiers = [each for each in able if RANK[each.tier] >= RANK[policy.default_tier]] or able
    chosen = min(tiers, key=lambda each: RANK[each.tier])
    whys = "; ".join(f"{each.name}: {each.excluded}" for each in weighed)
    return RoutingDecision(
        action="call",
        reason="unfit",
        detail=f"no model meets every constraint ({whys})",
        candidate=chosen.name,
        tier=chosen.tier,
        fallbacks=tuple(each.name for each in able if each.name != chosen.name),
        weighed=weighed,
        warnings=(f"no model meets every constraint: {whys}",),
    )


def _steps(candidates: Sequence[Candidate]) -> dict[Tier, int]:
    """How many steps up each tier is, of those that have a model: without a workhorse the
    specialist is one step above the gatekeeper."""
    present = {candidate.tier for candidate in candidates}
    return {tier: step for step, tier in enumerate(t for t in TIERS if t in present)}


# -- small questions ---------------------------------------------------------------------------


def _of(fit: Sequence[Weighed], name: str) -> Sequence[Weighed]:
    """The models of a tier, or the one of that name."""
    named = [each for each in fit if each.name == name]
    return named or [each for each in fit if each.tier == name]


def _of_rank(fit: Sequence[Weighed], rank: int) -> Sequence[Weighed]:
    return [each for each in fit if RANK[each.tier] == rank]


def _at_least(fit: Sequence[Weighed], rank: int) -> Sequence[Weighed]:
    return [each for each in fit if RANK[each.tier] >= rank]


def _cheapest(models: Sequence[Weighed]) -> Weighed:
    """By expected bill; without a price nobody is cheap. Among equals the weaker one."""
    return min(models, key=lambda each: (_nanos(each), RANK[each.tier]))


def _nanos(each: Weighed) -> float:
    return float("inf") if each.bill.nanos is None else each.bill.nanos


def _priced(each: Weighed) -> bool:
    return each.bill.nanos is not None


def _quality(each: Weighed) -> float:
    return each.quality or 0.0


def _net_usd(each: Weighed, usd_per_answer: float) -> float:
    return _quality(each) * usd_per_answer - _nanos(each) / _NANOS_PER_USD


def _nearest(tier: Tier, candidates: Sequence[Candidate]) -> Candidate:
    """A model of the tier, else of the next stronger one, else the strongest."""
    stronger = [c for c in candidates if RANK[c.tier] >= RANK[tier]]
    return min(stronger or candidates, key=lambda c: RANK[c.tier] if stronger else -RANK[c.tier])
