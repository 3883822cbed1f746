"""A calibration log: rows of (prompt, model, score), read with care.

    {"prompt": "...", "model": "small", "score": 1, "task": "billing", "cost_usd": 0.0004}

One row is one answer. `task` and `cost_usd` may be missing. Rows of one prompt are brought
together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from frugal_chains.errors import CalibrationError
from frugal_chains.routing.gain import Embedder, Example

Doubles = NDArray[np.float64]

LEAST_PROMPTS: Final = 50
"""With fewer, the interval of any difference is wider than any difference there is: at 50 prompts
a mean score is known to within 14 points."""
_COLUMNS: Final = ("prompt", "model", "score")


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationLog:
    """Prompts, how well each model answered them, and what that cost."""

    models: tuple[str, ...]
    """In the order they first occur."""
    prompts: tuple[str, ...]
    tasks: tuple[str, ...]
    """Empty where the log names none."""
    scores: Doubles
    """Shape (prompts, models), 0 to 1; NaN where a model was not asked."""
    costs_usd: Doubles
    """The same shape; NaN where it is not known."""

    def examples(self, embeddings: Sequence[Sequence[float]] | None = None) -> list[Example]:
        """The rows as gain models learn them."""
        dense: Sequence[Sequence[float] | None] = embeddings or [None] * len(self.prompts)
        return [
            Example(
                prompt=prompt,
                scores={
                    name: float(score)
                    for name, score in zip(self.models, row, strict=True)
                    if not math.isnan(score)
                },
                task=task,
                embedding=vector,
            )
            for prompt, row, task, vector in zip(
                self.prompts, self.scores, self.tasks, dense, strict=True
            )
        ]

    def embedded(self, embedder: Embedder, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of some texts, checked.

        Raises:
            CalibrationError: the embedder gave another number of vectors, or lengths that differ.
        """
        vectors = [list(map(float, vector)) for vector in embedder(list(texts))]
        lengths = {len(vector) for vector in vectors}
        if len(vectors) != len(texts) or len(lengths) != 1:
            raise CalibrationError(
                f"the embedder gave {len(vectors)} vectors of lengths {sorted(lengths)[:5]} for "
                f"{len(texts)} prompts; it has to give one for each, all of one length"
            )
        return vectors


def read_log(rows: Iterable[Mapping[str, Any]]) -> CalibrationLog:
    """Read and check the rows of a log. Rows are numbered from 1.

    Raises:
        CalibrationError: a column is missing; a score is not a number from 0 to 1; one prompt and
            model have two different scores; there is one model only, or fewer than `LEAST_PROMPTS`
            prompts; no prompt was answered by two models; all models always score the same.
    """
    cells: dict[tuple[str, str], tuple[int, float, float]] = {}
    tasks: dict[str, str] = {}
    models: dict[str, None] = {}
    for number, row in enumerate(rows, start=1):
        prompt, model, score = _cells(number, row)
        cost = _cost(number, row)
        before = cells.setdefault((prompt, model), (number, score, cost))
        if before[1] != score:
            raise CalibrationError(
                f"rows {before[0]} and {number}: the same prompt and model ({model!r}) scored "
                f"{before[1]:g} and {score:g}; keep one of them, or one row with their mean"
            )
        models[model] = None
        task = str(row.get("task") or "")
        if tasks.setdefault(prompt, task) != task:
            raise CalibrationError(
                f"row {number}: its prompt is of the task {tasks[prompt]!r} in an earlier row and "
                f"of {task!r} here; give all rows of a prompt one task"
            )
    log = _table(cells, tasks, tuple(models))
    _check(log)
    return log


def _cells(number: int, row: Mapping[str, Any]) -> tuple[str, str, float]:
    missing = [name for name in _COLUMNS if row.get(name) is None]
    if missing:
        raise CalibrationError(
            f"row {number} has no {' and no '.join(missing)}: each row needs prompt, model and "
            f"score (it has {', '.join(map(str, row)) or 'nothing'})"
        )
    prompt, model = row["prompt"], row["model"]
    if not isinstance(prompt, str) or not isinstance(model, str) or not prompt.strip() or not model:
        raise CalibrationError(f"row {number}: prompt and model have to be text that is not empty")
    score = _number(row["score"])
    if score is None or not 0 <= score <= 1:
        raise CalibrationError(
            f"row {number}: the score is {row['score']!r}; it has to be a number from 0 (wrong) to "
            "1 (right): divide by the best mark there is, and leave out rows that were not scored"
        )
    return prompt, model, score


def _cost(number: int, row: Mapping[str, Any]) -> float:
    if row.get("cost_usd") is None:
        return math.nan
    cost = _number(row["cost_usd"])
    if cost is None or cost < 0:
        raise CalibrationError(
            f"row {number}: cost_usd is {row['cost_usd']!r}; it has to be dollars, 0 or more, or "
            "be left out where it is not known"
        )
    return cost


def _number(value: object) -> float | None:
    """The value as a finite number; logs read from CSV hold them as text."""
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _table(
    cells: Mapping[tuple[str, str], tuple[int, float, float]],
    tasks: Mapping[str, str],
    models: tuple[str, ...],
) -> CalibrationLog:
    line = {prompt: at for at, prompt in enumerate(tasks)}
    column = {model: at for at, model in enumerate(models)}
    scores = np.full((len(line), len(column)), np.nan)
    costs = scores.copy()
    for (prompt, model), (_, score, cost) in cells.items():
        scores[line[prompt], column[model]] = score
        costs[line[prompt], column[model]] = cost
    return CalibrationLog(
        models=models,
        prompts=tuple(line),
        tasks=tuple(tasks.values()),
        scores=scores,
        costs_usd=costs,
    )


def _check(log: CalibrationLog) -> None:
    if len(log.models) < 2:
        only = f"only the model {log.models[0]!r}" if log.models else "no rows"
        raise CalibrationError(
            f"the log has {only}: there is nothing to choose between. Have at least two models "
            "answer the same prompts"
        )
    both = int((np.isfinite(log.scores).sum(axis=1) >= 2).sum())
    if both < LEAST_PROMPTS:
        shares = Counter(np.isfinite(log.scores).sum(axis=1).tolist())
        raise CalibrationError(
            f"{both} of {len(log.prompts)} prompts have scores of two models or more ("
            + ", ".join(f"{count} of {models}" for models, count in sorted(shares.items()))
            + f"); at least {LEAST_PROMPTS} are needed, and 500 for a threshold worth having. "
            "Have each model answer the same prompts"
        )
    best, worst = np.nanmax(log.scores, axis=1), np.nanmin(log.scores, axis=1)
    if np.allclose(best, worst):
        value = np.unique(log.scores[np.isfinite(log.scores)])
        what = "all models always score alike"
        if len(value) == 1:
            what = f"every score is {value[0]:g}"
        raise CalibrationError(
            f"{what}: no model ever wins over another, so nothing can be learned. Use the cheapest "
            "one, or score with a finer measure"
        )
