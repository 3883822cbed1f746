"""Requests, models and policies for the tests of routing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.routing import Candidate, RoutingFacts

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

# Per million tokens, in and out: $0.15 and $0.60; $2 and $8; $5 and $25; cached reads at half, a
# quarter and a tenth of that (openai.com/api/pricing, claude.com/pricing; read 2026-11-21).
CHEAP = Candidate(name="gatekeeper", tier="gatekeeper", model="gpt-4o-mini", provider="openai")
MIDDLE = Candidate(name="workhorse", tier="workhorse", model="gpt-4.1", provider="openai")
STRONG = Candidate(
    name="specialist", tier="specialist", model="claude-opus-4-5", provider="anthropic"
)
THREE = (CHEAP, MIDDLE, STRONG)


def request(*texts: str, **more: Any) -> RequestFacts:
    """A conversation of the user and the assistant in turns; the last text is the user's."""
    roles = ("user", "assistant") if len(texts) % 2 else ("assistant", "user")
    messages = tuple(
        MessageFacts(role=roles[index % 2], text=text)  # type: ignore[arg-type]
        for index, text in enumerate(texts)
    )
    return RequestFacts(messages=messages, **more)


def facts(
    about: RequestFacts | str = "hello", /, *, candidates: Sequence[Candidate] = THREE, **more: Any
) -> RoutingFacts:
    """What a decision looks at, at noon: 1,000 tokens of input for every model."""
    message = about if isinstance(about, RequestFacts) else request(about)
    given: dict[str, Any] = {"at": NOON, "input_tokens": {c.name: 1000 for c in candidates}, **more}
    return RoutingFacts(request=message, **given)


class Oracle:
    """A gain model whose predictions are given."""

    needs_embedding = False

    def __init__(self, **quality: float) -> None:
        self.quality = quality

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.quality)

    def predict(self, question: str, embedding: Sequence[float] | None = None) -> dict[str, float]:
        return self.quality

    def explain(self, question: str, embedding: Sequence[float] | None = None) -> tuple[str, ...]:
        return ()
