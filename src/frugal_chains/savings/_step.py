"""`Step`: what one lever saved, or one overhead cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from frugal_chains.money import usd_from_nanos

StepKind = Literal["lever", "overhead"]

LEVERS: Final = (
    "memory", "compression", "routing", "prompt_cache", "response_cache", "batch", "other",
)  # fmt: skip
"""In the order in which a request meets them. `routing` has the cascade in it; `other` is what an
application writes effects for itself."""
OVERHEADS: Final = ("summaries", "classifiers", "drafts", "retries", "judges")
ORDER: Final = (*LEVERS, *OVERHEADS)
"""Of the steps, in every waterfall."""

_LEVER_OF_ROOM: Final = {name: name for name in LEVERS} | {"cascade": "routing"}


def lever_of(name: str) -> str:
    """The step that an effect belongs to, by the room in its lever's name: `memory.compact` is
    `memory`."""
    return _LEVER_OF_ROOM.get(name.partition(".")[0], "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One signed step from the baseline to the bill: positive is saved, negative is lost.

    A lever's step is gross: what it saved before its overheads, which have steps of their own.
    """

    name: str
    """One of `LEVERS` or `OVERHEADS`."""
    measured_nanos: int = 0
    """Of it, read off bills: costs of attempts as the ledger has them, and effects that say so."""
    modelled_nanos: int = 0
    """The rest: computed from prices for requests that were never sent."""
    effects: int = 0
    """It is the sum over these effects and"""
    attempts: int = 0
    """these attempts, those of unknown amount included."""
    unknown_effects: int = 0
    """Of them, effects without a net saving, which are in no sum;"""
    unknown_attempts: int = 0
    """and attempts without a price, here or at the baseline's model."""

    @property
    def kind(self) -> StepKind:
        return "lever" if self.name in LEVERS else "overhead"

    @property
    def known(self) -> bool:
        """Whether any part of it is known."""
        return self.effects > self.unknown_effects or self.attempts > self.unknown_attempts

    @property
    def nanos(self) -> int | None:
        """The step; None when nothing of it is known. Read it together with the unknown."""
        return self.measured_nanos + self.modelled_nanos if self.known else None

    @property
    def usd(self) -> Decimal | None:
        """Exact USD; None when nothing of it is known."""
        return None if self.nanos is None else usd_from_nanos(self.nanos)
