"""Where to set the limit of a cascade: from a log, for a target, carefully.

All of these look at risks that were predicted for rows the validator had not seen
(`ValidatorFit.risks`). A draft whose risk is above the limit is escalated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from frugal_chains.errors import CalibrationError

Floats = NDArray[np.float64]

ALWAYS = -1e6
"""A limit that every draft is above: a learned gain is a little more than -1 to 1. Finite, so that
JSON can hold it."""
_ROUNDING = 1 + 1e-12
"""What sums of floats may be off by: a mean of $0.10 is not to pass a limit of $0.10."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit, and what it would have meant for the log it was chosen on."""

    max_p_wrong: float
    """What `CascadePlan` and a policy's `Cascade` take."""
    share: float
    """Of the answers escalated, 0 to 1."""
    quality: float | None = None
    """Mean score of what is kept, 0 to 1; None where the log has no stronger answers."""
    usd_per_request: float | None = None
    """Mean cost of a request: its draft, and the stronger answer where it is escalated. None where
    no costs were given."""
    reached: bool = True
    """Whether the log says that the target is met. False: everything is escalated."""


def limit_for_share(risks: Sequence[float], share: float) -> Limit:
    """Escalate no more than this share of the answers, 0 to 1."""
    if not 0 <= share <= 1:
        raise CalibrationError(f"share is {share!r}; it is from 0 to 1")
    table = _sorted(risks)
    return _at(table, int(share * len(table)))


def limit_for_quality(
    risks: Sequence[float],
    right: Sequence[float],
    stronger_right: Sequence[float],
    *,
    of_gap: float,
    confidence: float = 0.8,
) -> Limit:
    """Escalate as little as recovers a part of the stronger model's lead.

    Args:
        risks: Of each answer, by a validator that had not seen it.
        right: The score of each answer, 0 to 1.
        stronger_right: The score of the stronger model's answer to the same request.
        of_gap: The part of the lead to recover, 0 to 1.
        confidence: Probability that traffic like the log reaches it: the limit is where a lower
            bound of the recovered part, not its mean, does. 0.5 takes the mean. On public data more
            than 0.8 escalated more and reached it no oftener (docs/notes/routing.md).
    """
    if not 0 <= of_gap <= 1 or not 0.5 <= confidence < 1:
        raise CalibrationError(
            f"of_gap is {of_gap!r} and confidence {confidence!r}; they are 0 to 1 and 0.5 to 1"
        )
    order = np.argsort(-np.asarray(risks, dtype=np.float64), kind="stable")
    cheap = np.asarray(right, dtype=np.float64)[order]
    gain = np.asarray(stronger_right, dtype=np.float64)[order] - cheap
    if not len(gain) == len(risks) or gain.sum() <= 0:
        raise CalibrationError(
            "the stronger answers of this log are no better than the others: there is nothing to "
            "escalate for; keep the cheaper model"
        )
    # Each row's share of what is recovered beyond the target: gain * (escalated - of_gap).
    count = len(gain)
    above = np.append(0.0, np.cumsum(gain)) - of_gap * gain.sum()
    square = gain**2
    inside = np.append(0.0, np.cumsum(square))
    squares = (1 - of_gap) ** 2 * inside + of_gap**2 * (square.sum() - inside)
    mean = above / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0) / count)
    surely = mean - NormalDist().inv_cdf(confidence) * deviation >= 0
    # Equal risks are escalated together or not at all.
    table = _sorted(risks)
    surely[1:-1] &= table[:-1] > table[1:]
    # With everything escalated the lead is recovered, however wide the bound.
    escalated = int(np.argmax(surely)) if surely.any() else count
    limit = _at(table, escalated)
    kept = float((cheap.sum() + gain[:escalated].sum()) / count)
    return Limit(
        max_p_wrong=limit.max_p_wrong,
        share=limit.share,
        quality=kept,
        reached=bool(surely.any()),
    )


def limit_for_spend(
    risks: Sequence[float],
    draft_usd: Sequence[float],
    stronger_usd: Sequence[float],
    limit_usd: float,
) -> Limit:
    """Escalate the riskiest answers for as long as the money lasts.

    Args:
        risks: Of each answer, by a validator that had not seen it.
        draft_usd: What each draft cost: it is paid whether it is kept or not.
        stronger_usd: What the stronger answer to the same request costs.
        limit_usd: The mean cost of a request must not pass it.

    Raises:
        CalibrationError: the drafts alone pass the limit, or something is no amount of money.
    """
    table = _sorted(risks)
    drafts, stronger = (np.asarray(usd, dtype=np.float64) for usd in (draft_usd, stronger_usd))
    for name, usd in (("draft_usd", drafts), ("stronger_usd", stronger)):
        if len(usd) != len(table) or not (np.isfinite(usd).all() and (usd >= 0).all()):
            raise CalibrationError(
                f"{name} has to have {len(table)} amounts, one for each risk and 0 or more"
            )
    alone = float(drafts.mean())
    room = limit_usd * _ROUNDING
    if not alone <= room:
        raise CalibrationError(
            f"the drafts alone cost ${alone:.6g} a request, and they are always paid: that passes "
            f"the limit of ${limit_usd:.6g} before anything is escalated. Raise the limit above "
            f"${alone:.6g}, or draft with a cheaper model"
        )
    order = np.argsort(-np.asarray(risks, dtype=np.float64), kind="stable")
    spent = alone + np.append(0.0, np.cumsum(stronger[order])) / len(table)
    # Rows of one risk go up together or not at all: `_at` takes fewer, never more.
    limit = _at(table, int(np.searchsorted(spent, room, side="right")) - 1)
    escalated = np.asarray(risks, dtype=np.float64) > limit.max_p_wrong
    return replace(limit, usd_per_request=alone + float((stronger * escalated).mean()))


def _sorted(risks: Sequence[float]) -> Floats:
    table = np.sort(np.asarray(risks, dtype=np.float64))[::-1]
    if not len(table) or not np.isfinite(table).all():
        raise CalibrationError("risks have to be numbers, and at least one")
    return table


def _at(table: Floats, escalated: int) -> Limit:
    """The limit above which so many of the risks lie, or as many as equal ones allow."""
    if escalated >= len(table):
        return Limit(max_p_wrong=ALWAYS, share=1.0)
    kept = float(table[escalated])
    above = kept if escalated == 0 else float(table[escalated - 1])
    # Halfway, unless two neighbouring numbers leave no room between them.
    limit = (kept + above) / 2 if (kept + above) / 2 < above else kept
    return Limit(max_p_wrong=limit, share=float((table > limit).mean()))
