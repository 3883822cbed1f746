"""`Setup`: which levers are on, and how they are set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Final, Literal, TypeVar

from frugal_chains.errors import ReplayError, RoutingError
from frugal_chains.memory import CompactionPolicy
from frugal_chains.routing import Candidate, RoutingPolicy

_M = TypeVar("_M")
LeverName = Literal["memory", "compression", "routing", "prompt_cache", "batch"]
LEVERS: Final[tuple[LeverName, ...]] = ("memory", "compression", "routing", "prompt_cache", "batch")
"""In the order in which a waterfall takes them."""
_LONG: Final = frozenset(("1h", "12h", "24h"))
"""Times to live by the providers' names that outlast the usual one (`providers.cache_controls`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Conversations are compacted, by sentences that are picked: no model is asked."""

    policy: CompactionPolicy = field(default_factory=CompactionPolicy)
    recall_tokens: int = 0
    """Of dropped messages that are shown again, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """What tools return is compressed once, when it enters a conversation."""

    budget_tokens: int | None = None
    """Of one output; None: only its form changes, nothing is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Who answers.

    Raises:
        ReplayError: neither a policy nor models by task, or a policy without candidates.
    """

    by_task: Mapping[str, tuple[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    """Provider and model by the name of a task; other tasks stay where they are."""
    policy: RoutingPolicy | None = None
    """Decides about calls whose texts are recorded, of tasks that are not named."""
    candidates: tuple[Candidate, ...] = ()

    def models(self, given: Mapping[str, _M], make: Callable[[str], _M]) -> dict[str, _M]:
        """Who answers, by task; each model is made once.

        Args:
            given: Models by their names in the file, `provider:model`, in the place of new ones.
            make: Makes one of such a name.

        Raises:
            ReplayError: there is the policy of a router, which goes to a router itself.
            RoutingError: `given` has one that is not named here.
        """
        if self.policy is not None:
            raise ReplayError(
                "the setup has the policy of a router, and models are taken by task: give the "
                "policy to a router of its own (RoutingMiddleware, RoutingLLM), and the setup "
                "with routing=None"
            )
        named = {
            task: f"{provider}:{model}" if provider else model
            for task, (provider, model) in self.by_task.items()
        }
        unknown = sorted(given.keys() - set(named.values()))
        if unknown:
            there = ", ".join(sorted(set(named.values()))) or "none"
            raise RoutingError(f"models has {', '.join(unknown)}; the setup names {there}")
        made = {name: given[name] if name in given else make(name) for name in {*named.values()}}
        return {task: made[name] for task, name in named.items()}

    def __post_init__(self) -> None:
        if self.policy is None and not self.by_task:
            raise ReplayError("routing without a policy and without a task: give one of them")
        if self.policy is not None and not self.candidates:
            raise ReplayError("a routing policy without candidates: give the models it may ask")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Requests are marked for their provider's prompt cache where that pays."""

    ttl: str | None = None
    """Of every marker, by the provider's name; None: what pays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Calls that can wait are sent by the provider's batch interface."""

    tasks: frozenset[str] | None = None
    """Those that can; None: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Levers, each as it is set; None: it is off."""

    memory: Memory | None = None
    compression: Compression | None = None
    routing: Routing | None = None
    prompt_cache: Marks | None = None
    batch: Batch | None = None

    @property
    def cache_ttl(self) -> Literal["", "5m", "1h"]:
        """How long a memory may expect what is marked to last; empty: nothing is marked."""
        if self.prompt_cache is None:
            return ""
        return "1h" if self.prompt_cache.ttl in _LONG else "5m"

    @property
    def on(self) -> tuple[LeverName, ...]:
        """The levers that are on, in order."""
        return tuple(name for name in LEVERS if getattr(self, name) is not None)

    def only(self, *names: LeverName) -> Setup:
        """With these levers alone."""
        others = {each.name: None for each in fields(self) if each.name not in names}
        return replace(self, **others)

    def steps(self) -> Iterator[tuple[LeverName, Setup]]:
        """One lever more with each, in order."""
        for number, name in enumerate(self.on, 1):
            yield name, self.only(*self.on[:number])
