"""Runs of systems, their bills, and what is read off them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from _figures import Figure
from numpy.typing import NDArray

from memory.caches import Charge, PriceModel, bill
from memory.pairs import Validity, validity
from memory.protocol import Conversation, Request, System

Curve = NDArray[np.float64]
STEADY_FROM: Final = 21
"""The first call of the steady state."""


@dataclass(slots=True)
class Runs:
    """What systems send, each conversation played once; and who cannot run yet."""

    absent: dict[str, str] = field(default_factory=dict)
    """By name of a system: why it was not run."""
    _sent: dict[tuple[str, str, str], list[Request]] = field(default_factory=dict)

    def requests(
        self, system: System, conversation: Conversation, model: PriceModel
    ) -> list[Request] | None:
        """None: the system does not exist yet."""
        if system.name in self.absent:
            return None
        key = (
            system.name,
            f"{conversation.name} {conversation.group} {len(conversation.messages)}",
            model.name if system.priced else "",
        )
        if key not in self._sent:
            try:
                self._sent[key] = list(system.requests(conversation, model))
            except NotImplementedError as reason:
                self.absent[system.name] = str(reason)
                print(f"{system.name}: not run ({reason})", file=sys.stderr)
                return None
        return self._sent[key]

    def charges(
        self, system: System, conversation: Conversation, model: PriceModel
    ) -> list[Charge] | None:
        sent = self.requests(system, conversation, model)
        return None if sent is None else bill(sent, model)

    def nanos(
        self, system: System, conversations: Sequence[Conversation], model: PriceModel
    ) -> NDArray[np.float64] | None:
        """The bill of each conversation."""
        totals = []
        for conversation in conversations:
            charges = self.charges(system, conversation, model)
            if charges is None:
                return None
            totals.append(sum(charge.nanos for charge in charges))
        return np.array(totals)

    def forget(self) -> None:
        """Free what was sent."""
        self._sent.clear()


def curve(charges: Sequence[Charge], turns: int) -> Curve:
    """The bill of a conversation that ends after 1, 2, ... turns, shape (turns,)."""
    spent = np.zeros(turns)
    for charge in charges:
        spent[charge.turn - 1] += charge.nanos
    return np.cumsum(spent)


@dataclass(frozen=True, slots=True)
class AgainstNone:
    """A bill over that of no memory, at every length."""

    ratios: Curve

    @property
    def worst(self) -> float:
        return float(self.ratios.max())

    @property
    def worst_length(self) -> int:
        return int(self.ratios.argmax()) + 1

    @property
    def below_from(self) -> int:
        """The first length from which on it is never dearer than no memory and at some length
        cheaper; one more than there are, if there is none."""
        dearer = np.flatnonzero(self.ratios > 1 + 1e-9)
        start = int(dearer[-1]) if len(dearer) else 0
        cheaper = np.flatnonzero(self.ratios[start:] < 1 - 1e-9)
        return start + int(cheaper[0]) + 1 if len(cheaper) else len(self.ratios) + 1

    def at(self, turns: int) -> float:
        return float(self.ratios[turns - 1])


def cached_percent(charges: Sequence[Charge], *, first: int = STEADY_FROM) -> float:
    """What is read from the cache, of the input of all answers from a call on."""
    splits = [each.split for each in charges if each.purpose == "answer" and each.turn >= first]
    whole = sum(each.fresh + each.read + each.written for each in splits)
    return 100.0 * sum(each.read for each in splits) / whole if whole else 0.0


def verbatim_tokens(
    sent: Sequence[Request], conversation: Conversation, *, first: int = STEADY_FROM
) -> list[int]:
    """How much of what was said before each call, from a call on, its prompt still has as it was
    said."""
    keys = {message.key for message in conversation.messages}
    new = {step.turn: sum(each.tokens for each in step.new) for step in conversation.steps()}
    return [
        sum(each.tokens for each in request.blocks if each.key in keys) - new[request.turn]
        for request in sent
        if request.purpose == "answer" and request.turn >= first
    ]


def summed(found: Sequence[Validity]) -> Validity:
    return Validity(
        sum(each.requests for each in found),
        sum(each.valid for each in found),
        sum(each.paired for each in found),
    )


def validity_of(
    runs: Runs, system: System, conversations: Sequence[Conversation], models: Sequence[PriceModel]
) -> Validity | None:
    """Of everything a system sends."""
    found = []
    for conversation in conversations:
        for model in models if system.priced else models[:1]:
            sent = runs.requests(system, conversation, model)
            if sent is None:
                return None
            found.append(validity(sent))
    return summed(found)


def lower(value: float, unit: str, *, asked: float | None = None) -> Figure:
    return Figure(value=round(value, 6), better="lower", unit=unit, asked=asked)


def higher(value: float, unit: str, *, asked: float | None = None) -> Figure:
    return Figure(value=round(value, 4), better="higher", unit=unit, asked=asked)


def with_asked(found: Mapping[str, Figure], asked: Mapping[str, float]) -> dict[str, Figure]:
    """The figures, with what is asked of some."""
    return {
        name: replace(figure, asked=asked[name]) if name in asked else figure
        for name, figure in found.items()
    }
