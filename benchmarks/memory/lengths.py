"""The bill at every length from 1 turn on, and what a hundred turns cost."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from _figures import Figure

from memory.baselines import NoMemory
from memory.measure import (
    AgainstNone,
    Curve,
    Runs,
    cached_percent,
    curve,
    higher,
    lower,
    validity_of,
)
from memory.ours import EITHER, OURS, OURS_ASKING
from memory.peers import SUMMARY_BUFFER, WINDOW
from memory.prices import CACHED, PRICE_MODELS
from memory.protocol import System
from memory.traffic import constant

TURNS: Final = 400
HUNDRED: Final = 100
PLOTTED: Final = "Sonnet"
PLOT: Final = Path(__file__).resolve().parents[2] / "docs" / "notes" / "memory-lengths.svg"
_TURN_TICKS: Final = (5, 10, 20, 50, 100, 200, 400)
_RATIO_TICKS: Final = (0.1, 0.2, 0.5, 1, 2, 3)
_LABELS: Final = {
    OURS: "this library, no model asked for summaries",
    OURS_ASKING: "this library, summaries by the model",
}
_COLOURS: Final = (
    "#d1495b",
    "#f0868f",
    "#00798c",
    "#edae49",
    "#66a182",
    "#8d6b94",
    "#2e4057",
    "#a0a0a0",
)


def asked() -> dict[str, float]:
    """What this library is asked for."""
    worst = dict.fromkeys(PRICE_MODELS, 1.25) | {"Sonnet": 1.12, "GPT-5.x": 1.15}
    below = dict.fromkeys(PRICE_MODELS, 25.0) | {"DeepSeek": 45.0}
    numbers: dict[str, float] = {}
    for ours in EITHER:
        numbers |= {f"lengths, {name}, {ours}: worst": value for name, value in worst.items()}
        numbers |= {f"lengths, {name}, {ours}: cheaper from": each for name, each in below.items()}
        numbers |= {f"lengths, {name}, {ours}: cached input": 85.0 for name in CACHED}
        numbers[f"lengths, Sonnet, {ours}: at 100 turns"] = 0.42
        numbers[f"lengths, Haiku 4.5, {ours}: at 100 turns"] = 0.70
        numbers[f"lengths, Sonnet, {ours}: of {SUMMARY_BUFFER}, 100 turns"] = 0.27
    return numbers


def figures(
    systems: Sequence[System], runs: Runs, *, turns: int = TURNS, plot: Path | None = PLOT
) -> dict[str, Figure]:
    """Of every system on every price model; and the picture."""
    conversation = constant(turns)
    found: dict[str, Figure] = {}
    curves: dict[str, dict[str, Curve]] = {}
    for name, model in PRICE_MODELS.items():
        curves[name] = {}
        for system in (NoMemory(), *systems):
            charges = runs.charges(system, conversation, model)
            if charges is None:
                continue
            curves[name][system.name] = curve(charges, turns)
            if model.rules is not None:
                until = [each for each in charges if each.turn <= HUNDRED]
                key = f"lengths, {name}, {system.name}: cached input"
                found[key] = higher(cached_percent(until), "% in steady state")
        found |= _ratios(name, curves[name], turns)
    for system in systems:
        valid = validity_of(runs, system, [conversation], list(PRICE_MODELS.values()))
        if valid is not None:
            key = f"lengths, {system.name}: valid requests"
            needed = 100.0 if system.name in EITHER else None
            found[key] = higher(valid.valid_percent, "%", asked=needed)
    if plot is not None:
        try:
            picture(curves[PLOTTED], plot)
        except ImportError as error:
            print(f"no picture is drawn ({error})", file=sys.stderr)
    return found


def _ratios(model: str, curves: Mapping[str, Curve], turns: int) -> dict[str, Figure]:
    none = curves[NoMemory().name]
    hundred = min(turns, HUNDRED)
    found: dict[str, Figure] = {}
    for name, spent in curves.items():
        if name == NoMemory().name:
            continue
        against = AgainstNone(spent / none)
        key = f"lengths, {model}, {name}: "
        found |= {
            key + "worst": lower(against.worst, "x of no memory"),
            key + "worst length": Figure(value=against.worst_length, better="lower", unit="turns"),
            key + "cheaper from": Figure(value=against.below_from, better="lower", unit="turns"),
            key + "at 100 turns": lower(against.at(hundred), "x of no memory"),
            key + f"at {turns} turns": lower(against.at(turns), "x of no memory"),
        }
        if SUMMARY_BUFFER in curves and name in EITHER:
            buffer = curves[SUMMARY_BUFFER][hundred - 1]
            found[key + f"of {SUMMARY_BUFFER}, 100 turns"] = lower(
                float(spent[hundred - 1] / buffer), "x"
            )
    return found


def picture(curves: Mapping[str, Curve], path: Path) -> None:
    """The bill over that of no memory, by length; a line for each system."""
    importlib.import_module("matplotlib").use("svg")
    pyplot = importlib.import_module("matplotlib.pyplot")

    # The same bytes from the same figures; text stays text, so that the file is small.
    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "memory", "font.size": 10})
    none = curves[NoMemory().name]
    figure, axes = pyplot.subplots(figsize=(8, 4.6))
    shown = [name for name in _shown(curves) if name in curves]
    for name, colour in zip(shown, _COLOURS, strict=False):
        ratios = curves[name] / none
        axes.plot(
            range(1, len(none) + 1),
            ratios.round(3),
            label=_LABELS.get(name, name),
            color=colour,
            linewidth=2.4 if name in EITHER else 1.3,
        )
    axes.axhline(1.0, color="#444444", linewidth=0.8, linestyle="--", label="no memory")
    axes.set(
        xlabel="turns of 300 and 400 tokens behind a system prompt of 2,000",
        ylabel="bill over that of no memory",
        xscale="log",
        yscale="log",
        xlim=(4, len(none)),
        xticks=_TURN_TICKS,
        xticklabels=map(str, _TURN_TICKS),
        yticks=_RATIO_TICKS,
        yticklabels=map(str, _RATIO_TICKS),
        title=f"{PLOTTED}: summaries and their cache writes included, answers left out",
    )
    axes.minorticks_off()
    axes.legend(fontsize=8, loc="lower left", framealpha=0.9)
    axes.grid(alpha=0.25)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


def _shown(curves: Mapping[str, Curve]) -> tuple[str, ...]:
    return (
        OURS,
        OURS_ASKING,
        WINDOW,
        SUMMARY_BUFFER,
        "SummarizationMiddleware 8k->2k",
        "langmem 4k",
        "LlamaIndex Memory 12k, flush 4k",
        "ChatSummaryMemoryBuffer 4k",
    )
