"""Whether the waterfall of real traffic adds up, by a second computation.

The bill is that of the server's own counts and of prices written by hand (`_oracle_prices`). What
each lever saved is summed here from what is in the ledger: the net of its effects; what the dear
model would have asked for the same tokens, by the same prices; what summaries cost. Nothing of
`savings` is used for that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from _figures import Figure
from _oracle_prices import ANTHROPIC_ROWS, OPENAI_ROWS, Row, expected_nanos

from frugal_chains.ledger import Attempt, Effect, Ledger
from frugal_chains.pricing import PriceBook
from frugal_chains.savings import (
    Baseline,
    Waterfall,
    candidate_models,
    ledger_waterfall,
    operation_waterfall,
)
from replay.conversations import runs
from replay.ledgers import Ledgers
from tests.e2e.agent_traffic import CHEAP, LEVERS, Billed, play
from tests.e2e.real_traffic import MODELS, Provider

_ROOMS: Final = {"memory": "memory", "compression": "compression", "prompt_cache": "prompt_cache"}
EVERY: Final = 3
"""Of the conversations, to see the baseline without routing: levers at a cheap model's prices save
less than they would at the dear one's, and that is in no step."""


@dataclass(frozen=True)
class Against:
    """Who would have answered what was routed."""

    provider: Provider
    named: bool = False
    """The dear model, whatever decisions say; else of each the dearest candidate."""

    def dear(self, attempt: Attempt) -> str:
        """Read off the decision as it is written, not by `savings`."""
        if self.named:
            return MODELS[self.provider]
        expected = (attempt.decision or {})["routing"]["expected_nanos"]
        tiers = {"gatekeeper": CHEAP, "workhorse": MODELS}
        return tiers[max(expected, key=expected.get)][self.provider]

    @property
    def who(self) -> tuple[str, str]:
        """Model and provider; empty: decisions say it."""
        return (MODELS[self.provider], self.provider) if self.named else ("", "")


@dataclass
class Checked:
    """Operations, and what was wrong with them."""

    operations: int = 0
    wrong: Counter[str] = field(default_factory=Counter)

    def operation(
        self, found: Waterfall, bills: Sequence[Billed], attempts: Sequence[Attempt],
        effects: Sequence[Effect], against: Against,
    ) -> None:  # fmt: skip
        """One of them, against what the server has billed for it."""
        self.operations += 1
        billed = [_nanos(bill.model, bill.usage) for bill in bills]
        steps = _steps(attempts, effects, bills, against)
        told = {step.name: step.measured_nanos + step.modelled_nanos for step in found.steps}
        self.wrong["attempts"] += billed != [attempt.price.nanos for attempt in attempts]
        self.wrong["bills"] += found.bill_nanos != sum(billed)
        self.wrong["steps"] += _known(told) != _known(steps)
        apart = found.baseline_nanos - found.bill_nanos
        self.wrong["sums"] += apart != sum(steps.values()) or apart != sum(told.values())


def _known(steps: Mapping[str, int]) -> dict[str, int]:
    return {name: nanos for name, nanos in steps.items() if nanos}


def adds_up(data: Path, _: Ledgers, __: int) -> dict[str, Figure]:
    try:
        talks = [run["messages"] for run in runs(data)]
    except FileNotFoundError as absent:
        print(f"adds up: not run, {absent}")
        return {}
    figures: dict[str, Figure] = {}
    for provider in MODELS:
        figures |= _of_provider(provider, talks)
    return figures


def _of_provider(provider: Provider, talks: Sequence[Any]) -> dict[str, Figure]:
    named = Against(provider, named=True)
    with Ledger.open("memory://") as ledger:
        bills = play(provider, talks, ledger)
        wrong = _checked(ledger, bills, Against(provider)).wrong
        checked = _checked(ledger, bills, named)
        whole = _whole(ledger, named)
    with Ledger.open("memory://") as plain:
        without = play(provider, talks, plain, levers=())
    mismatches = (wrong + checked.wrong).total()
    _print(provider, whole, checked, wrong + checked.wrong, _sum(without))
    others = _not_routed(provider, talks[::EVERY])
    bill = _sum(each for each in without if not each.conversation % EVERY)
    return {
        f"{provider}, operations": _plain(checked.operations, "operations", "higher"),
        f"{provider}, mismatches": _plain(mismatches, "", "lower", asked=0),
        f"{provider}, covered share of the bill": _share(whole.covered_share, "higher"),
        f"{provider}, modelled share": _share(whole.modelled_share, "lower"),
        f"{provider}, baseline": _apart(whole.baseline_nanos, _sum(without)),
        f"{provider}, baseline, not routed": _apart(others.baseline_nanos, bill),
    }


def _not_routed(provider: Provider, talks: Sequence[Any]) -> Waterfall:
    with Ledger.open("memory://") as ledger:
        play(provider, talks, ledger, levers=LEVERS[1:])
        return _whole(ledger, Against(provider))


def _whole(ledger: Ledger, against: Against) -> Waterfall:
    model, provider = against.who
    return ledger_waterfall(
        ledger, book=PriceBook(), baseline_model=model, baseline_provider=provider
    )


def _checked(ledger: Ledger, bills: Sequence[Billed], against: Against) -> Checked:
    """Each operation by itself, and all of them together."""
    attempts, whole = list(ledger.attempts()), _whole(ledger, against)
    checked, (model, provider) = Checked(), against.who
    baseline = Baseline(model=model, provider=provider, candidates=candidate_models(attempts))
    by_operation, of_effects = _grouped(attempts), _grouped(ledger.effects())
    by_run = defaultdict[int, list[Billed]](list)
    for bill in bills:
        by_run[bill.run].append(bill)
    checked.wrong["operations"] += len(by_operation) != len(by_run)
    baselines = 0
    # Runs follow one another, and so do the operations that they are in the ledger.
    for (operation, mine), run in zip(by_operation.items(), by_run.values(), strict=False):
        theirs = of_effects.pop(operation, [])
        found = operation_waterfall(mine, theirs, book=PriceBook(), baseline=baseline)
        checked.operation(found, run, mine, theirs, against)
        baselines += found.baseline_nanos
    checked.wrong["loose effects"] += len(of_effects)
    checked.wrong["whole"] += (whole.bill_nanos, whole.baseline_nanos, whole.operations) != (
        _sum(bills), baselines, checked.operations,
    )  # fmt: skip
    return checked


def _grouped(rows: Iterable[Any]) -> dict[str, list[Any]]:
    found = defaultdict[str, list[Any]](list)
    for row in sorted(rows, key=lambda row: row.id):
        found[row.operation_id].append(row)
    return found


def _steps(
    attempts: Sequence[Attempt], effects: Sequence[Effect], bills: Sequence[Billed],
    against: Against,
) -> dict[str, int]:  # fmt: skip
    steps = Counter[str]()
    for effect in effects:
        steps[_ROOMS[effect.lever.partition(".")[0]]] += effect.net_nanos or 0
    for attempt, bill in zip(attempts, bills, strict=False):
        cost = _nanos(bill.model, bill.usage)
        if attempt.purpose == "summary":  # inside the net of the memory's effects already
            steps["summaries"] -= cost
            steps["memory"] += cost
        elif attempt.decision is not None:
            steps["routing"] += _nanos(against.dear(attempt), bill.usage) - cost
    return dict(steps)


def _sum(bills: Iterable[Billed]) -> int:
    return sum(_nanos(bill.model, bill.usage) for bill in bills)


def _nanos(model: str, usage: Mapping[str, Any]) -> int:
    return expected_nanos(_row(model), _counts(usage))


def _row(model: str) -> Row:
    """The newest standard price of a model, by its plain name or with a date behind it."""
    rows = [
        row for row in (*OPENAI_ROWS, *ANTHROPIC_ROWS)
        if row.tier == "standard" and (row.model == model or row.model.startswith(f"{model}-2"))
    ]  # fmt: skip
    return max(rows, key=lambda row: (row.at, row.model == model))


def _counts(usage: Mapping[str, Any]) -> dict[str, int]:
    """From what either provider calls them."""
    if "prompt_tokens" in usage:
        return {
            "input_tokens": usage["prompt_tokens"],
            "cache_read_tokens": usage["prompt_tokens_details"]["cached_tokens"],
            "output_tokens": usage["completion_tokens"],
        }
    written = usage["cache_creation"]
    short, long = written["ephemeral_5m_input_tokens"], written["ephemeral_1h_input_tokens"]
    read = usage["cache_read_input_tokens"]
    return {
        "input_tokens": usage["input_tokens"] + read + short + long,
        "cache_read_tokens": read,
        "cache_write_5m_tokens": short,
        "cache_write_1h_tokens": long,
        "output_tokens": usage["output_tokens"],
    }


def _print(
    provider: Provider, whole: Waterfall, checked: Checked, wrong: Counter[str], without: int
) -> None:
    """The waterfall itself: the figures say only whether it adds up."""
    print(f"{provider}: {checked.operations} operations, {whole.attempts} attempts")
    print(f"  {'without levers, sent for real':<32} {without / 1e9:>10.6f} USD")
    print(f"  {'baseline':<32} {whole.baseline_nanos / 1e9:>10.6f} USD")
    for step in whole.steps:
        unknown = step.unknown_effects + step.unknown_attempts
        amount = "   unknown" if step.nanos is None else f"{-step.nanos / 1e9:>10.6f}"
        print(f"  {step.name:<32} {amount} USD" + f", {unknown} unknown" * bool(unknown))
    print(f"  {'bill':<32} {whole.bill_nanos / 1e9:>10.6f} USD")
    print(f"  mismatches: {dict(+wrong) or 'none'}", flush=True)


def _plain(value: float, unit: str, better: Any, asked: float | None = None) -> Figure:
    return Figure(value=value, better=better, unit=unit, asked=asked)


def _share(value: float | None, better: Any) -> Figure:
    return Figure(value=round(100 * (value or 0.0), 1), better=better, unit="%")


def _apart(nanos: int, real: int) -> Figure:
    return Figure(
        value=round(100 * abs(nanos / real - 1), 2), better="lower",
        unit="% from the real bill without levers",
    )  # fmt: skip
