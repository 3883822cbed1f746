"""From the name an attempt carries to the provider and model that a price list knows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from frugal_chains.pricing import _genai
from frugal_chains.pricing._rules import REFUSED_PROVIDERS
from frugal_chains.providers import PROVIDER_IDS, is_bedrock_id, provider_id

_RESOURCE_PATH = re.compile(r"^(?:projects/.*/)?(?:publishers/[^/]+/)?models/")
"""Gemini (`models/x`) and Vertex (`publishers/google/models/x`) resource names."""

_CLOSE = 0.85
"""One letter missing, added or wrong in a name of six."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A model at a provider, and the names it was known by on the way."""

    provider: str
    """Empty when no provider could be told."""
    model: str
    chain: tuple[str, ...] = ()
    """`provider:model` of every step, the first as asked."""
    loop: bool = False
    """The aliases lead in a circle."""

    @property
    def key(self) -> str:
        """The lower-case model id that globs are matched against."""
        return self.model.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Aliases:
    """A user's `[alias]` table: names or globs with one `*`, to `provider:model` or `model`."""

    targets: Mapping[str, str] = field(default_factory=dict)
    """By the lower-case name: model names are the same in either case."""
    providers: frozenset[str] = frozenset()
    """Providers that exist only in the user's own price file."""

    def target_of(
        self, provider: str, model: str, used: Collection[str] = ()
    ) -> tuple[str, str] | None:
        """The entry that applies, other than those `used`, and where it leads."""
        lowered = model.lower()
        names = (f"{provider}:{lowered}", lowered) if provider else (lowered,)
        for name in names:
            if name in self.targets and name not in used:
                return name, self.targets[name]
        for glob, target in self.targets.items():
            for name in reversed(names):  # a `*` stands for the provider only where it must
                if "*" in glob and glob not in used and fnmatchcase(name, glob):
                    head, _, tail = glob.partition("*")
                    matched = name[len(head) : len(name) - len(tail)]
                    return glob, target.replace("*", matched, 1)
        return None

    def split(self, name: str) -> tuple[str, str]:
        """`provider:model` or `provider/model` apart; no provider when the prefix is none."""
        for separator in (":", "/"):
            prefix, found, rest = name.partition(separator)
            if found and rest and self.knows(prefix):
                return provider_id(prefix), rest
        return "", name

    def knows(self, prefix: str) -> bool:
        spelled = provider_id(prefix)
        return (
            spelled in PROVIDER_IDS.values()
            or spelled in self.providers
            or _genai.is_listed(spelled)
        )


def misspelt_provider(spelled: str) -> str | None:
    """The known provider that an unknown id was probably meant to be.

    A name that contains a known one (`openai-eu`) is someone's own, on purpose.
    """
    known = {*PROVIDER_IDS, *PROVIDER_IDS.values(), *REFUSED_PROVIDERS, "*"}
    if spelled in known or _genai.is_listed(spelled):
        return None
    candidates = sorted(known | _genai.provider_ids())
    close = difflib.get_close_matches(spelled, candidates, n=1, cutoff=_CLOSE)
    return close[0] if close and close[0] not in spelled else None


def resolve_name(model: str, provider: str | None, aliases: Aliases) -> Name:
    """Follow the user's aliases, then the providers' own prefixes, until nothing changes.

    Every alias applies once: `"*-4o" = "azure:*-4o"` matches what it leads to, and means it once.
    """
    at = provider_id(provider) if provider else ""
    name, steps, used = model, [(at, model)], set[str]()
    while True:
        moved = _aliased(at, name, aliases, used) or _unprefixed(at, name, aliases)
        if moved == (at, name):
            return Name(provider=at, model=name, chain=_told(steps))
        if moved in steps:
            return Name(provider=at, model=name, chain=(*_told(steps), _step(*moved)), loop=True)
        at, name = moved
        steps.append(moved)


def _told(steps: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_step(*step) for step in steps))


def _step(provider: str, model: str) -> str:
    return f"{provider}:{model}" if provider else model


def _aliased(provider: str, model: str, aliases: Aliases, used: set[str]) -> tuple[str, str] | None:
    found = aliases.target_of(provider, model, used)
    if found is None:
        return None
    used.add(found[0])
    named, rest = aliases.split(found[1]) if ":" in found[1] else ("", found[1])
    moved = (named or provider, rest)
    # An alias of a name to itself says nothing: what is left to say stands behind it.
    return moved if moved != (provider, model) else _aliased(provider, model, aliases, used)


def _unprefixed(provider: str, model: str, aliases: Aliases) -> tuple[str, str]:
    if provider in ("", "litellm"):
        named, rest = aliases.split(model)
        return (named, rest) if named else (_inferred(model) or provider, model)
    if provider == "google" and (bare := _RESOURCE_PATH.sub("", model)) != model:
        return provider, bare
    named, rest = aliases.split(model)
    # litellm writes the provider in front even when it is given apart.
    return (provider, rest) if named == provider and "/" in model else (provider, model)


def _inferred(model: str) -> str | None:
    if model.startswith("ft:"):
        return "openai"
    if is_bedrock_id(model):
        return "aws"
    return _genai.infer_provider(model.removeprefix("models/"))
