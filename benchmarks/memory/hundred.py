"""A hundred turns beside the peers: bills, calls of the summariser, what is read from the cache."""

from __future__ import annotations

from collections.abc import Sequence

from _figures import Figure
from rich.console import Console
from rich.table import Table

from memory.baselines import NoMemory
from memory.measure import Runs, cached_percent, higher, lower, verbatim_tokens
from memory.pairs import validity
from memory.prices import CACHED, PRICE_MODELS
from memory.protocol import System
from memory.traffic import constant

TURNS = 100


def figures(systems: Sequence[System], runs: Runs, *, summary_tokens: int) -> dict[str, Figure]:
    """On every price model, with summaries of so many tokens."""
    conversation = constant(TURNS)
    found: dict[str, Figure] = {}
    table = Table(
        "",
        "summaries",
        "verbatim, least",
        "mean",
        "cached, Sonnet",
        "valid",
        *PRICE_MODELS,
        title=f"{TURNS} turns, USD: prompts, and summaries of {summary_tokens} tokens",
    )
    for system in (NoMemory(), *systems):
        bills: list[str] = []
        row: list[str] = []
        for name, model in PRICE_MODELS.items():
            sent = runs.requests(system, conversation, model)
            charges = runs.charges(system, conversation, model)
            if sent is None or charges is None:
                break
            dollars = sum(charge.nanos for charge in charges) / 1e9
            key = f"peers, summaries of {summary_tokens}, {name}, {system.name}: "
            found[key + "bill"] = lower(dollars, "USD")
            if name in CACHED:
                cached = cached_percent(charges)
                found[key + "cached input"] = higher(cached, "% in steady state")
            if name == next(iter(PRICE_MODELS)):
                calls = sum(each.purpose == "summary" for each in sent)
                valid = validity(sent).valid_percent
                general = f"peers, summaries of {summary_tokens}, {system.name}: "
                found[general + "summaries written"] = lower(calls, "calls")
                found[general + "valid requests"] = higher(valid, "%")
                held = verbatim_tokens(sent, conversation)
                mean = sum(held) / len(held)
                found[general + "verbatim at least"] = higher(min(held), "tokens")
                found[general + "verbatim on average"] = higher(mean, "tokens")
                row = [str(calls), f"{min(held):,}", f"{mean:,.0f}"]
                row += [f"{cached_percent(charges):.0f} %", f"{valid:.0f} %"]
            bills.append(f"{dollars:.3f}")
        if bills:
            table.add_row(system.name, *row, *bills)
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)
    return found
