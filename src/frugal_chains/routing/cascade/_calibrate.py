"""From a log of answers to a validator, its limit, and an honest opinion of both.

    {"prompt": "...", "answer": "...", "score": 0, "stronger_score": 1}

One row is one answer of the model that drafts, with its own score and that of a stronger model's
answer to the same prompt. `cost_usd` and `stronger_cost_usd`, what each of the two cost, may be
missing; a limit of spend needs them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from frugal_chains.errors import CalibrationError
from frugal_chains.facts import MessageFacts, RequestFacts
from frugal_chains.routing.cascade._answer import AnswerFacts, Validator
from frugal_chains.routing.cascade._learned import (
    AnswerRow,
    LearnedValidator,
    ValidatorFit,
    fit_validator,
)
from frugal_chains.routing.cascade._limit import (
    ALWAYS,
    Limit,
    limit_for_quality,
    limit_for_share,
    limit_for_spend,
)

_COLUMNS: Final = ("prompt", "answer", "score", "stronger_score")
_OF_BEST: Final = 0.98
_CONFIDENCE: Final = 0.9
"""Probability that escalating by risk does better than escalating as many at random."""
_FEWEST: Final = 8
"""Rows kept and rows escalated: what fewer have won or lost is chance, whatever their mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeFit:
    """A validator with the limit that meets a target, and what both did on their log."""

    validator: LearnedValidator
    limit: Limit
    """Its quality is that of the whole cascade, on answers the validator had not seen."""
    target: str
    rows: int
    drafts: float
    """Mean score of the drafts, 0 to 1."""
    stronger: float
    """Mean score of the stronger answers."""
    stronger_usd: float | None
    """Mean cost of a stronger answer; None where the log does not say."""
    at_random: float
    """Mean score with as many escalated, drawn by lot."""
    problem: str
    """Why the cascade is not recommended; empty: it is."""

    @property
    def recommended(self) -> bool:
        """Whether it escalates where it helps, and saves something."""
        return not self.problem

    def to_json(self) -> dict[str, Any]:
        """The figures: all but the validator."""
        return {
            "target": self.target,
            "rows": self.rows,
            "max_p_wrong": self.limit.max_p_wrong,
            "share": self.limit.share,
            "quality": self.limit.quality,
            "usd_per_request": self.limit.usd_per_request,
            "drafts": self.drafts,
            "stronger": self.stronger,
            "stronger_usd": self.stronger_usd,
            "at_random": self.at_random,
            "recommended": self.recommended,
            "problem": self.problem,
        }

    def text(self) -> str:
        """Some lines for a terminal."""
        usd = self.limit.usd_per_request
        spend = "" if usd is None else f", for ${usd:.4g} a request"
        alone = "" if self.stronger_usd is None else f" for ${self.stronger_usd:.4g}"
        verdict = f"is not recommended: {self.problem}" if self.problem else "is recommended"
        limit = self.limit.max_p_wrong
        which = "every risk" if limit == ALWAYS else f"a risk above {limit:.4f}"
        return "\n".join(
            (
                f"Cascade, learned from {self.rows} answers. Target: {self.target}.",
                f"Escalated: {which}, {self.limit.share:.1%} of the answers{spend}.",
                f"Quality {self.limit.quality:.3f}; as many at random {self.at_random:.3f}, all "
                f"drafts {self.drafts:.3f}, all stronger answers {self.stronger:.3f}{alone}.",
                f"The cascade {verdict}.",
            )
        )


def fit_cascade(
    rows: Iterable[Mapping[str, Any]],
    *,
    of_best: float | None = None,
    share: float | None = None,
    usd_per_request: float | None = None,
    checks: Sequence[Validator] = (),
    seed: int = 0,
) -> CascadeFit:
    """Learn which answers to escalate, and set the limit for a target.

    Args:
        rows: Of a log; see the module.
        of_best: Target: this part of the stronger model's quality, with as little escalated as can
            be. 0.98 where no target is given.
        share: Target: at most this share of the answers escalated.
        usd_per_request: Target: at most this mean cost of a request, its draft included.
        checks: Of the application's own, as `fit_validator` takes them.
        seed: Of the forest and its folds.

    Raises:
        CalibrationError: a row, or the log as a whole, cannot be used; or several targets.
    """
    if sum(target is not None for target in (of_best, share, usd_per_request)) > 1:
        raise CalibrationError("one target at a time: of_best, share or usd_per_request")
    log = answer_rows(rows)
    fit = fit_validator(log, checks=checks, seed=seed)
    if share is not None:
        limit = limit_for_share(fit.risks, share)
        return _judged(fit, log, limit, f"at most {share:.0%} of the answers escalated")
    if usd_per_request is not None:
        limit = limit_for_spend(fit.risks, *_costs(log), usd_per_request)
        return _judged(fit, log, limit, f"at most ${usd_per_request:g} a request")
    part = _OF_BEST if of_best is None else of_best
    limit = _for_quality(fit, log, part)
    return _judged(fit, log, limit, f"{part:.0%} of the stronger model's quality")


def answer_rows(rows: Iterable[Mapping[str, Any]]) -> list[AnswerRow]:
    """Read and check the rows of a log of answers. Rows are numbered from 1.

    Raises:
        CalibrationError: a column is missing, or holds what it cannot.
    """
    return [_answer_row(number, row) for number, row in enumerate(rows, start=1)]


# -- rows --------------------------------------------------------------------------------------


def _answer_row(number: int, row: Mapping[str, Any]) -> AnswerRow:
    missing = [name for name in _COLUMNS if row.get(name) is None]
    if missing:
        raise CalibrationError(
            f"row {number} has no {' and no '.join(missing)}: each row needs prompt, answer, score "
            "(of that answer) and stronger_score (of a stronger model's answer to that prompt); it "
            f"has {', '.join(map(str, row)) or 'nothing'}"
        )
    prompt, answer = row["prompt"], row["answer"]
    if not isinstance(prompt, str) or not isinstance(answer, str) or not prompt.strip():
        raise CalibrationError(
            f"row {number}: prompt and answer have to be text, and a prompt not empty"
        )
    return AnswerRow(
        request=RequestFacts(messages=(MessageFacts(role="user", text=prompt),)),
        answer=AnswerFacts(text=answer),
        right=_score(number, row, "score"),
        stronger_right=_score(number, row, "stronger_score"),
        usd=_cost(number, row, "cost_usd"),
        stronger_usd=_cost(number, row, "stronger_cost_usd"),
    )


def _score(number: int, row: Mapping[str, Any], name: str) -> float:
    score = _number(row[name])
    if not 0 <= score <= 1:
        raise CalibrationError(
            f"row {number}: the {name} is {row[name]!r}; it has to be a number from 0 (wrong) to 1 "
            "(right): divide by the best mark there is, and leave out rows that were not scored"
        )
    return score


def _cost(number: int, row: Mapping[str, Any], name: str) -> float | None:
    if row.get(name) in (None, ""):  # a cell of a table that is left empty
        return None
    cost = _number(row[name])
    if not 0 <= cost < math.inf:
        raise CalibrationError(
            f"row {number}: {name} is {row[name]!r}; it has to be dollars, 0 or more, or be left "
            "out where it is not known"
        )
    return cost


def _number(value: object) -> float:
    """The value as a number; not a number where it is none. Rows read from CSV hold text."""
    try:
        return float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        return math.nan


def _costs(log: Sequence[AnswerRow]) -> tuple[list[float], list[float]]:
    for number, row in enumerate(log, start=1):
        if row.usd is None or row.stronger_usd is None:
            name = "cost_usd" if row.usd is None else "stronger_cost_usd"
            raise CalibrationError(
                f"row {number} has no {name}: a limit of spend needs cost_usd (of the answer) and "
                "stronger_cost_usd (of the stronger one) in each row; or ask for a share instead"
            )
    return [row.usd or 0.0 for row in log], [row.stronger_usd or 0.0 for row in log]


# -- limits ------------------------------------------------------------------------------------


def _for_quality(fit: ValidatorFit, log: Sequence[AnswerRow], part: float) -> Limit:
    """The floor as a part of the gap between the two models, which is what escalating closes."""
    if not 0 < part <= 1:
        raise CalibrationError(f"of_best is {part!r}; it is above 0 and at most 1, such as 0.98")
    right, stronger = _scores(log)
    gap = float(stronger.mean() - right.mean())
    missing = float(part * stronger.mean() - right.mean())
    of_gap = min(max(missing / gap, 0.0), 1.0) if gap > 0 else 1.0
    return limit_for_quality(fit.risks, right.tolist(), stronger.tolist(), of_gap=of_gap)


def _scores(log: Sequence[AnswerRow]) -> tuple[Any, Any]:
    """Shape (rows,) each."""
    return (
        np.array([row.right for row in log]),
        np.array([row.stronger_right or 0.0 for row in log]),
    )


def _judged(fit: ValidatorFit, log: Sequence[AnswerRow], limit: Limit, target: str) -> CascadeFit:
    right, stronger = _scores(log)
    gain = stronger - right
    up = np.array(fit.risks) > limit.max_p_wrong
    # Row by row, what was won by choosing whom to escalate: its mean is quality - at_random.
    won = (up - limit.share) * gain
    surely = won.mean() - NormalDist().inv_cdf(_CONFIDENCE) * won.std() / math.sqrt(len(won))
    known = all(row.usd is not None and row.stronger_usd is not None for row in log)
    drafts_usd, answers_usd = map(np.array, _costs(log) if known else ((), ()))
    limit = replace(
        limit,
        quality=float((right + gain * up).mean()),
        usd_per_request=float((drafts_usd + answers_usd * up).mean()) if known else None,
    )
    found = CascadeFit(
        validator=fit.validator,
        limit=limit,
        target=target,
        rows=len(log),
        drafts=float(right.mean()),
        stronger=float(stronger.mean()),
        stronger_usd=float(answers_usd.mean()) if known else None,
        at_random=float(right.mean() + limit.share * gain.mean()),
        problem="",
    )
    return replace(found, problem=_problem(found, beats_chance=bool(surely > 0)))


def _problem(found: CascadeFit, *, beats_chance: bool) -> str:
    share, usd, stronger_usd = found.limit.share, found.limit.usd_per_request, found.stronger_usd
    fewer = round(min(share, 1 - share) * found.rows)
    if share >= 1:
        return "every draft would be paid and given up; ask the stronger model at once"
    if share <= 0:
        return "nothing would go up; keep the cheaper model alone"
    if usd is not None and stronger_usd is not None and usd >= stronger_usd:
        return (
            f"with its drafts it costs ${usd:.4g} a request, and the stronger model alone "
            f"${stronger_usd:.4g}"
        )
    if fewer < _FEWEST:
        return f"only {fewer} of {found.rows} would be {'kept' if share > 0.5 else 'escalated'}"
    if not beats_chance:
        return "it does not surely choose better than chance; give more rows, or checks of your own"
    return ""
