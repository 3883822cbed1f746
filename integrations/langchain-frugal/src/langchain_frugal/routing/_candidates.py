"""The models of a router: under which name each one stands, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig
from langchain_core.runnables.config import merge_configs
from langchain_core.runnables.fallbacks import RunnableWithFallbacks

from frugal_chains.errors import RoutingPolicyError
from frugal_chains.providers import provider_id
from frugal_chains.routing import TIERS, Candidate, Modality, Tier

Model = Runnable[Any, Any]
Tiers = Mapping[str, Any]
"""By tier: a chat model, a function that makes one, or several of these."""
Overrides = Mapping[str, Mapping[str, Any]]
"""By candidate: fields of `Candidate` that its model does not say, or says wrongly."""

_INPUTS: Final[Mapping[str, Modality]] = {"image_inputs": "image", "audio_inputs": "audio"}
_SETS: Final = frozenset({"regions", "modalities"})
_NOT_OVERRIDDEN: Final = frozenset({"name", "tier"})
_TIERS_BILLED: Final = frozenset({"flex", "priority", "batch"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One model of a router."""

    candidate: Candidate
    model: Model | None
    """Without what was bound to it; None: it could not be made."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """What was bound to it (`bind`, `bind_tools`)."""
    config: RunnableConfig = field(default_factory=RunnableConfig)
    """What `with_config` gave it."""
    error: Exception | None = None
    """Why it could not be made."""

    @property
    def profile(self) -> Mapping[str, Any]:
        """What its integration says it can do; empty: it does not say."""
        described = _described(self.model)
        return dict(described.profile or {}) if described is not None else {}


def members_of(tiers: Tiers, overrides: Overrides | None = None) -> dict[str, Member]:
    """All models, by candidate name.

    A tier's only model has the name of the tier; one of several has its own.

    Raises:
        RoutingPolicyError: a tier is unknown, something is no chat model, or an override fits none.
    """
    if not isinstance(tiers, Mapping):
        raise RoutingPolicyError(
            f"tiers is a {type(tiers).__name__}; give a mapping: {{'workhorse': model, ...}}"
        )
    members: dict[str, Member] = {}
    for tier, given in tiers.items():
        if tier not in TIERS:
            raise RoutingPolicyError(f"unknown tier {tier!r}; there are {', '.join(TIERS)}")
        several = list(given) if isinstance(given, Sequence) else [given]
        for each in several:
            member = _member(each, tier)
            own = member.candidate.model or tier
            name = _free(own if len(several) > 1 else tier, members)
            members[name] = replace(member, candidate=replace(member.candidate, name=name))
    return _overridden(members, overrides or {})


def _free(name: str, taken: Mapping[str, object]) -> str:
    numbered = (f"{name}-{n}" for n in range(2, len(taken) + 3))
    return name if name not in taken else next(n for n in numbered if n not in taken)


def _member(given: Any, tier: Tier) -> Member:
    error: Exception | None = None
    if callable(given) and not isinstance(given, Runnable):
        given, error = _made(given)
        if error is not None:
            return Member(candidate=Candidate(name=tier, tier=tier, model=""), model=None,
                          error=error)  # fmt: skip
    if isinstance(given, str) or not hasattr(given, "bind_tools"):
        raise RoutingPolicyError(
            f"the tier {tier!r} has a {type(given).__name__}; give it a chat model, a function "
            "that makes one, or several of these (retries belong on the router, or into the "
            "model's own max_retries)"
        )
    model, kwargs, config = _unbound(given)
    return Member(candidate=_candidate(model, kwargs, tier), model=model, kwargs=kwargs,
                  config=config)  # fmt: skip


def _made(make: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return make(), None
    except Exception as error:  # a key that is missing here must not take down the other tiers
        return None, error


def _unbound(given: Model) -> tuple[Model, dict[str, Any], RunnableConfig]:
    """A model, and what was bound to it: a binding forwards `bind_tools` without that."""
    kwargs: dict[str, Any] = {}
    config = RunnableConfig()
    while isinstance(given, RunnableBinding):
        kwargs = {**given.kwargs, **kwargs}
        config = merge_configs(given.config, config)
        given = given.bound
    return given, kwargs, config


def _described(model: Model | None) -> BaseChatModel | None:
    """The chat model whose description holds for a model."""
    while isinstance(model, RunnableWithFallbacks | RunnableBinding):
        model = model.runnable if isinstance(model, RunnableWithFallbacks) else model.bound
    return model if isinstance(model, BaseChatModel) else None


def _candidate(model: Model, kwargs: Mapping[str, Any], tier: Tier) -> Candidate:
    described = _described(model)
    if described is None:
        return Candidate(name=tier, tier=tier, model="")
    named = {"model": kwargs["model"]} if "model" in kwargs else {}
    params: Mapping[str, Any] = described._get_ls_params(**named)
    profile: Mapping[str, Any] = described.profile or {}
    service = kwargs.get("service_tier") or getattr(described, "service_tier", None)
    return Candidate(
        name=tier,
        tier=tier,
        model=str(params.get("ls_model_name") or ""),
        provider=provider_id(str(params.get("ls_provider") or "")),
        context_window_tokens=profile.get("max_input_tokens"),
        max_output_tokens=profile.get("max_output_tokens"),
        modalities=_modalities(profile),
        tools=profile.get("tool_calling"),
        structured_output=profile.get("structured_output"),
        service_tier=service if service in _TIERS_BILLED else "standard",
    )


def _modalities(profile: Mapping[str, Any]) -> frozenset[Modality] | None:
    """None: the profile says nothing about any of them."""
    said = {kind: profile[name] for name, kind in _INPUTS.items() if name in profile}
    if not said:
        return None
    unsaid = set(_INPUTS.values()) - set(said)
    taken = {kind for kind, takes in said.items() if takes}
    return frozenset({"text", *taken, *unsaid})


def _overridden(members: dict[str, Member], overrides: Overrides) -> dict[str, Member]:
    known = {f.name for f in fields(Candidate)} - _NOT_OVERRIDDEN
    for key, values in overrides.items():
        names = list(_named(key, members))
        if not names:
            raise RoutingPolicyError(
                f"candidates has {key!r}, which is no model here; there are {', '.join(members)}"
            )
        unknown = sorted(set(values) - known)
        if unknown:
            raise RoutingPolicyError(
                f"candidates[{key!r}] has {', '.join(unknown)}; there are "
                f"{', '.join(sorted(known))}"
            )
        said: Any = {name: frozenset(v) if name in _SETS else v for name, v in values.items()}
        for name in names:
            member = members[name]
            members[name] = replace(member, candidate=replace(member.candidate, **said))
    return members


def _named(key: str, members: Mapping[str, Member]) -> Iterator[str]:
    """The candidate of that name, or those of that model."""
    if key in members:
        yield key
    else:
        yield from (name for name, m in members.items() if m.candidate.model == key)


def common_profile(members: Sequence[Member]) -> dict[str, Any] | None:
    """What every model can do: less than one of them may, and never more.

    A number is the smallest; a capability that one of them does not name is not promised.
    """
    profiles = [member.profile for member in members if member.model is not None]
    if not profiles:
        return None
    common: dict[str, Any] = {}
    for name in sorted({name for profile in profiles for name in profile}):
        said = [profile[name] for profile in profiles if name in profile]
        if all(isinstance(value, bool) for value in said):
            if not all(said) or len(said) == len(profiles):
                common[name] = all(said)
        elif name.startswith("max_") and all(isinstance(value, int) for value in said):
            common[name] = min(said)
    return common or None
