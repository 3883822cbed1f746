"""Agents' runs of public sets, call by call: bills beside no memory, and whether tool calls and
their results stay together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from _figures import Figure

from memory.baselines import NoMemory
from memory.measure import Runs, higher, lower, validity_of
from memory.ours import EITHER
from memory.prices import PRICE_MODELS
from memory.protocol import System
from memory.traffic import SETS, public


def asked() -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, ours in product(SETS, EITHER):
        numbers[f"sets, {name}, {ours}: paired requests"] = 100.0
        for model in PRICE_MODELS:
            key = f"sets, {name}, {model}, {ours}: "
            numbers |= {key + "of no memory": 1.0, key + "highest of no memory": 1.0}
            numbers[key + "dearer runs"] = 0.0
    return numbers


def figures(
    systems: Sequence[System], runs: Runs, *, data: Path, every: int = 1
) -> dict[str, Figure]:
    """
    Raises:
        DataAbsent: the sets are not there.
    """
    found: dict[str, Figure] = {}
    for name in SETS:
        conversations = public(name, data)[::every]
        for system in (NoMemory(), *systems):
            valid = validity_of(runs, system, conversations, list(PRICE_MODELS.values()))
            if valid is None:
                continue
            key = f"sets, {name}, {system.name}: "
            found[key + "valid requests"] = higher(valid.valid_percent, "%")
            found[key + "paired requests"] = higher(valid.paired_percent, "%")
        for model_name, model in PRICE_MODELS.items():
            none = runs.nanos(NoMemory(), conversations, model)
            assert none is not None
            for system in systems:
                spent = runs.nanos(system, conversations, model)
                if spent is None:
                    continue
                key = f"sets, {name}, {model_name}, {system.name}: "
                ratios = np.round(spent / none, 6)
                found[key + "of no memory"] = lower(float(spent.sum() / none.sum()), "x")
                found[key + "highest of no memory"] = lower(float(ratios.max()), "x")
                found[key + "dearer runs"] = lower(100.0 * float((ratios > 1).mean()), "%")
        runs.forget()
    return found
