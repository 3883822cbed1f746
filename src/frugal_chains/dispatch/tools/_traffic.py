"""Whether conversations come so often that tools should be left for all of them to share.

A block that no conversation has sent is cold, and the first that sends it pays for writing it: by
itself each of them is cheaper pruned. What all of them would have saved by sharing one block is
summed up; when that is half of what writing the block costs, it is written. So pruning loses no
more than that half, by its own forecasts, against tools that are always left.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from frugal_chains.compression.tools import ToolPlan

_REMEMBERED: Final = 256
"""Sets of tools with their instructions, by model."""

_PART: Final = 0.5
"""Of the price of writing. With more, more is lost before; with less, a few conversations that
begin at a time, and have not yet saved anything, are enough to give up what pruning saves later."""

Shared = tuple[str, str, int]
"""The model's cache, the block of all tools, and the mark of the instructions."""


@dataclass(slots=True)
class _Missed:
    nanos: float
    at_s: float


class Traffic:
    """Safe for threads. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._missed: OrderedDict[Shared, _Missed] = OrderedDict()

    def better(
        self, plan: ToolPlan, if_warm: ToolPlan, shared: Shared, *, now_s: float, ttl_s: float
    ) -> ToolPlan:
        """The plan for a conversation that begins.

        Args:
            plan: By what is in the cache.
            if_warm: As if all tools were in the cache, as they are and in fewer words.
            shared: What would be shared.
            now_s: The time.
            ttl_s: How long the cache keeps it.
        """
        if plan.action != "prune" or if_warm.action == "prune":
            return plan
        missed = _nanos(plan, plan.action) - _nanos(if_warm, if_warm.action)
        writing = _nanos(plan, if_warm.action) - _nanos(if_warm, if_warm.action)
        with self._lock:
            before = self._missed.get(shared)
            if before is not None and now_s - before.at_s < ttl_s:
                missed += before.nanos
            self._missed[shared] = _Missed(missed, now_s)
            self._missed.move_to_end(shared)
            if len(self._missed) > _REMEMBERED:
                self._missed.popitem(last=False)
        return if_warm if missed >= _PART * writing else plan


def _nanos(plan: ToolPlan, action: str) -> float:
    return next(each.nanos for each in plan.alternatives if each.action == action)
