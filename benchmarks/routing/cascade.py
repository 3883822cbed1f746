"""The cascade on GSM8K: a cheap model's real answers, validated, and a strong model's where needed.

The validator learns from one half of the questions (or four fifths) and is measured on the rest;
the averages are over several splits. It is given the question, the cheap answer, and in training
whether each model was right. Beside it: escalation at random, by the question's length, by the
free checks without any training, and by a verifier that is never wrong.

Two orders of escalation are measured, of the same prediction: by expected gain, for the figures by
share of calls; and by expected gain per expected dollar of the stronger answer (`BreakEven`), for
the figures in dollars.

The answers carry two marks of the few-shot examples they were made with: `<<3*4=12>>` and a last
line `#### 12`. "With marks" gives the validator the format as a check, as an application that asks
for one would. "Without marks" takes the marks and that whole line away, and the check with them.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from _figures import Figure, show
from rich.console import Console
from rich.table import Table

from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.routing.cascade import (
    CHECKS,
    AnswerFacts,
    AnswerRow,
    Format,
    Validator,
    ValidatorFit,
    fit_validator,
    judge,
    limit_for_quality,
    without_marks,
)
from frugal_chains.tokens import TokenCounter
from routing.protocol import (
    DATA,
    Array,
    Carried,
    Chosen,
    Index,
    Interval,
    carried,
    compare,
    drawn,
    folds,
    in_figure,
    interval,
    load,
)

LEVELS: Final = (0.5, 0.8, 0.95)
"""Parts of the quality gap at which dollars are compared."""
STRONG_USD: Final = (10e-6, 30e-6)
"""GPT-4 Turbo, USD per token in and out (OpenAI's list price of November 2023)."""
CHEAP_USD: Final = (0.24e-6, 0.24e-6)
"""Mixtral 8x7B, as RouteLLM priced it (arXiv 2406.18665, 2024)."""
ASKS_FOR_MARK: Final = Format(r"####\s*-?\$?\.?\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """The questions with both models' answers, as one variant shows them."""

    rows: list[AnswerRow]
    gains: Array
    cheap_usd: Array
    strong_usd: Array
    forecast: Array
    """What a router expects of the strong answer's bill: it knows the question and the draft."""
    checks: tuple[Validator, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One variant, measured."""

    figures: Mapping[str, Mapping[str, Interval]]
    """By router, then by figure: apgr, cpt50, cpt80, and saved at each level."""
    against_length: Interval
    """APGR of the learned validator minus that of the question's length, paired."""


# -- the data ----------------------------------------------------------------------------------


def read(rows: Sequence[Mapping[str, Any]], *, marks: bool, tokens: Callable[[str], int]) -> Set:
    """Make requests and answers of the rows; without marks their last line goes too."""
    shown = [str(row["weak_response"]) for row in rows]
    if not marks:
        shown = [_unmarked(text) for text in shown]
    asked = np.array([tokens(row["prompt"]) for row in rows], dtype=np.float64)
    cheap = np.array([tokens(row["weak_response"]) for row in rows], dtype=np.float64)
    strong = np.array([tokens(row["strong_response"]) for row in rows], dtype=np.float64)
    answers = [
        AnswerRow(
            request=RequestFacts(messages=(MessageFacts(role="user", text=row["prompt"]),)),
            answer=AnswerFacts(text=text),
            right=float(row["weak"]),
            stronger_right=float(row["strong"]),
        )
        for row, text in zip(rows, shown, strict=True)
    ]
    return Set(
        rows=answers,
        gains=np.array([float(row["strong"]) - float(row["weak"]) for row in rows]),
        cheap_usd=asked * CHEAP_USD[0] + cheap * CHEAP_USD[1],
        strong_usd=asked * STRONG_USD[0] + strong * STRONG_USD[1],
        # As `BreakEven` does: halfway between the usual length and the draft's.
        forecast=asked * STRONG_USD[0] + np.sqrt(cheap * strong.mean()) * STRONG_USD[1],
        checks=(ASKS_FOR_MARK,) if marks else (),
    )


def _unmarked(text: str) -> str:
    plain = without_marks(text)
    kept = re.sub(r"(?m)^\s*####.*$", "", plain).strip()
    return kept or plain.replace("####", "").strip()


# -- routers -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Validators of one division of the questions, each on the part it was not fitted on."""

    risks: Array
    """Of all questions."""
    parts: tuple[tuple[Index, ValidatorFit], ...]
    """Question numbers, and the validator that had not seen them."""


def learned(data: Set, k: int, seed: int) -> Split:
    """Fit a validator on all folds but one, for each."""
    risks = np.empty(len(data.rows))
    prompts = [row.request.messages[0].text for row in data.rows]
    parts = []
    for fold in folds(prompts, k, seed):
        rest = np.setdiff1d(np.arange(len(risks)), fold)
        fitted = fit_validator([data.rows[i] for i in rest], checks=data.checks, seed=seed)
        unseen = [(data.rows[i].request, data.rows[i].answer) for i in fold]
        risks[fold] = fitted.validator.risks(unseen)
        parts.append((fold, fitted))
    return Split(risks=risks, parts=tuple(parts))


def per_dollar(risks: Array, data: Set) -> Array:
    """The order of a router that escalates where the gain is worth the stronger answer's bill."""
    return np.asarray(risks / data.forecast)


def free_checks(data: Set) -> Array:
    """How many of the checks that need no training speak against each answer."""
    checks = (*CHECKS, *data.checks)
    return np.array(
        [
            sum(not judge(row.request, row.answer, (check,))[0].ok for check in checks)
            for row in data.rows
        ],
        dtype=np.float64,
    )


# -- figures -----------------------------------------------------------------------------------


def saved(scores: Array, data: Set, weights: Array) -> Array:
    """Dollars saved against the strong model alone, at each level; the cheap call is always paid.

    `weights` says how often each request counts. Requests of equal scores are taken in expectation
    over their order, as the protocol does.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    weight = weights[order]
    won = np.append(0.0, np.cumsum(weight * data.gains[order])[ends])
    strong = np.append(0.0, np.cumsum(weight * data.strong_usd[order])[ends])
    cheap = float(weights @ data.cheap_usd)
    found = []
    for level in LEVELS:
        after = int(np.argmax(won >= level * won[-1]))
        low, high = won[after - 1], won[after]
        share = (level * won[-1] - low) / (high - low)
        spent = strong[after - 1] + share * (strong[after] - strong[after - 1])
        found.append(1 - (cheap + spent) / strong[-1])
    return np.array(found)


def saved_by_level(
    scores: Sequence[Array], data: Set, *, draws: int, seed: int
) -> dict[float, Interval]:
    """Dollars saved at each level, a mean over one router's seeds."""
    found = np.array(
        [
            np.mean([saved(each, data, weight) for each in scores], axis=0)
            for weight in drawn(len(data.rows), draws, seed)
        ]
    )
    return {level: interval(each[0], each[1:]) for level, each in zip(LEVELS, found.T, strict=True)}


def measured(scores: Mapping[str, Sequence[Array]], data: Set, *, draws: int, seed: int) -> Result:
    """All figures of all routers, with bootstrap intervals over the questions."""
    by_share = compare(scores, data.gains, versus=[("learned", "length")], draws=draws, seed=seed)
    figures = {}
    for name, seeds in scores.items():
        each = by_share.routers[name]
        figures[name] = {"apgr": each.apgr, "cpt50": each.cpt50, "cpt80": each.cpt80} | {
            f"saved at {level:.0%}": usd
            for level, usd in saved_by_level(seeds, data, draws=draws, seed=seed).items()
        }
    versus = by_share.versus["learned", "length"].apgr
    return Result(figures=figures, against_length=versus)


def carried_limits(data: Set, level: float, splits: Sequence[Split]) -> list[Chosen]:
    """Limits chosen on one part of the questions and used on the other."""
    found = []
    for split in splits:
        for unseen, fitted in split.parts:
            seen = np.setdiff1d(np.arange(len(data.rows)), unseen)
            limit = limit_for_quality(
                fitted.risks,
                [data.rows[i].right for i in seen],
                [data.rows[i].stronger_right or 0.0 for i in seen],
                of_gap=level,
            )
            risks = split.risks[unseen]
            found.append(Chosen(rows=unseen, scores=risks, strong=risks > limit.max_p_wrong))
    return found


def variant(data: Set, splits: Mapping[str, Sequence[Split]], draws: int) -> dict[str, Result]:
    """The learned validator, by what it was fitted on, beside the others."""
    length = np.array([float(len(row.request.messages[0].text)) for row in data.rows])
    wrong = np.array([1 - row.right for row in data.rows])
    rng = np.random.default_rng(0)
    others = {
        "random": [rng.random(len(length)) for _ in range(20)],
        "length": [length],
        "free checks": [free_checks(data)],
        "perfect verifier": [wrong],
        "perfect verifier, per dollar": [per_dollar(wrong, data)],
    }
    results = {}
    for name, found in splits.items():
        risks = [split.risks for split in found]
        scores = {
            "learned": risks,
            "learned, per dollar": [per_dollar(each, data) for each in risks],
        }
        results[name] = measured(scores | others, data, draws=draws, seed=0)
    return results


# -- report ------------------------------------------------------------------------------------

ASKED: Final[Mapping[tuple[str, str], float]] = {
    ("learned", "apgr"): 0.78,
    ("learned", "cpt80"): 42.0,
    ("learned, per dollar", "saved at 50%"): 0.80,
    ("learned, per dollar", "saved at 80%"): 0.50,
}


def run(data: Path = DATA, *, seeds: int = 4, draws: int = 300) -> dict[str, Figure]:
    """Measure everything; prints the tables and returns the figures of the results file."""
    rows = load("routellm_gsm8k", data)
    counter = TokenCounter()

    def exactly(text: str) -> int:
        # cl100k is GPT-4 Turbo's own; Mixtral's tokens, 24 to 125 times cheaper, are counted in it.
        return counter.count_text(text, model="gpt-4-turbo", provider="openai").tokens

    def by_length(text: str) -> int:
        return round(len(text) / 4)

    figures: dict[str, Figure] = {}
    for label, marks in (("with marks", True), ("without marks", False)):
        shown = read(rows, marks=marks, tokens=exactly)
        halves = [learned(shown, 2, seed) for seed in range(seeds)]
        fifths = [learned(shown, 5, seed) for seed in range(max(1, seeds // 2))]
        results = variant(shown, {"half": halves, "four fifths": fifths}, draws)
        for part, result in results.items():
            _print(f"GSM8K cascade, {label}, fitted on {part}", result)
            figures |= _figures_of(f"cascade {label}, {part}", result, asked=marks)
        for level in LEVELS[:2]:
            there = carried(carried_limits(shown, level, halves), shown.gains, level, draws=draws)
            figures |= _carried_figures(f"cascade {label}, limit for {level:.0%} carried", there)
        # The published figures count a token as four characters.
        quarter = read(rows, marks=marks, tokens=by_length)
        scores = [per_dollar(split.risks, quarter) for split in halves]
        for level, value in saved_by_level(scores, quarter, draws=draws, seed=0).items():
            name = f"cascade {label}, half: saved at {level:.0%}, 4 characters a token"
            figures[name] = in_figure(value, better="higher", unit="of the strong model's bill")
    return figures


_UNITS: Final = {"apgr": "area", "cpt50": "% of calls", "cpt80": "% of calls"}


def _figures_of(name: str, result: Result, *, asked: bool) -> dict[str, Figure]:
    found = {
        f"{name}: {router} {key}": in_figure(
            value,
            better="lower" if key.startswith("cpt") else "higher",
            unit=_UNITS.get(key, "of the strong model's bill"),
            asked=ASKED.get((router, key)) if asked else None,
        )
        for router, figures in result.figures.items()
        if router != "random"
        for key, value in figures.items()
    }
    found[f"{name}: learned less length, apgr"] = in_figure(
        result.against_length, better="higher", unit="area", asked=0.0
    )
    return found


def _carried_figures(name: str, there: Carried) -> dict[str, Figure]:
    return {
        f"{name}: recovered": in_figure(there.recovered, better="higher", unit="of the gap"),
        f"{name}: reached": in_figure(there.reached, better="higher", unit="of splits"),
        f"{name}: extra calls": in_figure(
            there.excess, asked=10.0, better="lower", unit="points of calls", scale=100
        ),
    }


def _print(title: str, result: Result) -> None:
    keys = list(next(iter(result.figures.values())))
    table = Table("router", *keys, title=title)
    for name, figures in result.figures.items():
        table.add_row(name, *map(str, figures.values()))
    Console(width=200).print(table)
    Console().print(f"learned minus length, APGR: {result.against_length}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--draws", type=int, default=300)
    given = parser.parse_args()
    show("cascade", run(given.data, seeds=given.seeds, draws=given.draws))
