"""Which levers are worth a replay of these attempts, and which are at work in them already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from frugal_chains.ledger import Attempt
from frugal_chains.replay import TASK_TAGS, LeverName, Marks, Memory, Setup

_ALONE: Final = 1.1
"""Calls of one conversation, or operation, on average: more wait for one another's answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is to be replayed."""

    setup: Setup
    calls: int
    waiting: tuple[str, ...] = ()
    """Tasks that might be sent in batches: none of their calls was streamed, or followed another's
    answer. `""` are calls of no task."""
    in_use: tuple[LeverName, ...] = ()
    """Levers at work already: they are not tried."""
    conversations: bool = True
    """Whether any call says which conversation it belongs to; without, memory and markers cannot be
    told."""


def trial_of(attempts: Sequence[Attempt], *, effects: Collection[str] = ()) -> Trial:
    """The levers that are not at work yet, set as they are by default.

    Args:
        attempts: That reached a provider, oldest first.
        effects: Names of the levers that have written effects in their time, such as
            `memory.compact`.
    """
    in_use = _in_use(attempts, effects)
    known = any(each.thread_id or each.prints for each in attempts)
    return Trial(
        setup=Setup(
            memory=Memory() if known and "memory" not in in_use else None,
            prompt_cache=Marks() if known and "prompt_cache" not in in_use else None,
        ),
        calls=len(attempts),
        waiting=() if "batch" in in_use else tuple(_waiting(attempts)),
        in_use=in_use,
        conversations=known,
    )


def _in_use(attempts: Iterable[Attempt], effects: Collection[str]) -> tuple[LeverName, ...]:
    rooms = {name.partition(".")[0] for name in effects}
    routed = batched = False
    for each in attempts:
        routed = routed or (each.decision is not None and "routing" in each.decision)
        batched = batched or each.service_tier == "batch"
    at_work: dict[LeverName, bool] = {
        "memory": "memory" in rooms,
        "compression": "compression" in rooms,
        "routing": routed or bool(rooms & {"routing", "cascade"}),
        "prompt_cache": "prompt_cache" in rooms,
        "batch": batched,
    }
    return tuple(name for name, used in at_work.items() if used)


@dataclass(slots=True)
class _Pace:
    calls: int = 0
    chains: set[str] = field(default_factory=set)
    streamed: bool = False


def _waiting(attempts: Iterable[Attempt]) -> Iterable[str]:
    """Tasks nobody is seen to wait for."""
    paces: dict[str, _Pace] = defaultdict(_Pace)
    for each in attempts:
        pace = paces[next((each.tags[name] for name in TASK_TAGS if name in each.tags), "")]
        pace.calls += 1
        pace.chains.add(each.thread_id or each.operation_id or each.id)
        pace.streamed = pace.streamed or each.streamed
    return sorted(
        task for task, pace in paces.items()
        if not pace.streamed and pace.calls <= _ALONE * len(pace.chains)
    )  # fmt: skip
