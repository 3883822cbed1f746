"""Candidates: the models that may answer, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Tier = Literal["gatekeeper", "workhorse", "specialist"]
TIERS: Final[tuple[Tier, ...]] = ("gatekeeper", "workhorse", "specialist")
"""From the cheapest to the strongest."""
RANK: Final[Mapping[Tier, int]] = {tier: rank for rank, tier in enumerate(TIERS)}

Modality = Literal["text", "image", "audio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One model that may answer, under the name the user gave it.

    What is None or empty is unknown, and an unknown never excludes a model; except `regions`, where
    a policy that asks for one takes only models that name it.
    """

    name: str
    """Unique among the candidates; the tier's own name where it has one model."""
    tier: Tier
    model: str
    """The provider's name of it, as prices know it."""
    provider: str = ""
    context_window_tokens: int | None = None
    """The longest input it takes."""
    max_output_tokens: int | None = None
    modalities: frozenset[Modality] | None = None
    tools: bool | None = None
    structured_output: bool | None = None
    """Whether the provider holds an answer to a schema by itself."""
    regions: frozenset[str] = frozenset()
    """Where it may process data, in the user's words (`eu`, `us`, `on-premises`)."""
    latency_s: float | None = None
    """A typical answer takes this long."""
    quality: float | None = None
    """Share of requests it answers well, 0 to 1, where no gain model has learned it."""
    service_tier: str = "standard"
