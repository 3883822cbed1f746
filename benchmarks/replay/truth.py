"""How near the simulated bill is to that of the same levers at work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _figures import Figure

from frugal_chains.pricing import PriceBook
from frugal_chains.replay import Setup, replay
from frugal_chains.replay.recorded import read_recording
from replay.conversations import runs
from replay.ledgers import START_US, Ledgers
from replay.speed import LEVERS
from tests.e2e.real_traffic import MODELS, Billed, Provider, RealRun


def truth(data: Path, _: Ledgers, __: int) -> dict[str, Figure]:
    try:
        talks = [run["messages"] for run in runs(data)]
    except FileNotFoundError as absent:
        print(f"truth: not run, {absent}")
        return {}
    figures: dict[str, Figure] = {}
    for provider in MODELS:
        setups = [Setup(), *map(LEVERS.only, LEVERS.on), LEVERS]
        recorded = RealRun(provider, Setup(), PriceBook()).play(talks)
        found = replay(read_recording(recorded.lines), setups, prices=PriceBook(), now_us=START_US)
        for setup, bill in zip(setups, found.bills, strict=True):
            real = _real(provider, setup, talks, recorded)
            name = " + ".join(setup.on) if setup.on != LEVERS.on else "all three"
            figures[f"{provider}, {name or 'as it was'}"] = Figure(
                value=round(100 * abs(bill.nanos / real.nanos - 1), 3), better="lower",
                unit="% from the real bill", asked=2.5,
            )  # fmt: skip
    return figures


def _real(provider: Provider, setup: Setup, talks: Sequence[Any], recorded: Billed) -> Billed:
    return recorded if not setup.on else RealRun(provider, setup, PriceBook()).play(talks)
