"""What a provider error means for where a request goes next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from frugal_chains.routing._candidate import Candidate
from frugal_chains.routing.cascade._answer import Outcome


@dataclass(frozen=True, slots=True)
class Reaction:
    """Whether somebody else is asked after an error, and who has better chances."""

    falls_back: bool
    rather: Literal["anyone", "other_provider", "larger_window"] = "anyone"


STOP: Final = Reaction(False)
GO_ON: Final = Reaction(True)

REACTIONS: Final[Mapping[str, Reaction]] = {
    "rate_limit": GO_ON,
    "timeout": GO_ON,
    "overloaded": GO_ON,
    "server": GO_ON,
    "conflict": GO_ON,
    "not_found": GO_ON,
    # A key or a line that fails for one model of a provider fails for its others.
    "auth": Reaction(True, "other_provider"),
    "connection": Reaction(True, "other_provider"),
    "context_length": Reaction(True, "larger_window"),
    # What one provider calls invalid the others would too; and the caller has to see it.
    "invalid_request": STOP,
    "budget": STOP,
    # A guardrail of a router further in: its refusal is the answer, and no other model's to give.
    "refused": STOP,
    # The caller gave up: nobody waits for another answer.
    "cancelled": STOP,
    "closed": STOP,
    "interrupted": STOP,
}
"""By the ledger's kinds of errors. A kind that is not here, `other`, goes on: a model that cannot
even be built, for want of a key, is no reason for no answer."""

_CONTEXT: Final = re.compile(
    # OpenAI `context_length_exceeded`, "maximum context length is"; Anthropic "prompt is too long";
    # Gemini "input token count ... exceeds"; Mistral "too large for model", vLLM as OpenAI.
    r"context[_ ](?:length|window)|maximum context|prompt is too long|too many (?:input )?tokens"
    r"|input (?:token count|is too long|length)|contextoverflow|too large for model",
    re.IGNORECASE,
)


def error_kind(outcome: Outcome) -> str:
    """The kind of an error; an input that was too long is told from other bad requests."""
    kind = outcome.error_kind or "other"
    if kind == "invalid_request" and _CONTEXT.search(outcome.detail[:2000]):
        return "context_length"
    return kind


def reaction_to(kind: str) -> Reaction:
    """What follows an error of this kind."""
    return REACTIONS.get(kind, GO_ON)


def may_help(candidate: Candidate | None, failed: Candidate | None, reaction: Reaction) -> bool:
    """Whether a candidate has a chance where another one failed. Who is unknown has one."""
    if reaction.rather != "larger_window" or candidate is None or failed is None:
        return True
    mine, theirs = candidate.context_window_tokens, failed.context_window_tokens
    return mine is None or theirs is None or mine > theirs


def same_provider(candidate: Candidate | None, failed: Candidate | None) -> bool:
    """Whether both are known to be of one provider."""
    if candidate is None or failed is None:
        return False
    return bool(failed.provider) and candidate.provider == failed.provider
