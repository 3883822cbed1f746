"""From a log of answers to a cascade: its limit, its own opinion, and logs that will not do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from frugal_chains.errors import CalibrationError
from frugal_chains.routing.cascade import ALWAYS, CascadeFit, answer_rows, fit_cascade


def log(
    count: int = 160, *, seed: int = 0, readable: bool = True, wrong: float = 0.4
) -> list[dict[str, Any]]:
    """Products: a wrong one is stated wrongly where it can be read off the answer, else it is told
    by nothing. The stronger model is right in 19 of 20."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        one, other = (int(n) for n in rng.integers(2, 40, 2))
        right = rng.random() >= wrong
        shown = one * other + (0 if right or not readable else int(rng.integers(1, 9)))
        rows.append(
            {
                "prompt": f"How many pens are in {one} boxes of {other} pens each?",
                "answer": f"There are {one} * {other} = {shown} pens.",
                "score": int(right),
                "stronger_score": int(rng.random() < 0.95),
                "cost_usd": 0.001,
                "stronger_cost_usd": 0.01,
            }
        )
    return rows


def routed(found: CascadeFit, rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Mean score and share escalated of other rows under the found limit."""
    facts = answer_rows(rows)
    risks = found.validator.risks([(row.request, row.answer) for row in facts])
    up = [risk > found.limit.max_p_wrong for risk in risks]
    scores = [r["stronger_score"] if u else r["score"] for r, u in zip(rows, up, strict=True)]
    return sum(scores) / len(rows), sum(up) / len(rows)


def test_a_quality_is_met_on_rows_that_nobody_has_seen() -> None:
    found = fit_cascade(log(), of_best=0.9)
    assert found.recommended
    unseen = log(400, seed=1)
    best = sum(row["stronger_score"] for row in unseen) / len(unseen)
    quality, share = routed(found, unseen)
    assert quality >= 0.9 * best
    assert share < 0.55  # 0.4 are wrong
    assert found.drafts == pytest.approx(np.mean([row["score"] for row in log()]))
    assert found.at_random < (found.limit.quality or 0) - 0.1
    text = found.text()
    assert text.startswith("Cascade, learned from 160 answers. Target: 90% of the stronger model's")
    assert "The cascade is recommended" in text
    assert json.loads(json.dumps(found.to_json()))["quality"] == found.limit.quality


def test_a_share_and_a_spend_are_kept_to() -> None:
    by_share = fit_cascade(log(), share=0.2)
    assert by_share.limit.share <= 0.2
    assert "at most 20% of the answers" in by_share.text()
    # $0.001 for every draft leaves $0.003 for answers at $0.01: at most 3 of 10.
    by_spend = fit_cascade(log(), usd_per_request=0.004)
    assert 0.2 < by_spend.limit.share <= 0.3
    assert by_spend.limit.usd_per_request == pytest.approx(0.001 + 0.01 * by_spend.limit.share)
    assert "for $0.00" in by_spend.text()


def test_without_a_target_it_is_98_percent_of_the_stronger_model() -> None:
    assert fit_cascade(log()).target == "98% of the stronger model's quality"


FREE = {"cost_usd": None}
UNFIT = [
    # Where nothing in the answer tells a wrong one, nearly all have to go up for such a quality.
    (
        log(readable=False),
        {"of_best": 1.0},
        r"it costs \$0.01094 .* the stronger model alone \$0.01",
    ),
    (
        [{**row, **FREE} for row in log(readable=False)],
        {"of_best": 1.0},
        "only 1 of 160 would be kept",
    ),
    (log(readable=False), {"share": 0.3}, "does not surely choose better than chance"),
    (log(readable=False), {"share": 0.02}, "only 3 of 160 would be escalated"),
    (log(wrong=0.1), {"of_best": 0.8}, "keep the cheaper model alone"),
    (log(), {"usd_per_request": 1.0}, "ask the stronger model at once"),
]


@pytest.mark.parametrize(("rows", "target", "says"), UNFIT)
def test_a_cascade_that_is_not_worth_it_is_not_recommended(
    rows: list[dict[str, Any]], target: Mapping[str, float], says: str
) -> None:
    found = fit_cascade(rows, **target)  # type: ignore[arg-type]  # of targets alone
    assert not found.recommended
    assert re.search(says, found.text())
    assert "is not recommended" in found.text()


def test_everything_goes_up_where_money_is_no_matter() -> None:
    found = fit_cascade(log(), usd_per_request=1.0)
    assert found.limit.max_p_wrong == ALWAYS
    assert "Escalated: every risk, 100.0% of the answers" in found.text()


def changed(row: int, **cells: Any) -> list[dict[str, Any]]:
    """The log with other cells in one row, counted from 1; None takes a cell away."""
    rows = log()
    rows[row - 1] = {k: v for k, v in {**rows[row - 1], **cells}.items() if v is not None}
    return rows


BAD: list[tuple[list[dict[str, Any]], Mapping[str, Any], str]] = [
    ([], {}, "0 rows are too few to learn from; give at least 40"),
    (log(20), {}, "20 rows are too few"),
    ([{**row, "score": 1} for row in log()], {}, "only 0 of 160 answers are wrong"),
    ([{**row, "score": 0.5} for row in log()], {}, "all 160 answers score 0.5"),
    ([{**row, "stronger_score": row["score"]} for row in log()], {}, "no better than the others"),
    (changed(7, answer=None), {}, "row 7 has no answer: each row needs prompt, answer, score"),
    (changed(7, score=None, stronger_score=None), {}, "row 7 has no score and no stronger_score"),
    (changed(2, score="good"), {}, "row 2: the score is 'good'; it has to be a number from 0"),
    (changed(2, stronger_score=7), {}, "row 2: the stronger_score is 7"),
    (changed(3, prompt=" "), {}, "row 3: prompt and answer have to be text"),
    (changed(3, answer=["x"]), {}, "row 3: prompt and answer have to be text"),
    (changed(4, cost_usd=-1), {}, "row 4: cost_usd is -1; it has to be dollars"),
    (changed(4, stronger_cost_usd="inf"), {}, "row 4: stronger_cost_usd is 'inf'"),
    (
        changed(5, stronger_cost_usd=None),
        {"usd_per_request": 0.004},
        "row 5 has no stronger_cost_usd: a limit of spend needs",
    ),
    (log(60), {"usd_per_request": 0.0001}, r"the drafts alone cost \$0.001 a request"),
    (log(60), {"share": 2.0}, "share is 2.0"),
    (log(60), {"of_best": 0.0}, "of_best is 0.0"),
    (log(), {"of_best": 0.9, "share": 0.5}, "one target at a time"),
]


@pytest.mark.parametrize(("rows", "target", "says"), BAD)
def test_a_log_that_cannot_be_used_says_where_and_why(
    rows: list[dict[str, Any]], target: Mapping[str, Any], says: str
) -> None:
    with pytest.raises(CalibrationError, match=says):
        fit_cascade(rows, **target)


def test_numbers_of_a_table_are_text_and_an_empty_cost_is_none() -> None:
    cells = {"prompt": "a", "answer": "", "score": "1", "stronger_score": "0.5", "cost_usd": ""}
    (row,) = answer_rows([cells])
    assert (row.right, row.stronger_right, row.usd, row.stronger_usd) == (1.0, 0.5, None, None)
