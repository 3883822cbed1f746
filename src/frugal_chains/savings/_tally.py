"""`Tally`: steps while they are added up."""

from __future__ import annotations

from dataclasses import dataclass, fields

from frugal_chains.savings._step import ORDER, Step, lever_of

OVERHEAD_OF_PURPOSE = {"summary": "summaries", "classify": "classifiers", "judge": "judges"}
"""Attempts that answer nobody, whatever became of them."""


@dataclass(slots=True)
class _Sums:
    """As the fields of `Step`."""

    measured_nanos: int = 0
    modelled_nanos: int = 0
    effects: int = 0
    attempts: int = 0
    unknown_effects: int = 0
    unknown_attempts: int = 0


_FIELDS = tuple(field.name for field in fields(_Sums))


class Tally:
    """Sums by the name of the step."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sums] = {}

    def steps(self) -> tuple[Step, ...]:
        """Those that anything was added to, in their order."""
        return tuple(
            Step(name=name, **{each: getattr(sums, each) for each in _FIELDS})
            for name in ORDER
            if (sums := self._sums.get(name)) is not None and (sums.effects or sums.attempts)
        )

    def add_step(self, step: Step) -> None:
        sums = self._of(step.name)
        for name in _FIELDS:
            setattr(sums, name, getattr(sums, name) + getattr(step, name))

    def add_effects(
        self, lever: str, *, measured: int, modelled: int, effects: int, unknown: int
    ) -> None:
        """Net savings of a lever, in nanos, over that many effects."""
        sums = self._of(lever_of(lever))
        sums.measured_nanos += measured
        sums.modelled_nanos += modelled
        sums.effects += effects
        sums.unknown_effects += unknown

    def add_overhead(self, name: str, nanos: int, *, attempts: int, unpriced: int) -> None:
        """What attempts cost that answered nobody. Summaries are inside the net of the memory's
        effects already: they are taken out of it here, so that they count once."""
        sums = self._of(name)
        sums.measured_nanos -= nanos
        sums.attempts += attempts
        sums.unknown_attempts += unpriced
        if name == "summaries":
            # Of a model as well: no bill says what a memory would have saved without them.
            self.add_modelled("memory", nanos, attempts=attempts, unknown=unpriced)

    def add_modelled(self, name: str, nanos: int, *, attempts: int = 1, unknown: int = 0) -> None:
        """What was computed for attempts."""
        sums = self._of(name)
        sums.modelled_nanos += nanos
        sums.attempts += attempts
        sums.unknown_attempts += unknown

    def _of(self, name: str) -> _Sums:
        found = self._sums.get(name)
        if found is None:
            found = self._sums[name] = _Sums()
        return found
