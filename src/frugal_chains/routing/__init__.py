"""Routing: the cheapest model that is good enough, and why."""

from frugal_chains.routing._bill import Bill, expected_bill
from frugal_chains.routing._breaker import Breaker
from frugal_chains.routing._candidate import RANK, TIERS, Candidate, Modality, Tier
from frugal_chains.routing._decide import decide, fail_open
from frugal_chains.routing._decision import RoutingDecision, Weighed
from frugal_chains.routing._domains import Domains
from frugal_chains.routing._forecast import OutputForecasts
from frugal_chains.routing._gate import CannedAnswer, Guardrail
from frugal_chains.routing._policy import Cascade, RoutingPolicy, Trade
from frugal_chains.routing._request import (
    ConversationFacts,
    RoutingFacts,
    WarmPrefix,
    depth_of,
    in_tool_loop,
    question_of,
)
from frugal_chains.routing._rules import Rule
from frugal_chains.routing._signals import (
    ALWAYS,
    AllOf,
    AnyOf,
    Depth,
    Hours,
    InDomain,
    InputTokens,
    Keywords,
    Not,
    Pattern,
    Signal,
    SimilarTo,
    Tagged,
    Tolerance,
    UsesTools,
    WantsStructure,
)
from frugal_chains.routing._text import canonical

__all__ = [
    "ALWAYS",
    "RANK",
    "TIERS",
    "AllOf",
    "AnyOf",
    "Bill",
    "Breaker",
    "Candidate",
    "CannedAnswer",
    "Cascade",
    "ConversationFacts",
    "Depth",
    "Domains",
    "Guardrail",
    "Hours",
    "InDomain",
    "InputTokens",
    "Keywords",
    "Modality",
    "Not",
    "OutputForecasts",
    "Pattern",
    "RoutingDecision",
    "RoutingFacts",
    "RoutingPolicy",
    "Rule",
    "Signal",
    "SimilarTo",
    "Tagged",
    "Tier",
    "Tolerance",
    "Trade",
    "UsesTools",
    "WantsStructure",
    "WarmPrefix",
    "Weighed",
    "canonical",
    "decide",
    "depth_of",
    "expected_bill",
    "fail_open",
    "in_tool_loop",
    "question_of",
]
