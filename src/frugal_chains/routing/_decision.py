"""`RoutingDecision`: who answers, why, and what was weighed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from frugal_chains.money import usd_from_nanos, usd_text
from frugal_chains.routing._bill import Bill
from frugal_chains.routing._candidate import Tier

Action = Literal["call", "answer", "refuse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """One candidate as the decision saw it."""

    name: str
    tier: Tier
    model: str
    bill: Bill
    provider: str = ""
    """Of `model`, where the candidate names one."""
    excluded: str = ""
    """Why it could not answer; empty: it could."""
    quality: float | None = None
    """Predicted share of right answers, 0 to 1; None: nobody has said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingDecision:
    """Plain data: log it, compare it, replay it."""

    action: Action
    """`call` a model; `answer` or `refuse` with `text`, without any."""
    reason: str
    """Stable, for reports: `asked`, `gate:NAME`, `bound`, `budget`, `rule:NAME`, `gain`,
    `default`, `only`, `unfit` or `fail_open`."""
    detail: str
    """The reason for a person to read."""
    candidate: str = ""
    tier: Tier | None = None
    escalation: tuple[str, ...] = ()
    """Where a cascade goes on when this answer does not hold, in order."""
    fallbacks: tuple[str, ...] = ()
    """Who answers when a provider fails, in order."""
    text: str = ""
    weighed: tuple[Weighed, ...] = ()
    warnings: tuple[str, ...] = ()
    deciding_nanos: int | None = None
    """What the decision itself cost, whoever answers: the embedding of the question. None: there
    was none, or no price is known."""

    def to_json(self) -> dict[str, Any]:
        """What the ledger keeps: small, and no text of the user.

        `dearest` is provider and model of the candidate with the highest bill, of those that could
        have answered: who would have without routing must be known even if it never answers.
        """
        plain: dict[str, Any] = {"action": self.action, "reason": self.reason}
        if self.candidate:
            plain |= {"candidate": self.candidate, "tier": self.tier}
        if self.escalation:
            plain["escalation"] = list(self.escalation)
        bills = {w.name: w.bill.nanos for w in self.weighed if w.bill.nanos is not None}
        if bills:
            plain["expected_nanos"] = bills
        dearest = self._dearest()
        if dearest is not None:
            plain["dearest"] = [dearest.provider, dearest.model]
        if self.deciding_nanos is not None:
            plain["deciding_nanos"] = self.deciding_nanos
        quality = {w.name: round(w.quality, 4) for w in self.weighed if w.quality is not None}
        if quality:
            plain["quality"] = quality
        excluded = {w.name: w.excluded for w in self.weighed if w.excluded}
        if excluded:
            plain["excluded"] = excluded
        if self.warnings:
            plain["warnings"] = list(self.warnings)
        return plain

    def _dearest(self) -> Weighed | None:
        """Of several that could answer, equals by their names; None where there is no choice. The
        others are not written: every byte of a decision is in a row of each attempt."""
        fit = [each for each in self.weighed if not each.excluded]
        priced = [(-each.bill.nanos, each.name) for each in fit if each.bill.nanos is not None]
        if len(fit) < 2 or not priced:
            return None
        _, name = min(priced)
        return next(each for each in fit if each.name == name)

    def explain(self) -> str:
        """The whole decision in words, a line for each candidate."""
        lines = [_headline(self)]
        lines += [
            f"  {_line(weighed, chosen=weighed.name == self.candidate)}" for weighed in self.weighed
        ]
        if self.escalation:
            lines.append(f"If the answer does not hold: {', then '.join(self.escalation)}.")
        if self.fallbacks:
            lines.append(f"If its provider fails: {', then '.join(self.fallbacks)}.")
        if self.deciding_nanos is not None:
            lines.append(f"Deciding cost {usd_text(usd_from_nanos(self.deciding_nanos))}.")
        lines += [f"Warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)


def _headline(decision: RoutingDecision) -> str:
    match decision.action:
        case "call":
            return f"{decision.candidate} ({decision.tier}) answers: {decision.detail}."
        case "answer":
            return f"Answered without a model: {decision.detail}."
    return f"Refused: {decision.detail}."


def _line(weighed: Weighed, *, chosen: bool) -> str:
    parts = [f"{'*' if chosen else ' '} {weighed.name} ({weighed.tier}, {weighed.model})"]
    bill = weighed.bill
    if weighed.quality is not None:
        parts.append(f"quality {weighed.quality:.2f}")
    if bill.nanos is not None:
        warm = f", {bill.warm_tokens:,} of them cached" if bill.warm_tokens else ""
        parts.append(
            f"about ${usd_from_nanos(bill.nanos):.6f} for {bill.input_tokens:,} tokens in{warm} "
            f"and {bill.output_tokens:,} out"
        )
    elif bill.why_unpriced:
        parts.append(f"no price: {bill.why_unpriced}")
    if weighed.excluded:
        parts.append(f"left out: {weighed.excluded}")
    return "; ".join(parts)
