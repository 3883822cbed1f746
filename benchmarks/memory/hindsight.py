"""Traffic of several kinds: the bill beside the best fixed water mark that could have been chosen.

The mark is found in hindsight, for each kind of traffic and each price model, by trying all of
`MARKS`; "never" is one of them. Its summaries are of the same length and are appended too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from _figures import Figure

from memory.baselines import NoMemory, WaterMark
from memory.measure import Runs, lower, validity_of
from memory.ours import EITHER
from memory.prices import PRICE_MODELS
from memory.protocol import System
from memory.traffic import TRAFFIC, tool_run

TURNS: Final = 150
SEEDS: Final = (0, 1, 2)
MARKS: Final = (
    2500, 3000, 3500, 4000, 4500, 5000, 5500, 6000, 7000, 8000, 9000, 10_000,
    11_500, 13_000, 15_000, 17_500, 20_000, 25_000, 30_000, 40_000, 60_000,
)  # fmt: skip
WITHIN: Final = 1.08


def asked() -> dict[str, float]:
    return {
        f"traffic, {kind}, {model}, {ours}: of the best mark": WITHIN
        for ours in EITHER
        for kind in TRAFFIC
        for model in PRICE_MODELS
    }


def figures(
    systems: Sequence[System],
    runs: Runs,
    *,
    summary_tokens: int,
    turns: int = TURNS,
    seeds: Sequence[int] = SEEDS,
) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    for kind, make in TRAFFIC.items():
        conversations = [make(turns, seed=seed) for seed in seeds]
        for name, model in PRICE_MODELS.items():
            none = runs.nanos(NoMemory(), conversations, model)
            assert none is not None
            best, mark = float(none.sum()), 0
            for high in MARKS:
                policy = WaterMark(high=high, summary_tokens=summary_tokens, appended=True)
                spent = runs.nanos(policy, conversations, model)
                if spent is not None and float(spent.sum()) < best:
                    best, mark = float(spent.sum()), high
            key = f"traffic, {kind}, {name}"
            found[f"{key}: best mark"] = Figure(
                value=mark, better="lower", unit="tokens, 0 is never"
            )
            found[f"{key}: no memory of the best mark"] = lower(float(none.sum()) / best, "x")
            for system in systems:
                spent = runs.nanos(system, conversations, model)
                if spent is None:
                    continue
                found[f"{key}, {system.name}: of the best mark"] = lower(
                    float(spent.sum()) / best, "x"
                )
                found[f"{key}, {system.name}: worst of no memory"] = lower(
                    float(np.max(spent / none)), "x"
                )
        runs.forget()
    return found | _long_tool_runs(systems, runs)


def _long_tool_runs(systems: Sequence[System], runs: Runs) -> dict[str, Figure]:
    """One human turn and 120 calls of tools, some at once."""
    conversations = [tool_run(seed=seed) for seed in SEEDS]
    found: dict[str, Figure] = {}
    for system in systems:
        valid = validity_of(runs, system, conversations, list(PRICE_MODELS.values()))
        if valid is None:
            continue
        needed = 100.0 if system.name in EITHER else None
        key = f"traffic, tool run, {system.name}: "
        found[key + "valid requests"] = Figure(
            value=round(valid.valid_percent, 4), better="higher", unit="%", asked=needed
        )
        for name, model in PRICE_MODELS.items():
            none, spent = (runs.nanos(each, conversations, model) for each in (NoMemory(), system))
            if none is not None and spent is not None:
                found[f"{key}{name}, of no memory"] = lower(float(spent.sum() / none.sum()), "x")
    runs.forget()
    return found
