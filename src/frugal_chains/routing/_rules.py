"""Rules: when a signal holds, a tier or one model answers, whatever a gain model thinks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from frugal_chains.routing._candidate import TIERS, Candidate
from frugal_chains.routing._seen import Seen
from frugal_chains.routing._signals import (
    AllOf,
    AnyOf,
    Depth,
    InputTokens,
    Keywords,
    Not,
    Pattern,
    Signal,
    SimilarTo,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Sends requests to a tier, or to one model."""

    name: str
    when: Signal
    to: str
    """A tier, or the name of a candidate."""
    priority: int = 0
    """The rule with the highest number is asked first; among equals the one written first."""


def in_order(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """As they are asked."""
    return tuple(sorted(rules, key=lambda rule: -rule.priority))


def first_that_holds(rules: Sequence[Rule], seen: Seen) -> tuple[Rule, str] | None:
    """The rule that decides, and why it holds. `rules` are `in_order`."""
    for rule in rules:
        reason = rule.when.why(seen)
        if reason:
            return rule, reason
    return None


def problems_of(rules: Sequence[Rule], candidates: Sequence[Candidate]) -> list[str]:
    """Everything wrong with the rules that can be told without a request."""
    return [
        *_of_names(rules),
        *_of_targets(rules, candidates),
        *_never(rules),
        *_shadowed(in_order(rules)),
    ]


def _of_names(rules: Sequence[Rule]) -> Iterator[str]:
    names = [rule.name for rule in rules]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{names.count(name)} rules are called {name!r}: give each a name of its own"


def _of_targets(rules: Sequence[Rule], candidates: Sequence[Candidate]) -> Iterator[str]:
    tiers, names = {c.tier for c in candidates}, {c.name for c in candidates}
    for rule in rules:
        if rule.to in TIERS and rule.to not in tiers:
            yield f"rule {rule.name!r} sends to {rule.to!r}, which has no model"
        elif rule.to not in TIERS and rule.to not in names:
            known = ", ".join([*TIERS, *sorted(names - set(TIERS))])
            yield f"rule {rule.name!r} sends to {rule.to!r}; there are {known}"


def _never(rules: Sequence[Rule]) -> Iterator[str]:
    for rule in rules:
        why = _why_never(rule.when)
        if why:
            yield f"rule {rule.name!r} can never hold: {why}"


def _why_never(signal: Signal) -> str:
    """Why a signal holds for no request; empty when it may."""
    match signal:
        case AllOf(parts):
            inner = (_why_never(part) for part in parts)
            return next(filter(None, inner), "") or _contradiction(parts)
        case AnyOf(parts):
            reasons = [_why_never(part) for part in parts]
            return "" if not all(reasons) else "; ".join(reasons) or "it has no alternatives"
        case Not(AllOf(())):
            return "it is the opposite of always"
        case Keywords(words) if not any(words):
            return "it has no keywords"
        case Pattern("(?!)"):
            return "its pattern matches nothing"
        case SimilarTo(examples, at_least) if not examples or at_least > 1:
            return f"{len(examples)} examples and a cosine of at least {at_least}"
        case InputTokens() | Depth() if signal.at_most is not None:
            empty = signal.at_least > signal.at_most
            return f"at least {signal.at_least} and at most {signal.at_most}" if empty else ""
    return ""


def _contradiction(parts: Sequence[Signal]) -> str:
    if any(Not(part) in parts for part in parts):
        return "it asks for a signal and for its opposite"
    for kind in (InputTokens, Depth):
        ranges = [part for part in parts if type(part) is kind]
        low = max((part.at_least for part in ranges), default=0)
        high = min((p.at_most for p in ranges if p.at_most is not None), default=None)
        if high is not None and low > high:
            return f"{kind.__name__} at least {low} and at most {high}"
    return ""


def _shadowed(rules: Sequence[Rule]) -> Iterator[str]:
    for index, rule in enumerate(rules):
        for earlier in rules[:index]:
            if _implies(rule.when, earlier.when):
                yield (
                    f"rule {rule.name!r} is never asked: {earlier.name!r} comes first and holds "
                    "whenever it does; raise its priority, or drop it"
                )
                break


def _implies(one: Signal, other: Signal) -> bool:
    """Whether `other` holds wherever `one` does, as far as their forms tell."""
    if one == other or other == AllOf(()):
        return True
    match one, other:
        case _, AllOf(parts):
            return all(_implies(one, part) for part in parts)
        case AnyOf(parts), _ if parts:
            return all(_implies(part, other) for part in parts)
        case _, AnyOf(parts) if any(_implies(one, part) for part in parts):
            return True
        case AllOf(parts), _:
            return any(_implies(part, other) for part in parts)
        case Keywords(few), Keywords(many):
            return set(few) <= set(many)
        case ((InputTokens() | Depth()), (InputTokens() | Depth())) if type(one) is type(other):
            return one.at_least >= other.at_least and _at_most(one) <= _at_most(other)
        case SimilarTo(examples, near), SimilarTo(same, nearer) if one.vectors == other.vectors:
            return set(examples) <= set(same) and near >= nearer
    return False


def _at_most(signal: InputTokens | Depth) -> float:
    return float("inf") if signal.at_most is None else signal.at_most
