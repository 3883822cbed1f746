"""Candidates read off LLMs: what each says of itself, and what the user says instead."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final, NamedTuple

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM

from frugal_chains.errors import RoutingPolicyError
from frugal_chains.providers import max_output_tokens, provider_id
from frugal_chains.routing import Candidate
from llama_index_frugal._request import places_of, service_tier

logger = logging.getLogger("llama_index_frugal")

_NAMES: Final = ("model", "model_name", "deployment_name", "model_id")
"""Fields in which LLM classes keep the name of their model."""
_SETS: Final = ("regions", "modalities")
_GIVEN: Final = frozenset(f.name for f in fields(Candidate)) - {"name", "tier"}
"""What a user may say of a model."""


class Model(NamedTuple):
    """One that may answer, and what is known of it."""

    llm: LLM
    candidate: Candidate


def metadata_of(llm: LLM) -> LLMMetadata:
    """What an LLM says of itself; of a model that its class does not know, only the name.

    `OpenAI` raises `ValueError` for a model that is newer than the integration.
    """
    try:
        return llm.metadata
    except Exception as error:
        name = next((n for field in _NAMES if (n := getattr(llm, field, ""))), "")
        logger.debug("%s does not know the model %r: %s", llm.class_name(), name, error)
        return LLMMetadata(
            model_name=str(name) or llm.class_name(),
            is_chat_model=True,
            is_function_calling_model=isinstance(llm, FunctionCallingLLM),
        )


def models_of(
    tiers: Mapping[str, Sequence[LLM]], said: Mapping[str, Mapping[str, Any]]
) -> dict[str, Model]:
    """The models of all tiers, by the names of the candidates.

    The only model of a tier goes by the tier's name, several by the names of their models.

    Args:
        tiers: By the names of `frugal_chains.routing.TIERS`.
        said: By candidate or by model: fields of `Candidate` as the user knows them.

    Raises:
        RoutingPolicyError: `said` names nobody here, or what is not known of candidates.
    """
    found = {n: Model(llm, _candidate(n, tier, llm)) for n, tier, llm in _named(tiers)}
    problems = []
    for key, values in said.items():
        names = [n for n, m in found.items() if key in (n, m.candidate.model)]
        if not names:
            problems.append(
                f"candidates has {key!r}, which is no model here; there are {', '.join(found)}"
            )
        unknown = sorted(set(values) - _GIVEN)
        if unknown:
            problems.append(
                f"candidates[{key!r}] has {', '.join(unknown)}; there are "
                f"{', '.join(sorted(_GIVEN))}"
            )
            continue
        for name in names:
            llm, candidate = found[name]
            found[name] = Model(llm, replace(candidate, **_as_sets(values)))
    if problems:
        raise RoutingPolicyError("; ".join(problems))
    return found


def _named(tiers: Mapping[str, Sequence[LLM]]) -> Iterator[tuple[str, str, LLM]]:
    taken: set[str] = set()
    for tier, models in tiers.items():
        for llm in models:
            name = tier if len(models) == 1 else metadata_of(llm).model_name
            unique, number = name, 1
            while unique in taken:
                number += 1
                unique = f"{name}-{number}"
            taken.add(unique)
            yield unique, tier, llm


def _candidate(name: str, tier: str, llm: LLM) -> Candidate:
    facts, provider = metadata_of(llm), provider_id(llm.class_name())
    # What its class has not set is a default of LlamaIndex, not a fact of the model.
    stated = facts.model_fields_set
    return Candidate(
        name=name,
        tier=tier,  # type: ignore[arg-type]  # the policy checks it, and names all that is wrong
        model=facts.model_name,
        provider=provider,
        context_window_tokens=facts.context_window if "context_window" in stated else None,
        # Not `num_output`, which is the LLM's own `max_tokens`: options of a call replace it.
        max_output_tokens=max_output_tokens(facts.model_name),
        tools=isinstance(llm, FunctionCallingLLM) and facts.is_function_calling_model,
        service_tier=service_tier(places_of(llm, {})),
    )


def _as_sets(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: frozenset(value) if name in _SETS and value is not None else value
        for name, value in values.items()
    }
