"""How near a replay without texts is to the bill of the same levers at work."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from _figures import Figure

from frugal_chains.pricing import PriceBook
from frugal_chains.replay import Setup, ledger_calls, replay
from replay.conversations import runs
from replay.ledgers import START_US, Ledgers
from replay.speed import LEVERS
from tests.e2e.real_traffic import MODELS, RealRun, booked

RUNS: Final = 30
"""Of the 120, each sent for real six times."""
SIZED: Final = LEVERS.only("memory", "prompt_cache")


def by_size(data: Path, _: Ledgers, __: int) -> dict[str, Figure]:
    try:
        talks = [run["messages"] for run in runs(data)][:RUNS]
    except FileNotFoundError as absent:
        print(f"by-size: not run, {absent}")
        return {}
    figures: dict[str, Figure] = {}
    setups = [Setup(), *map(SIZED.only, SIZED.on), SIZED]
    for provider in MODELS:
        real = [RealRun(provider, setup, PriceBook()).play(talks).nanos for setup in setups]
        for prints in (True, False):
            _, rows = booked(provider, Setup(), talks, fingerprints=prints)
            found = replay(ledger_calls(rows), setups, prices=PriceBook(), now_us=START_US)
            for setup, bill, nanos in zip(setups, found.bills, real, strict=True):
                name = f"{provider}, {' + '.join(setup.on) or 'as it was'}"
                figures[f"{name}, {'fingerprints' if prints else 'none'}"] = Figure(
                    value=round(100 * abs(bill.nanos / nanos - 1), 3), better="lower",
                    unit="% from the real bill", asked=2.5 if prints else None,
                )  # fmt: skip
    return figures
