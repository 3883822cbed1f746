"""What is said of the next lever."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from frugal_chains.replay import LeverName
from frugal_chains.report.levers._trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A task that a cheaper model of the same provider might do."""

    task: str
    provider: str
    model: str
    """That most of its money goes to."""
    to: str
    """A model that this application has answers of already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverGain:
    """What one lever would save, with no other."""

    lever: LeverName
    nanos: int
    """Expected of a month; of the days that are looked at, where these are less than one."""
    share: float
    """Of their bill, 0 to 1."""
    spread_nanos: float | None = None
    """Half of the 95 % interval; None: it is no estimate, but what is possible at most."""

    @property
    def ends_nanos(self) -> tuple[int, int] | None:
        """Of the 95 % interval."""
        spread = self.spread_nanos
        return None if spread is None else (round(self.nanos - spread), round(self.nanos + spread))


@dataclass(frozen=True, slots=True, kw_only=True)
class NextLever:
    """What would save most next, and what it rests on."""

    trial: Trial
    first: datetime
    last: datetime
    """Of the attempts that were replayed; aware, UTC."""
    of: int
    """Attempts of the days that are looked at."""
    days: float
    """The last 30 of the period, or as many as it has."""
    bill_nanos: int
    """Of a month at the pace of these days; of themselves, where they are less than one."""
    best: LeverGain | None
    """The lever that needs nothing but to be switched on; None: see `why_none`."""
    why_none: str = ""
    """A sentence; empty where there is one."""
    conditional: tuple[LeverGain, ...] = ()
    """Levers of which a person must say whether they will do: at most so much, the most first."""
    move: Move | None = None
    """Of routing, among these."""
    unpriced: int = 0
    """Of the attempts of these days; they are in no amount."""

    @property
    def calls(self) -> int:
        """That were replayed."""
        return self.trial.calls

    @property
    def is_month(self) -> bool:
        """Amounts are of a month."""
        return self.days >= 1
