"""Which tools a request offers, and in which words: prune, slim, or leave and cache.

1. A conversation's first request chooses the cheapest of three ways over all calls forecast. A
   block that the provider has in its cache is cheap to leave, and pruning throws that away.
2. From then on the conversation keeps that way. What was offered stays, in its place and with its
   bytes; new tools are appended. A change breaks the cached prefix and all that comes after it.
3. Tools that are forced, named, found or already called are always there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from frugal_chains.compression.tools._bill import CacheFacts, Forecast, addition_nanos
from frugal_chains.compression.tools._index import ToolIndex
from frugal_chains.compression.tools._outcome import Alternative, Dropped, Reason, ToolPlan
from frugal_chains.compression.tools._request import Action, Offered, ToolPolicy, ToolRequest
from frugal_chains.pricing import CacheTerms, TokenPrices


@dataclass(frozen=True, slots=True)
class _Way:
    """An action with the tools it offers."""

    action: Action
    kept: tuple[int, ...]
    slim: bool
    find_tool: bool

    def tokens(self, index: ToolIndex) -> int:
        counts = index.slim_tokens if self.slim else index.tokens
        return sum(counts[n] for n in self.kept) + self.find_tool * index.find_tool_tokens

    def key(self, index: ToolIndex) -> str:
        return index.block_key(self.kept, slim=self.slim, find_tool=self.find_tool)


def plan_tools(
    index: ToolIndex,
    request: ToolRequest,
    *,
    prices: TokenPrices,
    cache: CacheFacts | None = None,
    forecast: Forecast | None = None,
    policy: ToolPolicy | None = None,
) -> ToolPlan:
    """Decide which tools a request offers. Pure: the same facts give the same plan.

    Args:
        index: All tools of the application.
        request: The conversation so far.
        prices: Of the model that will answer.
        cache: Of its provider; None: it caches nothing.
        forecast: None: this call is the last.
        policy: Limits; None: the defaults.

    Raises:
        ToolPlanError: a vector that does not fit the index.
        PriceError: a minimum of the cache that is no whole number of its steps.
    """
    policy = policy or ToolPolicy()
    scores = index.scores(request.query, before=request.before, vector=request.vector)
    cache = cache or CacheFacts()
    bill = _Bill(index, request, cache.terms(prices), cache, forecast or Forecast())
    if request.offered is not None:
        return _continued(bill, request.offered, scores, policy)
    ways, reason = _ways(index, request, scores, policy)
    alternatives = tuple(bill.of(way, warm=bill.warm(way)) for way in ways)
    best = 0
    for at, each in enumerate(alternatives):
        worth = 1 - policy.least_saving if each.action == "prune" else 1.0
        if each.nanos < worth * alternatives[best].nanos:
            best = at
    pruned = ways[-1].action == "prune"
    if pruned:
        reason = "cheapest" if ways[best].action == "prune" else "not_worth_it"
    return _plan(bill, ways[best], scores, reason, alternatives, policy)


def _ways(
    index: ToolIndex, request: ToolRequest, scores: Sequence[float], policy: ToolPolicy
) -> tuple[list[_Way], Reason]:
    """Every action that is allowed; and, where none may be dropped, why."""
    every = tuple(range(len(index.tools)))
    ways = [_Way("leave", every, slim=False, find_tool=False)]
    if policy.slim:
        ways.append(_Way("slim", every, slim=True, find_tool=False))
    if not policy.prune:
        return ways, "switched_off"
    if len(every) <= policy.most:
        return ways, "few_tools"
    if not policy.find_tool and not any(scores):
        return ways, "nothing_to_drop"
    chosen = _needed(index, request) | set(_fitting(scores, policy)[: policy.most])
    if len(chosen) == len(every):
        return ways, "nothing_to_drop"
    kept = tuple(sorted(chosen))
    ways.append(_Way("prune", kept, slim=policy.slim, find_tool=policy.find_tool))
    return ways, "cheapest"


def _continued(
    bill: _Bill, offered: Offered, scores: Sequence[float], policy: ToolPolicy
) -> ToolPlan:
    """The tools of a conversation under way: what was offered, then what is new."""
    index = bill.index
    stay = _stay(index, offered.names)
    before = _Way(offered.action, tuple(stay), offered.slim, offered.find_tool)
    warm = bill.warm(before)
    if offered.action == "prune":
        added = _added(bill, before, scores, policy, warm=warm)
    else:
        added = [number for number in range(len(index.tools)) if number not in set(stay)]
    way = _Way(offered.action, (*before.kept, *added), offered.slim, offered.find_tool)
    leave = _Way("leave", tuple(range(len(index.tools))), slim=False, find_tool=False)
    alternatives = [bill.of(way, warm=0 if added else warm)]
    if offered.action != "leave":
        behind = max(warm - before.tokens(index), 0)
        alternatives.insert(0, bill.of(leave, warm=leave.tokens(index) + behind if warm else 0))
    return _plan(bill, way, scores, "sticky", tuple(alternatives), policy)


def _added(
    bill: _Bill, before: _Way, scores: Sequence[float], policy: ToolPolicy, *, warm: int
) -> list[int]:
    """What a pruned conversation is offered from now on: what it needs, then what fits."""
    index, stay = bill.index, set(before.kept)
    added = sorted(_needed(index, bill.request) - stay)
    best = _fitting(scores, policy)[: policy.most]
    # With nothing in the cache, or the prefix broken anyway, more tools cost only themselves.
    missed = policy.follow and bool(best) and scores[best[0]] > 0 and best[0] not in stay
    if not (missed or added or not warm):
        return added
    counts = index.slim_tokens if before.slim else index.tokens
    tokens = before.tokens(index) + sum(counts[number] for number in added)
    for number in best:
        new = number not in stay and number not in added and scores[number] > 0
        tokens += counts[number] if new else 0
        if len(stay) + len(added) >= policy.limit or tokens > sum(index.tokens):
            break
        if new:
            added.append(number)
    return added


def _needed(index: ToolIndex, request: ToolRequest) -> set[int]:
    """The tools that have to be there, whatever they cost."""
    names = {*request.used, *request.forced, *request.found}
    needed = {number for number, tool in enumerate(index.tools) if tool.name in names}
    needed.update(index.named_in(request.query), index.named_in(request.instructions))
    return needed


def _fitting(scores: Sequence[float], policy: ToolPolicy) -> list[int]:
    """The tools that fit, the best first; equal ones in the application's order."""
    floor = policy.least_fit * max(scores, default=0.0)
    fitting = [number for number, score in enumerate(scores) if score >= floor]
    return sorted(fitting, key=scores.__getitem__, reverse=True)  # stable: equal ones stay


def _stay(index: ToolIndex, names: Iterable[str]) -> list[int]:
    """Where the tools offered before are now, in their order; those that are gone are left out."""
    places: dict[str, list[int]] = {}
    for number, tool in enumerate(index.tools):
        places.setdefault(tool.name, []).append(number)
    return [places[name].pop(0) for name in names if places.get(name)]


def _plan(
    bill: _Bill,
    way: _Way,
    scores: Sequence[float],
    reason: Reason,
    alternatives: tuple[Alternative, ...],
    policy: ToolPolicy,
) -> ToolPlan:
    index, kept = bill.index, set(way.kept)
    fitting = set(_fitting(scores, policy))
    tokens = way.tokens(index)
    return ToolPlan(
        action=way.action,
        reason=reason,
        kept=way.kept,
        dropped=tuple(
            Dropped(number, "no_room" if number in fitting else "fits_badly", scores[number])
            for number in range(len(index.tools))
            if number not in kept
        ),
        slim=way.slim,
        find_tool=way.find_tool,
        tokens=tokens,
        tokens_saved=sum(index.tokens) - tokens,
        alternatives=alternatives,
        block_key=way.key(index),
        offered=Offered(
            action=way.action,
            names=tuple(index.tools[number].name for number in way.kept),
            slim=way.slim,
            find_tool=way.find_tool,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Bill:
    """What everything is billed with."""

    index: ToolIndex
    request: ToolRequest
    terms: CacheTerms
    cache: CacheFacts
    forecast: Forecast

    def warm(self, way: _Way) -> int:
        return self.cache.warm.get(way.key(self.index), 0) if self.cache.caches else 0

    def of(self, way: _Way, *, warm: int) -> Alternative:
        tokens = way.tokens(self.index)
        prompt = tokens + self.request.after_tokens
        nanos = self.terms.conversation_nanos(
            prompt,
            warm,
            calls=self.forecast.calls + 1,
            growth_tokens=self.forecast.growth_tokens,
        )
        left = len(self.index.tools) - len(way.kept)
        if left and self.forecast.additions:
            counts = self.index.slim_tokens if way.slim else self.index.tokens
            nanos += self.forecast.additions * addition_nanos(
                prompt,
                (sum(counts) - sum(counts[n] for n in way.kept)) / left,
                terms=self.terms,
                forecast=self.forecast,
            )
        return Alternative(action=way.action, tokens=tokens, nanos=nanos)
